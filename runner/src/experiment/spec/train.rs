//! The field `train`: what is trained with which batches, and when it ends.

use clap::ValueEnum;
use serde::Deserialize;
use sward_core::program::DType;
use sward_core::source::Spanned;

use super::optimizer::{Adapt, Group, Optimizer, Schedule};

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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ValueEnum)]
pub enum Precision {
    /// 32-bit floating point
    #[default]
    F32,
    /// bfloat16, with f32 parameters, statistics and sums
    Bf16,
}

impl Precision {
    /// The dtype.
    pub fn dtype(self) -> DType {
        match self {
            Precision::F32 => DType::F32,
            Precision::Bf16 => DType::BF16,
        }
    }
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
