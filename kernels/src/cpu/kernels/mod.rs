//! The loops, one family a file.

pub mod matmul;
