//! The programs of an experiment: a training step, and evaluation.

use sward_core::check::Checked;
use sward_core::dim::Sizes;
use sward_core::lower::{LowerOptions, lower};
use sward_core::program::{Builder, Program, Role};
use sward_ops::frozen::{FrozenSplit, split_frozen};
use sward_ops::passes::{PassOptions, optimize, optimize_forward};
use sward_ops::primitives::{AddAlgebra, OptimizerRule};
use sward_ops::training::{Accumulation, LayerDecay, Loss, ParameterGroup, TrainOptions, rematerialize, training_program};

use super::error::Result;
use crate::compile::CompileError;
use crate::experiment::spec::{Cache, GradientRule, Mix, Optimizer, Train};
use crate::experiment::{FieldRole, Joined, PROJECTED, projected_output};
use crate::feed::FittedData;

/// The sizes of a graph at a batch of so many samples: those of the data that it has a name for, others would be none of its own.
pub fn sizes_for(checked: &Checked, fitted: &FittedData, batch: usize) -> Sizes {
    let mut sizes = Sizes::new();
    for name in checked.dimensions() {
        let size = if name == "batch" { Some(batch) } else { fitted.sizes.get(&name).copied() };
        if let Some(size) = size {
            sizes.insert(name.as_str(), size as i64);
        }
    }
    sizes
}

/// The optimizer's rule.
pub fn optimizer_rule(optimizer: &Optimizer) -> OptimizerRule {
    match *optimizer {
        Optimizer::AdamW { betas: (beta1, beta2), epsilon, .. } => OptimizerRule::AdamW { beta1, beta2, epsilon },
        Optimizer::Adam { betas: (beta1, beta2), epsilon, .. } => OptimizerRule::Adam { beta1, beta2, epsilon },
        Optimizer::Sgd { momentum, nesterov, .. } => OptimizerRule::Sgd { momentum, nesterov, dampening: 0.0 },
    }
}

/// The groups of parameters, in order.
pub fn parameter_groups(train: &Train) -> Vec<ParameterGroup> {
    let base = train.optimizer.learning_rate();
    train
        .groups
        .iter()
        .map(|group| ParameterGroup {
            pattern: group.value.pattern.value.clone(),
            learning_rate_scale: group.value.lr.map_or(1.0, |rate| rate / base),
            weight_decay: group.value.weight_decay,
            frozen: group.value.frozen,
            layer_decay: group
                .value
                .layer_decay
                .as_ref()
                .map(|decay| LayerDecay { pattern: decay.pattern(), decay: decay.factor }),
        })
        .collect()
}

/// How a step is taken.
pub fn train_options(joined: &Joined, accumulation: Accumulation) -> TrainOptions {
    let train = &joined.experiment.train.value;
    let projected = match train.gradients {
        GradientRule::Sum => Vec::new(),
        GradientRule::PcGrad => joined.losses.iter().map(|loss| projected_output(loss)).collect(),
    };
    TrainOptions {
        projected,
        weight_decay: train.optimizer.weight_decay(),
        groups: parameter_groups(train),
        clip_norm: train.clip_norm,
        ema: train.ema.is_some(),
        accumulation,
        guard: true,
        ..TrainOptions::new(Loss::Output("loss".to_owned()), optimizer_rule(&train.optimizer))
    }
}

/// The forward part of a step, with losses alone as outputs.
pub fn forward(joined: &Joined, sizes: &Sizes) -> Result<Builder> {
    let options = LowerOptions { training: true, ..LowerOptions::default() };
    let lowered = lower(&joined.checked, sizes, &options, &AddAlgebra).map_err(CompileError::from)?;
    let streams = lowered.next_stream();
    let mut program = lowered.finish();
    let is_kept = |name: &str| name == "loss" || name.starts_with("loss.") || name.starts_with(PROJECTED);
    program.outputs.retain(|output| is_kept(&output.name));
    Ok(Builder::from_program(program, streams))
}

/// From the forward part to the program of a step.
pub fn step(joined: &Joined, forward: Builder, accumulation: Accumulation) -> Result<Program> {
    let passes = PassOptions { dtype: joined.experiment.train.value.dtype.dtype(), stop_after: None };
    let streams = forward.next_stream();
    let mut program = forward.finish();
    optimize_forward(&mut program, &passes).map_err(CompileError::from)?;
    let options = train_options(joined, accumulation);
    let program = training_program(Builder::from_program(program, streams), &options).map_err(CompileError::from)?;
    let mut program = optimize(program, &passes).map_err(CompileError::from)?;
    let modules: Vec<String> = joined.experiment.train.value.rematerialize.iter().map(|pattern| pattern.value.clone()).collect();
    rematerialize(&mut program, &modules).map_err(CompileError::from)?;
    Ok(program)
}

