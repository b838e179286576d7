//! From a lowered graph to a program that gives gradients or takes a training step.
//!
//! Nothing is hidden state: moments, averaged weights and accumulated gradients are arguments of the role `State`, learning rate and step count are
//! arguments of the role `Setting`, and the step is ordinary instructions.
//!
//! | argument | type | meaning |
//! |---|---|---|
//! | `optimizer.settings` | `f32 [k]` | what [`OptimizerRule::settings_at`] gives for the step |
//! | `optimizer.<parameter>.m`, `.v` | `f32`, as the parameter | Adam's moments, zeros at the start |
//! | `optimizer.<parameter>.momentum` | `f32`, as the parameter | SGD's buffer, zeros at the start |
//! | `ema.decay` | `f32 []` | what the averaged weights keep of themselves |
//! | `ema.<parameter>` | `f32`, as the parameter | the averaged weights, at the start the parameter |
//! | `accumulated.<parameter>` | `f32`, as the parameter | the sum of gradients, zeros at the start |

mod halves;
mod layer_decay;
mod rematerialize;
mod surgery;

pub use halves::{Halves, halves};
pub use layer_decay::{LayerDecay, LayerDecayError};
pub use rematerialize::{NothingToRematerialize, modules_of, rematerialize};
pub use sward_core::glob::matches as path_matches;

use crate::primitives::{AddAlgebra, EmitExt, OptimizerRule, OptimizerUpdate, SquaredNorm};
use rustc_hash::FxHashMap;
use sward_core::program::{
    Argument, BuildError, Builder, DType, Gradients, Output, Program, Role, TensorType, ValueId, differentiate,
};

/// The scalar whose gradient is taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Loss {
    /// The output of that name; the sum of its elements, if it has several.
    Output(String),
    /// The mean of the squares of each float output, added up: a loss for measuring the speed of graphs that have none.
    MeanOfSquares,
}

/// What [`gradient_program`] returns beside the graph's own outputs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GradientOptions {
    /// The scalar.
    pub loss: Loss,
    /// Whether `grad.<parameter>` is an output for every trained parameter.
    pub parameters: bool,
    /// Whether `grad_in.<input>` is an output for every float input.
    pub inputs: bool,
}

/// Parameters that are trained in their own way: those whose path the pattern matches.
#[derive(Clone, PartialEq, Debug)]
pub struct ParameterGroup {
    /// A path in which `*` stands for any characters, dots included, and `?` for one.
    pub pattern: String,
    /// The factor of the learning rate.
    pub learning_rate_scale: f64,
    /// Makes the learning rate shrink from block to block, beside that factor.
    pub layer_decay: Option<LayerDecay>,
    /// The weight decay, in place of the options'.
    pub weight_decay: Option<f64>,
    /// Whether the parameters stay as they are; frozen ones cost no backward pass.
    pub frozen: bool,
}

impl ParameterGroup {
    /// A group that is trained as everything else.
    pub fn new(pattern: &str) -> ParameterGroup {
        ParameterGroup {
            pattern: pattern.to_string(),
            learning_rate_scale: 1.0,
            layer_decay: None,
            weight_decay: None,
            frozen: false,
        }
    }
}

/// Which part of a step a program takes when gradients of several micro-batches are accumulated.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Accumulation {
    /// A step is one batch.
    #[default]
    None,
    /// Adds the gradients to `accumulated.<parameter>` and takes no step.
    Gather,
    /// Adds the last micro-batch's gradients to the accumulated ones, takes the step with the sum (settings scale it to the mean) and sets the
    /// accumulated ones to zero.
    Finish,
}

/// How a training step is taken.
#[derive(Clone, PartialEq, Debug)]
pub struct TrainOptions {
    /// What is made small.
    pub loss: Loss,
    /// The rule of the optimizer.
    pub optimizer: OptimizerRule,
    /// The weight decay of parameters whose group says nothing else.
    pub weight_decay: f64,
    /// Groups of parameters; the first that matches counts.
    pub groups: Vec<ParameterGroup>,
    /// The largest global norm of all (scaled) gradients; larger ones are scaled to it. PyTorch: `clip_grad_norm_`.
    pub clip_norm: Option<f64>,
    /// Whether `ema.<parameter>` follow the parameters.
    pub ema: bool,
    /// Whether gradients of several batches are accumulated.
    pub accumulation: Accumulation,
    /// Scalar outputs whose gradients are taken apart and projected where they conflict (PCGrad), in place of the loss' own gradient; none for the latter.
    pub projected: Vec<String>,
    /// Whether gradients that are not finite leave parameters, moments and averages as they were, and are not gathered (the last step of an
    /// accumulation drops what was gathered, too); `is_finite` is an output then.
    pub guard: bool,
}

