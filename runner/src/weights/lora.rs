//! Low-rank adapters in files of their own, and merged into the weights that they adapt (Hu et al., 2021).

use super::artifact::backbone_metadata;
use super::recipe::encode;
use super::{TensorOut, WeightError, WeightFault, WeightSet, write};
use crate::rundir::Storage;
use indexmap::IndexMap;
use std::borrow::Cow;
use std::path::Path;
use sward_core::check::Checked;
use sward_kernels::Tensor;

/// The metadata key of the adapters' scales: JSON, the factor `alpha / rank` by the name of the weight.
pub const SCALES: &str = "sward.lora.scales";

/// Why adapters cannot be saved or merged.
#[derive(Debug, thiserror::Error)]
pub enum LoraError {
    /// A file that cannot be read or written.
    #[error(transparent)]
    File(#[from] WeightError),
    /// The graph has no adapters.
    #[error("the graph has no low-rank adapters")]
    NoAdapters,
    /// A parameter of an adapter has no value.
    #[error("there is no value for the parameter `{0}`")]
    NoValue(String),
    /// A file without the scales.
    #[error("`{0}` holds no low-rank adapters: its metadata lack `{SCALES}`")]
    NotAdapters(String),
    /// Scales that are not JSON numbers by name.
    #[error("`{file}`: the metadata `{SCALES}` cannot be read: {reason}")]
    Scales {
        /// The file.
        file: String,
        /// Why not.
        reason: String,
    },
    /// A tensor of the adapters' file that belongs to none of them.
    #[error("`{file}`: the tensor `{tensor}` belongs to no adapter")]
    Stray {
        /// The file.
        file: String,
        /// The tensor.
        tensor: String,
    },
    /// The graph declares another scale than the adapters were trained with.
    #[error("the adapter of `{weight}` was trained with alpha / rank = {file}, the graph declares {graph}")]
    Scale {
        /// The weight.
        weight: String,
        /// Of the graph.
        graph: f64,
        /// Of the file.
        file: f64,
    },
    /// Shapes that do not go together.
    #[error("the adapter of `{weight}` has the shapes {a:?} and {b:?}, which do not go with {base:?}")]
    Shapes {
        /// The weight.
        weight: String,
        /// Of `lora_A`.
        a: Vec<usize>,
        /// Of `lora_B`.
        b: Vec<usize>,
        /// Of the weight.
        base: Vec<usize>,
    },
}

/// Writes the adapters of a graph, with the hash of the backbone that they adapt. `prefix` is what the adapters' names have before
/// the backbone's own names (`model.backbone`); it is left out in the file, so that the file goes with the backbone's.
///
/// # Errors
/// A graph without adapters, a value that is missing, or storage that fails.
pub fn save(
    checked: &Checked,
    prefix: &str,
    value: &mut dyn FnMut(&str) -> Option<Tensor>,
    backbone: Option<&WeightSet>,
    storage: &dyn Storage,
    path: &Path,
) -> Result<(), LoraError> {
    if checked.adapters().is_empty() {
        return Err(LoraError::NoAdapters);
    }
    let own = |name: &str| match prefix {
        "" => name.to_owned(),
        prefix => name.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('.')).unwrap_or(name).to_owned(),
    };
    let mut scales = serde_json::Map::new();
    let mut values: Vec<(String, Tensor)> = Vec::new();
    for adapter in checked.adapters() {
        scales.insert(own(&adapter.weight), serde_json::json!(adapter.scale));
        for name in [&adapter.a, &adapter.b] {
            values.push((own(name), value(name).ok_or_else(|| LoraError::NoValue(name.clone()))?));
        }
    }
    let mut metadata = backbone.map(backbone_metadata).unwrap_or_default();
    metadata.insert(SCALES.to_owned(), serde_json::Value::Object(scales).to_string());
    let tensors: Vec<TensorOut<'_>> = values.iter().map(|(name, tensor)| crate::tensors::to_out(name, tensor)).collect();
    write(storage, path, &tensors, &metadata).map_err(Into::into)
}

