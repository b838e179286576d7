//! One optimizer step: one batch, or several whose gradients are added.

use std::time::Instant;

use sward_core::check::Checked;
use sward_core::program::{Builder, Program, Role, RunKey};
use sward_kernels::{Engine, InstructionTime, Memory, Plan, RunError, Tensor};
use sward_ops::primitives::OptimizerRule;
use sward_ops::training::Accumulation;

use super::error::{Result, TrainError};
use super::programs::step;
use crate::experiment::Joined;
use crate::feed::{Batch, FittedData};
use crate::initialize::initial_values;

/// The bytes that a training step of an experiment takes.
///
/// # Errors
/// A graph that has no program at these sizes, or an engine that cannot run it.
pub fn step_memory(engine: &dyn Engine, joined: &Joined, fitted: &FittedData, rows: usize) -> Result<Memory> {
    let batch = joined.experiment.train.value.batch.min(rows);
    let lowered = super::programs::forward(joined, &super::programs::sizes_for(&joined.checked, fitted, batch))?;
    let streams = lowered.next_stream();
    Ok(Stepper::new(engine, joined, &(lowered.finish(), streams))?.memory())
}

/// What a step found.
#[derive(Clone, Debug, Default)]
pub struct StepResult {
    /// The mean loss of its batches.
    pub loss: f64,
    /// Losses by name.
    pub losses: Vec<(String, f64)>,
    /// The norm of the gradients before clipping, where they are clipped.
    pub gradient_norm: Option<f64>,
    /// Whether everything was finite; if not, nothing was changed.
    pub is_finite: bool,
    /// How long its programs were waited for, in seconds: where a device computes beside the processor, less than they ran.
    pub seconds: f64,
}

/// The plans of a training step.
pub struct Stepper {
    finish: Box<dyn Plan>,
    gather: Option<Box<dyn Plan>>,
    rule: OptimizerRule,
    ema: Option<f64>,
    /// What both plans have: parameters and buffers.
    shared: Vec<String>,
    accumulated: Vec<String>,
    /// The batch, by its key, whose inputs the plan already has.
    staged: Option<RunKey>,
}

impl Stepper {
    /// Compiles and prepares the programs of a step from its forward part, a program and its next random stream.
    ///
    /// # Errors
    /// A graph that has no program at these sizes, or an engine that cannot run it.
    pub fn new(engine: &dyn Engine, joined: &Joined, forward: &(Program, u32)) -> Result<Stepper> {
        let train = &joined.experiment.train.value;
        let many = train.accumulate > 1;
        let last = if many { Accumulation::Finish } else { Accumulation::None };
        let builder = || Builder::from_program(forward.0.clone(), forward.1);
        let finish = engine.prepare(&step(joined, builder(), last)?)?;
        let gather = match many {
            true => Some(engine.prepare(&step(joined, builder(), Accumulation::Gather)?)?),
            false => None,
        };
        let names = |keep: &dyn Fn(&str, Role) -> bool| -> Vec<String> {
            let arguments = finish.program().arguments.iter();
            arguments.filter(|argument| keep(&argument.name, argument.role)).map(|argument| argument.name.clone()).collect()
        };
        let is_own = |name: &str| name.starts_with("optimizer.") || name.starts_with("ema.") || name.starts_with("accumulated.");
        let shared = names(&|name, role| matches!(role, Role::Parameter { .. } | Role::State) && !is_own(name));
        let accumulated = names(&|name, _| name.starts_with("accumulated."));
        let rule = super::programs::optimizer_rule(&train.optimizer);
        Ok(Stepper { finish, gather, rule, ema: train.ema, shared, accumulated, staged: None })
    }

    /// The program of the step.
    pub fn program(&self) -> &Program {
        self.finish.program()
    }

    /// The plan that holds parameters, buffers, moments and averages.
    pub fn plan(&self) -> &dyn Plan {
        self.finish.as_ref()
    }

    /// As [`Stepper::plan`], to be written.
    pub fn plan_mut(&mut self) -> &mut dyn Plan {
        self.finish.as_mut()
    }

