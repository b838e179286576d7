//! The ops of the language. One op is one file: schema, documentation, rule for types, lowering. Adding an op is that file and one line here.

pub mod activation;
pub mod attention;
pub mod convolution;
pub mod dense;
pub mod document;
pub mod elementwise;
pub mod indexing;
pub mod normalization;
pub mod pooling;
mod prelude;
pub mod reduction;
pub mod regularization;
pub mod shape;
pub mod source;
mod support;

pub use support::{Elementwise, FormulaOf, ResultOf};

use std::sync::LazyLock;
use sward_core::op::{Catalogue, Op};

/// Every op, by category.
static OPS: &[&dyn Op] = &[
    &activation::ELU,
    &activation::GELU,
    &activation::HARDSIGMOID,
    &activation::HARDSWISH,
    &activation::HARDTANH,
    &activation::LEAKY_RELU,
    &activation::LOG_SIGMOID,
    &activation::LOG_SOFTMAX,
    &activation::MISH,
    &activation::Prelu,
    &activation::QUICK_GELU,
    &activation::RELU,
    &activation::RELU6,
    &activation::SELU,
    &activation::SIGMOID,
    &activation::SILU,
    &activation::SOFTMAX,
    &activation::SOFTPLUS,
    &activation::SOFTSIGN,
    &activation::TANH,
    &attention::RotaryEmbedding,
    &attention::ScaledDotProductAttention,
    &convolution::Conv1d,
    &convolution::Conv2d,
    &convolution::ConvTranspose2d,
    &dense::Embedding,
    &dense::Linear,
    &dense::MatMul,
    &elementwise::ABS,
    &elementwise::ADD,
    &elementwise::Cast,
    &elementwise::CLAMP,
    &elementwise::COS,
    &elementwise::Detach,
    &elementwise::DIGAMMA,
    &elementwise::DIVIDE,
    &elementwise::EQUAL,
    &elementwise::ERF,
    &elementwise::EXP,
    &elementwise::EXPM1,
    &elementwise::FLOOR,
    &elementwise::Formula,
    &elementwise::GREATER,
    &elementwise::GREATER_EQUAL,
    &elementwise::Identity,
    &elementwise::LESS,
    &elementwise::LESS_EQUAL,
    &elementwise::LGAMMA,
    &elementwise::LOG,
    &elementwise::LOG1P,
    &elementwise::LOGICAL_AND,
    &elementwise::LOGICAL_NOT,
    &elementwise::LOGICAL_OR,
    &elementwise::MAXIMUM,
    &elementwise::MINIMUM,
    &elementwise::MULTIPLY,
    &elementwise::NEGATE,
    &elementwise::NOT_EQUAL,
    &elementwise::POWER,
    &elementwise::ROUND,
    &elementwise::RSQRT,
    &elementwise::SIGN,
    &elementwise::SIN,
    &elementwise::SQRT,
    &elementwise::SQUARE,
    &elementwise::SUBTRACT,
    &elementwise::Where,
    &indexing::CumSum,
    &indexing::Gather,
    &indexing::IndexSelect,
    &indexing::OneHot,
    &indexing::TopK,
    &normalization::BatchNorm1d,
    &normalization::BatchNorm2d,
    &normalization::GroupNorm,
    &normalization::LayerNorm,
    &normalization::RmsNorm,
    &pooling::AdaptiveAvgPool2d,
    &pooling::AvgPool1d,
    &pooling::AvgPool2d,
    &pooling::MaxPool1d,
    &pooling::MaxPool2d,
    &pooling::Resize,
    &reduction::ARG_MAX,
    &reduction::ARG_MIN,
    &reduction::LogSumExp,
    &reduction::MAX,
    &reduction::Mean,
    &reduction::MIN,
    &reduction::Std,
    &reduction::Sum,
    &reduction::Var,
    &regularization::DropPath,
    &regularization::Dropout,
    &shape::Concat,
    &shape::Expand,
    &shape::Flip,
    &shape::Pad,
    &shape::Permute,
    &shape::Reshape,
    &shape::Roll,
    &shape::Select,
    &shape::Slice,
    &shape::Split,
    &shape::Stack,
    &source::Arange,
    &source::Constant,
    &source::Parameter,
];

/// The ops that graph files may use.
pub fn catalogue() -> &'static Catalogue {
    static CATALOGUE: LazyLock<Catalogue> =
        LazyLock::new(|| Catalogue::new(OPS).unwrap_or_else(|error| panic!("the list of ops: {error}")));
    &CATALOGUE
}
