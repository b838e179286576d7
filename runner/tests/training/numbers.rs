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

#[test]
fn twenty_steps_end_where_pytorch_ends() {
    let experiment = r#"Experiment(
    data: "data.ron",
    model: Chain(from: "x", layers: { "fc1": Linear(units: 5), "act": Gelu, "fc2": Linear(units: 1) }),
    nodes: { "mean": Formula("softplus(model) + 0.000001") },
    losses: { "y": Use(module: "losses/tweedie.ron", inputs: { "mean": "mean", "target": "y", "observed": "y:observed" }, params: { "power": 1.5 }) },
    predictions: { "y": "mean" },
    train: Train(
        epochs: 20,
        batch: 24,
        optimizer: AdamW(lr: 0.05, weight_decay: 0.02, betas: (0.9, 0.99)),
        groups: [Group(match: "model.*", from: "start.safetensors")],
        schedule: Cosine(warmup_steps: 4),
        clip_norm: 0.2,
        ema: 0.95,
    ),
    folds: Single(column: "part", validate: "v"),
)"#;
    let data = r#"Data(
    table: Csv("table.csv"),
    columns: { "a..c": Number(), "part": Category(), "y": Number(role: Target, domain: NonNegative, missing: Allowed) },
    fields: { "x": Numbers(["a", "b", "c"]), "y": Targets("y") },
)"#
    .replace("\"a..c\": Number()", "\"a\": Number(), \"b\": Number(), \"c\": Number()");
    let mut rows = std::fs::read_to_string(fixture("steps.csv")).unwrap().replace("a,b,c,y\n", "a,b,c,y,part\n");
    rows = rows
        .lines()
        .enumerate()
        .map(|(line, text)| if line == 0 { format!("{text}\n") } else { format!("{text},t\n") })
        .collect();
    rows += "0,0,0,1,v\n0,0,1,1,v\n";
    let project = Project::with(experiment, &data, &rows);
    std::fs::copy(fixture("start.safetensors"), project.path().join("start.safetensors")).unwrap();
    let run = project.train("runs", &[]);
    let (found, expected) = (run.join("checkpoints/last.safetensors"), fixture("after20.safetensors"));
    for name in ["model.fc1.weight", "model.fc1.bias", "model.fc2.weight", "model.fc2.bias"] {
        for name in [name.to_owned(), format!("ema.{name}")] {
            let (found, expected) = (tensor(&found, &name), tensor(&expected, &name));
            let moved = tensor(&fixture("start.safetensors"), name.trim_start_matches("ema."));
            assert!(expected.iter().zip(&moved).any(|(a, b)| (a - b).abs() > 1e-2), "{name} has moved");
            for (found, expected) in found.iter().zip(&expected) {
                assert!((found - expected).abs() < 1e-5, "{name}: {found} and {expected}");
            }
        }
    }
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
fn filling_missing_labels_with_zero_hurts_and_masking_does_not() {
    // Clover-like amounts; half of the labels of one target were never sorted.
    let table = |fill: &str| -> String {
        let mut text = "x1,x2,split,y\n".to_owned();
        for row in 0..240u32 {
            let (x1, x2) = (f64::from(row * 89 % 240) / 120.0 - 1.0, f64::from(row * 37 % 240) / 120.0 - 1.0);
            let y = libm::exp(0.8 * x1 - 0.5 * x2) * (1.0 + 0.1 * f64::from(row % 5));
            let split = if row % 4 == 0 { "v" } else { "t" };
            let y = if split == "t" && row % 2 == 1 { fill.to_owned() } else { format!("{y}") };
            text += &format!("{x1},{x2},{split},{y}\n");
        }
        text
    };
    let experiment = r#"Experiment(
    data: "data.ron",
    model: Linear(from: "x", units: 1),
    nodes: { "mean": Formula("exp(model)") },
    losses: { "y": Use(module: "losses/tweedie.ron", inputs: { "mean": "mean", "target": "y", "observed": "y:observed" }) },
    predictions: { "y": "mean" },
    train: Train(epochs: 60, batch: 30, optimizer: AdamW(lr: 0.03)),
    folds: Single(column: "split", validate: "v"),
    metrics: { "r2": R2Score() },
)"#;
    let data = r#"Data(
    table: Csv("table.csv"),
    columns: { "x1": Number(), "x2": Number(), "split": Category(), "y": Number(role: Target, domain: NonNegative, missing: Allowed) },
    fields: { "x": Numbers(["x1", "x2"]), "y": Targets("y") },
)"#;
    let score = |fill: &str| -> f64 {
        let run = Project::with(experiment, data, &table(fill));
        let run_path = run.train("runs", &[]);
        let results: serde_json::Value = serde_json::from_slice(&std::fs::read(run_path.join("results.json")).unwrap()).unwrap();
        results["metrics"]["val/r2"].as_f64().unwrap()
    };
    let (masked, filled) = (score(""), score("0"));
    assert!(masked > 0.9, "masking: {masked}");
    assert!(filled < masked - 0.3, "filling with zero: {filled}, masking: {masked}");
}
