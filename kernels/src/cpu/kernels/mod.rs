//! The loops, one family a file.

pub mod attention;
pub mod depthwise;
pub mod fold;
pub mod layer_norm;
pub mod map;
pub mod matmul;
pub mod max_pool;
pub mod movement;
pub mod optimizer;
pub mod reduce;
pub mod resample;
mod rows;
pub mod softmax;
