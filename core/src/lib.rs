//! The Sward language and the program it compiles to.

pub mod check;
pub mod diagnostic;
pub mod dim;
pub mod domain;
pub mod expr;
pub mod glob;
pub mod language;
pub mod lower;
pub mod op;
pub mod program;
pub mod roots;
pub mod scalar;
pub mod source;
pub mod suggest;
pub mod syntax;
