//! The catalogue: the primitives that programs consist of, and the ops that graph files are written in.

pub mod primitives;
