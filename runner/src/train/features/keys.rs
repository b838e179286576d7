//! By what features are found again: everything that they follow from.
//!
//! ```text
//! value key = program from inputs to the value, weights it reads, dtype, engine, build
//! row key   = the row's photograph (the file's bytes and the transform) or numbers, for each input of that program
//! ```
//!
//! A key holds contents and no names of files or times, so that a photograph that is replaced, a backbone that is trained further or another
//! build of Sward finds nothing that was made before.

use std::io;
use std::sync::OnceLock;

use rayon::prelude::*;
use sward_core::program::Role;
use sward_kernels::{Engine, Tensor};
use sward_ops::frozen::FrozenSplit;

use super::super::error::Result;
use crate::experiment::{GraphField, Joined};
use crate::feed::{Encoded, Values};

/// A BLAKE3 hash.
pub type Hash = [u8; 32];

/// What is hashed first: another version of the rules below is another key.
const RULES: &[u8] = b"sward features 1";

/// What one kept value follows from, rows apart.
#[derive(Clone, Debug)]
pub struct ValueKey {
    /// The hash.
    pub hash: Hash,
    /// Numbers of a row.
    pub width: usize,
    /// The inputs of the graph that the value depends on.
    inputs: Vec<GraphField>,
}

impl ValueKey {
    /// The hash as a name for a folder.
    pub fn name(&self) -> String {
        name_of(&self.hash)
    }
}

/// A hash as a name for a file.
pub fn name_of(hash: &Hash) -> String {
    blake3::Hash::from_bytes(*hash).to_hex()[..32].to_owned()
}

/// The keys of a frozen part's values. `None` where this build cannot be told from another one.
///
/// # Errors
/// A fault of the engine that holds the weights.
pub fn value_keys(
    engine: &dyn Engine,
    joined: &Joined,
    split: &FrozenSplit,
    batch: usize,
    weights: &dyn Fn(&str) -> Result<Option<Tensor>>,
) -> Result<Option<Vec<ValueKey>>> {
    let Some(build) = build() else { return Ok(None) };
    let mut keys = Vec::with_capacity(split.cached.len());
    for (index, (_, tensor_type)) in split.cached.iter().enumerate() {
        let slice = split.slice(index);
        let mut hasher = blake3::Hasher::new();
        let mut take = |bytes: &[u8]| {
            // The length keeps two parts apart that together read as two others.
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        take(RULES);
        take(build);
        take(engine.identity().as_bytes());
        take(format!("{:?}", joined.experiment.train.value.dtype).as_bytes());
        take(slice.to_string().as_bytes());
        for argument in slice.arguments.iter().filter(|argument| argument.role != Role::Input) {
            let Some(tensor) = weights(&argument.name)? else { return Ok(None) };
            take(tensor.bytes());
        }
        let reads = |input: &&GraphField| slice.argument(&input.input).is_some();
        keys.push(ValueKey {
            hash: *hasher.finalize().as_bytes(),
            width: tensor_type.elements() / batch,
            inputs: joined.inputs.iter().filter(reads).cloned().collect(),
        });
    }
    Ok(Some(keys))
}

/// The keys of rows, for each value.
///
/// # Errors
/// A photograph that cannot be read.
pub fn row_keys(keys: &[ValueKey], joined: &Joined, encoded: &Encoded, rows: &[usize]) -> io::Result<Vec<Vec<Hash>>> {
    // A photograph that several values depend on is read once.
    let mut known: Vec<(String, Vec<Hash>)> = Vec::new();
    for input in keys.iter().flat_map(|key| &key.inputs) {
        if !known.iter().any(|(name, _)| *name == input.input) {
            let hashes = rows.par_iter().map(|row| content(joined, encoded, input, *row)).collect::<io::Result<_>>()?;
            known.push((input.input.clone(), hashes));
        }
    }
    let of = |input: &GraphField| known.iter().find(|(name, _)| *name == input.input).map(|(_, hashes)| hashes);
    let row_key = |key: &ValueKey, position: usize| {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&key.hash);
        key.inputs.iter().filter_map(of).for_each(|hashes| {
            hasher.update(&hashes[position]);
        });
        *hasher.finalize().as_bytes()
    };
    Ok(keys.iter().map(|key| (0..rows.len()).map(|position| row_key(key, position)).collect()).collect())
}

/// The hash of what a row has for an input.
fn content(joined: &Joined, encoded: &Encoded, input: &GraphField, row: usize) -> io::Result<Hash> {
    let Some(own) = encoded.fields.get(&input.field) else { return Ok(*blake3::hash(b"absent").as_bytes()) };
    let mut hasher = blake3::Hasher::new();
    match (&own.values, &own.observed) {
        (_, Some((width, observed))) if input.is_mask => {
            observed[row * width..(row + 1) * width].iter().for_each(|flag| {
                hasher.update(&[u8::from(*flag)]);
            });
        }
        (Values::Floats(width, values), _) => {
            hasher.update(bytemuck::cast_slice(&values[row * width..(row + 1) * width]));
        }
        (Values::Whole(width, values), _) => {
            hasher.update(bytemuck::cast_slice(&values[row * width..(row + 1) * width]));
        }
        (Values::Pictures(paths, _), _) => {
            let transform = format!("{:?}", joined.data.fields[&input.field].transform);
            hasher.update(blake3::hash(transform.as_bytes()).as_bytes());
            hasher.update(&std::fs::read(&paths[row])?);
        }
    }
    Ok(*hasher.finalize().as_bytes())
}

/// The hash of the program that runs: kernels and decoders of another build may round otherwise.
fn build() -> Option<&'static [u8]> {
    static BUILD: OnceLock<Option<Hash>> = OnceLock::new();
    let read = || {
        // The link leads to the program even where its file has been replaced since.
        let file = std::fs::File::open("/proc/self/exe").or_else(|_| std::fs::File::open(std::env::current_exe()?)).ok()?;
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(file).ok()?;
        Some(*hasher.finalize().as_bytes())
    };
    BUILD.get_or_init(read).as_ref().map(|hash| hash.as_slice())
}
