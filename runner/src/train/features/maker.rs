//! Running a frozen part.

use sward_core::program::RunKey;
use sward_kernels::{Data, Engine, Plan, Tensor};
use sward_ops::frozen::FrozenSplit;

use super::super::error::Result;
use super::super::programs::optimized;
use super::super::steps::set_all;
use crate::experiment::{GraphField, Joined};
use crate::feed::{Encoded, Feed};

/// How far features of one row may differ when its neighbours are others, as a share of the largest: rounding, no more.
const TOLERANCE: f32 = 1e-3;

/// What a row's features owe to its neighbours in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Neighbours {
    /// Nothing.
    Nothing,
    /// The last bits.
    Rounding,
    /// More than that.
    Much,
}

/// The frozen part of a program, ready to run.
pub struct Maker<'a> {
    plan: Box<dyn Plan>,
    joined: &'a Joined,
    encoded: &'a Encoded,
    seed: u64,
    batch: usize,
    inputs: Vec<GraphField>,
    cached: Vec<String>,
}

impl<'a> Maker<'a> {
    /// Prepares the frozen part. `weights` gives parameters by name.
    ///
    /// # Errors
    /// A fault of the engine.
    pub fn new(
        engine: &dyn Engine,
        joined: &'a Joined,
        encoded: &'a Encoded,
        split: &FrozenSplit,
        batch: usize,
        weights: &dyn Fn(&str) -> Result<Option<Tensor>>,
    ) -> Result<Maker<'a>> {
        let program = optimized(joined, split.prefix.clone())?;
        let mut plan = engine.prepare(&program)?;
        let names: Vec<String> = program.arguments.iter().map(|argument| argument.name.clone()).collect();
        for name in &names {
            if let Some(tensor) = weights(name)? {
                plan.set(name, &tensor)?;
            }
        }
        let inputs = joined.inputs.iter().filter(|input| names.contains(&input.input)).cloned().collect();
        let cached = split.cached.iter().map(|(name, _)| name.clone()).collect();
        Ok(Maker { plan, joined, encoded, seed: joined.experiment.train.value.seed, batch, inputs, cached })
    }

    /// Computes features of at most a batch of rows. The last row fills a batch that has fewer, so that one plan serves all.
    ///
    /// # Errors
    /// A photograph that cannot be read, or a fault of the engine.
    pub fn make(&mut self, rows: &[usize]) -> Result<Vec<Vec<f32>>> {
        let filled: Vec<usize> = (0..self.batch).map(|index| rows[index.min(rows.len() - 1)]).collect();
        let mut features = self.compute(&filled)?;
        features.truncate(rows.len());
        Ok(features)
    }

    /// Computes rows at other places of a batch, among other neighbours, and compares.
    ///
    /// # Errors
    /// As [`Maker::make`].
    pub fn neighbours(&mut self, rows: &[usize]) -> Result<Neighbours> {
        let batch = self.batch;
        let first: Vec<usize> = rows.iter().copied().cycle().take(batch).collect();
        // Every second place has the row before it, the last row comes first; between them stand rows from elsewhere.
        let moved = |place: usize| (place + batch - 1) % batch;
        let other: Vec<usize> = (0..batch)
            .map(|place| if place % 2 == 0 { first[moved(place)] } else { rows[(batch + place * 7 + 3) % rows.len()] })
            .collect();
        let (whole, again) = (self.compute(&first)?, self.compute(&other)?);
        let mut found = Neighbours::Nothing;
        for place in (0..batch).step_by(2) {
            let (a, b) = (&whole[moved(place)], &again[place]);
            if a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits()) {
                continue;
            }
            let largest = a.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
            if !a.iter().zip(b).all(|(a, b)| (a - b).abs() <= TOLERANCE * largest) {
                return Ok(Neighbours::Much);
            }
            found = Neighbours::Rounding;
        }
        Ok(found)
    }

    /// The features of one batch, row by row.
    fn compute(&mut self, rows: &[usize]) -> Result<Vec<Vec<f32>>> {
        let feed = Feed::new(&self.joined.data, &self.inputs, self.encoded, self.seed, 0);
        set_all(self.plan.as_mut(), &feed.batch(rows, 0, false, None)?)?;
        self.plan.run(RunKey::default())?;
        let mut features = vec![Vec::new(); rows.len()];
        for name in &self.cached {
            let tensor = self.plan.output(name)?;
            let numbers: Vec<f32> = match tensor.data() {
                Data::F32(values) => values.clone(),
                Data::BF16(values) => values.iter().map(|value| value.to_f32()).collect(),
                Data::I64(values) => values.iter().map(|value| *value as f32).collect(),
                Data::Bool(values) => values.iter().map(|value| f32::from(*value)).collect(),
            };
            let width = numbers.len() / rows.len();
            for (own, part) in features.iter_mut().zip(numbers.chunks_exact(width.max(1))) {
                own.extend_from_slice(part);
            }
        }
        Ok(features)
    }
}
