//! Folds against scikit-learn's splitters.

use serde_json::Value;
use sward::splits::{Groups, Split, group_k_fold, k_fold, stratified_k_fold};

use crate::fixture::{indices, load};

#[track_caller]
fn compare(folds: &[Split], expected: &Value) {
    let expected = indices(expected);
    for (fold, split) in folds.iter().enumerate() {
        let validation: Vec<usize> = (0..expected.len()).filter(|&row| expected[row] == fold).collect();
        assert!(!validation.is_empty());
        assert_eq!(split.validation, validation, "fold {fold}");
    }
}

/// Three digits each, so that text sorts as the numbers do.
fn groups(values: &Value) -> Groups {
    let texts: Vec<Option<String>> = indices(values).iter().map(|value| Some(format!("{value:03}"))).collect();
    Groups::new(&[("group", &texts)]).unwrap()
}

#[test]
fn folds_equal_scikit_learn() {
    let fixture = load("splits/splits.json");
    for case in fixture["kfold"].as_array().unwrap() {
        let rows = case["rows"].as_u64().unwrap() as usize;
        compare(&k_fold(rows, case["k"].as_u64().unwrap() as usize, None).unwrap(), &case["folds"]);
    }
    for case in fixture["stratified"].as_array().unwrap() {
        let k = case["k"].as_u64().unwrap() as usize;
        compare(&stratified_k_fold(&groups(&case["labels"]), k, None).unwrap(), &case["folds"]);
    }
    for case in fixture["grouped"].as_array().unwrap() {
        let k = case["k"].as_u64().unwrap() as usize;
        compare(&group_k_fold(&groups(&case["groups"]), k, None).unwrap(), &case["folds"]);
    }
}
