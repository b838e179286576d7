//! The CPU engine.
//!
//! [`features`] finds the machine's instructions, [`simd`] gives sixteen f32 lanes on each of them, [`kernels`] holds the loops (one family
//! a file, over addresses with explicit shapes and strides, knowing nothing of programs). `steps` binds each instruction of a program to a
//! kernel, `crate::memory` plans where values lie, `plan` runs.
//!
//! Every kernel gives the same bits for any number of threads: work is cut into parts by the problem's shape alone, and every sum has one
//! fixed order.

pub mod amx;
mod buffer;
pub mod features;
pub mod kernels;
mod plan;
pub mod simd;
mod steps;
pub mod threads;

#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

use sward_core::program::Program;

use crate::engine::{Engine, Memory, Plan, PrepareError};
use features::Features;

/// Runs programs on the processor.
#[derive(Clone, Debug)]
pub struct CpuEngine {
    pool: Arc<rayon::ThreadPool>,
    features: Features,
    shares_memory: bool,
    memory_limit: Option<usize>,
}

impl CpuEngine {
    /// An engine with `threads` threads of its own (0: one for each processor), using all instructions of the machine.
    ///
    /// # Errors
    /// When threads cannot be started.
    pub fn new(threads: usize) -> Result<CpuEngine, PrepareError> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("sward-cpu-{index}"))
            .build()
            .map_err(|error| PrepareError::Device(format!("threads cannot be started: {error}")))?;
        Ok(CpuEngine::on(Arc::new(pool)))
    }

    /// An engine on a pool that others may use too.
    pub fn on(pool: Arc<rayon::ThreadPool>) -> CpuEngine {
        CpuEngine { pool, features: Features::detect(), shares_memory: true, memory_limit: None }
    }

    /// The same with other instructions than all of the machine's.
    pub fn with_features(self, features: Features) -> CpuEngine {
        CpuEngine { features, ..self }
    }

    /// The same with (the default) or without values that share memory when their lifetimes allow.
    pub fn with_memory_sharing(self, shares_memory: bool) -> CpuEngine {
        CpuEngine { shares_memory, ..self }
    }

    /// The same with a bound on a plan's bytes instead of the memory that is free.
    pub fn with_memory_limit(self, bytes: usize) -> CpuEngine {
        CpuEngine { memory_limit: Some(bytes), ..self }
    }

    /// The bytes that a plan of the program would hold, without making one: no memory is taken.
    ///
    /// # Errors
    /// A program that is not well-formed.
    pub fn memory_of(&self, program: &Program) -> Result<Memory, PrepareError> {
        plan::memory_of(program, self.shares_memory)
    }

    /// Number of threads.
    pub fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }
}

impl Engine for CpuEngine {
    fn name(&self) -> &'static str {
        "cpu"
    }

    fn identity(&self) -> String {
        format!("cpu {:?}", self.features)
    }

    fn prepare(&self, program: &Program) -> Result<Box<dyn Plan>, PrepareError> {
        let plan = plan::CpuPlan::new(program, Arc::clone(&self.pool), self.features, self.shares_memory, self.memory_limit)?;
        Ok(Box::new(plan))
    }
}
