//! An `Experiment` and an `Ablation` file as they are written. `docs/experiments.md` explains every field.

use indexmap::IndexMap;
use serde::Deserialize;
use sward_core::source::Spanned;
use sward_core::syntax::decode::Raw;

use super::data::OneOrMany;
use crate::metrics::Space;

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

impl Default for Folds {
    fn default() -> Self {
        Folds::HoldOut { share: 0.2, by: None }
    }
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

/// How a model is trained.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename = "Train", deny_unknown_fields)]
pub struct Train {
    /// Passes over the training rows.
    pub epochs: u64,
    /// Samples a step.
    pub batch: usize,
    /// Batches whose gradients make one step.
    #[serde(default = "one")]
    pub accumulate: u64,
    /// What all random numbers follow from.
    #[serde(default = "forty_two")]
    pub seed: u64,
    /// What activations are stored in.
    #[serde(default)]
    pub dtype: Precision,
    /// The rule of a step.
    pub optimizer: Optimizer,
    /// Parameters that are trained in their own way.
    #[serde(default)]
    pub groups: Vec<Spanned<Group>>,
    /// Changes of the graph that adapt trained parameters.
    #[serde(default)]
    pub adapt: Vec<Spanned<Adapt>>,
    /// How the learning rate changes.
    #[serde(default)]
    pub schedule: Schedule,
    /// The largest global norm of gradients.
    #[serde(default)]
    pub clip_norm: Option<f64>,
    /// The decay of averaged weights.
    #[serde(default)]
    pub ema: Option<f64>,
    /// Which rows an epoch sees.
    #[serde(default)]
    pub sampler: Sampler,
    /// How the samples of a batch are mixed.
    #[serde(default)]
    pub mix: Option<Spanned<Mix>>,
    /// When training ends early.
    #[serde(default)]
    pub stop: Option<EarlyStopping>,
    /// The metric that chooses the best checkpoint.
    #[serde(default)]
    pub best: Option<Spanned<String>>,
    /// What happens at numbers that are not finite.
    #[serde(default)]
    pub nonfinite: Nonfinite,
    /// Steps between checkpoints within an epoch; 0 for none.
    #[serde(default)]
    pub checkpoint_steps: u64,
    /// Whether outputs of frozen parts are kept.
    #[serde(default)]
    pub cache: Cache,
    /// How the gradients of several losses become one.
    #[serde(default)]
    pub gradients: GradientRule,
    /// Modules whose activations the backward pass computes again instead of keeping them.
    #[serde(default)]
    pub rematerialize: Vec<Spanned<String>>,
}

fn one() -> u64 {
    1
}

fn forty_two() -> u64 {
    42
}

/// What activations are stored in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    F32,
    /// bfloat16, with f32 parameters, statistics and sums.
    Bf16,
}

/// The rule of a step.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Optimizer {
    /// Adam with decoupled weight decay.
    AdamW {
        /// The learning rate.
        lr: f64,
        /// The weight decay.
        #[serde(default = "a_hundredth")]
        weight_decay: f64,
        /// What is kept of the running means.
        #[serde(default = "usual_betas")]
        betas: (f64, f64),
        /// Added to the root.
        #[serde(default = "usual_epsilon")]
        epsilon: f64,
    },
    /// Adam with the weight decay in the gradient.
    Adam {
        /// The learning rate.
        lr: f64,
        /// The weight decay.
        #[serde(default)]
        weight_decay: f64,
        /// What is kept of the running means.
        #[serde(default = "usual_betas")]
        betas: (f64, f64),
        /// Added to the root.
        #[serde(default = "usual_epsilon")]
        epsilon: f64,
    },
    /// Stochastic gradient descent.
    Sgd {
        /// The learning rate.
        lr: f64,
        /// What is kept of the running gradient.
        #[serde(default)]
        momentum: f64,
        /// Nesterov's look ahead.
        #[serde(default)]
        nesterov: bool,
        /// The weight decay.
        #[serde(default)]
        weight_decay: f64,
    },
}

fn a_hundredth() -> f64 {
    0.01
}

fn usual_betas() -> (f64, f64) {
    (0.9, 0.999)
}

fn usual_epsilon() -> f64 {
    1e-8
}

impl Optimizer {
    /// The learning rate.
    pub fn learning_rate(&self) -> f64 {
        match self {
            Optimizer::AdamW { lr, .. } | Optimizer::Adam { lr, .. } | Optimizer::Sgd { lr, .. } => *lr,
        }
    }

