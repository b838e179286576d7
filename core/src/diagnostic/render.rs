//! Writing diagnostics, for people and for programs.
//!
//! - [`text`]: in the manner of `rustc`, plain or coloured.
//! - [`json`]: one object a line, with the keys `code, severity, message, file, line, column, end_line, end_column, labels, help`.
//! - [`github`]: workflow commands, at most ten errors and ten warnings.
//! - [`sarif()`]: one SARIF 2.1.0 document.

mod github;
mod json;
mod sarif;
mod text;

pub use github::github;
pub use json::json;
pub use sarif::sarif;
pub use text::{one, summary, text};

#[cfg(test)]
mod tests;
