//! Elementwise expressions: `Formula`, every activation, and what fusion makes of them.
//!
//! A [`ScalarGraph`] holds expressions over input elements, numbers and random numbers, every distinct one once.
//! A [`ScalarFunction`] is a finished one. They are differentiated symbolically, bounded ([`ScalarGraph::domain`]), evaluated
//! in 64-bit floats as the reference, and turned into a [`LinearProgram`] for the engines.

mod derivative;
mod display;
mod evaluate;
mod formula;
mod function;
mod graph;
mod interval;
mod linear;
mod op;
mod simplify;
pub mod special;
#[cfg(test)]
mod tests;

pub use derivative::NoDerivative;
pub use display::DisplayScalar;
pub use formula::{FORMULA_FUNCTIONS, FormulaScope, Operand, from_expr};
pub use function::ScalarFunction;
pub use graph::{ScalarGraph, ScalarId, ScalarNode};
pub use linear::{LinearProgram, Step, StepOp};
pub use op::{ScalarKind, ScalarOp};
