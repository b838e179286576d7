//! The catalogue: the primitives that programs consist of, and the ops that graph files are written in.

pub mod catalogue;
pub mod primitives;

pub use catalogue::catalogue;
