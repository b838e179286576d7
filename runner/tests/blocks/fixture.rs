//! Reads the JSON fixtures under `tests/fixtures`.

use serde_json::Value;

/// Parses one fixture file.
pub fn load(path: &str) -> Value {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/");
    let text = std::fs::read_to_string(format!("{root}{path}")).expect("the fixture is readable");
    serde_json::from_str(&text).expect("the fixture is JSON")
}

/// A list of numbers.
pub fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|item| item.as_f64().expect("a number")).collect()
}

/// A list of numbers that single precision holds exactly.
pub fn singles(value: &Value) -> Vec<f32> {
    let exact = |number: f64| {
        assert_eq!(f64::from(number as f32), number, "the fixture holds single-precision values");
        number as f32
    };
    numbers(value).into_iter().map(exact).collect()
}

/// A list of flags.
pub fn flags(value: &Value) -> Vec<bool> {
    value.as_array().expect("a list").iter().map(|item| item.as_bool().expect("a flag")).collect()
}

/// A list of counts or indices.
pub fn indices(value: &Value) -> Vec<usize> {
    value.as_array().expect("a list").iter().map(|item| item.as_u64().expect("an index") as usize).collect()
}

/// Demands that two numbers agree within a relative (and, below 1, absolute) tolerance.
#[track_caller]
pub fn close(found: f64, expected: &Value, tolerance: f64) {
    let expected = expected.as_f64().expect("a number");
    assert!((found - expected).abs() <= tolerance * expected.abs().max(1.0), "found {found}, expected {expected}");
}
