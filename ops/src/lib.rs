//! The catalogue (the primitives that programs consist of, and the ops that graph files are written in), the passes, and training programs.

pub mod catalogue;
pub mod passes;
pub mod primitives;
pub mod training;

pub use catalogue::catalogue;
