//! The Sward language and the program it compiles to.
pub mod dim;
pub mod domain;
pub mod expr;
pub mod program;
