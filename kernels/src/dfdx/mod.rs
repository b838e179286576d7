//! dfdx as a second opinion, and graphs as parts of dfdx programs.
//!
//! [`DfdxEngine`] runs a program op by op on dfdx's tensors, and [`gradients`] takes the gradients of a *forward* program from dfdx's own tape: an autodiff
//! that shares no rule with ours. It is there to compare, not to be fast; it computes in f64, as the reference of programs does. What each primitive becomes
//! is [`EXPRESSIONS`] (`docs/dfdx.md` prints it); the rest is refused by `prepare`, by name and place.

mod compiled;
mod express;
mod images;
mod module;
mod movement;
mod optimizer;
mod plan;
mod products;
mod recorder;
mod reductions;
mod scalars;

#[cfg(test)]
mod tests;

pub use compiled::GraphModuleError;
pub use express::{EXPRESSIONS, Expression};
pub use module::{GraphLayer, GraphModule, GraphParameters, ParameterCount};
pub use plan::{GradientsError, Traced, gradients};

use crate::engine::{Engine, Plan, PrepareError};
use sward_core::program::Program;

/// Runs programs on dfdx's tensors.
#[derive(Clone, Copy, Debug, Default)]
pub struct DfdxEngine;

impl Engine for DfdxEngine {
    fn name(&self) -> &'static str {
        "dfdx"
    }

    fn prepare(&self, program: &Program) -> Result<Box<dyn Plan>, PrepareError> {
        Ok(Box::new(plan::DfdxPlan::new(program)?))
    }
}
