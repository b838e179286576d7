//! Whether training's numbers are right: PyTorch's and scikit-learn's, from `fixtures/make.py`.

use super::project::Project;
use std::path::Path;

fn fixture(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/training/fixtures").join(name)
}

fn tensor(path: &Path, name: &str) -> Vec<f32> {
    let file = sward::weights::WeightFile::open(path).unwrap();
    file.get(name).unwrap_or_else(|| panic!("{name} in {}", path.display())).to_f32().unwrap().into_owned()
}

/// Training that both do: twenty steps of one batch with AdamW, a cosine after a rise, clipping and averaged weights.
const TWENTY_STEPS: &str = r#"train: Train(
        epochs: 20,
        batch: 24,
        optimizer: AdamW(lr: 0.05, weight_decay: 0.02, betas: (0.9, 0.99)),
        groups: [Group(match: "model.*", from: "start.safetensors")],
        schedule: Cosine(warmup_steps: 4),
        clip_norm: CLIP,
        ema: 0.95,
    ),
    folds: Single(column: "part", validate: "v"),"#;

/// Trains from PyTorch's first weights and compares with its last.
fn ends_where_pytorch_ends(project: &Project, start: &str, after: &str, names: &[&str]) {
    std::fs::copy(fixture(start), project.path().join("start.safetensors")).unwrap();
    let run = project.train("runs", &[]);
    let (found, expected) = (run.join("checkpoints/last.safetensors"), fixture(after));
    for name in names {
        for kind in ["weight", "bias"] {
            for name in [format!("model.{name}.{kind}"), format!("ema.model.{name}.{kind}")] {
                let (found, expected) = (tensor(&found, &name), tensor(&expected, &name));
                let moved = tensor(&fixture(start), name.trim_start_matches("ema."));
                assert!(expected.iter().zip(&moved).any(|(a, b)| (a - b).abs() > 1e-2), "{name} has moved");
                for (found, expected) in found.iter().zip(&expected) {
                    assert!((found - expected).abs() < 1e-5, "{name}: {found} and {expected}");
                }
            }
        }
    }
}

/// The rows of a fixture, all of them trained, and two rows to validate.
fn rows_of_steps(name: &str, validated: &str) -> String {
    let text = std::fs::read_to_string(fixture(name)).unwrap();
    let mut lines = text.lines();
    let head = format!("{},part\n", lines.next().unwrap());
    let rows: String = lines.map(|line| format!("{line},t\n")).collect();
    head + &rows + validated
}

#[test]
fn twenty_steps_end_where_pytorch_ends() {
    let experiment = r#"Experiment(
    data: "data.ron",
    model: Chain(from: "x", layers: { "fc1": Linear(units: 5), "act": Gelu, "fc2": Linear(units: 1) }),
    nodes: { "mean": Formula("softplus(model) + 0.000001") },
    losses: { "y": Use(module: "losses/tweedie.ron", inputs: { "mean": "mean", "target": "y", "observed": "y:observed" }, params: { "power": 1.5 }) },
    predictions: { "y": "mean" },
    TRAIN
)"#
    .replace("TRAIN", &TWENTY_STEPS.replace("CLIP", "0.2"));
    let data = r#"Data(
    table: Csv("table.csv"),
    columns: { "a": Number(), "b": Number(), "c": Number(), "part": Category(), "y": Number(role: Target, domain: NonNegative, missing: Allowed) },
    fields: { "x": Numbers(["a", "b", "c"]), "y": Targets("y") },
)"#;
    let project = Project::with(&experiment, data, &rows_of_steps("steps.csv", "0,0,0,1,v\n0,0,1,1,v\n"));
    ends_where_pytorch_ends(&project, "start.safetensors", "after20.safetensors", &["fc1", "fc2"]);
}

