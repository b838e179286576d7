//! What trains and what validates stay apart, and metrics are of all rows: whatever would make them too good is refused.

use super::kills::train_with;
use super::project::{DATA, EXPERIMENT, Project, stderr, stdout, table};
use sward::rundir::{Disk, Fault, Faulty, State};

use std::path::Path;
use std::sync::Arc;

/// Classes of rows whose last rows validate.
const CLASSES: &str = r#"Experiment(
    data: "data.ron",
    model: Linear(from: "x", units: "class_classes"),
    losses: { "class": Use(module: "losses/cross_entropy.ron", inputs: { "logits": "model", "target": "class", "observed": "class:observed" }) },
    predictions: { "class": "model" },
    train: Train(epochs: 2, batch: 8, optimizer: AdamW(lr: 0.01)),
    folds: LastRows(count: 12),
    metrics: { "accuracy": Accuracy() },
    output: Wide(id: "name"),
)
"#;

const CLASS_DATA: &str = r#"Data(
    table: Csv("table.csv"),
    columns: { "name": Id(), "a": Number(), "kind": Category(role: Target) },
    fields: { "x": Numbers("a"), "class": Labels("kind") },
)
"#;

/// 48 rows of two classes; from row `from` on, each third is of a class of its own.
fn classes(from: usize) -> String {
    let mut text = "name,a,kind\n".to_owned();
    for row in 0..48 {
        let kind = if row >= from && row % 3 == 0 { "clover" } else { ["grass", "dead"][row % 2] };
        text += &format!("s{row},{},{kind}\n", f64::from(row as u32) / 48.0);
    }
    text
}

/// Fails with 2 and all of some words.
#[track_caller]
fn refused(project: &Project, arguments: &[&str], words: &[&str]) {
    let output = project.sward(arguments);
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
    for word in words {
        assert!(told.contains(word), "{arguments:?}: {word:?} is not in {told}");
    }
}

#[test]
fn a_class_that_no_training_row_has_is_refused_and_does_not_count_as_a_missing_label() {
    let project = Project::with(CLASSES, CLASS_DATA, &classes(36));
    let words = [
        "table.csv:38: column \"kind\"",
        "the class \"clover\" stands in 4 validation rows of fold 0 and in no training row",
        "\"kind\": Category(values: [...])",
    ];
    for verb in ["train", "cv"] {
        refused(&project, &[verb, "experiment.ron"], &words);
    }
    let ablation = "Ablation(base: \"experiment.ron\", axes: { \"lr\": Set(path: \"train.optimizer.lr\", to: [0.1]) })\n";
    std::fs::write(project.path().join("ablation.ron"), ablation).unwrap();
    refused(&project, &["ablate", "ablation.ron"], &words);
    assert!(!project.path().join("runs").exists(), "something was trained");

    // With all classes stated, the rows count: no more than 8 of 12 can be right.
    let stated =
        |values: &str| CLASS_DATA.replace("Category(role: Target)", &format!("Category(role: Target, values: [{values}])"));
    std::fs::write(project.path().join("data.ron"), stated("\"grass\", \"dead\", \"clover\"")).unwrap();
    let run = project.train("stated", &[]);
    let results: serde_json::Value = serde_json::from_slice(&std::fs::read(run.join("results.json")).unwrap()).unwrap();
    assert!(results["metrics"]["val/accuracy"].as_f64().unwrap() <= 8.0 / 12.0, "{results}");
    let labels = std::fs::read_to_string(run.join("predictions.csv")).unwrap();
    assert_eq!(labels.lines().filter(|line| line.ends_with(",clover")).count(), 4, "{labels}");

    // A class beside the stated ones is no missing label, wherever it stands.
    std::fs::write(project.path().join("data.ron"), stated("\"grass\", \"clover\"")).unwrap();
    refused(&project, &["train", "experiment.ron"], &["table.csv:3", "the class \"dead\" of 22 rows is not among the `values`"]);
}

