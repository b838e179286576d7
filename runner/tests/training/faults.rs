//! What is wrong with data, files and numbers is said with its place, before or while training, and nothing is half-written.

use super::project::{DATA, EXPERIMENT, Project, stderr, table};

/// Trains, expects to fail, and gives exit code and message.
fn fails(project: &Project) -> (i32, String) {
    let output = project.sward(&["train", "experiment.ron", "--quiet"]);
    assert!(!output.status.success(), "it trains");
    (output.status.code().unwrap(), stderr(&output))
}

#[test]
fn a_table_that_is_not_what_the_data_file_says_names_file_line_and_column() {
    let cell = |row: usize, column: usize, text: &str| -> String {
        let mut lines: Vec<String> = table().lines().map(str::to_owned).collect();
        let mut cells: Vec<&str> = lines[row].split(',').collect();
        cells[column] = text;
        lines[row] = cells.join(",");
        lines.join("\n") + "\n"
    };
    let cases = [
        ("a word in a number", cell(3, 2, "tall"), vec!["table.csv:4", "\"a\"", "tall"]),
        ("infinity", cell(3, 2, "inf"), vec!["table.csv:4", "inf"]),
        ("a missing number where none may be", cell(5, 6, ""), vec!["table.csv:6", "\"v\""]),
        ("an unclosed quote", cell(7, 4, "\"x"), vec!["table.csv:8", "never closed"]),
        ("a ragged row", table().replace("s9,p2,", "s9,p2,1,"), vec!["table.csv:11", "cells"]),
        ("a column that is not there", table().replace("name,plot,a,b", "name,plot,a,c"), vec!["no column", "\"b\""]),
        ("a column twice", table().replace("name,plot,a,b", "name,plot,a,a"), vec!["twice"]),
        ("no rows", "name,plot,a,b,kind,u,v\n".to_owned(), vec!["no row"]),
        ("nothing", String::new(), vec!["empty"]),
        ("a group that is missing", cell(2, 1, ""), vec!["plot"]),
        ("nan where none may be", cell(5, 6, "nan"), vec!["table.csv:6", "\"v\""]),
        ("one row", table().lines().take(2).map(|line| format!("{line}\n")).collect(), vec!["folds"]),
        (
            "a field without an end",
            cell(4, 4, &"x".repeat((1 << 20) + 3)),
            vec!["table.csv:5", "above the limit of 1048576 bytes"],
        ),
        ("columns without an end", format!("{}\n", vec!["c"; 10_001].join(",")), vec!["columns"]),
    ];
    for (what, table, expected) in cases {
        let project = Project::with(EXPERIMENT, DATA, &table);
        let (code, message) = fails(&project);
        assert_eq!(code, 2, "{what}: {message}");
        for part in expected {
            assert!(message.contains(part), "{what}: {part:?} is not in {:?}", &message[..message.len().min(2000)]);
        }
        assert!(!project.path().join("runs").exists(), "{what}: a run was begun");
    }
    let project = Project::with(EXPERIMENT, DATA, &table());
    let latin: Vec<u8> = table().bytes().map(|byte| if byte == b'x' { 0xfc } else { byte }).collect();
    std::fs::write(project.path().join("table.csv"), latin).unwrap();
    let (code, message) = fails(&project);
    assert!(code == 2 && message.contains("table.csv:2") && message.contains("UTF-8"), "{message}");
    // A byte order mark is no part of the first name, and no fault.
    std::fs::write(project.path().join("table.csv"), format!("\u{feff}{}", table())).unwrap();
    project.train("runs", &["--epochs", "1"]);
}