    /// The weight decay.
    pub fn weight_decay(&self) -> f64 {
        match self {
            Optimizer::AdamW { weight_decay, .. }
            | Optimizer::Adam { weight_decay, .. }
            | Optimizer::Sgd { weight_decay, .. } => *weight_decay,
        }
    }
}

/// Parameters that are trained in their own way.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename = "Group", deny_unknown_fields)]
pub struct Group {
    /// A path in which `*` stands for any characters.
    #[serde(rename = "match")]
    pub pattern: Spanned<String>,
    /// The learning rate.
    #[serde(default)]
    pub lr: Option<f64>,
    /// The weight decay.
    #[serde(default)]
    pub weight_decay: Option<f64>,
    /// Whether they stay as they are.
    #[serde(default)]
    pub frozen: bool,
    /// The file that they start from.
    #[serde(default)]
    pub from: Option<Spanned<String>>,
    /// The mapping of that file's names.
    #[serde(default)]
    pub mapping: Option<Spanned<String>>,
    /// A learning rate that shrinks towards the input.
    #[serde(default)]
    pub layer_decay: Option<LayerDecay>,
}

/// A learning rate that shrinks from block to block towards the input.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename = "LayerDecay", deny_unknown_fields)]
pub struct LayerDecay {
    /// The path of the blocks, with `{}` in place of their numbers.
    pub blocks: Raw,
    /// The factor from one block to the one before it.
    pub factor: f64,
}

impl LayerDecay {
    /// The path as it is written: its `{}` is filled by nothing here.
    pub fn pattern(&self) -> String {
        self.blocks.0.as_text().unwrap_or_default().to_owned()
    }
}

/// A declared change of the graph.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Adapt {
    /// Low-rank adapters on linear layers (Hu et al., 2021).
    Lora {
        /// Paths of linear nodes; `*` stands for any characters.
        #[serde(rename = "match")]
        pattern: Spanned<String>,
        /// The adapters' inner width.
        rank: i64,
        /// Over `rank`, the factor of what they add.
        alpha: f64,
        /// Dropout before them.
        #[serde(default)]
        dropout: f64,
    },
}

/// How the learning rate changes. Lengths are in epochs or steps, as their names say.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Schedule {
    /// Not at all.
    #[default]
    Constant,
    /// A rise, then the base rate.
    Warmup {
        /// Steps of the rise.
        warmup_steps: u64,
    },
    /// A rise, then half a cosine to the last step.
    Cosine {
        /// Steps of the rise.
        #[serde(default)]
        warmup_steps: u64,
        /// The rate at the end.
        #[serde(default)]
        minimum: f64,
    },
    /// Half cosines, each from the base rate again.
    WarmRestarts {
        /// The length of each, in epochs; the last repeats.
        epochs: Vec<u64>,
        /// Steps of the rise before the first.
        #[serde(default)]
        warmup_steps: u64,
        /// The rate at each end.
        #[serde(default)]
        minimum: f64,
    },
    /// One rise and one fall over the whole training.
    OneCycle {
        /// The share of the rise.
        #[serde(default = "three_tenths")]
        rise: f64,
    },
    /// A factor after every so many epochs.
    Step {
        /// Epochs of one rate.
        every_epochs: u64,
        /// The factor.
        #[serde(default = "a_tenth")]
        gamma: f64,
        /// Steps of the rise.
        #[serde(default)]
        warmup_steps: u64,
    },
    /// A factor after each of these epochs.
    MultiStep {
        /// The epochs.
        epochs: Vec<u64>,
        /// The factor.
        #[serde(default = "a_tenth")]
        gamma: f64,
        /// Steps of the rise.
        #[serde(default)]
        warmup_steps: u64,
    },
    /// A factor where a metric stands still.
    Plateau {
        /// The metric.
        metric: Spanned<String>,
        /// The factor.
        #[serde(default = "a_tenth")]
        factor: f64,
        /// Epochs without improvement that are borne.
        #[serde(default = "ten")]
        patience: u32,
    },
}

fn three_tenths() -> f64 {
    0.3
}

fn a_tenth() -> f64 {
    0.1
}

fn ten() -> u32 {
    10
}

/// Which rows an epoch sees.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Sampler {
    /// Every one once.
    #[default]
    Uniform,
    /// In proportion to a column of numbers.
    Weighted {
        /// The column.
        by: Spanned<String>,
    },
    /// Every text of a column equally often.
    ClassBalanced {
        /// The column.
        by: Spanned<String>,
    },
}