/// The adapters of a file: the weight's name and the scale, checked to be complete.
pub(super) fn scales(lora: &WeightSet) -> Result<IndexMap<String, f64>, LoraError> {
    let file = lora.files().first().map_or_else(String::new, |file| file.path().display().to_string());
    let text = lora.metadata(SCALES).ok_or_else(|| LoraError::NotAdapters(file.clone()))?;
    let scales: IndexMap<String, f64> =
        serde_json::from_str(text).map_err(|error| LoraError::Scales { file: file.clone(), reason: error.to_string() })?;
    let known = |name: &str| {
        let owner = name.strip_suffix(A).or_else(|| name.strip_suffix(B));
        owner.is_some_and(|owner| scales.contains_key(&format!("{owner}weight")))
    };
    if let Some(stray) = lora.names().find(|name| !known(name)) {
        return Err(LoraError::Stray { file, tensor: stray.to_owned() });
    }
    Ok(scales)
}

/// The ends of the adapters' names, in place of `weight`.
const A: &str = "lora_A.weight";
const B: &str = "lora_B.weight";

/// Writes the base weights with the adapters added: `weight + scale * B A`, the product and sum in f64, rounded once. Every other
/// tensor of the base stays as it is. The adapters' names are those of the base's tensors.
///
/// # Errors
/// Files that do not go together, or storage that fails. Whether the base is the one that the adapters were trained on is the
/// caller's to ask ([`super::artifact::require_backbone`]).
pub fn merge(base: &WeightSet, lora: &WeightSet, storage: &dyn Storage, path: &Path) -> Result<usize, LoraError> {
    let mut merged: IndexMap<String, Vec<u8>> = IndexMap::new();
    for (weight, scale) in scales(lora)? {
        let view = base.get(&weight).ok_or_else(|| {
            let nearest = super::nearest::nearest(&weight, base.names());
            WeightError::of(path_of(base))(WeightFault::Missing { tensor: weight.clone(), nearest })
        })?;
        let owner = weight.trim_end_matches("weight");
        let part = |end: &str| {
            let name = format!("{owner}{end}");
            let fault = WeightError::of(path_of(lora));
            lora.get(&name).ok_or_else(|| fault(WeightFault::Missing { tensor: name.clone(), nearest: None }))
        };
        let (a, b) = (part(A)?, part(B)?);
        let (&[rank, width], &[units, b_rank], &[base_units, base_width]) = (a.shape, b.shape, view.shape) else {
            return Err(shapes(&weight, &a, &b, &view));
        };
        if rank != b_rank || units != base_units || width != base_width {
            return Err(shapes(&weight, &a, &b, &view));
        }
        let mut values = view.to_f32()?.into_owned();
        add_product(&mut values, &a.to_f32()?, &b.to_f32()?, [units, rank, width], scale);
        merged.insert(weight.clone(), encode(&values, view.dtype, &weight).map_err(WeightError::of(path))?);
    }
    let mut metadata = IndexMap::new();
    let mut tensors: Vec<TensorOut<'_>> = Vec::new();
    for file in base.files() {
        metadata.extend(file.metadata().clone());
        for view in file.tensors() {
            let mut out = TensorOut::from(view);
            if let Some(bytes) = merged.get(view.name) {
                out.bytes = Cow::Borrowed(bytes);
            }
            tensors.push(out);
        }
    }
    write(storage, path, &tensors, &metadata)?;
    Ok(merged.len())
}

fn path_of(weights: &WeightSet) -> &Path {
    weights.files().first().map_or(Path::new(""), |file| file.path())
}

fn shapes(weight: &str, a: &super::TensorView<'_>, b: &super::TensorView<'_>, base: &super::TensorView<'_>) -> LoraError {
    let (a, b, base) = (a.shape.to_vec(), b.shape.to_vec(), base.shape.to_vec());
    LoraError::Shapes { weight: weight.to_owned(), a, b, base }
}

/// `weight [units, width] += scale * b [units, rank] a [rank, width]`.
fn add_product(weight: &mut [f32], a: &[f32], b: &[f32], [units, rank, width]: [usize; 3], scale: f64) {
    let mut row = vec![0.0f64; width];
    for unit in 0..units {
        row.fill(0.0);
        for (factor, values) in b[unit * rank..(unit + 1) * rank].iter().zip(a.chunks_exact(width.max(1))) {
            row.iter_mut().zip(values).for_each(|(sum, value)| *sum += f64::from(*factor) * f64::from(*value));
        }
        let target = &mut weight[unit * width..(unit + 1) * width];
        target.iter_mut().zip(&row).for_each(|(value, sum)| *value = (f64::from(*value) + scale * sum) as f32);
    }
}
