//! The Sward language and the program it compiles to.
pub mod program;