/// How the samples of a batch are mixed.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Mix {
    /// All values (Zhang et al., 2018).
    Mixup {
        /// Both parameters of the beta distribution.
        alpha: f64,
    },
    /// What losses compare with, while the graph mixes what it has made of the features: it reads `mix:partner` and `mix:share` (Verma et al.,
    /// "Manifold mixup", 2019).
    Manifold {
        /// Both parameters of the beta distribution.
        alpha: f64,
    },
    /// A rectangle of the picture (Yun et al., 2019).
    CutMix {
        /// Both parameters of the beta distribution.
        alpha: f64,
    },
}

/// When training ends early.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename = "EarlyStopping", deny_unknown_fields)]
pub struct EarlyStopping {
    /// The metric.
    pub metric: Spanned<String>,
    /// Epochs without improvement that are borne.
    pub patience: u32,
    /// What counts as an improvement.
    #[serde(default)]
    pub min_delta: f64,
}

/// What happens at numbers that are not finite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Nonfinite {
    /// The run ends.
    #[default]
    Stop,
    /// The step is left out, at most so often.
    Skip(u64),
    /// Training goes on from the last checkpoint with other random numbers, at most so often.
    Rewind(u64),
}

/// Whether outputs of frozen parts are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Cache {
    /// Where they are the same every epoch.
    #[default]
    Auto,
    /// Never.
    Never,
}

/// How the gradients of several losses become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum GradientRule {
    /// Their sum: the gradient of the weighted sum of losses.
    #[default]
    Sum,
    /// Their sum after each is projected off those that it conflicts with (Yu et al., 2020).
    #[serde(rename = "PCGrad")]
    PcGrad,
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

/// What is measured on validation rows.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Metric {
    /// scikit-learn's `r2_score`.
    R2Score(Regression),
    /// Against one mean of all labels.
    WeightedGlobalR2Score(Regression),
    /// scikit-learn's `mean_absolute_error`.
    MeanAbsoluteError(Regression),
    /// scikit-learn's `mean_squared_error`.
    MeanSquaredError(Regression),
    /// scikit-learn's `root_mean_squared_error`.
    RootMeanSquaredError(Regression),
    /// scikit-learn's `mean_tweedie_deviance`.
    MeanTweedieDeviance {
        /// The field.
        #[serde(default)]
        of: Option<Spanned<String>>,
        /// The power of the variance.
        power: f64,
    },
    /// The mean over targets of the rank correlation.
    SpearmanRankCorrelation(Of),
    /// scikit-learn's `accuracy_score`.
    Accuracy(Of),
    /// scikit-learn's `balanced_accuracy_score`.
    BalancedAccuracy(Of),
    /// scikit-learn's `f1_score`.
    F1Score {
        /// The field.
        #[serde(default)]
        of: Option<Spanned<String>>,
        /// How classes are averaged.
        #[serde(default)]
        average: F1Average,
    },
    /// scikit-learn's `matthews_corrcoef`.
    MatthewsCorrcoef(Of),
    /// scikit-learn's `roc_auc_score`, one against the rest.
    RocAucScore(Of),
    /// The expected calibration error.
    CalibrationError {
        /// The field.
        #[serde(default)]
        of: Option<Spanned<String>>,
        /// How many bins of confidence.
        #[serde(default = "ten_bins")]
        bins: usize,
    },
}

fn ten_bins() -> usize {
    10
}

/// The field that a metric is of.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Of {
    /// The field; not needed where one is predicted.
    #[serde(default)]
    pub of: Option<Spanned<String>>,
}

/// Settings of a metric of numbers.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Regression {
    /// The field; not needed where one is predicted.
    #[serde(default)]
    pub of: Option<Spanned<String>>,
    /// The space in which numbers are compared.
    #[serde(default)]
    pub space: Space,
    /// Weights of targets; the field's own columns equally where none is given.
    #[serde(default)]
    pub weights: IndexMap<Spanned<String>, f64>,
}

/// How F1 scores of classes are averaged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum F1Average {
    /// Of the second of two classes alone.
    Binary,
    /// Over classes.
    #[default]
    Macro,
    /// Over rows.
    Micro,
    /// Over classes by their number of rows.
    Weighted,
}

