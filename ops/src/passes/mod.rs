//! The passes: what happens to a program between lowering and an engine.
//!
//! [`PIPELINE`] is the one ordered list. Every pass takes a verified program to a verified program of the same meaning ([`interpret`] gives the same
//! up to rounding). Those of [`Stage::Forward`] also run before differentiation, so that the backward pass follows from their result.
//!
//! [`interpret`]: sward_core::program::interpret

mod algebra;
mod attention;
mod blocks;
mod common;
mod constants;
mod dead;
mod detach;
mod factor;
mod fuse_epilogues;
mod fuse_maps;
mod fuse_reductions;
mod hoist;
mod joins;
mod layout;
mod maps;
mod narrow;
mod precision;
mod projection;
mod query_folding;
mod reshapes;
mod rewrite;
mod schedule;

pub use dead::prune;

use sward_core::program::{BuildError, DType, Program, Role, VerifyError, verify};

/// When a pass may run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// Before differentiation and after it.
    Forward,
    /// Only on a program that is not differentiated any more.
    Final,
}

/// One step of the pipeline.
#[derive(Clone, Copy)]
pub struct Pass {
    /// The name, as `--stop-after` takes it.
    pub name: &'static str,
    /// Why it stands where it stands.
    pub reason: &'static str,
    /// When it may run.
    pub stage: Stage,
    run: fn(&mut Program) -> Result<usize, BuildError>,
    only_narrow: bool,
}

impl std::fmt::Debug for Pass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.name, self.reason)
    }
}

type Run = fn(&mut Program) -> Result<usize, BuildError>;

const fn forward(name: &'static str, run: Run, reason: &'static str) -> Pass {
    Pass { name, reason, stage: Stage::Forward, run, only_narrow: false }
}

const fn last(name: &'static str, run: Run, reason: &'static str) -> Pass {
    Pass { name, reason, stage: Stage::Final, run, only_narrow: false }
}

/// The passes in their order.
pub const PIPELINE: &[Pass] = &[
    last("detach", detach::run, "first: gradients are settled, and what they ended at must not stand between other steps"),
    forward("unread", dead::run, "before anything counts readers: what no output needs is none"),
    forward("algebra", algebra::run, "identities go before anything looks for patterns"),
    forward("constants", constants::run, "after algebra, which turns movements of numbers into numbers"),
    forward("common", common::run, "before layout, so that equal permutes are one value with one layout"),
    forward("layout", layout::run, "permutes cancel while each still stands beside the op that asked for it"),
    forward("reshapes", reshapes::run, "after layout, which turns reshapes of permuted values into plain ones"),
    forward("algebra_again", algebra::run, "layout and reshapes leave chains of movements behind"),
    forward("common_again", common::run, "equal work under different layouts is equal only now"),
    forward("attention", attention::run, "needs the product and softmax as they were written, before maps are fused"),
    forward("narrow", narrow::run, "needs attentions as such: their queries are narrowed, their keys are not"),
    forward(
        "query_folding",
        query_folding::run,
        "needs attentions whose keys are plain projections, and helps the backward pass too",
    ),
    Pass {
        only_narrow: true,
        ..forward("precision", precision::run, "last of what differentiation follows: gradients take the dtypes chosen here")
    },
    last("joins", joins::run, "sums of padded slices are recognized while they are plain sums"),
    last("hoist", hoist::run, "before fusion, which would not find small operands inside larger expressions"),
    last(
        "factor",
        factor::run,
        "after hoist, which leaves a factor as one operand; sums that differ in factors alone become one",
    ),
    last("fuse_epilogues", fuse_epilogues::run, "products take their maps before these join other maps"),
    last("fuse_maps", fuse_maps::run, "the maps that no product took become as few as can be"),
    last("fuse_reductions", fuse_reductions::run, "after map fusion, so that a reduction takes the whole chain"),
    last("common_last", common::run, "casts and views that fusion repeated are shared again"),
    last("schedule", schedule::run, "after everything that could change what reads a parameter or its gradient"),
    forward("dead_code", dead::run, "last: the others leave behind what they replaced"),
];

