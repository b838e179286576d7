//! Normalizations.

mod batch_norm;
mod batch_norm1d;
mod batch_norm2d;
mod group_norm;
mod layer_norm;
mod layers;
mod rms_norm;

pub use batch_norm1d::BatchNorm1d;
pub use batch_norm2d::BatchNorm2d;
pub use group_norm::GroupNorm;
pub use layer_norm::LayerNorm;
pub use rms_norm::RmsNorm;