impl Metric {
    /// The field that it is of, where it is said.
    pub fn of(&self) -> Option<&Spanned<String>> {
        match self {
            Metric::R2Score(settings)
            | Metric::WeightedGlobalR2Score(settings)
            | Metric::MeanAbsoluteError(settings)
            | Metric::MeanSquaredError(settings)
            | Metric::RootMeanSquaredError(settings) => settings.of.as_ref(),
            Metric::SpearmanRankCorrelation(of)
            | Metric::Accuracy(of)
            | Metric::BalancedAccuracy(of)
            | Metric::MatthewsCorrcoef(of)
            | Metric::RocAucScore(of) => of.of.as_ref(),
            Metric::MeanTweedieDeviance { of, .. } | Metric::F1Score { of, .. } | Metric::CalibrationError { of, .. } => {
                of.as_ref()
            }
        }
    }

    /// The name in [`crate::metrics::NAMES`].
    pub fn name(&self) -> &'static str {
        match self {
            Metric::R2Score(_) => "r2_score",
            Metric::WeightedGlobalR2Score(_) => "weighted_global_r2_score",
            Metric::MeanAbsoluteError(_) => "mean_absolute_error",
            Metric::MeanSquaredError(_) => "mean_squared_error",
            Metric::RootMeanSquaredError(_) => "root_mean_squared_error",
            Metric::MeanTweedieDeviance { .. } => "mean_tweedie_deviance",
            Metric::SpearmanRankCorrelation(_) => "spearman_rank_correlation",
            Metric::Accuracy(_) => "accuracy",
            Metric::BalancedAccuracy(_) => "balanced_accuracy",
            Metric::F1Score { .. } => "f1_score",
            Metric::MatthewsCorrcoef(_) => "matthews_corrcoef",
            Metric::RocAucScore(_) => "roc_auc_score",
            Metric::CalibrationError { .. } => "calibration_error",
        }
    }

    /// Whether it takes numbers, classes or probabilities.
    pub fn takes(&self) -> Takes {
        match self {
            Metric::R2Score(_)
            | Metric::WeightedGlobalR2Score(_)
            | Metric::MeanAbsoluteError(_)
            | Metric::MeanSquaredError(_)
            | Metric::RootMeanSquaredError(_)
            | Metric::MeanTweedieDeviance { .. }
            | Metric::SpearmanRankCorrelation(_) => Takes::Numbers,
            _ => Takes::Classes,
        }
    }
}

/// What a metric takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// `Targets`.
    Numbers,
    /// `Labels` or `Present`.
    Classes,
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

/// An `Ablation` file.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename = "Ablation", deny_unknown_fields)]
pub struct Ablation {
    /// What it is.
    #[serde(default)]
    pub doc: Option<String>,
    /// The experiment that arms change.
    pub base: Spanned<String>,
    /// What is changed, by name.
    pub axes: IndexMap<Spanned<String>, Spanned<Axis>>,
    /// Which combinations there are.
    #[serde(default)]
    pub design: Design,
    /// The seeds of every arm; the experiment's where none is given.
    #[serde(default)]
    pub seeds: Vec<u64>,
    /// The folds of every arm; all where none is given.
    #[serde(default)]
    pub folds: Option<Vec<usize>>,
    /// The metric that arms are compared by; the experiment's best where none is given.
    #[serde(default)]
    pub metric: Option<Spanned<String>>,
}

/// One thing that arms change.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Axis {
    /// Another module at a `Use` node.
    Swap {
        /// The node's path.
        node: Spanned<String>,
        /// The files.
        to: Vec<Spanned<String>>,
    },
    /// Another value.
    Set {
        /// The path, as `--set` has it.
        path: Spanned<String>,
        /// The values.
        to: Vec<Raw>,
    },
    /// What belongs together, such as a head and its loss, changed at once. By the values' names.
    Changes(IndexMap<Spanned<String>, Spanned<Change>>),
    /// Another experiment on the same data.
    Experiment(Vec<Spanned<String>>),
}

/// Several changes that make one value of an axis.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename = "Change", deny_unknown_fields)]
pub struct Change {
    /// Another module at each of these `Use` nodes.
    #[serde(default)]
    pub swap: IndexMap<Spanned<String>, Spanned<String>>,
    /// Another value at each of these paths.
    #[serde(default)]
    pub set: IndexMap<Spanned<String>, Raw>,
}

/// Which combinations of changes there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Design {
    /// The base, and each change alone.
    #[default]
    OneAtATime,
    /// All combinations.
    Grid,
}
