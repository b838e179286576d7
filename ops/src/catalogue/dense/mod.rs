//! Dense layers.

mod embedding;
mod linear;
mod matmul;

pub use embedding::Embedding;
pub use linear::Linear;
pub use matmul::MatMul;
