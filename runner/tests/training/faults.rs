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
    ];
    for (what, table, expected) in cases {
        let project = Project::with(EXPERIMENT, DATA, &table);
        let (code, message) = fails(&project);
        assert_eq!(code, 2, "{what}: {message}");
        for part in expected {
            assert!(message.contains(part), "{what}: {part:?} is not in {message:?}");
        }
        assert!(!project.path().join("runs").exists(), "{what}: a run was begun");
    }
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

const PHOTOS: &str = r#"Data(
    table: Csv("table.csv"),
    columns: { "photo": Image(broken: BROKEN), "plot": Category(role: Group), "v": Number(role: Target) },
    fields: { "x": Transform("photo.ron", from: "photo"), "y": Targets("v") },
)"#;

/// Twelve photographs of 12 by 12 pixels.
fn photographs(broken: &str) -> Project {
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
