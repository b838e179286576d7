//! The loops, one family a file.

pub mod depthwise;
pub mod fold;
pub mod layer_norm;
pub mod map;
pub mod matmul;
pub mod optimizer;
pub mod reduce;
mod rows;
pub mod softmax;