#[test]
fn paths_that_leave_the_data_folder_are_refused() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("table.csv"), table()).unwrap();
    for (path, part) in [("../table.csv", "`..`"), ("/etc/passwd", "absolute"), ("nowhere.csv", "no file")] {
        let project = Project::with(EXPERIMENT, &DATA.replace("table.csv", path), &table());
        let (code, message) = fails(&project);
        assert!(code == 2 && message.contains(part), "{path}: {message}");
    }
    let project = Project::with(EXPERIMENT, &DATA.replace("table.csv", "link.csv"), &table());
    std::os::unix::fs::symlink(outside.path().join("table.csv"), project.path().join("link.csv")).unwrap();
    let (code, message) = fails(&project);
    assert!(code == 2 && message.contains("link.csv"), "{message}");
    let project = Project::with(EXPERIMENT, &DATA.replace("table.csv", "pipe.csv"), &table());
    rustix::fs::mkfifoat(rustix::fs::CWD, project.path().join("pipe.csv"), rustix::fs::Mode::RWXU).unwrap();
    let (code, message) = fails(&project);
    assert!(code == 2 && message.contains("regular file"), "{message}");
}

#[test]
fn photographs_weights_and_outputs_stay_in_their_folders() {
    let outside = tempfile::tempdir().unwrap();
    let project = photographs("Fail");
    std::fs::copy(project.path().join("p7.jpg"), outside.path().join("p7.jpg")).unwrap();
    let absolute = outside.path().join("p7.jpg");
    let whole = std::fs::read_to_string(project.path().join("table.csv")).unwrap();
    let cell = |path: &str| {
        std::fs::write(project.path().join("table.csv"), whole.replace("p7.jpg", path)).unwrap();
        let (code, message) = fails(&project);
        assert!(code == 2 && message.contains("table.csv:9"), "{path}: {message}");
        message
    };
    assert!(cell("../p7.jpg").contains("`..`"));
    assert!(cell(absolute.to_str().unwrap()).contains("absolute"));
    std::os::unix::fs::symlink(&absolute, project.path().join("link.jpg")).unwrap();
    assert!(cell("link.jpg").contains("link.jpg"));
    rustix::fs::mkfifoat(rustix::fs::CWD, project.path().join("pipe.jpg"), rustix::fs::Mode::RWXU).unwrap();
    assert!(cell("pipe.jpg").contains("regular file"));
    assert!(!project.path().join("runs").exists(), "a run was begun");
    std::fs::write(project.path().join("table.csv"), &whole).unwrap();
    // Weights.
    let text = std::fs::read_to_string(project.path().join("experiment.ron")).unwrap();
    for path in ["../w.safetensors", "/etc/passwd"] {
        let group = format!("groups: [Group(match: \"model.*\", from: \"{path}\")], optimizer:");
        std::fs::write(project.path().join("experiment.ron"), text.replace("optimizer:", &group)).unwrap();
        let (_, message) = fails(&project);
        assert!(message.contains(path), "{message}");
    }
    std::fs::write(project.path().join("experiment.ron"), text).unwrap();
    // Outputs go through no link and into no device.
    let run = project.train("runs", &[]);
    std::os::unix::fs::symlink(outside.path().join("taken.csv"), project.path().join("out.csv")).unwrap();
    for target in ["out.csv", "pipe.jpg", "/dev/full"] {
        let output = project.sward(&["predict", run.to_str().unwrap(), "--table", "table.csv", "-o", target]);
        assert!(matches!(output.status.code(), Some(2 | 3)), "{target}: {}", stderr(&output));
        assert!(stderr(&output).contains("not a regular file"), "{target}: {}", stderr(&output));
    }
    assert!(!outside.path().join("taken.csv").exists());
}

/// Changes the header and the bytes of a safetensors file.
fn edited(bytes: &[u8], edit: impl Fn(&mut serde_json::Map<String, serde_json::Value>, &mut Vec<u8>)) -> Vec<u8> {
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut header = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let mut data = bytes[8 + length..].to_vec();
    edit(&mut header, &mut data);
    let text = serde_json::to_vec(&header).unwrap();
    [&(text.len() as u64).to_le_bytes()[..], &text, &data].concat()
}

