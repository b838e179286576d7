//! How parameters change: the rule of a step, groups of parameters, adapters, and the learning rate's schedule.

use serde::Deserialize;
use sward_core::source::Spanned;
use sward_core::syntax::decode::Raw;

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
