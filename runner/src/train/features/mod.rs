//! Outputs of frozen parts, computed once a row.
//!
//! A backbone that is not trained and sees the same photograph every epoch gives the same features every epoch. Where a program's frozen part
//! ends, what it gives is kept in memory, row by row; the rest of the program reads it as an input. Where a row's features have the same bits
//! among any neighbours, they also go to the disk, for other runs with the same frozen part: arms, folds, seeds.

mod folder;
mod keep;
mod keys;
mod maker;

use std::collections::HashMap;

use sward_core::program::{DType, Program, TensorType};
use sward_kernels::{Data, Tensor};
use sward_ops::frozen::FrozenSplit;

use crate::experiment::{GraphField, Joined};
use crate::feed::Batch;

pub use folder::FeatureFolder;
pub use keep::{FeatureCount, Wanted, keep_features};

/// The folder of features in a folder of runs. It is hidden, so that `runs/<name>/*` names runs and nothing else.
pub const FEATURES: &str = ".features";

/// Features of rows.
pub struct FeatureStore {
    batch: usize,
    cached: Vec<(String, TensorType)>,
    /// By row: its elements of each cached value, one after another.
    rows: HashMap<usize, Vec<f32>>,
    /// How they came about.
    pub count: FeatureCount,
}

impl FeatureStore {
    /// Features of no row yet, for a program of such a batch.
    pub fn new(split: &FrozenSplit, batch: usize) -> FeatureStore {
        FeatureStore { batch, cached: split.cached.clone(), rows: HashMap::new(), count: FeatureCount::default() }
    }

    /// Bytes that a row takes.
    pub fn bytes_of_a_row(&self) -> usize {
        self.cached.iter().map(|(_, tensor_type)| tensor_type.elements() / self.batch * size_of::<f32>()).sum()
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
