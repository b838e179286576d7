//! The Sward language and the program it compiles to.
pub mod diagnostic;
pub mod dim;
pub mod domain;
pub mod expr;
pub mod op;
pub mod program;
pub mod scalar;
pub mod source;
pub mod suggest;
pub mod syntax;
pub mod check;
pub mod language;
pub mod op;
