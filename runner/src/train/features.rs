//! Outputs of frozen parts, computed once a row.
//!
//! A backbone that is not trained and sees the same photograph every epoch gives the same features every epoch. Where a program's frozen part
//! ends, what it gives is kept in memory, row by row; the rest of the program reads it as an input.

use std::collections::HashMap;

use sward_core::program::{DType, Program, RunKey, TensorType};
use sward_kernels::{Data, Engine, Plan, Tensor};
use sward_ops::frozen::FrozenSplit;

use super::error::Result;
use super::programs::optimized;
use crate::experiment::{GraphField, Joined};
use crate::feed::{Batch, Encoded, Feed};

/// How far features of one row may differ when its neighbours are others, as a share of the largest: rounding, no more.
const TOLERANCE: f32 = 1e-3;

/// Features of rows, as far as they were asked for.
pub struct FeatureStore {
    plan: Box<dyn Plan>,
    batch: usize,
    inputs: Vec<GraphField>,
    cached: Vec<(String, TensorType)>,
    /// By row: its elements of each cached value, one after another.
    rows: HashMap<usize, Vec<f32>>,
    text: String,
}

impl FeatureStore {
    /// Prepares the frozen part. `weights` gives parameters by name.
    ///
    /// # Errors
    /// A fault of the engine.
    pub fn new(
        engine: &dyn Engine,
        joined: &Joined,
        split: &FrozenSplit,
        batch: usize,
        weights: &dyn Fn(&str) -> Result<Option<Tensor>>,
    ) -> Result<FeatureStore> {
        let program = optimized(joined, split.prefix.clone())?;
        let mut plan = engine.prepare(&program)?;
        let names: Vec<String> = program.arguments.iter().map(|argument| argument.name.clone()).collect();
        for name in &names {
            if let Some(tensor) = weights(name)? {
                plan.set(name, &tensor)?;
            }
        }
        let inputs = joined.inputs.iter().filter(|input| names.contains(&input.input)).cloned().collect();
        Ok(FeatureStore {
            plan,
            batch,
            inputs,
            cached: split.cached.clone(),
            rows: HashMap::new(),
            text: split.prefix.to_string(),
        })
    }

    /// Whether this store's features are those of another program's frozen part.
    pub fn serves(&self, split: &FrozenSplit) -> bool {
        self.text == split.prefix.to_string()
    }

    /// Bytes that a row takes.
    pub fn bytes_of_a_row(&self) -> usize {
        self.cached.iter().map(|(_, tensor_type)| tensor_type.elements() / self.batch * size_of::<f32>()).sum()
    }

    /// How many rows are kept.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether a row's features are its own: whether they stay the same, but for rounding, among other neighbours.
    ///
    /// # Errors
    /// A photograph that cannot be read, or a fault of the engine.
    pub fn is_by_row(&mut self, joined: &Joined, encoded: &Encoded, seed: u64, rows: &[usize]) -> Result<bool> {
        let inputs = self.inputs.clone();
        let feed = Feed::new(&joined.data, &inputs, encoded, seed, 0);
        let first: Vec<usize> = rows.iter().copied().cycle().take(self.batch).collect();
        let other: Vec<usize> = first
            .iter()
            .rev()
            .map(|row| rows[(rows.iter().position(|own| own == row).unwrap_or(0) * 7 + 3) % rows.len()])
            .collect();
        let mixed: Vec<usize> =
            (0..self.batch).map(|index| if index == 0 { first[self.batch - 1] } else { other[index] }).collect();
        let whole = self.compute(&feed, &first)?;
        let again = self.compute(&feed, &mixed)?;
        let (a, b) = (&whole[self.batch - 1], &again[0]);
        let largest = a.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
        Ok(a.iter().zip(b).all(|(a, b)| (a - b).abs() <= TOLERANCE * largest))
    }

    /// Computes the features of rows that are not kept yet. `tell` is given how many are done.
    ///
    /// # Errors
    /// A photograph that cannot be read, or a fault of the engine.
    pub fn ensure(
        &mut self,
        joined: &Joined,
        encoded: &Encoded,
        seed: u64,
        rows: &[usize],
        tell: &mut dyn FnMut(usize),
    ) -> Result<()> {
        let inputs = self.inputs.clone();
        let feed = Feed::new(&joined.data, &inputs, encoded, seed, 0);
        let mut missing: Vec<usize> = rows.iter().copied().filter(|row| !self.rows.contains_key(row)).collect();
        missing.sort_unstable();
        missing.dedup();
        let mut done = 0;
        for part in missing.chunks(self.batch) {
            // The last rows repeat the last of them, so that one plan serves all.
            let filled: Vec<usize> = (0..self.batch).map(|index| part[index.min(part.len() - 1)]).collect();
            let features = self.compute(&feed, &filled)?;
            for (row, own) in part.iter().zip(features) {
                self.rows.insert(*row, own);
            }
            done += part.len();
            tell(done);
        }
        Ok(())
    }

    /// The features of one batch, row by row.
    fn compute(&mut self, feed: &Feed<'_>, rows: &[usize]) -> Result<Vec<Vec<f32>>> {
        for (name, tensor) in feed.batch(rows, 0, false, None)? {
            self.plan.set(&name, &tensor)?;
        }
        self.plan.run(RunKey::default())?;
        let mut features = vec![Vec::new(); rows.len()];
        for (name, _) in &self.cached {
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

    /// Adds the kept features of some rows to their batch.
    ///
    /// # Panics
    /// For a row that was not asked for before.
    pub fn add_to(&self, batch: &mut Batch, rows: &[usize]) {
        let mut start = 0;
        for (name, tensor_type) in &self.cached {
            let width = tensor_type.elements() / self.batch;
            let numbers = rows.iter().flat_map(|row| &self.rows[row][start..start + width]).copied();
            let mut shape: Vec<usize> = tensor_type.shape.to_vec();
            shape[0] = shape[0] / self.batch * rows.len();
            let tensor = match tensor_type.dtype {
                DType::I64 => Tensor::new(&shape, Data::I64(numbers.map(|value| value as i64).collect())),
                DType::Bool => Tensor::new(&shape, Data::Bool(numbers.map(|value| value as u8).collect())),
                DType::F32 | DType::BF16 => Tensor::f32(&shape, numbers.collect()),
            };
            batch.push((name.clone(), tensor));
            start += width;
        }
    }
}

/// The inputs of a graph that one of some programs still reads.
pub fn inputs_of(joined: &Joined, programs: &[&Program]) -> Vec<GraphField> {
    let is_read = |input: &&GraphField| programs.iter().any(|program| program.argument(&input.input).is_some());
    joined.inputs.iter().filter(is_read).cloned().collect()
}
