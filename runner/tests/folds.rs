//! Cross-validation, ablations and reports, as processes: on tables that train in well under a second.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

mod project;

use project::{Project, sward, text};

/// The directory that a verb's last line names: `cv runs/...`, `run runs/...`, `ablation runs/...`.
fn directory(folder: &Path, output: &Output, word: &str) -> PathBuf {
    let stdout = text(&output.stdout);
    let line = stdout.lines().rev().find_map(|line| line.strip_prefix(word)).unwrap_or_else(|| panic!("no `{word}` in {stdout}"));
    folder.join(line.trim())
}

fn fine(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{}\n{}", text(&output.stdout), text(&output.stderr));
}

/// What stands in a checkpoint behind its header: the bytes of all tensors.
fn tensor_bytes(path: &Path) -> Vec<u8> {
    let bytes = std::fs::read(path).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    bytes[8 + header..].to_vec()
}

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn every_row_is_predicted_once_by_the_fold_that_never_saw_it() {
    let project = Project::new();
    let output = sward(project.path(), &["cv", "experiment.ron", "--log-format", "json"]);
    fine(&output);
    let told = text(&output.stderr);
    assert!(told.contains("no leak: 60 rows, 3 folds; no row and none of the 12 groups of plot"), "{told}");
    assert!(told.contains("fold 2 (3 of 3) begins"), "{told}");
    let cv = directory(project.path(), &output, "cv ");
    let oof = lines(&cv.join("oof.csv"));
    let rows: Vec<usize> = oof[1..].iter().map(|line| line.split(',').next().unwrap().parse().unwrap()).collect();
    assert_eq!(rows, (0..60).collect::<Vec<_>>());
    // A row's prediction is the one of the fold that validates it.
    for fold in 0..3 {
        for line in &lines(&cv.join(format!("fold-{fold}/predictions.csv")))[1..] {
            assert!(oof.contains(line), "fold {fold}: {line}");
        }
    }
    let table = text(&output.stdout);
    for word in ["mean", "spread", "out of fold", "val/r2"] {
        assert!(table.contains(word), "{table}");
    }
    assert!(cv.join("folds.csv").exists() && cv.join("report.html").exists());
    let json = sward(project.path(), &["inspect", cv.to_str().unwrap(), "--format", "json"]);
    fine(&json);
    let value: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    let folds = value["results"]["folds"].as_array().unwrap();
    let mean = folds.iter().map(|fold| fold["metrics"]["val/mae"].as_f64().unwrap()).sum::<f64>() / 3.0;
    assert!((value["results"]["mean"]["val/mae"].as_f64().unwrap() - mean).abs() < 1e-12);
    // Every row counts once in both, and folds are of one size: the mean of errors is the error of all.
    assert!((value["results"]["overall"]["val/mae"].as_f64().unwrap() - mean).abs() < 1e-6);

    let submission = sward(project.path(), &["predict", cv.to_str().unwrap(), "--table", "table.csv", "-o", "out.csv"]);
    fine(&submission);
    assert!(text(&submission.stdout).contains("60 samples predicted, the mean of 3 runs"));
}

