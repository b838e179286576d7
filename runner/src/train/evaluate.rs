//! Running a graph without training it: predictions and losses of many rows.

use indexmap::IndexMap;
use sward_core::program::RunKey;
use sward_kernels::{Engine, Plan, Tensor};

use super::error::Result;
use super::features::FeatureStore;
use super::programs::{EvaluationOptions, evaluation_forward, frozen_part, optimized, sizes_for};
use super::steps::{held_names, set_all};
use crate::experiment::Joined;
use crate::feed::{Feed, FittedData};

/// Runs an experiment's graph for evaluation. Rows go through in batches; the last, smaller one has a plan of its own, so that no row
/// counts twice.
pub struct Evaluator<'a> {
    engine: &'a dyn Engine,
    joined: &'a Joined,
    fitted: &'a FittedData,
    options: EvaluationOptions,
    batch: usize,
    plans: Vec<(usize, Box<dyn Plan>)>,
    weights: Vec<(String, Tensor)>,
    seed: u64,
    sample: u64,
    uses_features: bool,
}

/// What a graph gives for some rows.
#[derive(Clone, Debug, Default)]
pub struct RawOutputs {
    /// Numbers by predicted field, row by row.
    pub fields: IndexMap<String, Vec<f32>>,
    /// Losses by name, means over rows; empty where none were asked for.
    pub losses: IndexMap<String, f64>,
    /// Weights of tiles by field of photographs, row by row.
    pub maps: IndexMap<String, Vec<Vec<f32>>>,
}

impl<'a> Evaluator<'a> {
    /// An evaluator without weights.
    pub fn new(engine: &'a dyn Engine, joined: &'a Joined, fitted: &'a FittedData, options: EvaluationOptions) -> Evaluator<'a> {
        let train = &joined.experiment.train.value;
        let (batch, seed) = (train.batch, train.seed);
        Evaluator {
            engine,
            joined,
            fitted,
            options,
            batch,
            plans: Vec::new(),
            weights: Vec::new(),
            seed,
            sample: 0,
            uses_features: false,
        }
    }

    /// Gives the graph its parameters and buffers, by their names in the graph.
    ///
    /// # Errors
    /// A tensor of another type.
    pub fn set_weights(&mut self, weights: Vec<(String, Tensor)>) -> Result<()> {
        for (_, plan) in &mut self.plans {
            assign(plan.as_mut(), &weights)?;
        }
        self.weights = weights;
        Ok(())
    }

    /// Prepares the program of the batches that so many rows make, so that what does not fit beside a step is refused before a run begins.
    ///
    /// # Errors
    /// As the engine's.
    pub fn make_ready(&mut self, rows: usize) -> Result<()> {
        if rows > 0 {
            self.plan(rows.min(self.batch))?;
        }
        Ok(())
    }

    /// Which sample of the graph the next runs draw, where dropout drops: the same one gives the same numbers.
    pub fn set_sample(&mut self, sample: u64) {
        self.sample = sample;
    }

    /// The outputs for some rows of a feed, in their order. With `draw`, transforms draw as in that epoch of training (test-time
    /// augmentation).
    ///
    /// # Errors
    /// A photograph that cannot be read, or a fault of the engine.
    pub fn run(&mut self, feed: &Feed<'_>, rows: &[usize], draw: Option<u64>) -> Result<RawOutputs> {
        self.run_with(feed, rows, draw, None)
    }

    /// As [`Evaluator::run`], with kept features in place of the graph's frozen part; the feed gives what is read beside them.
    ///
    /// # Errors
    /// As [`Evaluator::run`].
    pub fn run_with(
        &mut self,
        feed: &Feed<'_>,
        rows: &[usize],
        draw: Option<u64>,
        features: Option<&FeatureStore>,
    ) -> Result<RawOutputs> {
        self.uses_features = features.is_some();
        let mut outputs = RawOutputs::default();
        for (chunk, part) in rows.chunks(self.batch).enumerate() {
            let mut batch = feed.batch(part, draw.unwrap_or(0), draw.is_some(), None)?;
            if let Some(features) = features {
                features.add_to(&mut batch, part);
            }
            let key = RunKey { seed: self.seed, step: (self.sample << 32) + chunk as u64 };
            let plan = self.plan(part.len())?;
            set_all(plan.as_mut(), &batch)?;
            plan.run(key)?;
            let names: Vec<String> = plan.program().outputs.iter().map(|output| output.name.clone()).collect();
            for name in names {
                let tensor = plan.output(&name)?;
                let numbers = tensor.as_f32().unwrap_or_default();
                if let Some(field) = name.strip_prefix("map.") {
                    let tiles = (numbers.len() / part.len()).max(1);
                    outputs.maps.entry(field.to_owned()).or_default().extend(numbers.chunks(tiles).map(<[f32]>::to_vec));
                    continue;
                }
                match name.strip_prefix("predict.") {
                    Some(field) => outputs.fields.entry(field.to_owned()).or_default().extend_from_slice(numbers),
                    None => {
                        let share = part.len() as f64 / rows.len() as f64;
                        *outputs.losses.entry(name).or_insert(0.0) +=
                            share * f64::from(numbers.first().copied().unwrap_or(f32::NAN));
                    }
                }
            }
        }
        // Fields come in the order of the experiment, not of the program.
        let order = |name: &String| self.joined.experiment.predictions.keys().position(|own| own.value == *name);
        outputs.fields.sort_by(|a, _, b, _| order(a).cmp(&order(b)));
        Ok(outputs)
    }

    fn plan(&mut self, batch: usize) -> Result<&mut Box<dyn Plan>> {
        if let Some(index) = self.plans.iter().position(|(own, _)| *own == batch) {
            return Ok(&mut self.plans[index].1);
        }
        let mut program = evaluation_forward(self.joined, &sizes_for(&self.joined.checked, self.fitted, batch), self.options)?;
        if self.uses_features
            && let Some(split) = frozen_part(self.joined, &program, batch)
        {
            program = split.suffix;
        }
        let mut plan = self.engine.prepare(&optimized(self.joined, program)?)?;
        assign(plan.as_mut(), &self.weights)?;
        // Beside the whole batch one remainder is kept: rows of another count come seldom.
        if self.plans.len() > 1 {
            self.plans.pop();
        }
        self.plans.push((batch, plan));
        Ok(&mut self.plans.last_mut().expect("a plan was pushed").1)
    }
}

/// Sets the parameters and buffers that a program has.
fn assign(plan: &mut dyn Plan, weights: &[(String, Tensor)]) -> Result<()> {
    for name in held_names(plan.program()) {
        if let Some((_, tensor)) = weights.iter().find(|(own, _)| *own == name) {
            plan.set(&name, tensor)?;
        }
    }
    Ok(())
}
