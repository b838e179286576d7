//! Engines that run a Sward program.
//!
//! [`Engine::prepare`] turns a program into a [`Plan`]; a plan is given its arguments by name as [`Tensor`]s and run. [`cpu`] is the engine for
//! the machine's own processor.

pub mod cpu;
pub mod cuda;
pub mod dfdx;
mod engine;
mod memory;
mod tensor;

pub use engine::{Engine, InstructionTime, Memory, Plan, PrepareError, RunError};
pub use tensor::{Data, Tensor};