/// What an evaluation gives, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct EvaluationOptions {
    /// Whether losses are outputs, beside predictions.
    pub losses: bool,
    /// Whether dropout drops as in training (Monte Carlo dropout).
    pub drops: bool,
}

impl EvaluationOptions {
    /// As validation wants it.
    pub const WITH_LOSSES: EvaluationOptions = EvaluationOptions { losses: true, drops: false };
}

/// The program of an evaluation before the passes.
pub fn evaluation_forward(joined: &Joined, sizes: &Sizes, options: EvaluationOptions) -> Result<Program> {
    Ok(lowered_evaluation(joined, sizes, options)?.0)
}

/// Whether dropout makes any two runs of an evaluation differ.
///
/// # Errors
/// Where the graph cannot be lowered.
pub fn has_dropout(joined: &Joined, fitted: &FittedData) -> Result<bool> {
    let sizes = sizes_for(&joined.checked, fitted, 1);
    let (_, streams) = lowered_evaluation(joined, &sizes, EvaluationOptions { losses: false, drops: true })?;
    Ok(streams > 0)
}

/// The program, and how many streams of random numbers it has.
fn lowered_evaluation(joined: &Joined, sizes: &Sizes, options: EvaluationOptions) -> Result<(Program, u32)> {
    let lowering = LowerOptions { drops: options.drops, ..LowerOptions::default() };
    let lowered = lower(&joined.checked, sizes, &lowering, &AddAlgebra).map_err(CompileError::from)?;
    let streams = lowered.next_stream();
    let mut program = lowered.finish();
    program.outputs.retain(|output| output.name.starts_with("predict.") || output.name.starts_with("map.") || options.losses);
    Ok((program, streams))
}

/// A program as an engine runs it.
pub fn optimized(joined: &Joined, program: Program) -> Result<Program> {
    let passes = PassOptions { dtype: joined.experiment.train.value.dtype.dtype(), stop_after: None };
    Ok(optimize(program, &passes).map_err(CompileError::from)?)
}

/// A training step of one batch, as an engine runs it.
///
/// # Errors
/// A graph that has no program at these sizes.
pub fn experiment_step(joined: &Joined, sizes: &Sizes) -> Result<Program> {
    step(joined, forward(joined, sizes)?, Accumulation::None)
}

/// What predicts, as an engine runs it.
///
/// # Errors
/// A graph that has no program at these sizes.
pub fn experiment_prediction(joined: &Joined, sizes: &Sizes) -> Result<Program> {
    optimized(joined, evaluation_forward(joined, sizes, EvaluationOptions::default())?)
}

/// Where a forward program's frozen part ends, if that is worth anything: what sees the same numbers whenever it sees a row.
pub fn frozen_part(joined: &Joined, program: &Program, batch: usize) -> Option<FrozenSplit> {
    let train = &joined.experiment.train.value;
    if train.cache == Cache::Never || train.mix.as_ref().is_some_and(|mix| !matches!(mix.value, Mix::Manifold { .. })) {
        return None;
    }
    let groups = parameter_groups(train);
    let is_frozen = |name: &str| {
        let group = groups.iter().find(|group| sward_ops::training::path_matches(&group.pattern, name));
        group.is_some_and(|group| group.frozen)
    };
    split_frozen(program, batch, &|argument| match argument.role {
        Role::Parameter { trained } => !trained || is_frozen(&argument.name),
        Role::State => true,
        Role::Setting => false,
        Role::Input => {
            let input = joined.inputs.iter().find(|input| input.input == argument.name);
            let field = input.map(|input| &joined.data.fields[&input.field]);
            // Targets go into losses, where they meet whole batches.
            field.is_some_and(|field| {
                field.role == FieldRole::Feature && field.transform.as_ref().is_none_or(|transform| !transform.is_random())
            })
        }
    })
}

/// Elements of parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParameterCount {
    /// Trained ones.
    pub trained: usize,
    /// Frozen ones.
    pub frozen: usize,
}

impl ParameterCount {
    /// Counts the parameters of a training program.
    pub fn of(program: &Program, groups: &[ParameterGroup]) -> ParameterCount {
        let mut count = ParameterCount::default();
        for argument in &program.arguments {
            let Role::Parameter { trained } = argument.role else { continue };
            let group = groups.iter().find(|group| sward_ops::training::path_matches(&group.pattern, &argument.name));
            let elements = program.type_of(argument.value).elements();
            if trained && !group.is_some_and(|group| group.frozen) {
                count.trained += elements;
            } else {
                count.frozen += elements;
            }
        }
        count
    }
}
