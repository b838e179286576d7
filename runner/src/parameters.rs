//! All parameters and state of a program from a safetensors file and into one, strictly.

use crate::rundir::Disk;
use crate::tensors::{from_view, to_out};
use crate::weights::{Expected, Match, WeightError, WeightSet, match_weights, write};
use indexmap::IndexMap;
use std::path::Path;
use sward_core::program::{Argument, Program, Role};
use sward_kernels::Tensor;

/// Why parameters were not read.
#[derive(Debug, thiserror::Error)]
pub enum ParametersError {
    /// The file cannot be read, or a tensor of it.
    #[error(transparent)]
    Weights(#[from] WeightError),
    /// Its tensors are not the program's.
    #[error("the weights do not fit the graph:\n  {}", .0.join("\n  "))]
    Differences(Vec<String>),
}

/// How many differences are listed.
const LISTED: usize = 20;

/// A tensor for every parameter and buffer of the graph that a program was made of; none missing, none left over. What training adds (moments, averages) is not asked for.
///
/// # Errors
/// Where the file's tensors are others, or a value is not finite.
pub fn read_parameters(program: &Program, weights: &WeightSet) -> Result<Vec<(String, Tensor)>, ParametersError> {
    let wanted: Vec<&Argument> = program.arguments.iter().filter(|argument| is_the_graphs(argument)).collect();
    let expected: Vec<Expected> = wanted
        .iter()
        .map(|argument| Expected { name: argument.name.clone(), shape: program.type_of(argument.value).shape.to_vec() })
        .collect();
    let matching = match_weights(&expected, weights, &IndexMap::new());
    if !matching.is_exact() {
        let mut lines = matching.differences();
        if lines.len() > LISTED {
            let more = format!("and {} more", lines.len() - LISTED);
            lines.truncate(LISTED);
            lines.push(more);
        }
        return Err(ParametersError::Differences(lines));
    }
    let read = |(argument, found): (&&Argument, &Match)| {
        let view = weights.get(&found.tensor).expect("a matched tensor is there");
        Ok((argument.name.clone(), from_view(&view, program.type_of(argument.value))?))
    };
    wanted.iter().zip(&matching.matched).map(read).collect()
}

/// Whether an argument is a parameter or buffer of the graph, and no state that a training program adds.
pub fn is_the_graphs(argument: &Argument) -> bool {
    let added = ["optimizer.", "ema.", "accumulated."].iter().any(|prefix| argument.name.starts_with(prefix));
    match argument.role {
        Role::Parameter { .. } => true,
        Role::State => !added,
        Role::Input | Role::Setting => false,
    }
}

/// Writes tensors by their names; the file is replaced as a whole or stays.
///
/// # Errors
/// Where it cannot be written, or a name is there twice.
pub fn write_tensors(path: &Path, tensors: &[(String, Tensor)]) -> Result<(), WeightError> {
    let out: Vec<_> = tensors.iter().map(|(name, tensor)| to_out(name, tensor)).collect();
    write(&Disk, path, &out, &IndexMap::new())
}
