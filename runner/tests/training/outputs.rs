//! Files that verbs write: what they may not replace, and what it means that they cannot be written. What verbs say of unusual runs.

use super::faults::photographs;
use super::project::{DATA, EXPERIMENT, Project, stderr, stdout, table};
use std::path::Path;
use std::process::Output;

const MODULE: &str = r#"Module(
    inputs: { "x": F32(["batch", 4]) },
    nodes: { "y": Use(module: "part.ron", inputs: { "x": "x" }) },
    outputs: { "y": "y" },
)
"#;

const PART: &str = r#"Module(
    inputs: { "x": F32(["batch", 4]) },
    nodes: { "y": Linear(from: "x", units: 2) },
    outputs: { "y": "y" },
)
"#;

/// A run; new rows; a graph of two files, with its inputs `x`, weights `w` and other weights `v`.
fn project() -> (Project, String) {
    let project = Project::new();
    let run = project.train("runs", &["--epochs", "1"]).to_str().unwrap().to_owned();
    let write = |name: &str, text: &str| std::fs::write(project.path().join(name), text).unwrap();
    write("new.csv", "name,a,b\nq1,0.25,0.5\n");
    write("graph.ron", MODULE);
    write("part.ron", PART);
    let tensors = |name: &str, own: &[(&str, &[usize])]| {
        let own: Vec<(String, sward::Tensor)> = own
            .iter()
            .map(|(name, shape)| ((*name).to_owned(), sward::Tensor::f32(shape, vec![0.5; shape.iter().product()])))
            .collect();
        sward::parameters::write_tensors(&project.path().join(name), &own).unwrap();
    };
    tensors("x.safetensors", &[("x", &[1, 4])]);
    for name in ["w.safetensors", "v.safetensors"] {
        tensors(name, &[("y.y.weight", &[2, 4]), ("y.y.bias", &[2])]);
    }
    (project, run)
}

/// Runs a command that must be refused, with every named file as it was.
fn refused(project: &Project, arguments: &[&str], kept: &[&str]) -> String {
    let read = |name: &&str| std::fs::read(project.path().join(name)).unwrap_or_default();
    let before: Vec<Vec<u8>> = kept.iter().map(read).collect();
    let output = project.sward(arguments);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}{}", stdout(&output), stderr(&output));
    assert!(before == kept.iter().map(read).collect::<Vec<_>>(), "{arguments:?}: a file was changed");
    stderr(&output)
}

