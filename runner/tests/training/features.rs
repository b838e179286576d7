//! Features of frozen parts: computed once for all runs that share them, and the same bits as ever.

use super::project::{DATA, EXPERIMENT, Project, assert_same, stderr, stdout, table};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use sward::rundir::{Disk, Storage, StorageFile};
use sward::train::FeatureFolder;

/// Two frozen layers, and a head.
fn experiment(head: &str) -> String {
    let layers = format!(
        r#"layers: {{ "fc1": Linear(units: 64), "act1": Gelu, "fc2": Linear(units: 64), "act2": Gelu, {head}"head": Linear(units: 2) }}"#
    );
    let start = EXPERIMENT.find("layers:").unwrap();
    let end = start + EXPERIMENT[start..].find(" }),").unwrap() + 2;
    let groups = "groups: [Group(match: \"model.fc*\", frozen: true)], clip_norm";
    format!("{}{layers}{}", &EXPERIMENT[..start], &EXPERIMENT[end..]).replace("clip_norm", groups)
}

fn frozen() -> Project {
    Project::with(&experiment(""), DATA, &table())
}

/// Trains with the folder `shared`, and gives what was said and the run.
fn train(project: &Project, root: &str, arguments: &[&str]) -> (String, PathBuf) {
    train_at(project, root, "shared", arguments)
}

fn train_at(project: &Project, root: &str, folder: &str, arguments: &[&str]) -> (String, PathBuf) {
    let output = project.sward(&[&["train", "experiment.ron", "--output", root, "--features", folder], arguments].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    (stderr(&output), project.run(root))
}

/// How many rows a run computed, and how many it found.
fn counts(run: &Path) -> (u64, u64) {
    let text = std::fs::read_to_string(run.join("timing.json")).unwrap();
    let timing: serde_json::Value = serde_json::from_str(&text).unwrap();
    let of = |name: &str| timing["features"][name].as_u64().unwrap_or_else(|| panic!("{name} in {text}"));
    (of("computed"), of("found"))
}

/// The files of features below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let inside = |path: &Path| -> Vec<PathBuf> {
        std::fs::read_dir(path).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
    };
    inside(folder).iter().flat_map(|value| inside(value)).collect()
}

#[test]
fn they_are_computed_once_and_change_no_bit() {
    let project = frozen();
    let (said, whole) = train(&project, "whole", &["--set", "train.cache=Never"]);
    assert!(!said.contains("features of the frozen part") && !project.path().join("shared").exists(), "{said}");
    let (said, memory) = train_at(&project, "memory", "none", &[]);
    assert!(said.contains("48 of 48 rows computed") && !project.path().join("shared").exists(), "{said}");
    let (_, first) = train(&project, "first", &[]);
    let (said, second) = train(&project, "second", &[]);
    assert!(said.contains("0 of 48 rows computed, 48 found in shared"), "{said}");
    assert_eq!((counts(&memory), counts(&first), counts(&second)), ((48, 0), (48, 0), (0, 48)));
    for run in [&memory, &first, &second] {
        assert_same(&whole, run);
    }
    // Without a folder's name they lie beside the runs; another seed is another backbone.
    let run = project.train("runs", &[]);
    assert_eq!(files(&run.parent().unwrap().join(".features")).len(), 1);
    let (_, other) = train(&project, "other", &["--seed", "7"]);
    assert_eq!(counts(&other), (48, 0));
}