#[test]
fn a_killed_cross_validation_goes_on_with_the_same_bits() {
    let project = Project::new();
    let whole = sward(project.path(), &["cv", "experiment.ron", "--set", "train.epochs=40"]);
    fine(&whole);
    let whole = directory(project.path(), &whole, "cv ");
    let mut child = Command::new(env!("CARGO_BIN_EXE_sward"))
        .current_dir(project.path())
        .args(["cv", "experiment.ron", "--set", "train.epochs=40", "--output", "killed", "--quiet"])
        .spawn()
        .unwrap();
    // In the middle of the second fold.
    let begun = |name: &str| project.find("killed", name);
    let start = std::time::Instant::now();
    while begun("fold-1/metrics.jsonl").is_none() && child.try_wait().unwrap().is_none() {
        assert!(start.elapsed().as_secs() < 120, "the second fold never began");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let _ = child.kill();
    let _ = child.wait();
    let cv = begun("cv.json").unwrap().parent().unwrap().to_owned();
    // A half-finished one is drawn, and marked so.
    let report = sward(project.path(), &["report", cv.to_str().unwrap(), "-o", "half.html"]);
    fine(&report);
    assert!(std::fs::read_to_string(project.path().join("half.html")).unwrap().contains("Not finished: "));
    let ensemble = sward(project.path(), &["predict", cv.to_str().unwrap(), "-o", "out.csv"]);
    assert_eq!(ensemble.status.code(), Some(2));
    assert!(text(&ensemble.stderr).contains("has not finished"), "{}", text(&ensemble.stderr));
    let first = std::fs::read(cv.join("fold-0/results.json")).unwrap();
    let resumed = sward(project.path(), &["cv", "--resume", cv.to_str().unwrap()]);
    fine(&resumed);
    assert!(text(&resumed.stderr).contains("fold 0 (1 of 3) has finished before and is kept"));
    assert_eq!(std::fs::read(cv.join("fold-0/results.json")).unwrap(), first);
    assert_eq!(std::fs::read(cv.join("oof.csv")).unwrap(), std::fs::read(whole.join("oof.csv")).unwrap());
    for fold in 0..3 {
        let weights = |cv: &Path| std::fs::read(cv.join(format!("fold-{fold}/checkpoints/last.safetensors"))).unwrap();
        assert!(weights(&cv) == weights(&whole), "the weights of fold {fold} differ");
    }
}

#[test]
fn validation_rows_change_neither_what_is_fitted_nor_what_is_trained() {
    let project = Project::new();
    let train = |folder: &Path| {
        // The last checkpoint: which epoch is best is chosen by validation rows, as it should be.
        let output = sward(folder, &["train", "split.ron", "--quiet"]);
        fine(&output);
        directory(folder, &output, "run ")
    };
    let clean = train(project.path());
    for (name, feature, target) in [("huge", "1e30", "-1e30"), ("missing", "nan", "nan")] {
        let poisoned = Project::new();
        poisoned.poison(feature, target);
        let run = train(poisoned.path());
        let bytes = |run: &Path, file: &str| std::fs::read(run.join(file)).unwrap();
        assert_eq!(bytes(&run, "fitted.json"), bytes(&clean, "fitted.json"), "{name}");
        let last = "checkpoints/last.safetensors";
        assert!(tensor_bytes(&run.join(last)) == tensor_bytes(&clean.join(last)), "{name}: the trained weights differ");
        assert_ne!(bytes(&run, "predictions.csv"), bytes(&clean, "predictions.csv"), "{name}: the poison reached validation");
    }
}

#[test]
fn a_fold_without_a_target_is_named_before_anything_is_written() {
    let project = Project::new();
    project.change("table.csv", |text| {
        let keep = |line: &str| {
            let mut cells: Vec<&str> = line.split(',').collect();
            if cells[3] == "test" {
                cells[5] = "";
            }
            cells.join(",") + "\n"
        };
        text.lines().map(keep).collect()
    });
    let output = sward(project.path(), &["train", "split.ron"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("fold 0: no validation row has an observed value of target `y2`"),
        "{}",
        text(&output.stderr)
    );
    assert!(!project.path().join("runs").exists());
    let output = sward(project.path(), &["cv", "split.ron"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(!project.path().join("runs").exists());
}

#[test]
fn directories_of_another_version_are_refused_by_name() {
    let project = Project::new();
    let other = project.path().join("other");
    for file in ["run.json", "cv.json", "ablation.json"] {
        let _ = std::fs::remove_dir_all(&other);
        std::fs::create_dir(&other).unwrap();
        std::fs::write(other.join(file), r#"{"layout": 9, "sward": "7.0.0"}"#).unwrap();
        for verb in ["report", "inspect"] {
            let output = sward(project.path(), &[verb, "other"]);
            assert_eq!(output.status.code(), Some(2), "{verb} {file}: {}", text(&output.stderr));
            assert!(text(&output.stderr).contains("was written by sward 7.0.0 in layout 9"), "{}", text(&output.stderr));
        }
        let list = sward(project.path(), &["runs", "."]);
        fine(&list);
        assert!(text(&list.stdout).contains("in layout 9"), "{}", text(&list.stdout));
    }
    let output = sward(project.path(), &["cv", "--resume", "nowhere"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn an_ablation_compares_arms_row_by_row_and_goes_on_where_it_stopped() {
    let project = Project::new();
    let output = sward(project.path(), &["ablate", "ablation.ron", "--output", "abl"]);
    fine(&output);
    let table = text(&output.stdout);
    for word in ["base", "rate=0.5", "loss=huber", "val/mae: smaller is better", "losses.y = ", "whole groups of plot"] {
        assert!(table.contains(word), "{word}: {table}");
    }
    let csv = lines(&project.path().join("abl/table.csv"));
    assert_eq!(csv.len(), 1 + 3);
    let again = sward(project.path(), &["ablate", "ablation.ron", "--output", "abl", "--format", "csv"]);
    fine(&again);
    assert_eq!(text(&again.stdout).lines().map(str::to_owned).collect::<Vec<_>>(), csv);
    assert!(project.path().join("abl/report.html").exists());

    // Jobs one by one, in any order, some twice, give the same table but for the time that they took.
    let plan = sward(project.path(), &["ablate", "plan", "ablation.ron"]);
    fine(&plan);
    let jobs: Vec<serde_json::Value> = text(&plan.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(jobs.len(), 3 * 2 * 3);
    let one = |index: usize| {
        let index = index.to_string();
        let output =
            sward(project.path(), &["ablate", "run", "ablation.ron", "--output", "spread", "--index", &index, "--quiet"]);
        fine(&output);
        text(&output.stdout)
    };
    for index in (0..jobs.len() - 1).rev() {
        assert!(one(index).contains("\"state\":\"finished\""));
    }
    assert!(one(3).contains("\"state\":\"finished before\""));
    let half = sward(project.path(), &["ablate", "table", "spread"]);
    fine(&half);
    assert!(text(&half.stdout).contains("NOT FINISHED: 17 of 18 jobs are done"), "{}", text(&half.stdout));
    let drawn = sward(project.path(), &["report", "spread"]);
    fine(&drawn);
    let html = std::fs::read_to_string(project.path().join("spread/report.html")).unwrap();
    assert!(html.contains("Not finished: 17 of 18 jobs are done") && html.contains("1 of 2 arms have not finished"));
    one(jobs.len() - 1);
    fine(&sward(project.path(), &["ablate", "table", "spread"]));
    let without_seconds = |path: &str| -> Vec<String> {
        lines(&project.path().join(path)).iter().map(|line| line.rsplit_once(',').unwrap().0.to_owned()).collect()
    };
    assert_eq!(without_seconds("spread/table.csv"), without_seconds("abl/table.csv"));

    // Other files make another ablation, which does not mix with this one.
    project.change("ablation.ron", |text| text.replace("[0.5]", "[0.25]"));
    let mixed = sward(project.path(), &["ablate", "ablation.ron", "--output", "abl"]);
    assert_eq!(mixed.status.code(), Some(2));
    assert!(text(&mixed.stderr).contains("holds another ablation"), "{}", text(&mixed.stderr));
}

#[test]
fn arms_that_cannot_be_are_named_before_any_trains() {
    let cases = [
        ("Set(path: \"train.optimizer.lr\", to: [0.5])", "Set(path: \"train.optimiser.lr\", to: [0.5])", "leads nowhere"),
        ("Swap(node: \"losses.y\"", "Swap(node: \"losses.z\"", "losses.z"),
        ("to: [0.5]", "to: [0.1]", "is the same as the arm `base`"),
        ("losses/huber.ron", "losses/cross_entropy.ron", "the arm `loss=cross_entropy` does not check"),
        ("metric: \"val/mae\"", "metric: \"val/loss\"", "a loss is a mean over batches"),
        ("metric: \"val/mae\"", "metric: \"val/accuracy\"", "the base has no metric `val/accuracy`"),
        (
            "rate\": Set(path: \"train.optimizer.lr\", to: [0.5])",
            "folds\": Set(path: \"folds\", to: [GroupKFold(k: 2, by: \"plot\")])",
            "cannot be paired",
        ),
    ];
    for (from, to, message) in cases {
        let project = Project::new();
        project.change("ablation.ron", |text| {
            assert!(text.contains(from), "{from}");
            text.replace(from, to)
        });
        for arguments in [vec!["ablate", "ablation.ron"], vec!["check", "ablation.ron"]] {
            let output = sward(project.path(), &arguments);
            assert_eq!(output.status.code(), Some(1), "{to}: {}", text(&output.stderr));
            assert!(text(&output.stderr).contains(message), "{to}: {}", text(&output.stderr));
        }
        assert!(!project.path().join("runs").exists(), "{to}");
    }
}

#[test]
fn what_is_no_ablation_ends_with_2_and_trains_nothing() {
    let project = Project::new();
    std::fs::write(project.path().join("broken.ron"), "Ablation(base: \"experi").unwrap();
    std::fs::write(project.path().join("bytes.ron"), [0xff, 0xfe, 0x00]).unwrap();
    let cases = [
        ("missing.ron", "there is no file `missing.ron`"),
        ("broken.ron", "a text is never closed"),
        ("bytes.ron", "not UTF-8"),
        ("experiment.ron", "holds no Ablation"),
    ];
    for (file, message) in cases {
        let run = ["ablate", "run", file, "--output", "abl", "--index", "0"];
        for arguments in [&["ablate", file][..], &["ablate", "plan", file], &run] {
            let output = sward(project.path(), arguments);
            assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output.stderr));
            assert!(text(&output.stderr).contains(message), "{arguments:?}: {}", text(&output.stderr));
        }
    }
    for (folds, message) in
        [("[]", "`folds` names none; there are 0 to 2"), ("[1, 1]", "the fold 1 stands twice"), ("[7]", "no fold 7")]
    {
        let project = Project::new();
        project.change("ablation.ron", |text| text.replace("seeds: [1, 2],", &format!("seeds: [1, 2], folds: {folds},")));
        let output = sward(project.path(), &["ablate", "ablation.ron"]);
        assert_eq!(output.status.code(), Some(2), "{folds}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(message), "{folds}: {}", text(&output.stderr));
        assert!(!project.path().join("runs").exists(), "{folds}");
    }
}

#[test]
fn an_ablation_with_a_fold_that_lacks_a_target_is_refused() {
    let project = Project::new();
    project.change("table.csv", |text| {
        let keep = |line: &str| match line.split(',').collect::<Vec<_>>()[..] {
            [name, plot, x1, split, y1, _, x2, x3] if split == "test" => format!("{name},{plot},{x1},{split},{y1},,{x2},{x3}\n"),
            _ => format!("{line}\n"),
        };
        text.lines().map(keep).collect()
    });
    project.change("ablation.ron", |text| text.replace("experiment.ron", "split.ron"));
    let output = sward(project.path(), &["ablate", "ablation.ron"]);
    assert_eq!(output.status.code(), Some(2));
    let told = text(&output.stderr);
    assert!(told.contains("fold 0: no validation row has an observed value of target `y2`"), "{told}");
    assert!(!project.path().join("runs").exists());
}

#[test]
fn changes_that_go_together_make_one_arm() {
    let project = Project::new();
    project.change("experiment.ron", |text| {
        text.replace("    train:", "    weights: Fixed({ \"y\": 1.0, \"above\": 0.5 }),\n    train:")
    });
    project.change("ablation.ron", |text| {
        let changes = r#""both": Changes({
            "huber_slow": Change(swap: { "losses.y": "losses/huber.ron" }, set: { "train.optimizer.lr": 0.02, "weights.above": 0.25 }),
        }),
    },
    seeds"#;
        text.replacen("},\n    seeds", changes, 1)
    });
    let output = sward(project.path(), &["ablate", "ablation.ron", "--output", "abl", "--quiet"]);
    fine(&output);
    let table = text(&output.stdout);
    let explained = "both=huber_slow: losses.y = losses/huber.ron, train.optimizer.lr = 0.02, weights.above = 0.25";
    assert!(table.contains(explained), "{table}");

    // What is wrong with one of them is told at its own place.
    project.change("ablation.ron", |text| text.replace("\"weights.above\"", "\"weights.abov\""));
    let output = sward(project.path(), &["check", "ablation.ron"]);
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stderr);
    assert!(told.contains("there is no `abov`") && told.contains("did you mean `above`"), "{told}");
}

#[test]
fn labels_that_are_all_alike_do_not_blow_up_the_errors_of_samples() {
    let project = Project::new();
    // Every amount is above this: presence has no spread that errors could be measured in.
    project.change("data.ron", |text| text.replace("above: 1.0", "above: -1.0"));
    project.change("experiment.ron", |text| text.replace(", \"auc\": RocAucScore(of: \"above\")", ""));
    let output = sward(project.path(), &["train", "experiment.ron", "--quiet"]);
    fine(&output);
    let html = std::fs::read_to_string(directory(project.path(), &output, "run ").join("report.html")).unwrap();
    assert!(html.contains("<h2>Worst samples</h2>"));
    // Hashes are cells too, and may end like a number: an exponent has one or two digits, and one digit stands before its point.
    for cell in html.split("</td>").filter_map(|text| text.rsplit('>').next()) {
        let Some((digits, exponent)) = cell.trim_start_matches(['-', '\u{2212}']).split_once('e') else { continue };
        let is_number = digits.parse::<f64>().is_ok_and(|digits| digits < 10.0) && exponent.len() <= 2;
        assert!(!(is_number && exponent.parse().is_ok_and(|exponent: u32| exponent >= 4)), "an error of {cell}");
    }
}

#[test]
fn a_run_is_told_listed_and_drawn() {
    let project = Project::new();
    let output = sward(project.path(), &["train", "experiment.ron", "--set", "train.epochs=6"]);
    fine(&output);
    let run = directory(project.path(), &output, "run ");
    let told = sward(project.path(), &["inspect", run.to_str().unwrap()]);
    fine(&told);
    let facts = text(&told.stdout);
    for word in ["finished", "40 to train, 20 to validate, fold 0", "AdamW at 0.1", "--set train.epochs=6", "val/r2", "▁"] {
        assert!(facts.contains(word), "{word}: {facts}");
    }
    let list = sward(project.path(), &["runs", "--format", "json"]);
    fine(&list);
    let entries: serde_json::Value = serde_json::from_slice(&list.stdout).unwrap();
    assert_eq!(entries.as_array().unwrap().len(), 1);
    assert_eq!(entries[0]["state"], "finished");
    assert!(entries[0]["metrics"]["val/r2"].is_number());
    let wrong = sward(project.path(), &["runs", "--sort", "val/nothing"]);
    assert_eq!(wrong.status.code(), Some(2));

    let html = std::fs::read_to_string(run.join("report.html")).unwrap();
    for outside in ["http:", "https:", "<script", "@import", "url(", "src=\"//"] {
        assert!(!html.contains(outside), "the page holds `{outside}`");
    }
    // Panels: loss, r2, mae, auc, learning rate, and losses by name; two targets twice; groups; presence; two distributions.
    for title in [
        "Learning curves",
        "Predictions",
        "Error by group",
        "Calibration",
        "Labels",
        "Worst samples",
        "Best samples",
        "Graph",
        "Configuration",
        "Environment",
    ] {
        assert!(html.contains(&format!("<h2>{title}</h2>")), "{title} is missing");
    }
    assert!(html.matches("<svg").count() >= 12, "{}", html.matches("<svg").count());
    assert_eq!(html.matches("data:image/svg+xml;base64,").count(), 1, "the graph is drawn");
    assert!(html.contains("Presence of y1") && html.contains("R2 "));
    assert!(!html.contains(">NaN"));
}
