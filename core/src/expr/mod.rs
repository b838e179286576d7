//! The expressions of graph files: `"4 * width"`, `"height / 32"`, `"pow(mean, 2 - power)"`.
//!
//! [`parse`] gives a tree whose nodes know their place in the text. [`evaluate`] computes it to a [`Constant`], in which
//! whole numbers are symbolic sizes; `Formula` reads the same tree as elementwise arithmetic (`crate::scalar`).
//!
//! ```
//! use sward_core::expr::{Constant, Scope, evaluate, parse};
//! use sward_core::dim::Dim;
//!
//! struct Width;
//! impl Scope for Width {
//!     fn lookup(&self, name: &str) -> Option<Constant> {
//!         (name == "width").then(|| Constant::Int(Dim::name("width")))
//!     }
//!     fn names(&self) -> Vec<String> {
//!         vec!["width".into()]
//!     }
//! }
//!
//! let expr = parse("4 * width / 32")?;
//! let result = evaluate(&expr, &Width)?;
//! assert_eq!(result.value.to_string(), "width / 8");
//! assert_eq!(result.obligations[0].to_string(), "width % 8 == 0");
//! # Ok::<(), sward_core::expr::ExprError>(())
//! ```

mod ast;
mod constant;
mod error;
mod evaluate;
mod functions;
mod interpolate;
mod parse;
#[cfg(test)]
mod tests;
mod token;

pub use ast::{BinaryOp, Expr, ExprKind, UnaryOp};
pub use constant::Constant;
pub use error::{ExprError, ExprErrorKind, excerpt};
pub use evaluate::{Evaluated, Scope, evaluate, named_constant};
pub use functions::FUNCTIONS;
pub use interpolate::{Interpolated, has_interpolation, interpolate};
pub use parse::parse;
