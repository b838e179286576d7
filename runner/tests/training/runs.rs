//! What a run promises where nothing goes wrong.

use super::project::{DATA, EXPERIMENT, Project, assert_same, result, stderr, stdout, table};

#[test]
fn the_number_of_threads_changes_no_bit() {
    let project = Project::new();
    let one = project.train("one", &["--threads", "1"]);
    let two = project.train("two", &["--threads", "2"]);
    assert_same(&one, &two);
    let other = project.train("other", &["--seed", "7"]);
    assert_ne!(result(&one)[0].1, result(&other)[0].1, "another seed is another run");
}

#[test]
fn activations_computed_again_change_no_bit() {
    let project = Project::new();
    let kept = project.train("kept", &[]);
    let experiment = EXPERIMENT.replace("clip_norm: 1.0", "clip_norm: 1.0, rematerialize: [\"model.*\"]");
    assert_ne!(experiment, EXPERIMENT);
    std::fs::write(project.path().join("experiment.ron"), &experiment).unwrap();
    let again = project.train("again", &[]);
    for ((name, kept), (_, again)) in result(&kept).into_iter().zip(result(&again)) {
        // Checkpoints name the configuration that they belong to.
        assert!(name.starts_with("checkpoints/") || kept == again, "{name} differs");
    }
    std::fs::write(project.path().join("experiment.ron"), experiment.replace("model.*", "mdoel.fc1")).unwrap();
    let output = project.sward(&["check", "experiment.ron"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("no module's path matches `mdoel.fc1`") && stderr(&output).contains("`model.fc1`"),
        "{}",
        stderr(&output)
    );
}

/// What a profile counts: primitives with their kernels, and how many of each.
fn counted(profile: &str) -> Vec<(String, String)> {
    let rows =
        profile.lines().skip_while(|line| !line.starts_with("primitive")).skip(1).take_while(|line| *line != "slowest nodes");
    let mut rows: Vec<(String, String)> = rows
        .map(|row| {
            let (name, numbers) = row.split_once(')').unwrap_or_else(|| panic!("{row}"));
            (name.to_owned(), numbers.split_whitespace().next().expect("a count").to_owned())
        })
        .collect();
    rows.sort();
    rows
}

#[test]
fn bench_of_an_experiment_takes_the_step_that_training_takes() {
    let project = Project::new();
    let trained = project.sward(&["train", "experiment.ron", "--epochs", "1", "--profile"]);
    assert!(stderr(&trained).contains("the loop itself"), "{}", stderr(&trained));
    let bench = |more: &[&str]| {
        let output = project.sward(&[&["bench", "experiment.ron", "--mode", "train", "--runs", "1", "--profile"], more].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        (counted(&stderr(&output)), stdout(&output))
    };
    let (steps, text) = bench(&[]);
    assert!(steps.len() > 5, "{steps:?}");
    assert_eq!(steps, counted(&stderr(&trained)));
    assert!(text.contains("train f32"), "{text}");
    // What the experiment says counts, and the command line may say otherwise.
    let (without_average, _) = bench(&["--set", "train.ema=None"]);
    assert_ne!(without_average, steps);
    assert!(bench(&["--set", "train.dtype=Bf16"]).1.contains("train bf16"));
    assert!(bench(&["--set", "train.dtype=Bf16", "--dtype", "f32"]).1.contains("train f32"));
    // A size that follows from the table.
    let data = DATA.replace("fields: { ", "fields: { \"sort\": Categories(\"kind\"), ");
    let chain = EXPERIMENT.lines().find_map(|line| line.trim().strip_prefix("model: ")).expect("a model").trim_end_matches(',');
    let nodes = format!(
        "nodes: {{ \"known\": Embedding(from: \"sort\", count: \"sort_categories\", width: 2), \"net\": {chain} }},\n    model: Formula(\"net + known\")"
    );
    let experiment = EXPERIMENT.replace(&format!("model: {chain}"), &nodes);
    std::fs::write(project.path().join("data.ron"), data).unwrap();
    std::fs::write(project.path().join("experiment.ron"), experiment).unwrap();
    assert!(bench(&[]).1.contains("train f32"));
    let wide = project.sward(&["bench", "experiment.ron", "--dim", "sort_categories=5", "--runs", "1"]);
    assert!(wide.status.success(), "{}", stderr(&wide));
}

#[test]
fn gradients_of_losses_that_conflict_are_projected() {
    let project = Project::new();
    let one = r#""y": Use(module: "losses/mse.ron", inputs: { "prediction": "model", "target": "y", "observed": "y:observed" })"#;
    // The second loss asks for the opposite of the first.
    let two = format!(
        r#"{one}, "against": Use(module: "losses/huber.ron", inputs: {{ "prediction": "minus", "target": "y", "observed": "y:observed" }})"#
    );
    let both =
        EXPERIMENT.replace(one, &two).replace("    losses:", "    nodes: { \"minus\": Formula(\"-model\") },\n    losses:");
    let run = |name: &str, text: &str| {
        std::fs::write(project.path().join("experiment.ron"), text).unwrap();
        project.train(name, &[])
    };
    let sum = run("sum", &both);
    let projected = both.replace("clip_norm: 1.0", "clip_norm: 1.0, gradients: PCGrad");
    let apart = run("apart", &projected);
    assert_ne!(result(&sum)[0].1, result(&apart)[0].1, "the gradients conflict");
    let weighted = projected.replace("    predictions:", "    weights: Uncertainty,\n    predictions:");
    run("weighted", &weighted);
    std::fs::write(project.path().join("experiment.ron"), EXPERIMENT.replace("clip_norm: 1.0", "gradients: PCGrad")).unwrap();
    let output = project.sward(&["check", "experiment.ron"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("there is one loss"), "{}", stderr(&output));
}

#[test]
fn a_graph_that_mixes_its_input_learns_what_mixup_learns() {
    let project = Project::new();
    let experiment = EXPERIMENT.replace("ema: 0.9", "mix: Mixup(alpha: 0.4)");
    let run = |name: &str, text: &str| -> serde_json::Value {
        std::fs::write(project.path().join("experiment.ron"), text).unwrap();
        let run = project.train(name, &[]);
        serde_json::from_slice(&std::fs::read(run.join("results.json")).unwrap()).unwrap()
    };
    let outside = run("outside", &experiment);
    let mixed = r#"nodes: {
        "mixed": Use(module: "blocks/mix_rows.ron", inputs: { "vector": "x", "partner": "mix:partner", "share": "mix:share" }),
    },
    losses:"#;
    let inside = experiment.replace("    losses:", &format!("    {mixed}")).replace("from: \"x\"", "from: \"mixed\"");
    let inside = run("inside", &inside.replace("Mixup(", "Manifold("));
    let plain = run("plain", &EXPERIMENT.replace("ema: 0.9, ", ""));
    let metric = |results: &serde_json::Value| results["metrics"]["val/mae"].as_f64().unwrap();
    assert!((metric(&outside) - metric(&inside)).abs() < 1e-5, "{outside} {inside}");
    assert!((metric(&outside) - metric(&plain)).abs() > 1e-4, "mixing is no change: {outside} {plain}");
}

#[test]
fn a_run_directory_alone_evaluates_and_predicts() {
    let project = Project::new();
    let run = project.train("runs", &[]);
    let run = run.to_str().unwrap();
    let results: serde_json::Value = serde_json::from_slice(&std::fs::read(format!("{run}/results.json")).unwrap()).unwrap();
    // The graph files are gone; the run has its own.
    for name in ["experiment.ron", "data.ron"] {
        std::fs::remove_file(project.path().join(name)).unwrap();
    }
    let output = project.sward(&["eval", run, "--format", "json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let evaluated: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    for metric in ["r2", "mae"] {
        assert_eq!(evaluated["metrics"][metric], results["metrics"][format!("val/{metric}")], "{metric}");
    }
    // New rows need the columns of features, of nothing else.
    std::fs::write(project.path().join("new.csv"), "name,a,b\nq1,0.25,0.5\n=q2,0.75,\n").unwrap();
    let output = project.sward(&["predict", run, "--table", "new.csv", "-o", "predicted.csv"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = std::fs::read_to_string(project.path().join("predicted.csv")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "name,u,v");
    assert!(lines[1].starts_with("q1,") && lines[2].starts_with("'=q2,"), "a name that looks like a formula is escaped: {text}");
    let numbers: Vec<f64> = lines[1].split(',').skip(1).map(|cell| cell.parse().unwrap()).collect();
    assert!(numbers.len() == 2 && numbers.iter().all(|number| number.is_finite()));
}

#[test]
fn samples_of_dropout_are_averaged_with_their_spread() {
    let project = Project::new();
    let run = project.train("runs", &[]);
    let run = run.to_str().unwrap();
    let predict = |arguments: &[&str]| {
        let output = project.sward(&[&["predict", run], arguments].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output)
    };
    let numbers = |file: &str| -> Vec<f64> {
        let text = std::fs::read_to_string(project.path().join(file)).unwrap();
        text.lines()
            .skip(1)
            .flat_map(|line| line.split(',').skip(1).map(|cell| cell.parse().unwrap()).collect::<Vec<f64>>())
            .collect()
    };
    predict(&["-o", "plain.csv"]);
    let told = predict(&["-o", "mean.csv", "--dropout", "200", "--spread", "spread.csv"]);
    assert!(told.contains("the mean of 200 samples"), "{told}");
    predict(&["-o", "again.csv", "--dropout", "200", "--threads", "1"]);
    let (plain, mean, spread) = (numbers("plain.csv"), numbers("mean.csv"), numbers("spread.csv"));
    assert_eq!(mean, numbers("again.csv"), "the samples follow from the seed");
    assert!(plain.len() == mean.len() && mean.len() == spread.len() && !mean.is_empty());
    // Dropout before a linear layer leaves its mean: within six standard errors.
    for ((plain, mean), spread) in plain.iter().zip(&mean).zip(&spread) {
        assert!(*spread > 0.0 && (plain - mean).abs() <= 6.0 * spread / 200.0f64.sqrt(), "{plain}, mean {mean}, spread {spread}");
    }
    let refused = project.sward(&["predict", run, "-o", "p.csv", "--spread", "s.csv"]);
    assert_eq!(refused.status.code(), Some(2), "nothing is averaged");
    std::fs::write(project.path().join("experiment.ron"), EXPERIMENT.replace("Dropout(p: 0.1)", "Dropout(p: 0.0)")).unwrap();
    let without = project.train("without", &[]);
    let refused = project.sward(&["predict", without.to_str().unwrap(), "-o", "p.csv", "--dropout", "3"]);
    assert!(!refused.status.success() && stderr(&refused).contains("no Dropout"), "{}", stderr(&refused));
}

#[test]
fn several_runs_are_averaged() {
    let project = Project::new();
    let one = project.train("one", &[]);
    let two = project.train("two", &["--seed", "7"]);
    let predict = |runs: &[&str], file: &str| -> Vec<f64> {
        let output = project.sward(&[&["predict"], runs, &["-o", file]].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        let text = std::fs::read_to_string(project.path().join(file)).unwrap();
        text.lines()
            .skip(1)
            .flat_map(|line| line.split(',').skip(1).map(|cell| cell.parse().unwrap()).collect::<Vec<f64>>())
            .collect()
    };
    let (one, two) = (one.to_str().unwrap(), two.to_str().unwrap());
    let (a, b, mean) = (predict(&[one], "a.csv"), predict(&[two], "b.csv"), predict(&[one, two], "c.csv"));
    for ((a, b), mean) in a.iter().zip(&b).zip(mean) {
        assert!(((a + b) / 2.0 - mean).abs() < 1e-12);
    }
}

#[test]
fn validation_rows_change_nothing_that_is_fitted_or_learned() {
    let project = Project::new();
    let clean = project.train("clean", &[]);
    let split: serde_json::Value = serde_json::from_slice(&std::fs::read(clean.join("split.json")).unwrap()).unwrap();
    let rows: Vec<usize> = split["validation"].as_array().unwrap().iter().map(|row| row.as_u64().unwrap() as usize).collect();
    let poisoned: String = table()
        .lines()
        .enumerate()
        .map(|(line, text)| {
            if line == 0 || !rows.contains(&(line - 1)) {
                return format!("{text}\n");
            }
            let cells: Vec<&str> = text.split(',').collect();
            format!("{},{},9e9,-9e9,{},9e9,-9e9\n", cells[0], cells[1], cells[4])
        })
        .collect();
    let other = Project::with(EXPERIMENT, DATA, &poisoned);
    let poisoned = other.train("poisoned", &[]);
    let read = |run: &std::path::Path, name: &str| std::fs::read(run.join(name)).unwrap();
    assert_eq!(read(&clean, "fitted.json"), read(&poisoned, "fitted.json"));
    // The best epoch may be another one; what the last one learned is not.
    let weights = |run: &std::path::Path| {
        let file = sward::weights::WeightFile::open(&run.join("checkpoints/last.safetensors")).unwrap();
        file.tensors().map(|view| (view.name.to_owned(), view.bytes.to_vec())).collect::<Vec<_>>()
    };
    assert_eq!(weights(&clean), weights(&poisoned));
}

#[test]
fn accumulated_batches_learn_as_one_large_batch_does() {
    // Without dropout, and with losses that are means over equally many observed cells, both take the same steps.
    let experiment = EXPERIMENT.replace("\"drop\": Dropout(p: 0.1), ", "").replace("[\"u\", \"v\"]", "[\"v\"]");
    let experiment = experiment.replace("Linear(units: 2)", "Linear(units: 1)");
    let data = DATA.replace("Targets([\"u\", \"v\"]", "Targets([\"v\"]");
    let project = Project::with(&experiment, &data, &table());
    let whole = project.train("whole", &["--batch-size", "16", "--set", "train.checkpoint_steps=0"]);
    let parts =
        project.train("parts", &["--batch-size", "4", "--set", "train.accumulate=4", "--set", "train.checkpoint_steps=0"]);
    let read = |run: &std::path::Path| {
        let file = sward::weights::WeightFile::open(&run.join("checkpoints/last.safetensors")).unwrap();
        file.get("model.fc1.weight").unwrap().to_f32().unwrap().into_owned()
    };
    for (a, b) in read(&whole).iter().zip(read(&parts)) {
        assert!((a - b).abs() < 2e-5, "{a} and {b}");
    }
}

#[test]
fn every_file_of_the_run_is_what_others_read() {
    let project = Project::new();
    let run = project.train("runs", &["--epochs", "30"]);
    let lines = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let records: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = records.iter().rev().find(|record| record.get("val/r2").is_some()).expect("validation is logged");
    assert!(last["train/loss"].as_f64().unwrap() < records[0]["train/step_loss"].as_f64().unwrap(), "the loss falls");
    assert!(
        std::fs::read_dir(&run).unwrap().any(|entry| entry
            .unwrap()
            .file_name()
            .to_string_lossy()
            .starts_with("events.out.tfevents."))
    );
    let description: serde_json::Value = serde_json::from_slice(&std::fs::read(run.join("run.json")).unwrap()).unwrap();
    assert_eq!(description["state"], "finished");
    assert!(description["inputs"].as_object().unwrap().keys().any(|name| name.ends_with("table.csv")), "{description}");
    let table = std::fs::read_to_string(run.join("predictions.csv")).unwrap();
    assert!(table.starts_with("row,name,u,v,u.label,v.label\n"), "{table}");
}

#[test]
fn mixed_numbers_keep_to_their_targets_and_so_do_their_masks() {
    use sward::experiment::spec::Mix;
    use sward::feed::{Feed, MixSpec};
    // The target is twice the number, and missing where the number is.
    let experiment = r#"Experiment(
    data: "data.ron",
    nodes: { "seen": Where(condition: "x:observed", then: "x", otherwise: 0.0) },
    model: Linear(from: "seen", units: 1),
    losses: { "y": Use(module: "losses/mse.ron", inputs: { "prediction": "model", "target": "y", "observed": "y:observed" }) },
    predictions: { "y": "model" },
    train: Train(epochs: 1, batch: 8, optimizer: Sgd(lr: 0.01), mix: Mixup(alpha: 0.4)),
    folds: KFold(k: 2),
)"#;
    let data = r#"Data(
    table: Csv("table.csv"),
    columns: { "a": Number(missing: Allowed), "b": Number(role: Target, missing: Allowed) },
    fields: { "x": Numbers("a", missing: Masked), "y": Targets("b") },
)"#;
    let rows = (0..16).map(|row| if row % 4 == 1 { ",\n".to_owned() } else { format!("{row},{}\n", 2 * row) });
    let project = Project::with(experiment, data, &format!("a,b\n{}", rows.collect::<String>()));
    let mut session = sward::experiment::library_session();
    let (file, graph_file) = session.open(project.path().join("experiment.ron").to_str().unwrap()).unwrap();
    let sward_core::language::GraphFile::Other { tree, .. } = &*graph_file else { panic!("an experiment") };
    let overrides = session.overrides(&[], &[], &[]).unwrap();
    let joined = sward::experiment::join(&mut session, file, tree, &overrides).unwrap();
    let settings = sward::train::settings(&session, &joined, &overrides, 0).unwrap();
    let prepared = sward::train::prepare_run(&joined, &settings).unwrap();
    let feed = Feed::new(&joined.data, &joined.inputs, &prepared.encoded, 1, 0);
    let rows: Vec<usize> = (0..16).collect();
    let plain = feed.batch(&rows, 0, true, None).unwrap();
    let (mut lost, mut changed) = (0, 0);
    for step in 0..20 {
        let mixed = feed.batch(&rows, 0, true, Some(MixSpec { mix: Mix::Mixup { alpha: 0.4 }, step })).unwrap();
        let input = |batch: &sward::feed::Batch, field: &str, is_mask: bool| {
            let name = &joined.inputs.iter().find(|input| input.field == field && input.is_mask == is_mask).unwrap().input;
            batch.iter().find(|(own, _)| own == name).unwrap().1.clone()
        };
        let (x, y, seen) = (input(&mixed, "x", false), input(&mixed, "y", false), input(&mixed, "y", true));
        assert_eq!(input(&mixed, "x", true), seen);
        lost += seen.bytes().iter().filter(|flag| **flag == 0).count();
        for (row, flag) in seen.bytes().iter().enumerate() {
            let (x, y) = (x.as_f32().unwrap()[row], y.as_f32().unwrap()[row]);
            assert!(*flag == 0 || (2.0 * x - y).abs() < 1e-4, "{x} and {y}");
            changed += usize::from(*flag == 1 && x != input(&plain, "x", false).as_f32().unwrap()[row]);
        }
    }
    assert!(lost > 20 * 4 && changed > 20, "{lost} masks, {changed} mixed");
}