impl TrainOptions {
    /// A plain step of a rule: no decay, groups, clipping, averaging or guard.
    pub fn new(loss: Loss, optimizer: OptimizerRule) -> TrainOptions {
        TrainOptions {
            loss,
            optimizer,
            weight_decay: 0.0,
            groups: Vec::new(),
            clip_norm: None,
            ema: false,
            accumulation: Accumulation::None,
            projected: Vec::new(),
            guard: false,
        }
    }

    fn group(&self, parameter: &str) -> Option<&ParameterGroup> {
        self.groups.iter().find(|group| path_matches(&group.pattern, parameter))
    }

    fn is_trained(&self, argument: &Argument) -> bool {
        argument.role == Role::Parameter { trained: true } && !self.group(&argument.name).is_some_and(|group| group.frozen)
    }
}

/// Why a graph has no training program.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum TrainingError {
    /// There is no output of that name.
    #[error("there is no output `{name}` to take gradients of; the outputs are {}", .known.join(", "))]
    NoSuchOutput {
        /// The name given.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// The loss is not a float.
    #[error("`{name}` is {found}: gradients are taken of floats")]
    NotFloat {
        /// The output's name.
        name: String,
        /// Its type.
        found: String,
    },
    /// There is no float output.
    #[error("no output is a float, so that there is nothing to take gradients of")]
    NoFloatOutput,
    /// A step needs a scalar.
    #[error("the loss `{name}` is {found}, and a training step needs one number")]
    NotScalar {
        /// The output's name.
        name: String,
        /// Its type.
        found: String,
    },
    /// No parameter is trained.
    #[error("no parameter is trained: all are frozen, or the graph has none")]
    NothingTrained,
    /// A group that matches no trained parameter.
    #[error("the group `{pattern}` matches no parameter")]
    UnusedGroup {
        /// Its pattern.
        pattern: String,
    },
    /// A decay from block to block that does not apply.
    #[error(transparent)]
    LayerDecay(#[from] LayerDecayError),
    /// A primitive without gradient, or operands that do not fit.
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// The program with its backward pass and gradients as outputs, after the graph's own outputs.
///
/// # Errors
/// Where the loss is no float output, or a gradient does not exist.
pub fn gradient_program(mut builder: Builder, options: &GradientOptions) -> Result<Program, TrainingError> {
    let (value, loss_name) = loss(&mut builder, &options.loss)?;
    let arguments = builder.program().arguments.clone();
    let is_wanted = |argument: &&Argument| match argument.role {
        Role::Parameter { trained } => options.parameters && trained,
        Role::Input => options.inputs && builder.type_of(argument.value).dtype.is_float(),
        Role::State | Role::Setting => false,
    };
    let wanted: Vec<Argument> = arguments.iter().filter(is_wanted).cloned().collect();
    let gradients = backward(&mut builder, value, &wanted)?;
    if let Some(name) = loss_name {
        builder.output(name, value);
    }
    for argument in &wanted {
        let gradient = own_dtype(&mut builder, gradients.of(argument.value), argument)?;
        let prefix = if argument.role == Role::Input { "grad_in" } else { "grad" };
        builder.output(&format!("{prefix}.{}", argument.name), gradient);
    }
    Ok(builder.finish())
}

/// The program of one training step. Its outputs are the graph's own; `loss`, where the loss is none of them; `gradient_norm` (of the scaled
/// gradients, before clipping) with `clip_norm`; and `is_finite` with `guard`.
///
/// # Errors
/// Where the loss is no scalar output, no parameter is trained, a group matches nothing, or a gradient does not exist.
pub fn training_program(mut builder: Builder, options: &TrainOptions) -> Result<Program, TrainingError> {
    check_groups(builder.program(), options)?;
    let (value, loss_name) = loss(&mut builder, &options.loss)?;
    let loss_type = builder.type_of(value);
    if loss_type.elements() != 1 {
        let name = if let Loss::Output(name) = &options.loss { name.clone() } else { "loss".to_string() };
        return Err(TrainingError::NotScalar { name, found: loss_type.to_string() });
    }
    let trained: Vec<Argument> =
        builder.program().arguments.iter().filter(|argument| options.is_trained(argument)).cloned().collect();
    if trained.is_empty() {
        return Err(TrainingError::NothingTrained);
    }
    let found = match options.projected.is_empty() {
        true => {
            let gradients = backward(&mut builder, value, &trained)?;
            trained.iter().map(|argument| gradients.of(argument.value)).collect()
        }
        false => surgery::projected(&mut builder, &options.projected, &trained)?,
    };
    if let Some(name) = loss_name {
        builder.output(name, value);
    }
    let mut step = Step { builder, options, values: Vec::new(), accumulators: Vec::new(), finite: None };
    for (argument, gradient) in trained.iter().zip(found) {
        step.builder.restore_origin(argument.origin);
        let gradient = own_dtype(&mut step.builder, gradient, argument)?;
        step.add(argument, gradient)?;
    }
    step.builder.restore_origin(sward_core::program::OriginId(0));
    step.guard()?;
    match options.accumulation {
        Accumulation::Gather => step.gather()?,
        Accumulation::None | Accumulation::Finish => step.take(&trained)?,
    }
    Ok(step.builder.finish())
}

fn check_groups(program: &Program, options: &TrainOptions) -> Result<(), TrainingError> {
    let parameters = || program.arguments.iter().filter(|argument| matches!(argument.role, Role::Parameter { .. }));
    match options.groups.iter().find(|group| !parameters().any(|argument| path_matches(&group.pattern, &argument.name))) {
        Some(group) => Err(TrainingError::UnusedGroup { pattern: group.pattern.clone() }),
        None => Ok(()),
    }
}

/// The value whose gradient is taken, and the name that it gets as an output where it is none yet.
fn loss(builder: &mut Builder, loss: &Loss) -> Result<(ValueId, Option<&'static str>), TrainingError> {
    let program = builder.program();
    match loss {
        Loss::Output(name) => Ok((find_loss(program, name)?, None)),
        Loss::MeanOfSquares => {
            let is_float = |output: &&Output| program.type_of(output.value).dtype.is_float();
            let outputs: Vec<ValueId> = program.outputs.iter().filter(is_float).map(|output| output.value).collect();
            let is_named = program.output("loss").is_some();
            let mut total: Option<ValueId> = None;
            for output in outputs {
                let wide = builder.cast(output, DType::F32)?;
                let squares = builder.mul(wide, wide)?;
                let axes: Vec<usize> = (0..builder.shape(squares).len()).collect();
                let mean = builder.reduce_mean(squares, &axes)?;
                let mean = builder.reshape(mean, &[])?;
                total = Some(match total {
                    Some(total) => builder.add(total, mean)?,
                    None => mean,
                });
            }
            Ok((total.ok_or(TrainingError::NoFloatOutput)?, if is_named { Some("mean_of_squares") } else { Some("loss") }))
        }
    }
}

/// The float output of that name.
fn find_loss(program: &Program, name: &str) -> Result<ValueId, TrainingError> {
    let Some(output) = program.output(name) else {
        let known = program.outputs.iter().map(|output| output.name.clone()).collect();
        return Err(TrainingError::NoSuchOutput { name: name.to_string(), known });
    };
    let found = program.type_of(output.value);
    if !found.dtype.is_float() {
        return Err(TrainingError::NotFloat { name: name.to_string(), found: found.to_string() });
    }
    Ok(output.value)
}

fn backward(builder: &mut Builder, loss: ValueId, wanted: &[Argument]) -> Result<Gradients, TrainingError> {
    let seed_type = builder.type_of(loss).clone();
    let seed = builder.fill(seed_type.dtype, &seed_type.shape, 1.0)?;
    let values: Vec<ValueId> = wanted.iter().map(|argument| argument.value).collect();
    Ok(differentiate(builder, &[(loss, seed)], &values, &AddAlgebra)?)
}

/// An argument's gradient in its own dtype; zeros where the loss does not depend on it.
fn own_dtype(builder: &mut Builder, gradient: Option<ValueId>, argument: &Argument) -> Result<ValueId, BuildError> {
    let own = builder.type_of(argument.value).clone();
    match gradient {
        Some(gradient) => builder.cast(gradient, own.dtype),
        None => builder.fill(own.dtype, &own.shape, 0.0),
    }
}

/// A training step while its instructions are emitted.
struct Step<'a> {
    builder: Builder,
    options: &'a TrainOptions,
    /// The gradients, accumulated ones added.
    values: Vec<ValueId>,
    /// The arguments `accumulated.<parameter>`.
    accumulators: Vec<ValueId>,
    /// The square of the gradients' norm, and whether it is finite.
    finite: Option<(ValueId, ValueId)>,
}

impl Step<'_> {
    fn state(&mut self, name: &str, like: ValueId) -> ValueId {
        let tensor_type = TensorType::f32(self.builder.shape(like));
        self.builder.argument(name, Role::State, tensor_type)
    }

    fn add(&mut self, argument: &Argument, gradient: ValueId) -> Result<(), BuildError> {
        let gradient = match self.options.accumulation {
            Accumulation::None => gradient,
            Accumulation::Gather | Accumulation::Finish => {
                let accumulated = self.state(&format!("accumulated.{}", argument.name), argument.value);
                self.accumulators.push(accumulated);
                self.builder.add(accumulated, gradient)?
            }
        };
        self.values.push(gradient);
        Ok(())
    }

    /// Whether all gradients are finite: their squared norm is (where its square overflows, the step would be no step either).
    fn guard(&mut self) -> Result<(), BuildError> {
        if !self.options.guard {
            return Ok(());
        }
        let square = self.builder.emit_one(SquaredNorm, &self.values)?;
        let is_finite = self.builder.map1(square, |graph, square| {
            let infinity = graph.number(f64::INFINITY);
            graph.less(square, infinity)
        })?;
        self.builder.output("is_finite", is_finite);
        self.finite = Some((square, is_finite));
        Ok(())
    }

    /// States the next contents of an argument, or that it stays where the gradients are not finite.
    fn update(&mut self, slot: ValueId, value: ValueId) -> Result<(), BuildError> {
        let value = match self.finite {
            Some((_, is_finite)) => self.builder.select(is_finite, value, slot)?,
            None => value,
        };
        self.builder.update(slot, value);
        Ok(())
    }

    fn gather(&mut self) -> Result<(), BuildError> {
        for (accumulated, sum) in self.accumulators.clone().into_iter().zip(self.values.clone()) {
            self.update(accumulated, sum)?;
        }
        Ok(())
    }

    fn take(&mut self, trained: &[Argument]) -> Result<(), TrainingError> {
        let settings = self.settings()?;
        let decay = self.options.ema.then(|| self.builder.argument("ema.decay", Role::Setting, TensorType::f32(&[])));
        let layers = layer_scales(self.builder.program(), self.options)?;
        let mut scaled: FxHashMap<u64, ValueId> = FxHashMap::default();
        for (argument, gradient) in trained.iter().zip(self.values.clone()) {
            self.builder.restore_origin(argument.origin);
            let group = self.options.group(&argument.name);
            let scale = group.map_or(1.0, |group| group.learning_rate_scale) * layers.get(&argument.name).unwrap_or(&1.0);
            let own_settings = match scaled.get(&scale.to_bits()) {
                Some(known) => *known,
                None => self.scale_learning_rate(settings, scale)?,
            };
            scaled.insert(scale.to_bits(), own_settings);
            let rule = self.options.optimizer;
            let weight_decay = group.and_then(|group| group.weight_decay).unwrap_or(self.options.weight_decay);
            let mut operands = vec![argument.value, gradient, own_settings];
            for moment in moment_names(&rule) {
                let state = self.state(&format!("optimizer.{}.{moment}", argument.name), argument.value);
                operands.push(state);
            }
            let results = self.builder.emit(OptimizerUpdate { rule, weight_decay }, &operands)?;
            self.update(argument.value, results[0])?;
            for (moment, next) in operands[3..].iter().zip(&results[1..]) {
                self.update(*moment, *next)?;
            }
            if let Some(decay) = decay {
                let average = self.state(&format!("ema.{}", argument.name), argument.value);
                let next = self.builder.map(&[average, results[0], decay], |graph, inputs| {
                    let one = graph.number(1.0);
                    let share = graph.subtract(one, inputs[2]);
                    let kept = graph.multiply(inputs[0], inputs[2]);
                    let taken = graph.multiply(inputs[1], share);
                    graph.add(kept, taken)
                })?;
                self.update(average, next)?;
            }
        }
        for accumulated in self.accumulators.clone() {
            let shape = self.builder.type_of(accumulated).shape.clone();
            let zero = self.builder.fill(DType::F32, &shape, 0.0)?;
            self.builder.update(accumulated, zero);
        }
        Ok(())
    }

    /// The settings argument, its gradient scale multiplied by what clipping asks for.
    fn settings(&mut self) -> Result<ValueId, BuildError> {
        let count = self.options.optimizer.settings();
        let settings = self.builder.argument("optimizer.settings", Role::Setting, TensorType::f32(&[count]));
        let Some(largest) = self.options.clip_norm else { return Ok(settings) };
        let square = match self.finite {
            Some((square, _)) => square,
            None => self.builder.emit_one(SquaredNorm, &self.values)?,
        };
        let scale = self.builder.slice(settings, 0, 1, 1, 1)?;
        let scale = self.builder.reshape(scale, &[])?;
        let norm = self.builder.map(&[square, scale], |graph, inputs| {
            let norm = graph.sqrt(inputs[0]);
            let factor = graph.absolute(inputs[1]);
            graph.multiply(norm, factor)
        })?;
        self.builder.output("gradient_norm", norm);
        let is_scale = self.one_hot(count, 1)?;
        self.builder.map(&[settings, is_scale, norm], |graph, inputs| {
            // PyTorch's clip_grad_norm_: max_norm / (norm + 1e-6), at most 1.
            let small = graph.number(1e-6);
            let largest = graph.number(largest);
            let one = graph.number(1.0);
            let above = graph.add(inputs[2], small);
            let ratio = graph.divide(largest, above);
            let factor = graph.minimum(ratio, one);
            let clipped = graph.multiply(inputs[0], factor);
            graph.select(inputs[1], clipped, inputs[0])
        })
    }

    fn scale_learning_rate(&mut self, settings: ValueId, scale: f64) -> Result<ValueId, BuildError> {
        if scale == 1.0 {
            return Ok(settings);
        }
        let is_rate = self.one_hot(self.options.optimizer.settings(), 0)?;
        self.builder.map(&[settings, is_rate], |graph, inputs| {
            let factor = graph.number(scale);
            let scaled = graph.multiply(inputs[0], factor);
            graph.select(inputs[1], scaled, inputs[0])
        })
    }

    fn one_hot(&mut self, count: usize, position: usize) -> Result<ValueId, BuildError> {
        let data = (0..count).map(|index| f64::from(u8::from(index == position))).collect();
        self.builder.constant(DType::Bool, &[count], data)
    }
}

/// The factors that groups with a layer decay give their parameters, by name.
fn layer_scales(program: &Program, options: &TrainOptions) -> Result<FxHashMap<String, f64>, TrainingError> {
    let parameters = program.arguments.iter().filter(|argument| matches!(argument.role, Role::Parameter { .. }));
    let names: Vec<&str> = parameters.map(|argument| argument.name.as_str()).collect();
    let mut found = FxHashMap::default();
    for group in &options.groups {
        let Some(decay) = &group.layer_decay else { continue };
        let scales = decay.scales(&names)?;
        for (name, scale) in names.iter().zip(scales) {
            // Of several groups that match a parameter, the first counts.
            if options.group(name).is_some_and(|own| std::ptr::eq(own, group)) {
                found.insert((*name).to_string(), scale);
            }
        }
    }
    Ok(found)
}

/// The last parts of the names of a rule's moments, in the primitive's order.
pub fn moment_names(rule: &OptimizerRule) -> &'static [&'static str] {
    match rule {
        OptimizerRule::Sgd { .. } => &["momentum"][..rule.moments()],
        OptimizerRule::Adam { .. } | OptimizerRule::AdamW { .. } => &["m", "v"],
    }
}
