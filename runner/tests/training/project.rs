//! A small experiment on a small table, in a folder of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder with an experiment that trains in well under a second.
pub struct Project {
    folder: tempfile::TempDir,
}

/// A linear model with dropout, so that random numbers count.
pub const EXPERIMENT: &str = r#"Experiment(
    data: "data.ron",
    model: Chain(from: "x", layers: { "fc1": Linear(units: 8), "act": Gelu, "drop": Dropout(p: 0.1), "fc2": Linear(units: 2) }),
    losses: { "y": Use(module: "losses/mse.ron", inputs: { "prediction": "model", "target": "y", "observed": "y:observed" }) },
    predictions: { "y": "model" },
    train: Train(epochs: 4, batch: 8, optimizer: AdamW(lr: 0.01), schedule: Cosine(warmup_steps: 3), clip_norm: 1.0, ema: 0.9, checkpoint_steps: 1),
    folds: GroupKFold(k: 3, by: "plot"),
    metrics: { "r2": R2Score(), "mae": MeanAbsoluteError() },
    output: Wide(id: "name"),
)
"#;

pub const DATA: &str = r#"Data(
    table: Csv("table.csv"),
    columns: {
        "name": Id(),
        "plot": Category(role: Group),
        "a": Number(),
        "b": Number(missing: Allowed),
        "kind": Category(),
        "u": Number(role: Target, missing: Allowed),
        "v": Number(role: Target),
    },
    fields: { "x": Numbers(["a", "b"], scale: ZScore, missing: Indicator), "y": Targets(["u", "v"], divide: 2.0, scale: ZScore) },
)
"#;

/// 48 rows in twelve plots; some cells are missing.
pub fn table() -> String {
    let mut text = "name,plot,a,b,kind,u,v\n".to_owned();
    for row in 0..48u32 {
        let a = f64::from(row * 37 % 48) / 48.0;
        let b = f64::from(row * 11 % 48) / 24.0 - 1.0;
        let (u, v) = (3.0 * a - b + 0.1 * f64::from(row % 3), a * b + 1.0);
        let b = if row % 7 == 3 { String::new() } else { format!("{b}") };
        let u = if row % 5 == 2 { String::new() } else { format!("{u}") };
        text += &format!("s{row},p{},{a},{b},{},{u},{v}\n", row / 4, ["x", "y"][row as usize % 2]);
    }
    text
}

impl Project {
    pub fn new() -> Project {
        Project::with(EXPERIMENT, DATA, &table())
    }

    pub fn with(experiment: &str, data: &str, table: &str) -> Project {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("experiment.ron", experiment), ("data.ron", data), ("table.csv", table)] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        Project { folder }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sward"));
        command.current_dir(self.path()).args(arguments);
        command
    }

    pub fn sward(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Trains into a folder of runs, and gives the run.
    pub fn train(&self, root: &str, arguments: &[&str]) -> PathBuf {
        let output = self.sward(&[&["train", "experiment.ron", "--quiet", "--output", root], arguments].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        self.run(root)
    }

    /// The only run below a folder of runs.
    pub fn run(&self, root: &str) -> PathBuf {
        let entries = std::fs::read_dir(self.path().join(root).join("experiment")).unwrap();
        let mut runs: Vec<PathBuf> =
            entries.map(|entry| entry.unwrap().path()).filter(|path| !path.ends_with(".features")).collect();
        runs.sort();
        assert_eq!(runs.len(), 1, "{runs:?}");
        runs.remove(0)
    }
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What a run found: the files that must not depend on how it came about.
pub fn result(run: &Path) -> Vec<(String, Vec<u8>)> {
    [
        "checkpoints/best.safetensors",
        "checkpoints/last.safetensors",
        "metrics.jsonl",
        "metrics.csv",
        "predictions.csv",
        "results.json",
    ]
    .into_iter()
    .map(|name| (name.to_owned(), std::fs::read(run.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))))
    .collect()
}

/// Compares two runs' results, file by file.
pub fn assert_same(a: &Path, b: &Path) {
    for ((name, a), (_, b)) in result(a).into_iter().zip(result(b)) {
        assert!(a == b, "{name} differs");
    }
}
