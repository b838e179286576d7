//! Regularization.

mod drop_path;
mod dropout;
mod layers;

pub use drop_path::DropPath;
pub use dropout::Dropout;