#[test]
fn a_checkpoint_that_is_not_the_graphs_names_the_tensor_and_changes_nothing() {
    let project = Project::new();
    let run = project.train("runs", &[]);
    let name = "model.fc2.weight";
    for (file, verb) in [("last", "train"), ("best", "predict")] {
        let path = run.join(format!("checkpoints/{file}.safetensors"));
        let good = std::fs::read(&path).unwrap();
        let start =
            |header: &serde_json::Map<String, serde_json::Value>| header[name]["data_offsets"][0].as_u64().unwrap() as usize;
        let cases: Vec<(&str, Vec<u8>, &str)> = vec![
            ("cut", good[..good.len() - 9].to_vec(), "truncated"),
            ("longer", [&good[..], b"more"].concat(), "trailing"),
            ("empty", Vec::new(), "truncated"),
            ("no header", vec![0xff; 64], "header"),
            (
                "not finite",
                edited(&good, |header, data| data[start(header)..start(header) + 4].copy_from_slice(&f32::NAN.to_le_bytes())),
                name,
            ),
            ("flipped", edited(&good, |header, data| data[start(header)] ^= 1), "`model.fc2.weight` is not as it was written"),
            (
                "renamed",
                edited(&good, |header, _| {
                    let tensor = header.remove(name).unwrap();
                    header.insert("model.fc3.weight".to_owned(), tensor);
                }),
                "model.fc3.weight",
            ),
            (
                "extra",
                edited(&good, |header, data| {
                    let end = data.len();
                    header.insert(
                        "model.x".to_owned(),
                        serde_json::json!({ "dtype": "F32", "shape": [1], "data_offsets": [end, end + 4] }),
                    );
                    data.extend_from_slice(&[0; 4]);
                }),
                "model.x",
            ),
            (
                "missing",
                edited(&good, |header, data| {
                    let offset = |tensor: &serde_json::Value| tensor["data_offsets"][0].as_u64();
                    let last = header.iter().max_by_key(|(_, tensor)| offset(tensor)).map(|(name, _)| name.clone()).unwrap();
                    data.truncate(offset(&header.remove(&last).unwrap()).unwrap() as usize);
                }),
                "is missing",
            ),
            ("shape", edited(&good, |header, _| header[name]["shape"] = serde_json::json!([8, 2])), name),
            ("dtype", edited(&good, |header, _| header[name]["dtype"] = "I32".into()), name),
        ];
        for (what, bytes, part) in cases {
            std::fs::write(&path, &bytes).unwrap();
            let run = run.to_str().unwrap();
            let output = match verb {
                "train" => project.sward(&["train", "--quiet", "--resume", run]),
                _ => project.sward(&["predict", run, "--table", "table.csv", "-o", "out.csv"]),
            };
            assert_eq!(output.status.code(), Some(2), "{file} {what}: {}", stderr(&output));
            let told = stderr(&output);
            assert!(told.contains(part) && told.contains(&format!("{file}.safetensors")), "{file} {what}: {told}");
            assert!(!project.path().join("out.csv").exists() && std::fs::read(&path).unwrap() == bytes, "{file} {what}");
        }
        std::fs::write(&path, good).unwrap();
    }
}

#[test]
fn a_plan_larger_than_the_machine_is_refused_with_its_size_before_a_run_begins() {
    let project = Project::with(&EXPERIMENT.replace("units: 8", "units: 4000000000"), DATA, &table());
    let (code, message) = fails(&project);
    assert!(code == 3 && message.contains("the plan needs") && message.contains("MiB are free"), "{message}");
    assert!(message.contains("a smaller batch"), "{message}");
    assert!(!project.path().join("runs").exists(), "a run was begun");
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let project = Project::new();
    std::fs::write(project.path().join("taken"), "kept").unwrap();
    for folder in ["/proc/nothing", "taken"] {
        let output = project.sward(&["train", "experiment.ron", "--quiet", "--output", folder]);
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        assert!(stderr(&output).contains(&format!("cannot create `{folder}")), "{}", stderr(&output));
    }
    assert_eq!(std::fs::read_to_string(project.path().join("taken")).unwrap(), "kept");
}

#[test]
fn locale_and_time_zone_change_no_bit() {
    let project = Project::new();
    let one = project.train("one", &[]);
    let mut command = project.command(&["train", "experiment.ron", "--quiet", "--output", "other"]);
    let output =
        command.env("LC_ALL", "tr_TR.UTF-8").env("LANG", "de_DE.UTF-8").env("TZ", "Pacific/Kiritimati").output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    super::project::assert_same(&one, &project.run("other"));
}

