//! An `Experiment` and an `Ablation` file as they are written. `docs/experiments.md` explains every field.
//!
//! Here stands the experiment itself; what its larger fields hold, and the ablation, are in rooms of their own.

mod ablation;
mod metric;
mod optimizer;
mod train;

use indexmap::IndexMap;
use serde::Deserialize;
use sward_core::source::Spanned;
use sward_core::syntax::decode::Raw;

use super::data::OneOrMany;

pub use ablation::{Ablation, Axis, Change, Design};
pub use metric::{F1Average, Metric, Of, Regression, Takes};
pub use optimizer::{Adapt, Group, LayerDecay, Optimizer, Schedule};
pub use train::{Cache, EarlyStopping, GradientRule, Mix, Nonfinite, Precision, Sampler, Train};

/// An `Experiment` file as it stands; its parts are read one by one, so that each has its own errors.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename = "Experiment", deny_unknown_fields)]
pub struct ExperimentFile {
    /// What it is.
    #[serde(default)]
    pub doc: Option<Spanned<String>>,
    /// The `Data` file.
    pub data: Spanned<String>,
    /// The node `model`.
    pub model: Raw,
    /// More nodes.
    #[serde(default)]
    pub nodes: IndexMap<Spanned<String>, Raw>,
    /// The nodes `losses.<name>`, each with a scalar output.
    pub losses: IndexMap<Spanned<String>, Raw>,
    /// A [`Weights`].
    #[serde(default)]
    pub weights: Option<Raw>,
    /// Which output predicts which field.
    pub predictions: IndexMap<Spanned<String>, Spanned<String>>,
    /// Which output weighs the tiles of which field of photographs.
    #[serde(default)]
    pub maps: IndexMap<Spanned<String>, Spanned<String>>,
    /// A [`Train`].
    pub train: Raw,
    /// A [`Folds`].
    #[serde(default)]
    pub folds: Option<Raw>,
    /// Each a [`Metric`].
    #[serde(default)]
    pub metrics: IndexMap<Spanned<String>, Raw>,
    /// An [`Output`].
    #[serde(default)]
    pub output: Option<Raw>,
    /// Budgets, as in modules.
    #[serde(default)]
    pub contract: Option<Raw>,
}

/// An `Experiment` whose parts are read.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// What it is.
    pub doc: Option<String>,
    /// How losses are added.
    pub weights: Weights,
    /// Which output predicts which field.
    pub predictions: IndexMap<Spanned<String>, Spanned<String>>,
    /// Which output weighs the tiles of which field of photographs.
    pub maps: IndexMap<Spanned<String>, Spanned<String>>,
    /// How it is trained.
    pub train: Spanned<Train>,
    /// How rows are split.
    pub folds: Spanned<Folds>,
    /// What is measured on validation rows.
    pub metrics: IndexMap<Spanned<String>, Spanned<Metric>>,
    /// What is written at prediction.
    pub output: Spanned<Output>,
}

/// How losses are added.
#[derive(Clone, Debug, Deserialize)]
pub enum Weights {
    /// By these factors; 1 where none is given.
    Fixed(IndexMap<Spanned<String>, f64>),
    /// By learned log-variances (Kendall et al., 2018).
    Uncertainty,
}

impl Default for Weights {
    fn default() -> Self {
        Weights::Fixed(IndexMap::new())
    }
}

/// How rows are split.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Folds {
    /// Rows at random.
    KFold {
        /// How many folds.
        k: usize,
    },
    /// Rows at random, each class shared out evenly.
    StratifiedKFold {
        /// How many folds.
        k: usize,
        /// The column of classes.
        by: Spanned<String>,
    },
    /// Whole groups.
    GroupKFold {
        /// How many folds.
        k: usize,
        /// The columns that make a group.
        by: OneOrMany,
    },
    /// One split at random.
    HoldOut {
        /// The share of validation rows.
        share: f64,
        /// The columns that make a group, where groups stay together.
        #[serde(default)]
        by: Option<OneOrMany>,
    },
    /// Each text of a column validates once.
    Given {
        /// The column.
        column: Spanned<String>,
    },
    /// One split by one text of a column.
    Single {
        /// The column.
        column: Spanned<String>,
        /// The text of validation rows.
        validate: String,
    },
    /// One split, the end of the table.
    LastRows {
        /// How many rows validate.
        count: usize,
    },
}

impl Default for Folds {
    fn default() -> Self {
        Folds::HoldOut { share: 0.2, by: None }
    }
}

/// What is written at prediction.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Output {
    /// One row a sample.
    Wide {
        /// The column that names the sample.
        #[serde(default)]
        id: Option<Spanned<String>>,
        /// Whether each class has a column with its probability.
        #[serde(default)]
        probabilities: bool,
    },
    /// One row a row of a long table.
    Long {
        /// The column that is copied.
        id: Spanned<String>,
        /// The column that names the sample.
        key: Spanned<String>,
        /// The column that names the target.
        name: Spanned<String>,
        /// The name of the written column.
        value: String,
    },
}

impl Default for Output {
    fn default() -> Self {
        Output::Wide { id: None, probabilities: false }
    }
}
