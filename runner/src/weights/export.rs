//! Writing parameters back under the names of the checkpoint that they came from.

use super::load::{Loaded, join};
use super::recipe::{encode, place};
use super::{TensorOut, WeightError, WeightFault, write};
use crate::rundir::Storage;
use indexmap::IndexMap;
use std::borrow::Cow;
use std::path::Path;
use sward_kernels::{Data, Tensor};

/// Why parameters cannot go back.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A file that cannot be read or written.
    #[error(transparent)]
    File(#[from] WeightError),
    /// A parameter that the checkpoint fills has no value to be written.
    #[error("there is no value for the parameter `{0}`")]
    NoValue(String),
    /// A value of another shape or dtype than the parameter's.
    #[error("the value of `{parameter}` is {found}, expected are {expected}")]
    Type {
        /// The parameter.
        parameter: String,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A change that the original's form cannot hold.
    #[error(
        "`{parameter}` was {how} when it was loaded, and has changed since: `{tensor}` of the original cannot hold it. Write it under the graph's own names instead"
    )]
    Adapted {
        /// The parameter.
        parameter: String,
        /// What was done to it.
        how: String,
        /// The tensor.
        tensor: String,
    },
    /// Sharded checkpoints are written as one file.
    #[error("two shards of the original disagree on the metadata `{0}`")]
    Metadata(String),
}

/// Writes a file with the names, shapes and dtypes of the checkpoint that was loaded, and the values that `value` gives by the
/// parameters' full names. Tensors whose parameters have not changed are the original's, byte for byte, and so are those that the
/// graph does not use; a file that holds one model in the order of the reference implementation comes out as it went in.
///
/// # Errors
/// A value that is missing or of another type, a change that the original's form cannot hold, or storage that fails.
pub fn export(
    loaded: &Loaded,
    value: &mut dyn FnMut(&str) -> Option<Tensor>,
    storage: &dyn Storage,
    path: &Path,
) -> Result<(), ExportError> {
    let weights = loaded.weights();
    // What changes, by tensor: the original's values with the parameters' in their places.
    let mut changed: IndexMap<String, Vec<f32>> = IndexMap::new();
    let mut integers: IndexMap<String, Tensor> = IndexMap::new();
    for load in &loaded.plan().loads {
        let name = join(&loaded.report.within, &load.wanted.name);
        let tensor = value(&name).ok_or_else(|| ExportError::NoValue(name.clone()))?;
        let wrong = || ExportError::Type {
            parameter: name.clone(),
            expected: format!("{} {:?}", load.wanted.dtype, load.wanted.shape),
            found: tensor.tensor_type().to_string(),
        };
        if tensor.shape() != load.wanted.shape.as_slice() {
            return Err(wrong());
        }
        let values = match tensor.data() {
            Data::F32(values) => values,
            Data::I64(_) | Data::Bool(_) => {
                let view = weights.get(&load.recipe.sources[0].tensor).expect("a recipe's tensors are there");
                if view.bytes != tensor.bytes() {
                    integers.insert(load.recipe.sources[0].tensor.clone(), tensor);
                }
                continue;
            }
            Data::BF16(_) => return Err(wrong()),
        };
        let original = load.recipe.read(weights)?;
        if original.iter().zip(values).all(|(own, value)| own.to_bits() == value.to_bits()) {
            continue;
        }
        if let Some(adapt) = &load.recipe.adapt {
            let tensor = load.recipe.sources[0].tensor.clone();
            return Err(ExportError::Adapted { parameter: name, how: adapt.describe(), tensor });
        }
        let recipe = &load.recipe;
        for (source, (_, part)) in recipe.sources.iter().zip(recipe.unmake(weights, &load.wanted.shape, values)?) {
            let view = weights.get(&source.tensor).expect("a recipe's tensors are there");
            if !changed.contains_key(&source.tensor) {
                changed.insert(source.tensor.clone(), view.to_f32()?.into_owned());
            }
            let whole = changed.get_mut(&source.tensor).expect("just inserted");
            match (source.part, recipe.take) {
                (None, None) => *whole = part,
                (Some(stretch), None) => place(view.shape, whole, stretch.axis, stretch.start, &part),
                (None, Some(take)) => place(view.shape, whole, take.axis, take.index * (view.shape[take.axis] / take.of), &part),
                (Some(stretch), Some(take)) => {
                    debug_assert_eq!(stretch.axis, take.axis, "a part of a part lies along one axis");
                    let start = stretch.start + take.index * load.wanted.shape[take.axis];
                    place(view.shape, whole, take.axis, start, &part);
                }
            }
        }
    }
    let mut bytes: IndexMap<String, Vec<u8>> = IndexMap::new();
    for (name, values) in changed {
        let dtype = weights.get(&name).expect("a recipe's tensors are there").dtype;
        bytes.insert(name.clone(), encode(&values, dtype, &name).map_err(WeightError::of(path))?);
    }
    let mut tensors: Vec<TensorOut<'_>> = Vec::new();
    let mut metadata: IndexMap<String, String> = IndexMap::new();
    for file in weights.files() {
        for (key, text) in file.metadata() {
            if metadata.get(key).is_some_and(|own| own != text) {
                return Err(ExportError::Metadata(key.clone()));
            }
            metadata.insert(key.clone(), text.clone());
        }
        for view in file.tensors() {
            let mut out = TensorOut::from(view);
            if let Some(new) = bytes.get(view.name) {
                out.bytes = Cow::Borrowed(new);
            } else if let Some(new) = integers.get(view.name) {
                out.bytes = Cow::Borrowed(new.bytes());
            }
            tensors.push(out);
        }
    }
    write(storage, path, &tensors, &metadata).map_err(Into::into)
}

impl From<WeightFault> for ExportError {
    fn from(fault: WeightFault) -> Self {
        WeightError::of(Path::new(""))(fault).into()
    }
}