#[test]
fn twenty_steps_with_a_zero_inflated_gamma_loss_end_where_pytorch_ends() {
    let experiment = r#"Experiment(
    data: "data.ron",
    model: Use(module: "model.ron", inputs: { "x": "x" }),
    losses: {
        "y": Use(
            module: "losses/zero_inflated_gamma.ron",
            inputs: { "presence_logit": "model:presence_logit", "mean": "model:mean", "shape": "model:shape", "target": "y", "observed": "y:observed" },
        ),
    },
    predictions: { "y": "model:prediction" },
    TRAIN
)"#
    .replace("TRAIN", &TWENTY_STEPS.replace("CLIP", "0.5"));
    let data = r#"Data(
    table: Csv("table.csv"),
    columns: {
        "a": Number(), "b": Number(), "c": Number(), "part": Category(),
        "y1": Number(role: Target, domain: NonNegative, missing: Allowed), "y2": Number(role: Target, domain: NonNegative, missing: Allowed),
    },
    fields: { "x": Numbers(["a", "b", "c"]), "y": Targets(["y1", "y2"]) },
)"#;
    let model = r#"Module(
    inputs: { "x": F32(["batch", "fields"]) },
    nodes: {
        "body": Chain(from: "x", layers: { "fc1": Linear(units: 5), "act": Gelu }),
        "head": Use(module: "heads/zero_inflated_gamma.ron", from: "body", params: { "targets": 2 }),
    },
    outputs: { "prediction": "head:prediction", "presence_logit": "head:presence_logit", "mean": "head:mean", "shape": "head:shape" },
)"#;
    let project = Project::with(&experiment, data, &rows_of_steps("zig_steps.csv", "0,0,0,1,1,v\n0,0,1,1,0,v\n"));
    std::fs::write(project.path().join("model.ron"), model).unwrap();
    let names = ["body.fc1", "head.presence_logit", "head.raw_mean", "head.raw_shape"];
    ends_where_pytorch_ends(&project, "zig_start.safetensors", "zig_after20.safetensors", &names);
}

#[test]
fn a_linear_graph_with_tweedie_loss_reaches_the_optimum_of_scikit_learn() {
    let experiment = r#"Experiment(
    data: "data.ron",
    model: Linear(from: "x", units: 1),
    nodes: { "mean": Formula("exp(model)") },
    losses: { "y": Use(module: "losses/tweedie.ron", inputs: { "mean": "mean", "target": "y", "observed": "y:observed" }, params: { "power": 1.5 }) },
    predictions: { "y": "mean" },
    train: Train(epochs: 1500, batch: 442, optimizer: AdamW(lr: 0.02, weight_decay: 0.0), schedule: Cosine()),
    folds: Single(column: "part", validate: "v"),
    metrics: { "deviance": MeanTweedieDeviance(power: 1.5) },
)"#;
    let data = r#"Data(
    table: Csv("table.csv"),
    columns: { "x0..x9": Number(), "part": Category(), "y": Number(role: Target, domain: NonNegative) },
    fields: { "x": Numbers(["x0..x9"], scale: ZScore), "y": Targets("y") },
)"#;
    let text = std::fs::read_to_string(fixture("diabetes.csv")).unwrap();
    let rows: Vec<&str> = text.lines().collect();
    // The rows that are trained are those that are measured.
    let mut table = format!("{},part\n", rows[0]);
    for part in ["t", "v"] {
        rows[1..].iter().for_each(|row| table += &format!("{row},{part}\n"));
    }
    let project = Project::with(experiment, data, &table);
    let run = project.train("runs", &["--set", "train.best=val/deviance"]);
    let results: serde_json::Value = serde_json::from_slice(&std::fs::read(run.join("results.json")).unwrap()).unwrap();
    let found = results["metrics"]["val/deviance"].as_f64().unwrap();
    let expected: f64 = std::fs::read_to_string(fixture("diabetes_deviance.txt")).unwrap().trim().parse().unwrap();
    assert!((found - expected).abs() < 5e-5 * expected, "{found} and {expected}");
}