const PHOTOS: &str = r#"Data(
    table: Csv("table.csv"),
    columns: { "photo": Image(broken: BROKEN), "plot": Category(role: Group), "v": Number(role: Target) },
    fields: { "x": Transform("photo.ron", from: "photo"), "y": Targets("v") },
)"#;

/// Twelve photographs of 12 by 12 pixels.
pub fn photographs(broken: &str) -> Project {
    let experiment = r#"Experiment(
    data: "data.ron",
    model: Chain(from: "x", layers: { "mean": Mean(axes: [2, 3]), "fc": Linear(units: 1) }),
    losses: { "y": Use(module: "losses/mse.ron", inputs: { "prediction": "model", "target": "y", "observed": "y:observed" }) },
    predictions: { "y": "model" },
    train: Train(epochs: 2, batch: 4, optimizer: Sgd(lr: 0.01)),
    folds: GroupKFold(k: 3, by: "plot"),
    metrics: { "mae": MeanAbsoluteError() },
)"#;
    let rows: String = (0..12).map(|row| format!("p{row}.jpg,g{},{}\n", row / 3, row)).collect();
    let project = Project::with(experiment, &PHOTOS.replace("BROKEN", broken), &format!("photo,plot,v\n{rows}"));
    let transform = r#"Transform(steps: [Training([HorizontalFlip(p: 0.5)]), Resize(height: 8, width: 8), Normalize(mean: [0.5], std: [0.2])])"#;
    std::fs::write(project.path().join("photo.ron"), transform).unwrap();
    for row in 0..12u8 {
        let picture = image::RgbImage::from_fn(12, 12, |x, y| image::Rgb([row * 20, (x * 20) as u8, (y * 20) as u8]));
        picture.save(project.path().join(format!("p{row}.jpg"))).unwrap();
    }
    project
}

#[test]
fn photographs_train_and_a_missing_one_is_named_by_its_cell() {
    let project = photographs("Fail");
    project.train("runs", &[]);
    std::fs::remove_file(project.path().join("p7.jpg")).unwrap();
    let (code, message) = fails(&project);
    assert!(code == 2 && message.contains("table.csv:9") && message.contains("p7.jpg"), "{message}");
}

/// A PNG of 65 bytes whose header says 60000 by 60000 pixels.
fn vast_png() -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut chunk = |name: &[u8], data: &[u8]| {
        let body = [name, data].concat();
        let mut sum = 0xffff_ffffu32;
        for byte in &body {
            sum ^= u32::from(*byte);
            for _ in 0..8 {
                sum = if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 };
            }
        }
        bytes.extend_from_slice(&(data.len() as u32).to_be_bytes());
        bytes.extend_from_slice(&body);
        bytes.extend_from_slice(&(!sum).to_be_bytes());
    };
    let side = 60_000u32.to_be_bytes();
    chunk(b"IHDR", &[&side[..], &side, &[8, 2, 0, 0, 0]].concat());
    chunk(b"IDAT", &[0x78, 0x9c, 0x03, 0x00, 0x00, 0x00, 0x00, 0x01]);
    chunk(b"IEND", b"");
    bytes
}

/// A picture in a format that its name does not say.
fn bmp() -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(12, 12).write_to(&mut bytes, image::ImageFormat::Bmp).unwrap();
    bytes.into_inner()
}

#[test]
fn a_truncated_photograph_ends_the_run_or_is_left_out_as_the_data_file_says() {
    let truncate = |project: &Project| {
        let path = project.path().join("p5.jpg");
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 60]).unwrap();
    };
    let project = photographs("Fail");
    truncate(&project);
    let (code, message) = fails(&project);
    assert!(code == 2 && message.contains("table.csv:7"), "{code} {message}");
    let project = photographs("Skip(1)");
    truncate(&project);
    let output = project.sward(&["train", "experiment.ron"]);
    assert!(
        output.status.success() && stderr(&output).contains("left out") && stderr(&output).contains("table.csv:7"),
        "{}",
        stderr(&output)
    );
    for (what, bytes) in [("a small file that claims a vast picture", vast_png()), ("a format of another name", bmp())] {
        let project = photographs("Fail");
        std::fs::write(project.path().join("p6.jpg"), &bytes).unwrap();
        let (code, message) = fails(&project);
        assert!(code == 2 && message.contains("table.csv:8"), "{what}: {code} {message}");
        assert!(!project.path().join("runs").exists(), "{what}");
    }
    std::fs::write(project.path().join("p6.jpg"), b"no photograph").unwrap();
    let (code, message) = fails(&project);
    assert!(code == 2 && message.contains("at most 1"), "{message}");
}

