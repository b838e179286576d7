mod decoding;
mod parity;
mod promises;

use std::path::{Path, PathBuf};

use super::*;

/// The path of a fixture.
fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/pixels").join(name)
}

/// A decoded fixture in colour.
fn load(name: &str) -> Picture {
    decode(&fixture(name), &DecodeOptions::default()).unwrap()
}

/// A decoded fixture in grey.
fn load_grey(name: &str) -> Picture {
    decode(&fixture(name), &DecodeOptions { colours: Colours::Grey, ..DecodeOptions::default() }).unwrap()
}

/// The largest and the mean difference in levels.
fn difference(actual: &Picture, expected: &Picture) -> (u8, f64) {
    assert_eq!(actual.shape(), expected.shape());
    let differences: Vec<u8> =
        actual.data().iter().zip(expected.data()).map(|(actual, expected)| actual.abs_diff(*expected)).collect();
    let sum: f64 = differences.iter().map(|&difference| f64::from(difference)).sum();
    (differences.iter().copied().max().unwrap_or(0), sum / differences.len() as f64)
}

#[track_caller]
fn assert_within_one(actual: &Picture, expected: &Picture, what: &str) {
    let (most, mean) = difference(actual, expected);
    assert!(most <= 1, "{what}: differs by up to {most} levels, {mean} on average");
}

/// Random numbers for tests.
fn draws(sample: u32) -> Draws {
    DrawKey { seed: 42, epoch: 0, sample, node: 0 }.draws()
}