#[test]
fn eval_of_a_table_with_an_unknown_class_is_refused_and_predict_is_not() {
    let project = Project::with(CLASSES, CLASS_DATA, &classes(48));
    let run = project.train("runs", &[]);
    let run = run.to_str().unwrap();
    std::fs::write(project.path().join("other.csv"), classes(0)).unwrap();
    let words = ["other.csv:2: column \"kind\"", "the class \"clover\" stands in 16 rows", "values: [...]", "train anew"];
    refused(&project, &["eval", run, "--table", "other.csv"], &words);
    let output = project.sward(&["predict", run, "--table", "other.csv", "-o", "predicted.csv"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(project.sward(&["eval", run]).status.success());
}

#[test]
fn a_group_in_two_notations_is_one_group() {
    let notations = [
        ("Date(role: Group, formats: [\"%Y-%m-%d\", \"%d.%m.%Y\"])", ["2020-01-0D", "0D.01.2020"]),
        ("Number(role: Group)", ["D", "D.0"]),
        ("Number(role: Group)", ["D", "0D"]),
    ];
    for (column, written) in notations {
        let data = DATA.replace("Category(role: Group)", column);
        let mut lines: Vec<String> = Vec::new();
        for (row, line) in table().lines().enumerate() {
            let group = (row.max(1) - 1) / 4 % 6 + 1;
            let cell = written[row % 2].replace('D', &group.to_string());
            let mut cells: Vec<&str> = line.split(',').collect();
            if row > 0 {
                cells[1] = &cell;
            }
            lines.push(cells.join(",") + "\n");
        }
        let project = Project::with(EXPERIMENT, &data, &lines.concat());
        let run = project.train("runs", &["--epochs", "1"]);
        let split: serde_json::Value = serde_json::from_slice(&std::fs::read(run.join("split.json")).unwrap()).unwrap();
        let groups = |side: &str| -> std::collections::BTreeSet<u64> {
            split[side].as_array().unwrap().iter().map(|row| row.as_u64().unwrap() / 4 % 6).collect()
        };
        let (train, validation) = (groups("train"), groups("validation"));
        assert!(train.is_disjoint(&validation), "{written:?}: {train:?} and {validation:?}");
        assert_eq!((train.len(), validation.len()), (4, 2), "{written:?}");

        // What is no date and no number is no group either.
        std::fs::write(project.path().join("table.csv"), lines.concat().replace("s9,", "s9,x")).unwrap();
        refused(&project, &["train", "experiment.ron"], &["table.csv:11: column \"plot\"", "is not a"]);
    }
}

#[test]
fn a_table_that_has_changed_since_a_run_began_makes_no_folds_for_it() {
    let project = Project::new();
    let output = project.sward(&["cv", "experiment.ron", "--quiet", "--output", "folds"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let cv = stdout(&output).lines().find_map(|line| line.strip_prefix("cv ")).unwrap().trim().to_owned();
    std::fs::remove_dir_all(project.path().join(&cv).join("fold-2")).unwrap();
    let run = project.train("runs", &[]);
    let run = run.to_str().unwrap();
    let mut lines: Vec<String> = table().lines().map(|line| format!("{line}\n")).collect();
    lines[1..].reverse();
    std::fs::write(project.path().join("table.csv"), lines.concat()).unwrap();
    let words = ["table.csv: the table has changed since the run began", "restore the table, or train anew", "--table FILE"];
    let resumed = [&["train", "--resume", run][..], &["cv", "--resume", &cv], &["eval", run]];
    for arguments in resumed {
        refused(&project, arguments, &words);
    }
    // Labels of another table are measured, all of them, and predictions need no folds.
    for arguments in [&["eval", run, "--table", "table.csv"][..], &["predict", run, "-o", "predicted.csv"]] {
        let output = project.sward(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    }
    std::fs::write(project.path().join("table.csv"), table()).unwrap();
    for arguments in resumed {
        let output = project.sward(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    }
}

#[test]
fn a_column_of_measurements_does_not_dissolve_groups() {
    let by = |columns: &str| EXPERIMENT.replace("by: \"plot\"", &format!("by: [{columns}]"));
    let project = Project::with(&by("\"plot\", \"a\""), DATA, &table());
    let output = project.sward(&["check", "experiment.ron"]);
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("S0803") && told.contains("`a` is a Number column without the role Group"), "{told}");
    for columns in ["\"plot\"", "\"plot\", \"kind\""] {
        std::fs::write(project.path().join("experiment.ron"), by(columns)).unwrap();
        let output = project.sward(&["check", "experiment.ron"]);
        assert!(output.status.success(), "{columns}: {}", stderr(&output));
    }
    // The mend is of the kind of folds that is written.
    let held_out = EXPERIMENT.replace("GroupKFold(k: 3, by: \"plot\")", "HoldOut(share: 0.25)");
    std::fs::write(project.path().join("experiment.ron"), held_out).unwrap();
    let told = stderr(&project.sward(&["check", "experiment.ron"]));
    assert!(told.contains("write HoldOut(share: 0.25, by: [\"plot\"])"), "{told}");
}

#[test]
fn a_run_that_cannot_save_its_beginning_has_failed_and_says_so_when_it_is_to_go_on() {
    let project = Project::new();
    let mut failed = 0;
    for at in 0.. {
        let root = format!("faulty{at}");
        let faulty = Arc::new(Faulty::new(Disk, at, false, Fault::Refuse(std::io::ErrorKind::StorageFull)));
        let outcome = train_with(&project, &["train.epochs=1".to_owned()], faulty, &root, None, None);
        let runs = project.path().join(&root).join("experiment");
        let Some(run) = std::fs::read_dir(&runs).ok().and_then(|mut entries| entries.next()).map(|entry| entry.unwrap().path())
        else {
            continue;
        };
        if run.join("checkpoints/last.safetensors").exists() {
            break;
        }
        assert!(outcome.is_err(), "write {at}");
        if !run.join("fitted.json").exists() {
            continue;
        }
        let state = |run: &Path| sward::rundir::Description::read(run).unwrap().state;
        assert_eq!(state(&run), State::Failed, "write {at}");
        refused(&project, &["train", "--resume", run.to_str().unwrap()], &["before it saved anything", "train anew"]);
        assert_eq!(state(&run), State::Failed, "write {at}: it does not run again");
        failed += 1;
    }
    assert!(failed > 1, "the first checkpoint takes several writes");
}