#[test]
fn numbers_that_are_not_finite_stop_the_run_and_are_never_saved() {
    let experiment =
        EXPERIMENT.replace("lr: 0.01", "lr: 1e30").replace("clip_norm: 1.0, ", "").replace("AdamW(lr: 1e30)", "Sgd(lr: 1e30)");
    let project = Project::with(&experiment, DATA, &table());
    let (code, message) = fails(&project);
    assert_eq!(code, 3, "{message}");
    assert!(message.contains("not finite") && message.contains("help:"), "{message}");
    let run = project.run("runs");
    // Opening refuses nothing here, reading a number that is not finite would.
    let file = sward::weights::WeightFile::open(&run.join("checkpoints/last.safetensors")).unwrap();
    for view in file.tensors() {
        view.to_f32().unwrap();
    }
    let description = std::fs::read_to_string(run.join("run.json")).unwrap();
    assert!(description.contains("\"failed\""), "{description}");
}

#[test]
fn steps_that_are_not_finite_may_be_left_out_so_often() {
    let experiment =
        EXPERIMENT.replace("lr: 0.01", "lr: 1e30").replace("clip_norm: 1.0, ", "").replace("AdamW(lr: 1e30)", "Sgd(lr: 1e30)");
    let project = Project::with(&experiment.replace("ema: 0.9", "ema: 0.9, nonfinite: Skip(2)"), DATA, &table());
    let (code, message) = fails(&project);
    assert!(code == 3 && message.matches("left out").count() == 2, "{message}");
}

#[test]
fn a_run_is_rewound_to_its_last_checkpoint_so_often() {
    let experiment =
        EXPERIMENT.replace("lr: 0.01", "lr: 1e30").replace("clip_norm: 1.0, ", "").replace("AdamW(lr: 1e30)", "Sgd(lr: 1e30)");
    let project = Project::with(&experiment.replace("ema: 0.9", "ema: 0.9, nonfinite: Rewind(2)"), DATA, &table());
    let (code, message) = fails(&project);
    assert!(code == 3 && message.matches("with other random numbers").count() == 2, "{message}");
    assert!(message.contains("the first bad value: node `model.fc2` (experiment.ron:3:"), "{message}");
}

#[test]
fn a_gradient_that_is_not_finite_is_caught_before_the_update_and_its_node_named() {
    // The root of 0 is 0, and infinitely steep.
    let experiment = EXPERIMENT
        .replace(
            "    predictions:",
            "    nodes: { \"z\": Formula(\"sqrt(abs(model) * 0)\"), \"w\": Sum(from: \"z\", axes: [0, 1]) },\n    predictions:",
        )
        .replace("losses: { ", "losses: { \"w\": Formula(\"w\"), ");
    let project = Project::with(&experiment, DATA, &table());
    let (code, message) = fails(&project);
    assert!(code == 3 && message.contains("a gradient of step 1 is not finite; the first bad value: node `z`"), "{message}");
    let file = sward::weights::WeightFile::open(&project.run("runs").join("checkpoints/last.safetensors")).unwrap();
    file.tensors().for_each(|view| drop(view.to_f32().unwrap()));
}

#[test]
fn a_run_of_another_layout_and_a_folder_that_is_no_run_are_refused() {
    let project = Project::new();
    let run = project.train("runs", &[]);
    let output = project.sward(&["eval", "data.ron"]);
    assert!(!output.status.success() && !stderr(&output).is_empty());
    let path = run.join("run.json");
    let text = std::fs::read_to_string(&path).unwrap().replace("\"layout\": 1", "\"layout\": 99");
    std::fs::write(&path, text).unwrap();
    let output = project.sward(&["eval", run.to_str().unwrap()]);
    assert!(!output.status.success() && stderr(&output).contains("99"), "{}", stderr(&output));
}