#[test]
fn no_verb_replaces_what_it_reads() {
    let (project, run) = project();
    let of_run = |name: &str| format!("{run}/{name}");
    let (best, files) = (of_run("checkpoints/best.safetensors"), of_run("files/data.ron"));
    std::os::unix::fs::symlink(project.path().join("new.csv"), project.path().join("link.csv")).unwrap();
    let absolute = project.path().join("table.csv").to_str().unwrap().to_owned();
    for (arguments, kept) in [
        (&["eval", &run, "-o", "table.csv"][..], "table.csv"),
        (&["eval", &run, "-o", &absolute], "table.csv"),
        (&["eval", &run, "--table", "table.csv", "-o", "experiment.ron"], "experiment.ron"),
        (&["predict", &run, "--table", "new.csv", "-o", "new.csv"], "new.csv"),
        (&["predict", &run, "--table", "link.csv", "-o", "./new.csv"], "new.csv"),
        (&["predict", &run, "--table", "new.csv", "-o", "table.csv"], "table.csv"),
        (&["predict", &run, "-o", "data.ron"], "data.ron"),
        (&["predict", &run, "-o", &best], &best),
        (&["predict", &run, "-o", &files], &files),
        (&["predict", &run, "-o", "p.csv", "--dropout", "2", "--spread", "experiment.ron"], "experiment.ron"),
        (&["report", &run, "-o", "experiment.ron"], "experiment.ron"),
        (&["report", &run, "-o", &best], &best),
        (&["show-data", "experiment.ron", "-o", "table.csv"], "table.csv"),
        (&["show-data", "experiment.ron", "-o", "data.ron"], "data.ron"),
        (&["plot", "graph.ron", "--format", "svg", "-o", "part.ron"], "part.ron"),
        (&["run", "graph.ron", "--inputs", "x.safetensors", "--outputs", "x.safetensors"], "x.safetensors"),
        (&["run", "graph.ron", "--inputs", "x.safetensors", "--outputs", "part.ron"], "part.ron"),
        (
            &["run", "graph.ron", "--inputs", "x.safetensors", "--weights", "w.safetensors", "--outputs", "w.safetensors"],
            "w.safetensors",
        ),
        (&["weights", "convert", "graph.ron", "w.safetensors", "-o", "w.safetensors"], "w.safetensors"),
        (&["weights", "convert", "graph.ron", "w.safetensors", "-o", "part.ron"], "part.ron"),
        (
            &["weights", "export", "graph.ron", "w.safetensors", "--values", "v.safetensors", "-o", "v.safetensors"],
            "v.safetensors",
        ),
        (
            &[
                "weights",
                "head",
                "graph.ron",
                "w.safetensors",
                "--within",
                "y.y",
                "--backbone",
                "v.safetensors",
                "-o",
                "v.safetensors",
            ],
            "v.safetensors",
        ),
        (&["weights", "merge", "w.safetensors", "v.safetensors", "-o", "v.safetensors"], "v.safetensors"),
    ] {
        let told = refused(&project, arguments, &[kept]);
        assert!(told.contains("would replace a file that belongs to what is read here"), "{arguments:?}: {told}");
    }
    let told = refused(&project, &["predict", &run, "-o", "a.csv", "--dropout", "2", "--spread", "./a.csv"], &["a.csv"]);
    assert!(told.contains("-o and --spread name the same file"), "{told}");
    assert!(!project.path().join("a.csv").exists() && !project.path().join("p.csv").exists());
    // What is no input may be replaced, again and again.
    for _ in 0..2 {
        for arguments in [
            &["predict", &run, "-o", "p.csv", "--dropout", "2", "--spread", "s.csv"][..],
            &["predict", &run, "-o", &of_run("submission.csv")],
            &["eval", &run, "-o", "e.csv"],
            &["report", &run],
            &["report", &run, "-o", &of_run("report.html")],
            &["show-data", "experiment.ron", "-o", "d.png"],
            &["run", "graph.ron", "--inputs", "x.safetensors", "--weights", "w.safetensors", "--outputs", "y.safetensors"],
            &["weights", "convert", "graph.ron", "w.safetensors", "-o", "c.safetensors"],
        ] {
            let output = project.sward(arguments);
            assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
        }
    }
}

#[test]
fn no_verb_replaces_a_photograph() {
    let project = photographs("Fail");
    let run = project.train("runs", &[]).to_str().unwrap().to_owned();
    for arguments in [
        &["show-data", "experiment.ron", "-o", "p7.jpg"][..],
        &["predict", &run, "-o", "p7.jpg"],
        &["predict", &run, "--table", "table.csv", "-o", "photo.ron"],
        &["eval", &run, "-o", "p7.jpg"],
    ] {
        let told = refused(&project, arguments, &["p7.jpg", "photo.ron"]);
        assert!(told.contains("would replace"), "{arguments:?}: {told}");
    }
}

/// Runs a command whose files have no room.
fn without_room(project: &Project, arguments: &[&str]) -> Output {
    let mut command = std::process::Command::new("sh");
    command.current_dir(project.path()).args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\""]);
    command.arg(env!("CARGO_BIN_EXE_sward")).args(arguments).output().unwrap()
}