#[test]
fn a_resumed_run_finds_them_and_ends_with_the_same_bits() {
    let project = frozen();
    let whole = project.train("whole", &[]);
    let mut child = project
        .command(&["train", "experiment.ron", "--quiet", "--output", "killed"])
        .stderr(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let runs = project.path().join("killed/experiment");
    let trains = || {
        let mut entries = std::fs::read_dir(&runs).into_iter().flatten().flatten();
        entries.any(|entry| entry.path().join("metrics.jsonl").is_file())
    };
    while !trains() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let _ = child.kill();
    let _ = child.wait();
    let entries = std::fs::read_dir(&runs).unwrap().map(|entry| entry.unwrap().path());
    let run = entries.into_iter().find(|path| path.join("run.json").is_file()).unwrap();
    let output = project.sward(&["train", "--quiet", "--resume", run.to_str().unwrap()]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(counts(&run), (0, 48));
    assert_same(&whole, &run);
}

#[test]
fn what_does_not_read_as_it_was_written_is_computed_again_and_named() {
    let project = frozen();
    let (_, whole) = train(&project, "whole", &[]);
    let file = files(&project.path().join("shared")).remove(0);
    let bytes = std::fs::read(&file).unwrap();
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 1;
    let mut longer = bytes.clone();
    longer.extend_from_slice(&[0; 7]);
    let mut foreign = bytes.clone();
    foreign[20] ^= 1;
    let cases = [
        ("flipped", flipped, "its checksum"),
        ("cut", bytes[..bytes.len() - 9].to_vec(), "bytes"),
        ("short", bytes[..40].to_vec(), "cut off"),
        ("empty", Vec::new(), "cut off"),
        ("longer", longer, "bytes"),
        ("foreign", foreign, "another program"),
        ("other", vec![7; bytes.len()], "no file of features"),
    ];
    for (name, wrong, cause) in cases {
        std::fs::write(&file, wrong).unwrap();
        let (said, run) = train(&project, name, &[]);
        let named = file.file_name().unwrap().to_str().unwrap();
        assert!(said.contains("warning: ") && said.contains(named) && said.contains(cause), "{name}: {said}");
        assert!(said.contains("computed again"), "{name}: {said}");
        assert_eq!(counts(&run), (48, 0), "{name}");
        assert_same(&whole, &run);
        assert!(std::fs::read(&file).unwrap() == bytes, "{name}: it is written anew");
    }
    // A link is followed nowhere.
    std::fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &file).unwrap();
    let (said, run) = train(&project, "link", &[]);
    assert!(said.contains("stay in memory") && said.contains("not a regular file"), "{said}");
    assert_same(&whole, &run);
}

#[test]
fn a_photograph_that_changes_and_a_transform_that_changes_give_new_ones() {
    let project = super::faults::photographs("Fail");
    let edit = |name: &str, from: &str, to: &str| {
        let path = project.path().join(name);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from} in {text}");
        std::fs::write(path, text.replace(from, to)).unwrap();
    };
    edit("photo.ron", "Training([HorizontalFlip(p: 0.5)]), ", "");
    edit(
        "experiment.ron",
        r#"layers: { "mean""#,
        r#"layers: { "conv": Conv2d(channels: 8, kernel: 3), "act": Relu, "conv2": Conv2d(channels: 8, kernel: 3), "mean""#,
    );
    edit("experiment.ron", "optimizer:", r#"groups: [Group(match: "model.conv*", frozen: true)], optimizer:"#);
    let (_, first) = train(&project, "first", &[]);
    assert_eq!(counts(&first), (12, 0));
    let picture = image::RgbImage::from_fn(12, 12, |x, y| image::Rgb([9, (x * 9) as u8, (y * 21) as u8]));
    picture.save(project.path().join("p3.jpg")).unwrap();
    let (_, second) = train(&project, "second", &[]);
    assert_eq!(counts(&second), (1, 11));
    let (_, whole) = train(&project, "whole", &["--set", "train.cache=Never"]);
    assert_same(&whole, &second);
    assert!(std::fs::read(first.join("predictions.csv")).unwrap() != std::fs::read(second.join("predictions.csv")).unwrap());
    edit("photo.ron", "std: [0.2]", "std: [0.25]");
    let (_, third) = train(&project, "third", &[]);
    assert_eq!(counts(&third), (12, 0));
}

#[test]
fn arms_seeds_and_folds_compute_a_backbone_that_they_share_once() {
    // Photographs are the same in every fold; numbers are where no z-score is fitted.
    let data = DATA.replace("scale: ZScore, missing", "missing");
    let project = Project::with(&experiment(""), &data, &table());
    // The backbone is a file's: seeds change the head alone.
    let run = project.train("start", &["--epochs", "1", "--set", "train.ema=0.5"]);
    let file = sward::weights::WeightFile::open(&run.join("checkpoints/last.safetensors")).unwrap();
    for layer in ["fc1", "fc2"] {
        let part = |kind: &str| {
            let view = file.get(&format!("model.{layer}.{kind}")).unwrap();
            let data: Vec<u8> = view.to_f32().unwrap().iter().flat_map(|value| value.to_le_bytes()).collect();
            (kind.to_owned(), view.shape.to_vec(), data)
        };
        let parts = [part("weight"), part("bias")];
        let views = parts.iter().map(|(name, shape, data)| {
            (name, safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), data).unwrap())
        });
        let bytes = safetensors::serialize(views, None).unwrap();
        std::fs::write(project.path().join(format!("{layer}.safetensors")), bytes).unwrap();
    }
    let groups =
        ["fc1", "fc2"].map(|layer| format!("Group(match: \"model.{layer}.*\", frozen: true, from: \"{layer}.safetensors\")"));
    let write = |name: &str, head: &str| {
        let text = experiment(head).replace("Group(match: \"model.fc*\", frozen: true)", &groups.join(", "));
        std::fs::write(project.path().join(name), text).unwrap();
    };
    write("base.ron", "");
    write("other.ron", "\"hidden\": Linear(units: 8), \"act3\": Gelu, ");
    let ablation = r#"Ablation(
    base: "base.ron",
    axes: { "head": Experiment(["other.ron"]), "rate": Set(path: "train.optimizer.lr", to: [0.02]) },
    seeds: [1, 2],
    folds: [0, 1],
    metric: "val/mae",
)"#;
    std::fs::write(project.path().join("ablation.ron"), ablation).unwrap();
    let ablate = |output: &str, arguments: &[&str]| {
        let told = project.sward(&[&["ablate", "ablation.ron", "--quiet", "--output", output], arguments].concat());
        assert!(told.status.success(), "{}", stderr(&told));
    };
    ablate("shared", &[]);
    ablate("alone", &["--features", "none"]);
    let plan = project.sward(&["ablate", "plan", "ablation.ron"]);
    let job = |line: &str| -> serde_json::Value { serde_json::from_str(line).unwrap() };
    let jobs: Vec<PathBuf> = stdout(&plan).lines().map(|line| PathBuf::from(job(line)["directory"].as_str().unwrap())).collect();
    assert_eq!(jobs.len(), 3 * 2 * 2);
    let computed: u64 = jobs.iter().map(|job| counts(&project.path().join("shared").join(job)).0).sum();
    let alone: u64 = jobs.iter().map(|job| counts(&project.path().join("alone").join(job)).0).sum();
    assert_eq!((computed, alone), (48, 12 * 48));
    for job in &jobs {
        assert_same(&project.path().join("shared").join(job), &project.path().join("alone").join(job));
    }
    let table = |name: &str| -> Vec<String> {
        let text = std::fs::read_to_string(project.path().join(name).join("table.csv")).unwrap();
        text.lines().map(|line| line.rsplit_once(',').unwrap().0.to_owned()).collect()
    };
    assert_eq!(table("shared"), table("alone"));
}

