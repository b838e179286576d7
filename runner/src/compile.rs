//! From a checked graph to an optimized program, for the verbs that run or show one.

use sward_core::check::Checked;
use sward_core::dim::Sizes;
use sward_core::lower::{LowerError, LowerOptions, lower};
use sward_core::program::{Builder, DType, Program};
use sward_ops::passes::{PassError, PassOptions, optimize, optimize_forward};
use sward_ops::primitives::{AddAlgebra, OptimizerRule};
use sward_ops::training::{Loss, NothingToRematerialize, TrainOptions, TrainingError, rematerialize, training_program};

/// AdamW with PyTorch's defaults.
pub const ADAMW: OptimizerRule = OptimizerRule::AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };

/// Why a graph has no program.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum CompileError {
    /// At these sizes.
    #[error(transparent)]
    Lower(#[from] LowerError),
    /// A pass that does not exist, or a fault of one.
    #[error(transparent)]
    Pass(#[from] PassError),
    /// A module to rematerialize that is not there.
    #[error(transparent)]
    Rematerialize(#[from] NothingToRematerialize),
    /// A graph that cannot be trained so.
    #[error(transparent)]
    Training(#[from] TrainingError),
}

/// How a graph is compiled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CompileOptions {
    /// What activations are stored in.
    pub dtype: DType,
    /// The last pass.
    pub stop_after: Option<String>,
    /// The only output that is computed; all where `None`.
    pub only_output: Option<String>,
    /// Patterns of module paths (`*.blocks.*`) whose activations a training step computes again instead of keeping them.
    pub rematerialize: Vec<String>,
}

impl Default for CompileOptions {
    fn default() -> CompileOptions {
        CompileOptions { dtype: DType::F32, stop_after: None, only_output: None, rematerialize: Vec::new() }
    }
}

impl CompileOptions {
    fn passes(&self) -> PassOptions {
        PassOptions { dtype: self.dtype, stop_after: self.stop_after.clone() }
    }
}

/// The program of a forward pass.
///
/// # Errors
/// As lowering and the passes.
pub fn inference(checked: &Checked, sizes: &Sizes, options: &CompileOptions) -> Result<Program, CompileError> {
    let mut program = lower(checked, sizes, &LowerOptions::default(), &AddAlgebra)?.finish();
    keep_measured(&mut program, options);
    Ok(optimize(program, &options.passes())?)
}

/// Leaves only the outputs that a measurement asks for; what only the others need is dead code then.
fn keep_measured(program: &mut Program, options: &CompileOptions) {
    if let Some(name) = &options.only_output {
        program.outputs.retain(|output| output.name == *name);
    }
}

/// The program of a training step with the mean of squares of the outputs as its loss, and AdamW.
///
/// # Errors
/// As lowering, differentiation and the passes.
pub fn training(checked: &Checked, sizes: &Sizes, options: &CompileOptions) -> Result<Program, CompileError> {
    let train = TrainOptions { weight_decay: 0.01, ..TrainOptions::new(Loss::MeanOfSquares, ADAMW) };
    training_step(checked, sizes, options, &train)
}

/// The program of a training step.
///
/// # Errors
/// As lowering, differentiation and the passes.
pub fn training_step(
    checked: &Checked,
    sizes: &Sizes,
    options: &CompileOptions,
    train: &TrainOptions,
) -> Result<Program, CompileError> {
    let lowered = lower(checked, sizes, &LowerOptions { training: true, ..LowerOptions::default() }, &AddAlgebra)?;
    let streams = lowered.next_stream();
    let mut forward = lowered.finish();
    keep_measured(&mut forward, options);
    let passes = options.passes();
    optimize_forward(&mut forward, &passes)?;
    let program = training_program(Builder::from_program(forward, streams), train)?;
    let mut program = optimize(program, &passes)?;
    rematerialize(&mut program, &options.rematerialize)?;
    Ok(program)
}
