//! Checkpoints and graphs: mappings, adaptations, the way back, adapters, wrong files.
//!
//! Fixtures come from `tests/fixtures/weights/*/make.py` and `tests/fixtures/lora/make.py`, which run transformers, torchvision, timm and
//! plain PyTorch.

mod adapting;
mod apart;
#[path = "../library/fixture.rs"]
#[allow(dead_code)]
mod fixture;
mod mappings;
mod names;
mod wrong;

use indexmap::IndexMap;
use std::path::{Path, PathBuf};
use sward::experiment::library_session;
use sward::rundir::Disk;
use sward::weights::{Dtype, TensorOut, write};
use sward_core::check::{Checked, Overrides, Session};
use sward_core::diagnostic::render;
use sward_core::dim::Sizes;
use sward_core::program::{Array, DType};
use sward_core::roots::MemoryFolder;

/// The folder of the fixtures.
fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// Checks a file of the library with `--set`, and a text as the file `graph.ron` if one is given.
fn check(
    path: &str,
    text: Option<&str>,
    sets: &[String],
    change: impl FnOnce(&mut Session<'_>, &mut Overrides),
) -> Result<Checked, String> {
    let mut session = library_session();
    let root = match text {
        Some(text) => session.roots_mut().add_root("", MemoryFolder::new().with(path, text)),
        None => session.roots().library().expect("the session has the library"),
    };
    let mut overrides = session.overrides(sets, &[], &[]).unwrap_or_default();
    change(&mut session, &mut overrides);
    let checked = session.open_in(root, path).and_then(|(id, file)| session.check_file(id, &file, &overrides));
    let found = render::text(&session.sources, &session.diagnostics, false);
    checked.ok_or(found)
}

/// A graph of the library.
fn graph(path: &str, sets: &[&str]) -> Checked {
    let sets: Vec<String> = sets.iter().map(|text| text.to_string()).collect();
    check(path, None, &sets, |_, _| {}).unwrap_or_else(|text| panic!("{path}:\n{text}"))
}

/// Sizes for the parameters' shapes.
fn channels(count: i64) -> Sizes {
    let mut sizes = Sizes::new();
    sizes.insert("channels", count);
    sizes
}

/// Writes arrays into a safetensors file.
fn save<'a>(path: &Path, arrays: impl IntoIterator<Item = (&'a String, &'a Array)>) {
    let owned: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = arrays
        .into_iter()
        .map(|(name, array)| {
            let (dtype, bytes): (Dtype, Vec<u8>) = match array.dtype {
                DType::I64 => (Dtype::I64, array.data.iter().flat_map(|value| (*value as i64).to_le_bytes()).collect()),
                _ => (Dtype::F32, array.data.iter().flat_map(|value| (*value as f32).to_le_bytes()).collect()),
            };
            (name.clone(), dtype, array.shape.to_vec(), bytes)
        })
        .collect();
    let tensors: Vec<TensorOut<'_>> = owned
        .iter()
        .map(|(name, dtype, shape, bytes)| TensorOut {
            name: name.as_str().into(),
            dtype: *dtype,
            shape: shape.as_slice().into(),
            bytes: bytes.as_slice().into(),
        })
        .collect();
    let metadata = IndexMap::from([("format".to_string(), "pt".to_string())]);
    write(&Disk, path, &tensors, &metadata).expect("a file");
}

/// The largest difference, as a share of the largest value expected.
fn worst(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(0.0f64, |scale, value| scale.max(value.abs()));
    let worst = found.iter().zip(expected).map(|(found, expected)| (found - expected).abs());
    worst.fold(0.0, |most: f64, next| if next.is_nan() { f64::INFINITY } else { most.max(next) }) / scale.max(1e-300)
}