    /// Bytes of all plans.
    pub fn memory(&self) -> Memory {
        let (a, b) = (self.finish.memory(), self.gather.as_ref().map(|plan| plan.memory()).unwrap_or_default());
        Memory { arena: a.arena + b.arena, held: a.held + b.held, unplanned: a.unplanned + b.unplanned }
    }

    /// Starts measuring, where asked for.
    pub fn set_profiling(&mut self, on: bool) {
        self.finish.set_profiling(on);
    }

    /// Times of instructions since then.
    pub fn profile(&self) -> Vec<InstructionTime> {
        self.finish.profile()
    }

    /// The first values of a run: parameters by seed, replaced by those of `pretrained`; averages begin as the parameters.
    ///
    /// # Errors
    /// A tensor of another type.
    pub fn initialize(&mut self, checked: &Checked, seed: u64, pretrained: &[(String, Tensor)]) -> Result<()> {
        let program = self.finish.program().clone();
        let mut values = initial_values(checked, &program, seed);
        for (name, tensor) in &mut values {
            if let Some((_, loaded)) = pretrained.iter().find(|(own, _)| own == name) {
                *tensor = loaded.clone();
            }
        }
        for (name, tensor) in &values {
            self.finish.set(name, tensor)?;
            let average = format!("ema.{name}");
            if program.argument(&average).is_some() {
                self.finish.set(&average, tensor)?;
            }
        }
        for argument in
            program.arguments.iter().filter(|argument| argument.name.starts_with("optimizer.") && argument.role == Role::State)
        {
            let zeros = Tensor::zeros(program.type_of(argument.value));
            self.finish.set(&argument.name, &zeros)?;
        }
        Ok(())
    }

    /// Takes over everything that another stepper of the same graph holds.
    ///
    /// # Errors
    /// A fault of the engine.
    pub fn take_over(&mut self, other: &Stepper) -> Result<()> {
        copy(other.plan(), self.finish.as_mut(), &held_names(other.program()))
    }

    /// The parameters and buffers that validation and prediction use: averaged where averages are kept.
    ///
    /// # Errors
    /// A fault of the engine.
    pub fn weights(&self) -> Result<Vec<(String, Tensor)>> {
        let mut weights = Vec::with_capacity(self.shared.len());
        for name in &self.shared {
            let average = format!("ema.{name}");
            let source = if self.finish.program().argument(&average).is_some() { &average } else { name };
            weights.push((name.clone(), self.finish.get(source)?));
        }
        Ok(weights)
    }

    /// Takes step `number` (1 at the first) with the gradients of `batches`, at a learning rate. `keys` are the batches' random numbers. While the
    /// device computes, `next` may give the next step's batch, where that is one, with its key: its inputs are then on their way already.
    ///
    /// # Errors
    /// A fault of the engine.
    pub fn step(
        &mut self,
        number: u64,
        rate: f64,
        batches: &[Batch],
        keys: &[RunKey],
        next: impl FnOnce() -> Option<(RunKey, Batch)>,
    ) -> Result<(StepResult, Option<Batch>)> {
        let mut result = StepResult { is_finite: true, ..StepResult::default() };
        let count = batches.len() as f64;
        if let (Some(gather), true) = (&mut self.gather, batches.len() > 1) {
            copy(self.finish.as_ref(), gather.as_mut(), &self.shared)?;
            for name in &self.accumulated {
                let argument = gather.program().argument(name).expect("both programs accumulate");
                let zeros = Tensor::zeros(gather.program().type_of(argument.value));
                gather.set(name, &zeros)?;
            }
            for (batch, key) in batches[..batches.len() - 1].iter().zip(keys) {
                set_all(gather.as_mut(), batch)?;
                result.seconds += timed(gather.as_mut(), *key)?;
                collect(gather.as_ref(), count, &mut result)?;
            }
            copy(gather.as_ref(), self.finish.as_mut(), &self.accumulated)?;
            copy(gather.as_ref(), self.finish.as_mut(), &self.shared)?;
        }
        let (Some(batch), Some(key)) = (batches.last(), keys.last()) else { return Ok((result, None)) };
        let settings: Vec<f32> = self.rule.settings_at(number, rate, 1.0 / count).into_iter().map(|value| value as f32).collect();
        self.finish.set("optimizer.settings", &Tensor::f32(&[settings.len()], settings))?;
        if let Some(decay) = self.ema {
            let own = crate::schedule::ema_decay(decay, number - 1, true);
            self.finish.set("ema.decay", &Tensor::f32(&[], vec![own as f32]))?;
        }
        if self.staged.take() != Some(*key) {
            set_all(self.finish.as_mut(), batch)?;
        }
        let begun = Instant::now();
        self.finish.start(*key)?;
        result.seconds += begun.elapsed().as_secs_f64();
        let next = match next() {
            Some((key, batch)) => {
                set_all(self.finish.as_mut(), &batch)?;
                self.staged = Some(key);
                Some(batch)
            }
            None => None,
        };
        let begun = Instant::now();
        self.finish.wait()?;
        result.seconds += begun.elapsed().as_secs_f64();
        collect(self.finish.as_ref(), count, &mut result)?;
        if self.finish.program().output("gradient_norm").is_some() {
            result.gradient_norm = scalar(self.finish.as_ref(), "gradient_norm")?;
        }
        Ok((result, next))
    }

