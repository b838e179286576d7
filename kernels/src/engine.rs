//! What every engine offers: a program is prepared once into a [`Plan`], which holds parameters and state and runs any number of times.

use crate::tensor::Tensor;
use sward_core::program::{Program, RunKey};

/// Something that runs programs.
pub trait Engine: Send + Sync {
    /// The engine's name, as `--engine` has it.
    fn name(&self) -> &'static str;

    /// The name with what else results depend on: engines of one build that say the same give the same bits.
    fn identity(&self) -> String {
        self.name().to_owned()
    }

    /// Plans memory and chooses kernels for a verified program. Parameters and state start as zeros.
    ///
    /// # Errors
    /// Where the engine lacks an instruction or a dtype, or the memory is not there.
    fn prepare(&self, program: &Program) -> Result<Box<dyn Plan>, PrepareError>;
}

/// A program ready to run, with its parameters and state.
pub trait Plan: Send {
    /// The program.
    fn program(&self) -> &Program;

    /// Sets an argument: an input or a setting for the runs to come, a parameter or state until a run updates it.
    ///
    /// # Errors
    /// When the program has no such argument, or of another type.
    fn set(&mut self, name: &str, tensor: &Tensor) -> Result<(), RunError>;

    /// Reads an argument's present contents: for parameters and state, what the last run left.
    ///
    /// # Errors
    /// When the program has no such argument, or a failed run has torn it.
    fn get(&self, name: &str) -> Result<Tensor, RunError>;

    /// Runs the program once. All inputs and settings must have been set at some time before.
    ///
    /// # Errors
    /// A missing input, an index outside its axis, or (where trapped) a value that is not finite. Parameters and state then keep what they had; but one that the
    /// failed run had already written over (updates may happen in place) is torn: [`Plan::get`] and the next run refuse with [`RunError::Torn`] until it is set again.
    fn run(&mut self, key: RunKey) -> Result<(), RunError>;

    /// Begins a run, which [`Plan::wait`] ends. Inputs and settings that are set in between are those of the run after it: where a device computes
    /// beside the processor, they are on their way while it does. Results are read after `wait`; one that is an argument itself shows what was set.
    /// An engine that computes here is done when this returns.
    ///
    /// # Errors
    /// As [`Plan::run`]; where the run goes on, `wait` tells of it.
    fn start(&mut self, key: RunKey) -> Result<(), RunError> {
        self.run(key)
    }

    /// Ends the run that [`Plan::start`] began, if there is one.
    ///
    /// # Errors
    /// As [`Plan::run`].
    fn wait(&mut self) -> Result<(), RunError> {
        Ok(())
    }

    /// Reads a named result of the last run.
    ///
    /// # Errors
    /// When the program has no such output.
    fn output(&self, name: &str) -> Result<Tensor, RunError>;

    /// Bytes the plan holds.
    fn memory(&self) -> Memory;

    /// Whether a run stops at the first instruction whose result is not finite.
    fn trap_nonfinite(&mut self, on: bool);

    /// Starts (`true`) or ends the measurement of instructions; starting forgets earlier times.
    fn set_profiling(&mut self, on: bool);

    /// Times since profiling started, one entry an instruction, in the program's order.
    fn profile(&self) -> Vec<InstructionTime>;
}

/// Bytes that a plan holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Memory {
    /// Values that live during a run, in one arena.
    pub arena: usize,
    /// Parameters, state and settings, inputs and constants.
    pub held: usize,
    /// What the arena's values would take without sharing.
    pub unplanned: usize,
}

/// How long one instruction took.
#[derive(Clone, PartialEq, Debug)]
pub struct InstructionTime {
    /// The instruction's position in the program.
    pub index: usize,
    /// The primitive's name.
    pub name: &'static str,
    /// The graph node's path.
    pub path: String,
    /// What runs it: a kernel's name, `view` or `reference`.
    pub kernel: &'static str,
    /// Seconds, all runs together.
    pub seconds: f64,
    /// Number of runs.
    pub runs: u64,
    /// Floating point operations of one run.
    pub flops: f64,
    /// Bytes read and written by one run, each operand once.
    pub bytes: f64,
}

/// Why a program cannot run on an engine.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum PrepareError {
    /// The engine has no kernel for it.
    #[error("node `{path}`{}: the {engine} engine does not run {instruction}: {reason}", place.as_ref().map(|place| format!(" ({place})")).unwrap_or_default())]
    Unsupported {
        /// The engine's name.
        engine: &'static str,
        /// The graph node's path.
        path: String,
        /// Its place as `file:line:column`.
        place: Option<String>,
        /// The primitive with its operands.
        instruction: String,
        /// What is missing.
        reason: String,
    },
    /// The plan does not fit.
    #[error("the plan needs {} MiB of memory and {} MiB are free; a smaller batch or image needs less", needed >> 20, available >> 20)]
    Memory {
        /// Bytes the plan needs.
        needed: usize,
        /// Bytes that are free.
        available: usize,
    },
    /// The program breaks a rule.
    #[error(transparent)]
    Invalid(#[from] sward_core::program::VerifyError),
    /// The device or its libraries cannot be used.
    #[error("{0}")]
    Device(String),
}

/// Why a run, or an access to a plan, failed.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum RunError {
    /// No such argument or output.
    #[error("the program has no {kind} `{name}`")]
    Unknown {
        /// `argument` or `output`.
        kind: &'static str,
        /// The name asked for.
        name: String,
    },
    /// A tensor of another type.
    #[error("`{name}` is {expected}, {given} was given")]
    Type {
        /// The argument.
        name: String,
        /// What the program declares.
        expected: String,
        /// What was given.
        given: String,
    },
    /// An input or setting was never set.
    #[error("`{name}` was not set before the run")]
    Missing {
        /// The argument.
        name: String,
    },
    /// A failed run had begun to update it.
    #[error("`{name}` is neither old nor new, because a run failed after it was updated: set it again")]
    Torn {
        /// The argument.
        name: String,
    },
    /// An instruction failed.
    #[error("node `{path}`{}: {instruction}: {reason}", place.as_ref().map(|place| format!(" ({place})")).unwrap_or_default())]
    Instruction {
        /// The graph node's path.
        path: String,
        /// Its place as `file:line:column`.
        place: Option<String>,
        /// The primitive's name.
        instruction: &'static str,
        /// What went wrong.
        reason: String,
    },
    /// A trapped value.
    #[error("node `{path}`{}: {instruction} gives {value} at element {element}", place.as_ref().map(|place| format!(" ({place})")).unwrap_or_default())]
    NonFinite {
        /// The graph node's path.
        path: String,
        /// Its place as `file:line:column`.
        place: Option<String>,
        /// The primitive's name.
        instruction: &'static str,
        /// The first such value.
        value: f32,
        /// Its row-major position.
        element: usize,
    },
    /// The device was lost.
    #[error("{0}")]
    Device(String),
}
