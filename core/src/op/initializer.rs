//! How a parameter starts.

use std::fmt;

/// The distribution of a parameter's first values; names and formulas of `torch.nn.init`.
///
/// `fan_in` is the product of all sizes but the first, `fan_out` the first size times the product of those after the second.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Initializer {
    /// All 0.
    Zeros,
    /// All 1.
    Ones,
    /// All one number.
    Fill(f64),
    /// Normal around 0.
    Normal {
        /// Standard deviation.
        std: f64,
    },
    /// Normal around 0, cut at two standard deviations (timm's `trunc_normal_`).
    TruncatedNormal {
        /// Standard deviation before the cut.
        std: f64,
    },
    /// Uniform between -bound and bound.
    Uniform {
        /// The bound.
        bound: f64,
    },
    /// Uniform with bound sqrt(6 / (fan_in + fan_out)).
    XavierUniform,
    /// `kaiming_uniform_` for ReLU: bound sqrt(6 / fan_in).
    KaimingUniform,
    /// `kaiming_normal_` with `mode='fan_out'` for ReLU: std sqrt(2 / fan_out), as torchvision's and timm's ResNets.
    KaimingNormal,
    /// PyTorch's start of Linear and Conv weights, `kaiming_uniform_(a=sqrt(5))`: uniform with bound 1 / sqrt(fan_in).
    FanIn,
    /// PyTorch's start of Linear and Conv biases: uniform with bound 1 / sqrt(fan_in) of the same op's `weight`.
    FanInOfWeight,
}

impl fmt::Display for Initializer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Initializer::Zeros => f.write_str("Zeros"),
            Initializer::Ones => f.write_str("Ones"),
            Initializer::Fill(value) => write!(f, "Fill({value:?})"),
            Initializer::Normal { std } => write!(f, "Normal(std: {std:?})"),
            Initializer::TruncatedNormal { std } => write!(f, "TruncatedNormal(std: {std:?})"),
            Initializer::Uniform { bound } => write!(f, "Uniform(bound: {bound:?})"),
            Initializer::XavierUniform => f.write_str("XavierUniform"),
            Initializer::KaimingUniform => f.write_str("KaimingUniform"),
            Initializer::KaimingNormal => f.write_str("KaimingNormal"),
            Initializer::FanIn => f.write_str("FanIn"),
            Initializer::FanInOfWeight => f.write_str("FanInOfWeight"),
        }
    }
}