    /// The first node whose result is not finite for a batch, as a sentence. Parameters are of no use afterwards.
    pub fn trace(&mut self, batch: &Batch, key: RunKey) -> Option<String> {
        self.staged = None;
        self.finish.trap_nonfinite(true);
        let outcome = set_all(self.finish.as_mut(), batch).and_then(|()| Ok(self.finish.run(key)?));
        self.finish.trap_nonfinite(false);
        match outcome {
            Err(TrainError::Run(error @ RunError::NonFinite { .. })) => Some(error.to_string()),
            _ => None,
        }
    }
}

/// The names of what a program keeps between its runs: parameters and buffers.
pub(super) fn held_names(program: &Program) -> Vec<String> {
    let held = program.arguments.iter().filter(|argument| matches!(argument.role, Role::Parameter { .. } | Role::State));
    held.map(|argument| argument.name.clone()).collect()
}

/// Gives a plan what it reads of a batch.
pub(super) fn set_all(plan: &mut dyn Plan, batch: &Batch) -> Result<()> {
    for (name, tensor) in batch {
        if plan.program().argument(name).is_some() {
            plan.set(name, tensor)?;
        }
    }
    Ok(())
}

/// Runs a plan; the seconds that it took.
fn timed(plan: &mut dyn Plan, key: RunKey) -> Result<f64> {
    let start = Instant::now();
    plan.run(key)?;
    Ok(start.elapsed().as_secs_f64())
}

fn copy(from: &dyn Plan, to: &mut dyn Plan, names: &[String]) -> Result<()> {
    for name in names {
        to.set(name, &from.get(name)?)?;
    }
    Ok(())
}

fn scalar(plan: &dyn Plan, name: &str) -> Result<Option<f64>> {
    let tensor = plan.output(name)?;
    Ok(tensor.as_f32().and_then(|numbers| numbers.first().copied()).map(f64::from))
}

/// Adds what one batch gave.
fn collect(plan: &dyn Plan, count: f64, result: &mut StepResult) -> Result<()> {
    let names: Vec<String> = plan.program().outputs.iter().map(|output| output.name.clone()).collect();
    for name in names {
        if name == "is_finite" {
            result.is_finite &= plan.output(&name)?.bytes().first().is_some_and(|byte| *byte != 0);
        } else if name == "loss" {
            let loss = scalar(plan, &name)?.unwrap_or(f64::NAN);
            result.is_finite &= loss.is_finite();
            result.loss += loss / count;
        } else if name.starts_with("loss.") {
            let loss = scalar(plan, &name)?.unwrap_or(f64::NAN) / count;
            match result.losses.iter_mut().find(|(own, _)| *own == name) {
                Some((_, sum)) => *sum += loss,
                None => result.losses.push((name, loss)),
            }
        }
    }
    Ok(())
}
