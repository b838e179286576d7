//! A project of sixty rows and a linear model.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Runs the program in a folder.
pub fn sward(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sward")).current_dir(folder).args(arguments).output().unwrap()
}

/// Bytes as text.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A folder with a table, a model, experiments and an ablation.
pub struct Project {
    folder: tempfile::TempDir,
}

const DATA: &str = r#"Data(
    table: Csv("table.csv"),
    columns: {
        "name": Id(),
        "plot": Category(role: Group),
        "split": Category(role: TrainOnly),
        "x1..x3": Number(missing: Allowed),
        "y1": Number(role: Target, unit: "g", missing: Allowed),
        "y2": Number(role: Target, unit: "g", missing: Allowed),
    },
    fields: {
        "x": Numbers(["x1", "x2", "x3"], scale: ZScore, missing: Indicator),
        "y": Targets(["y1", "y2"], scale: ZScore),
        "above": Present(["y1"], above: 1.0),
    },
)
"#;

const MODEL: &str = r#"Module(
    inputs: { "x": F32(["batch", "fields"]) },
    nodes: {
        "amounts": Linear(from: "x", units: 2),
        "logit": Linear(from: "x", units: 1),
        "presence": Sigmoid(from: "logit"),
    },
    outputs: { "amounts": "amounts", "presence": "presence" },
)
"#;

const EXPERIMENT: &str = r#"Experiment(
    doc: "Two amounts and a presence of three numbers.",
    data: "data.ron",
    model: Use(module: "model.ron", inputs: { "x": "x" }),
    losses: {
        "y": Use(
            module: "losses/mse.ron",
            inputs: { "prediction": "model:amounts", "target": "y", "observed": "y:observed" },
        ),
        "above": Use(
            module: "losses/mse.ron",
            inputs: { "prediction": "model:presence", "target": "above", "observed": "above:observed" },
        ),
    },
    predictions: { "y": "model:amounts", "above": "model:presence" },
    train: Train(epochs: 4, batch: 8, optimizer: AdamW(lr: 0.1)),
    folds: FOLDS,
    metrics: { "r2": R2Score(of: "y"), "mae": MeanAbsoluteError(of: "y"), "auc": RocAucScore(of: "above") },
)
"#;

const ABLATION: &str = r#"Ablation(
    base: "experiment.ron",
    axes: {
        "rate": Set(path: "train.optimizer.lr", to: [0.5]),
        "loss": Swap(node: "losses.y", to: ["losses/huber.ron"]),
    },
    seeds: [1, 2],
    metric: "val/mae",
)
"#;

impl Project {
    /// Writes the files.
    pub fn new() -> Project {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let mut table = "name,plot,x1,split,y1,y2,x2,x3\n".to_owned();
        for row in 0..60u32 {
            let noise = |salt: u32| {
                f64::from(row.wrapping_mul(2_654_435_761).wrapping_add(salt.wrapping_mul(40_503)) >> 8 & 0xff) / 255.0
            };
            let (x1, x2, x3) = (noise(1), noise(7), noise(13));
            let y1 = 2.0 * x1 + 0.3 * x2 + 0.1 * noise(29);
            let y2 = 5.0 - 3.0 * x3 + 0.2 * noise(31);
            let split = if row % 3 == 0 { "test" } else { "train" };
            let _ = writeln!(table, "s{row},p{},{x1:.4},{split},{y1:.4},{y2:.4},{x2:.4},{x3:.4}", row / 5);
        }
        write("table.csv", &table);
        write("data.ron", DATA);
        write("model.ron", MODEL);
        write("experiment.ron", &EXPERIMENT.replace("FOLDS", "GroupKFold(k: 3, by: \"plot\")"));
        write("ablation.ron", ABLATION);
        // Its rows are parted by a column, whatever their plots are: the data says that plots group nothing.
        write("ungrouped.ron", &DATA.replace("\"plot\": Category(role: Group)", "\"plot\": Category()"));
        let split =
            EXPERIMENT.replace("FOLDS", "Single(column: \"split\", validate: \"test\")").replace("data.ron", "ungrouped.ron");
        write("split.ron", &split);
        Project { folder }
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Changes a file.
    pub fn change(&self, name: &str, change: impl FnOnce(&str) -> String) {
        let path = self.path().join(name);
        let text = change(&std::fs::read_to_string(&path).unwrap());
        std::fs::write(path, text).unwrap();
    }

    /// Puts texts in place of the features and targets of the rows that validate in `split.ron`; a few targets stay, so that metrics and
    /// the check of folds have some.
    pub fn poison(&self, feature: &str, target: &str) {
        self.change("table.csv", |text| {
            let mut kept = 0;
            let mut line = |line: &str| {
                let mut cells: Vec<&str> = line.split(',').collect();
                if cells[3] == "test" {
                    for column in [2, 6, 7] {
                        cells[column] = feature;
                    }
                    kept += 1;
                    if kept > 2 {
                        (cells[4], cells[5]) = (target, target);
                    }
                }
                cells.join(",") + "\n"
            };
            text.lines().map(&mut line).collect()
        });
    }

    /// The first file of this relative path in any directory below a folder.
    pub fn find(&self, folder: &str, name: &str) -> Option<PathBuf> {
        let mut folders = vec![self.path().join(folder)];
        while let Some(next) = folders.pop() {
            if next.join(name).exists() {
                return Some(next.join(name));
            }
            let Ok(entries) = std::fs::read_dir(&next) else { continue };
            folders.extend(entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()));
        }
        None
    }
}