#[test]
fn no_room_for_a_file_is_a_fault_and_a_wrong_path_is_wrong_usage() {
    let (project, run) = project();
    std::fs::write(project.path().join("taken"), "kept").unwrap();
    for (arguments, name) in [
        (&["predict", &run, "-o"][..], "p.csv"),
        (&["predict", &run, "-o", "other.csv", "--dropout", "2", "--spread"], "p.csv"),
        (&["eval", &run, "-o"], "p.csv"),
        (&["report", &run, "-o"], "r.html"),
        (&["show-data", "experiment.ron", "-o"], "d.png"),
        (&["plot", "graph.ron", "-o"], "g.svg"),
        (&["run", "graph.ron", "--inputs", "x.safetensors", "--outputs"], "y.safetensors"),
        (&["weights", "convert", "graph.ron", "w.safetensors", "-o"], "c.safetensors"),
        (&["weights", "export", "graph.ron", "w.safetensors", "--values", "v.safetensors", "-o"], "c.safetensors"),
    ] {
        let run = |room: bool, path: &str| {
            let arguments = [arguments, &[path]].concat();
            if room { project.sward(&arguments) } else { without_room(&project, &arguments) }
        };
        let output = run(false, name);
        assert_eq!(output.status.code(), Some(3), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains("File too large"), "{arguments:?}: {}", stderr(&output));
        assert!(!project.path().join(name).exists(), "{arguments:?}");
        for folder in ["nowhere", "taken", "/proc"] {
            let output = run(true, &format!("{folder}/{name}"));
            assert_eq!(output.status.code(), Some(2), "{arguments:?} {folder}: {}", stderr(&output));
        }
        let left: Vec<_> = std::fs::read_dir(project.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(!left.iter().any(|name| name.to_string_lossy().starts_with('.')), "{arguments:?}: {left:?}");
    }
}

#[test]
fn prediction_says_which_rows_it_takes_where_nobody_named_any() {
    let (project, run) = project();
    let sentence = "the data file names no `test` table: predicting the 48 rows of table.csv; --table FILE names another";
    let told = |arguments: &[&str]| {
        let output = project.sward(&[&["predict", &run, "-o", "p.csv"], arguments].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        (stderr(&output), stdout(&output))
    };
    assert_eq!(told(&[]).0.matches(sentence).count(), 1);
    assert_eq!(told(&["--quiet"]).0, "");
    let (error, text) = told(&["--table", "new.csv"]);
    assert_eq!((error.as_str(), text.as_str()), ("", "1 sample predicted: p.csv\n"));
    std::fs::write(project.path().join("data.ron"), DATA.replace("columns:", "test: Csv(\"new.csv\"),\n    columns:")).unwrap();
    let run = project.train("tested", &["--epochs", "1"]);
    let output = project.sward(&["predict", run.to_str().unwrap(), "-o", "p.csv"]);
    assert_eq!((stderr(&output).as_str(), stdout(&output).as_str()), ("", "1 sample predicted: p.csv\n"));
}

#[test]
fn one_epoch_of_one_step_is_told_in_the_singular() {
    let project = Project::new();
    let output = project.sward(&["train", "experiment.ron", "--epochs", "1", "--batch-size", "32"]);
    assert!(stderr(&output).contains("\n1 epoch of 1 step of 32 samples; "), "{}", stderr(&output));
}

#[test]
fn a_long_table_has_a_spread_although_classes_are_predicted_too() {
    let experiment = EXPERIMENT
        .replace("    losses: {", "    nodes: { \"kinds\": Linear(from: \"x\", units: \"kind_classes\") },\n    losses: { \"kind\": Use(module: \"losses/cross_entropy.ron\", inputs: { \"logits\": \"kinds\", \"target\": \"kind\", \"observed\": \"kind:observed\" }),")
        .replace("predictions: {", "predictions: { \"kind\": \"kinds\",")
        .replace("metrics: { \"r2\": R2Score(), \"mae\": MeanAbsoluteError() }", "metrics: { \"mae\": MeanAbsoluteError(of: \"y\") }");
    let data = DATA
        .replace("columns:", "test: Csv(\"test.csv\", distinct: \"name\"),\n    columns:")
        .replace("\"kind\": Category()", "\"kind\": Category(role: Target)")
        .replace("fields: {", "fields: { \"kind\": Labels(\"kind\"),");
    let long = experiment.replace("Wide(id: \"name\")", "Long(id: \"row\", key: \"name\", name: \"target\", value: \"value\")");
    assert!(long.contains("Long(") && data.contains("Labels("));
    let project = Project::with(&long, &data, &table());
    let rows = "row,name,a,b,target\nr1,q1,0.25,0.5,u\nr2,q1,0.25,0.5,v\nr3,q2,0.75,,v\n";
    std::fs::write(project.path().join("test.csv"), rows).unwrap();
    let predict =
        |run: &Path| project.sward(&["predict", run.to_str().unwrap(), "-o", "p.csv", "--dropout", "8", "--spread", "s.csv"]);
    let output = predict(&project.train("long", &["--epochs", "1"]));
    assert!(output.status.success(), "{}", stderr(&output));
    let spread = std::fs::read_to_string(project.path().join("s.csv")).unwrap();
    let lines: Vec<&str> = spread.lines().collect();
    assert!(lines.len() == 4 && lines[0] == "row,value", "{spread}");
    for line in &lines[1..] {
        assert!(line.split(',').nth(1).unwrap().parse::<f64>().unwrap() > 0.0, "{spread}");
    }
    // A wide table would have a column of them.
    std::fs::write(project.path().join("experiment.ron"), experiment).unwrap();
    let output = predict(&project.train("wide", &["--epochs", "1"]));
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("`kind` predicts classes"), "{}", stderr(&output));
}

#[test]
fn a_number_below_zero_is_told_its_range() {
    let (project, run) = project();
    for (arguments, part) in [
        (&["train", "experiment.ron", "--lr", "-1"][..], "the learning rate is -1; it is above zero"),
        (&["train", "experiment.ron", "--lr", "-1e-3"], "the learning rate is -0.001; it is above zero"),
        (&["train", "experiment.ron", "--epochs", "-1"], "a whole number from 0 to"),
        (&["cv", "experiment.ron", "--seed", "-1"], "a whole number from 0 to"),
        (&["predict", &run, "-o", "p.csv", "--tta", "-1"], "a whole number from 0 to"),
        (&["run", "graph.ron", "--inputs", "x.safetensors", "--outputs", "y.safetensors", "--seed", "-1"], "invalid value '-1'"),
    ] {
        let output = project.sward(arguments);
        assert!(matches!(output.status.code(), Some(1 | 2)), "{arguments:?}");
        let told = stderr(&output);
        assert!(told.contains(part) && !told.contains("'-- -"), "{arguments:?}: {told}");
    }
}

#[test]
fn a_run_that_was_killed_is_stopped_and_one_that_is_unfinished_warns() {
    let (project, run) = project();
    let description = Path::new(&run).join("run.json");
    let whole = std::fs::read_to_string(&description).unwrap();
    assert!(whole.contains("\"finished\""), "{whole}");
    let eval = || stderr(&project.sward(&["eval", &run]));
    assert_eq!(eval(), "");
    // A process that is killed leaves the state that it began with, and no lock.
    std::fs::write(&description, whole.replace("\"finished\"", "\"running\"")).unwrap();
    let state = || {
        let listed: serde_json::Value = serde_json::from_str(&stdout(&project.sward(&["runs", "--format", "json"]))).unwrap();
        let inspected = stdout(&project.sward(&["inspect", &run]));
        (listed[0]["state"].as_str().unwrap().to_owned(), inspected.lines().next().unwrap().to_owned())
    };
    let (listed, inspected) = state();
    assert_eq!(listed, "stopped");
    assert!(inspected.contains("experiment, stopped: its process was killed"), "{inspected}");
    let told = eval();
    assert!(told.starts_with("warning: ") && told.contains("is unfinished (stopped): it has reached epoch 1,"), "{told}");
    let predicted = project.sward(&["predict", &run, "--quiet", "-o", "p.csv"]);
    assert!(predicted.status.success() && stderr(&predicted).contains("is unfinished (stopped)"), "{}", stderr(&predicted));
    // While a process has the lock, it runs.
    let lock = sward::rundir::Lock::take(Path::new(&run)).unwrap();
    let (listed, inspected) = state();
    assert!(listed == "running" && inspected.ends_with("experiment, running"), "{listed}, {inspected}");
    drop(lock);
    std::fs::write(&description, whole.replace("\"finished\"", "\"interrupted\"")).unwrap();
    assert_eq!(state().0, "interrupted");
    assert!(eval().contains("is unfinished (interrupted)"));
}