#[test]
fn filling_missing_labels_of_the_pasture_with_zero_hurts_and_masking_does_not() {
    let above = tempfile::tempdir().unwrap();
    let sward = |folder: &Path, arguments: &[&str]| {
        let output =
            std::process::Command::new(env!("CARGO_BIN_EXE_sward")).current_dir(folder).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    sward(above.path(), &["init", "pasture", "--template", "pasture", "--samples", "60"]);
    let project = above.path().join("pasture");
    // Small pictures without augmentation, and a network that sees the colours of tiles: what is left is what the labels teach.
    let encoder = r#"Module(
    implements: ["interfaces/backbone.ron"],
    inputs: { "image": F32(["batch", "channels", "height", "width"]) },
    nodes: {
        "colour": Mean(from: "image", axes: [2, 3]),
        "vector": Chain(from: "colour", layers: { "fc": Linear(units: 12), "act": Gelu }),
        "map": Reshape(from: "vector", shape: ["batch", 12, 1, 1]),
    },
    outputs: { "features": "map", "pooled": "vector" },
)"#;
    std::fs::write(project.join("encoders/colour.ron"), encoder).unwrap();
    let train = |name: &str| {
        let settings = [
            "data.fields.photo.graph=photos/plain_tiles.ron",
            "data.fields.photo.params.size=32",
            "model.dropout=0",
            "weights.plants=0.0",
            "weights.state=0.0",
            "train.epochs=80",
            "train.schedule=Cosine()",
            "train.optimizer.lr=0.02",
            "folds.k=3",
        ];
        let swaps = ["model.encoder=encoders/colour.ron", "model.fusion=fusions/none.ron", "model.pool=pooling/mean.ron"];
        let mut sets: Vec<&str> = settings.iter().flat_map(|setting| ["--set", *setting]).collect();
        sets.extend(swaps.iter().flat_map(|swap| ["--swap", *swap]));
        sward(&project, &[&["train", "experiment.ron", "--quiet", "--output", name], sets.as_slice()].concat());
        let mut runs = std::fs::read_dir(project.join(name).join("experiment")).unwrap().map(|entry| entry.unwrap().path());
        runs.find(|run| run.join("run.json").is_file()).unwrap()
    };
    let json = |path: &Path| -> serde_json::Value { serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap() };
    let score = |run: &Path| json(&run.join("results.json"))["metrics"]["val/score"].as_f64().unwrap();
    let all = train("all");
    let split = json(&all.join("split.json"));
    let validated: Vec<usize> =
        split["validation"].as_array().unwrap().iter().map(|row| row.as_u64().unwrap() as usize).collect();
    // Every second photograph that is trained was never sorted: its parts are unknown. Validation keeps what it has.
    let whole = std::fs::read_to_string(project.join("data/train.csv")).unwrap();
    let unsorted = |fill: &str| -> String {
        let mut photographs: Vec<&str> = Vec::new();
        let mut text = String::new();
        for (line, row) in whole.lines().enumerate() {
            let mut cells: Vec<&str> = row.split(',').collect();
            if line > 0 {
                let known = photographs.iter().position(|own| *own == cells[1]);
                let sample = known.unwrap_or_else(|| {
                    photographs.push(cells[1]);
                    photographs.len() - 1
                });
                let is_part = ["Dry_Clover_g", "Dry_Dead_g", "Dry_Green_g"].contains(&cells[7]);
                if is_part && !validated.contains(&sample) && (sample % 2 == 0 || cells[8].is_empty()) {
                    cells[8] = fill;
                }
            }
            text += &(cells.join(",") + "\n");
        }
        text
    };
    let with = |name: &str, fill: &str| {
        std::fs::write(project.join("data/train.csv"), unsorted(fill)).unwrap();
        score(&train(name))
    };
    let (all, masked, filled) = (score(&all), with("masked", ""), with("filled", "0"));
    assert!(masked > all - 0.05, "all labels: {all}, masking: {masked}");
    assert!(filled < masked - 0.1, "filling with zero: {filled}, masking: {masked}");
}
