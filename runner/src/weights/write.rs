//! Writes safetensors files, byte by byte as the reference implementation does.

use std::borrow::Cow;
use std::collections::HashSet;
use std::io::Write;
use std::path::Path;

use indexmap::IndexMap;

use super::format::METADATA;
use super::{Dtype, TensorView, WeightError, WeightFault};
use crate::rundir::{Storage, write_atomically};

/// A tensor to be written.
#[derive(Debug, Clone)]
pub struct TensorOut<'a> {
    /// The name.
    pub name: Cow<'a, str>,
    /// The element type.
    pub dtype: Dtype,
    /// The shape, outermost dimension first.
    pub shape: Cow<'a, [usize]>,
    /// The bytes, little endian and row-major.
    pub bytes: Cow<'a, [u8]>,
}

impl<'a> TensorOut<'a> {
    /// A tensor of single-precision values.
    pub fn f32(name: &'a str, shape: &'a [usize], values: &'a [f32]) -> Self {
        let bytes = if cfg!(target_endian = "little") {
            Cow::Borrowed(bytemuck::cast_slice(values))
        } else {
            Cow::Owned(values.iter().flat_map(|value| value.to_le_bytes()).collect())
        };
        Self { name: name.into(), dtype: Dtype::F32, shape: shape.into(), bytes }
    }

    /// A tensor of 64-bit integers.
    pub fn i64(name: &'a str, shape: &'a [usize], values: &[i64]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self { name: name.into(), dtype: Dtype::I64, shape: shape.into(), bytes }
    }
}

impl<'a> From<TensorView<'a>> for TensorOut<'a> {
    fn from(view: TensorView<'a>) -> Self {
        Self { name: view.name.into(), dtype: view.dtype, shape: view.shape.into(), bytes: view.bytes.into() }
    }
}

/// The prefix of a file: the header's length and the header.
fn header(tensors: &[TensorOut], metadata: &IndexMap<String, String>) -> Result<Vec<u8>, WeightFault> {
    let mut names = HashSet::new();
    let mut map = serde_json::Map::new();
    if !metadata.is_empty() {
        let texts = metadata.iter().map(|(key, text)| (key.clone(), text.clone().into()));
        map.insert(METADATA.into(), serde_json::Value::Object(texts.collect()));
    }
    let mut end = 0usize;
    for tensor in tensors {
        if tensor.name == METADATA || !names.insert(&*tensor.name) {
            return Err(WeightFault::Duplicate(tensor.name.to_string()));
        }
        let elements = tensor.shape.iter().try_fold(1usize, |product, &length| product.checked_mul(length));
        if elements.and_then(|count| count.checked_mul(tensor.dtype.size())) != Some(tensor.bytes.len()) {
            return Err(WeightFault::WrongLength {
                tensor: tensor.name.to_string(),
                dtype: tensor.dtype,
                shape: tensor.shape.to_vec(),
                bytes: tensor.bytes.len(),
            });
        }
        let start = end;
        end += tensor.bytes.len();
        let description = serde_json::json!({
            "dtype": tensor.dtype.name(), "shape": tensor.shape, "data_offsets": [start, end],
        });
        map.insert(tensor.name.to_string(), description);
    }
    let mut text = serde_json::to_vec(&map).map_err(|error| WeightFault::Header(error.to_string()))?;
    // Spaces up to a multiple of 8, so that tensors are aligned when the file is mapped.
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.append(&mut text);
    Ok(bytes)
}

/// The order of the reference implementation: wide elements first, which keeps them aligned, then by name.
fn ordered<'t, 'a>(tensors: &'t [TensorOut<'a>]) -> Vec<TensorOut<'t>> {
    // The reference ranks dtypes by declaration; among those known here that is the order below.
    let rank = |dtype| match dtype {
        Dtype::I64 => 0,
        Dtype::F32 => 1,
        Dtype::BF16 => 2,
        Dtype::F16 => 3,
        Dtype::U8 => 4,
        Dtype::Bool => 5,
    };
    let mut sorted: Vec<TensorOut<'t>> = tensors
        .iter()
        .map(|tensor| TensorOut {
            name: Cow::Borrowed(&*tensor.name),
            dtype: tensor.dtype,
            shape: Cow::Borrowed(&*tensor.shape),
            bytes: Cow::Borrowed(&*tensor.bytes),
        })
        .collect();
    sorted.sort_by(|a, b| (rank(a.dtype), &a.name).cmp(&(rank(b.dtype), &b.name)));
    sorted
}

/// A file's bytes. The same tensors and metadata give the same bytes, in whatever order the tensors come.
///
/// # Errors
/// Two tensors of one name, or bytes that do not fit a shape.
pub fn to_bytes(tensors: &[TensorOut], metadata: &IndexMap<String, String>) -> Result<Vec<u8>, WeightFault> {
    let tensors = ordered(tensors);
    let mut bytes = header(&tensors, metadata)?;
    tensors.iter().for_each(|tensor| bytes.extend_from_slice(&tensor.bytes));
    Ok(bytes)
}

/// Writes a file in one step that either succeeds or leaves the previous file as it was.
///
/// # Errors
/// A value that is not finite (a broken model must never replace a good one), two tensors of one name, bytes that do not
/// fit a shape, or storage that fails.
pub fn write(
    storage: &dyn Storage,
    path: &Path,
    tensors: &[TensorOut],
    metadata: &IndexMap<String, String>,
) -> Result<(), WeightError> {
    let tensors = ordered(tensors);
    let prefix = header(&tensors, metadata).map_err(WeightError::of(path))?;
    for tensor in &tensors {
        let view = TensorView::detached(path, &tensor.name, tensor.dtype, &tensor.shape, &tensor.bytes);
        if matches!(tensor.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16) {
            view.to_f32()?;
        }
    }
    write_atomically(storage, path, |writer: &mut dyn Write| {
        writer.write_all(&prefix)?;
        tensors.iter().try_for_each(|tensor| writer.write_all(&tensor.bytes))
    })
    .map_err(|error| WeightError::of(path)(error.into()))
}
