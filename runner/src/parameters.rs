//! All parameters and state of a program from a safetensors file and into one, strictly.

use crate::rundir::Disk;
use crate::tensors::{from_view, to_out};
use crate::weights::{WeightError, WeightSet, write};
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
    let mut differences = Vec::new();
    let mut tensors = Vec::with_capacity(wanted.len());
    for argument in &wanted {
        let expected = program.type_of(argument.value);
        match weights.get(&argument.name) {
            None => differences.push(format!("`{}` is missing", argument.name)),
            Some(view) if view.shape != &expected.shape[..] => {
                differences.push(format!("`{}` is {:?}, the graph wants {:?}", argument.name, view.shape, &expected.shape[..]));
            }
            Some(view) => tensors.push((argument.name.clone(), from_view(&view, expected)?)),
        }
    }
    for name in weights.names().filter(|name| !wanted.iter().any(|argument| argument.name == **name)) {
        differences.push(format!("`{name}` is left over: the graph has no such parameter"));
    }
    if !differences.is_empty() {
        if differences.len() > LISTED {
            let more = format!("and {} more", differences.len() - LISTED);
            differences.truncate(LISTED);
            differences.push(more);
        }
        return Err(ParametersError::Differences(differences));
    }
    Ok(tensors)
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