/// What the pipeline is to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PassOptions {
    /// The dtype that activations are stored in: `F32`, or `BF16` for mixed precision.
    pub dtype: DType,
    /// The pass to stop after; what it left unread is removed all the same.
    pub stop_after: Option<String>,
}

impl Default for PassOptions {
    fn default() -> PassOptions {
        PassOptions { dtype: DType::F32, stop_after: None }
    }
}

/// Why a program was not optimized.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PassError {
    /// There is no pass of that name.
    #[error("there is no pass `{name}`; the passes are {}", .known.join(", "))]
    Unknown {
        /// The name given.
        name: String,
        /// The names that there are.
        known: Vec<&'static str>,
    },
    /// A pass emitted what does not fit: a bug of that pass.
    #[error("pass {pass}: {error}")]
    Build {
        /// The pass.
        pass: &'static str,
        /// What does not fit.
        error: BuildError,
    },
    /// A pass left a program that breaks a rule: a bug of that pass.
    #[error("pass {pass}: {error}")]
    Broken {
        /// The pass.
        pass: &'static str,
        /// The rule.
        error: VerifyError,
    },
}

/// Runs the whole pipeline: for inference, and for a training step after its differentiation.
///
/// # Errors
/// [`PassError::Unknown`] for a `stop_after` that names no pass.
pub fn optimize(mut program: Program, options: &PassOptions) -> Result<Program, PassError> {
    run(&mut program, options, |_| true)?;
    Ok(program)
}

/// Runs the passes that differentiation should follow; then differentiate, and [`optimize`] the result with the same options.
///
/// Values get other numbers: find arguments and outputs by their names afterwards.
///
/// # Errors
/// As [`optimize`].
pub fn optimize_forward(program: &mut Program, options: &PassOptions) -> Result<(), PassError> {
    run(program, options, |pass| pass.stage == Stage::Forward)
}

fn run(program: &mut Program, options: &PassOptions, selected: impl Fn(&Pass) -> bool) -> Result<(), PassError> {
    if let Some(name) = &options.stop_after
        && !PIPELINE.iter().any(|pass| pass.name == name)
    {
        let known = PIPELINE.iter().map(|pass| pass.name).collect();
        return Err(PassError::Unknown { name: name.clone(), known });
    }
    for pass in PIPELINE {
        if selected(pass) && (!pass.only_narrow || options.dtype == DType::BF16) {
            (pass.run)(program).map_err(|error| PassError::Build { pass: pass.name, error })?;
            check(program, pass.name)?;
        }
        if options.stop_after.as_deref() == Some(pass.name) {
            dead::run(program).map_err(|error| PassError::Build { pass: pass.name, error })?;
            return check(program, pass.name);
        }
    }
    Ok(())
}

/// Verifies after every pass where debug assertions are on.
fn check(program: &Program, pass: &'static str) -> Result<(), PassError> {
    if cfg!(debug_assertions) {
        verify(program).map_err(|error| PassError::Broken { pass, error })?;
    }
    Ok(())
}

/// For every instruction, whether its results depend on parameters, unchanging state and literals alone: an engine computes those once and keeps
/// them as long as the parameters stay. In a training step there are such only of frozen parameters.
pub fn parameter_only(program: &Program) -> Vec<bool> {
    let mut is_fixed = vec![false; program.types.len()];
    for argument in &program.arguments {
        let is_held = matches!(argument.role, Role::Parameter { .. } | Role::State);
        is_fixed[argument.value.index()] = is_held && program.updates.iter().all(|update| update.slot != argument.value);
    }
    program
        .instructions
        .iter()
        .map(|instruction| {
            let fixed = !instruction.op.is_random() && instruction.inputs.iter().all(|input| is_fixed[input.index()]);
            for output in &instruction.outputs {
                is_fixed[output.index()] = fixed;
            }
            fixed
        })
        .collect()
}