#[test]
fn processes_that_share_a_folder_do_not_disturb_each_other() {
    let project = frozen();
    let whole = project.train("whole", &["--features", "none"]);
    let roots: Vec<String> = (0..4).map(|index| format!("side{index}")).collect();
    let children: Vec<_> = roots
        .iter()
        .map(|root| {
            let mut command = project.command(&["train", "experiment.ron", "--output", root, "--features", "shared"]);
            command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success() && !stderr(&output).contains("warning"), "{}", stderr(&output));
    }
    for root in &roots {
        assert_same(&whole, &project.run(root));
    }
    assert_eq!(files(&project.path().join("shared")).len(), 1, "the same rows are the same file");
}

/// A disk on which nothing more can be written below a folder.
struct Full(PathBuf);

impl Full {
    fn refuse(&self, path: &Path) -> io::Result<()> {
        if path.starts_with(&self.0) { Err(io::Error::from(io::ErrorKind::StorageFull)) } else { Ok(()) }
    }
}

impl Storage for Full {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn StorageFile>> {
        self.refuse(path)?;
        Disk.create_new(path)
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn StorageFile>> {
        self.refuse(path)?;
        Disk.append(path)
    }

    fn truncate(&self, path: &Path, length: u64) -> io::Result<()> {
        Disk.truncate(path, length)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.refuse(to)?;
        Disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        Disk.remove(path)
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        Disk.create_directory(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        Disk.sync_directory(path)
    }
}

#[test]
fn a_full_disk_and_a_folder_that_cannot_be_keep_them_in_memory() {
    let project = frozen();
    let whole = project.train("whole", &["--features", "none"]);
    let shared = project.path().join("shared");
    let folder = FeatureFolder { path: shared.clone(), limit_bytes: 1 << 30 };
    let run = super::kills::train_with(&project, &[], Arc::new(Full(shared.clone())), "full", None, Some(folder)).unwrap();
    assert_eq!(counts(&run.directory), (48, 0));
    assert_same(&whole, &run.directory);
    assert!(files(&shared).is_empty(), "{:?}", files(&shared));
    std::fs::write(project.path().join("taken"), "a file").unwrap();
    let (said, run) = train_at(&project, "blocked", "taken", &[]);
    assert_eq!(said.matches("warning: features stay in memory: cannot create `taken").count(), 1, "{said}");
    assert_same(&whole, &run);
    assert_eq!(std::fs::read_to_string(project.path().join("taken")).unwrap(), "a file");
}

#[test]
fn a_folder_keeps_to_its_bound_and_what_was_not_used_for_long_makes_way() {
    let project = frozen();
    let (said, run) = train(&project, "none", &["--features-limit", "0"]);
    assert!(said.contains("may hold 0 MiB") && files(&project.path().join("shared")).is_empty(), "{said}");
    assert_eq!(counts(&run), (48, 0));
    let shared = project.path().join("shared");
    let train = |seed: u64, root: &str, limit_bytes: u64| {
        let folder = FeatureFolder { path: shared.clone(), limit_bytes };
        let sets = [format!("train.seed={seed}")];
        let outcome = super::kills::train_with(&project, &sets, Arc::new(Disk), root, None, Some(folder)).unwrap();
        counts(&outcome.directory)
    };
    assert_eq!(train(1, "one", u64::MAX), (48, 0));
    let size = std::fs::metadata(&files(&shared)[0]).unwrap().len();
    assert_eq!(train(2, "two", 2 * size), (48, 0));
    // The first is used again, so that the second is the one to go.
    std::thread::sleep(std::time::Duration::from_millis(20));
    assert_eq!(train(1, "again", 2 * size), (0, 48));
    assert_eq!(train(3, "three", 2 * size), (48, 0));
    assert_eq!(files(&shared).len(), 2);
    assert_eq!(train(1, "still", 2 * size), (0, 48));
    assert_eq!(train(2, "gone", 2 * size), (48, 0));
}
