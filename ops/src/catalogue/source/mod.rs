//! Tensors from nothing.

mod arange;
mod constant;
mod parameter;

pub use arange::Arange;
pub use constant::Constant;
pub use parameter::Parameter;
