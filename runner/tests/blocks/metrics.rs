//! Metrics against scikit-learn, scipy and torchmetrics.

use serde_json::Value;
use sward::metrics::{
    Average, Block, Bootstrap, Confusion, Regression, Space, TargetAverage, Tweedie, bootstrap, calibration_error,
    paired_bootstrap, roc_auc_score, roc_auc_score_multiclass, spearman_rank_correlation, weighted_global_r2_score,
};

use crate::fixture::{close, flags, indices, load, numbers, singles};

const EXACT: f64 = 1e-12;

#[track_caller]
fn all_close(found: &[f64], expected: &Value) {
    assert_eq!(found.len(), expected.as_array().unwrap().len());
    for (found, expected) in found.iter().zip(expected.as_array().unwrap()) {
        close(*found, expected, EXACT);
    }
}

#[test]
fn masked_regression_metrics_equal_scikit_learn() {
    let case = &load("metrics/metrics.json")["regression"];
    let (label, predicted) = (singles(&case["label"]), singles(&case["predicted"]));
    let (observed, weights) = (flags(&case["observed"]), numbers(&case["weights"]));
    let block = Block::new(5, &predicted, &label, Some(&observed)).unwrap();
    let average = TargetAverage::Weights(&weights);

    let mut plain = Regression::new(5, Space::Plain);
    plain.update(&block).unwrap();
    all_close(&plain.r2_scores().unwrap(), &case["r2_scores"]);
    close(plain.r2_score(average).unwrap(), &case["r2_score_weighted"], EXACT);
    all_close(&plain.mean_absolute_errors().unwrap(), &case["mean_absolute_errors"]);
    all_close(&plain.mean_squared_errors().unwrap(), &case["mean_squared_errors"]);
    close(plain.root_mean_squared_error(TargetAverage::Uniform).unwrap(), &case["root_mean_squared_error"], EXACT);

    let mut log = Regression::new(5, Space::Log1p);
    log.update(&block).unwrap();
    all_close(&log.r2_scores().unwrap(), &case["r2_scores_log1p"]);
    close(log.r2_score(average).unwrap(), &case["r2_score_weighted_log1p"], EXACT);

    for (space, name) in [(Space::Plain, "weighted_global_r2_score"), (Space::Log1p, "weighted_global_r2_score_log1p")] {
        close(weighted_global_r2_score(&block, &weights, space).unwrap(), &case[name], EXACT);
    }
}

#[test]
fn tweedie_deviances_equal_scikit_learn_at_every_power() {
    let case = &load("metrics/metrics.json")["regression"];
    let (label, predicted) = (singles(&case["label"]), singles(&case["predicted"]));
    let observed = flags(&case["observed"]);
    let positive: Vec<bool> = observed.iter().zip(&label).map(|(seen, label)| *seen && *label > 0.0).collect();
    for (name, shown) in [("tweedie", &observed), ("tweedie_positive", &positive)] {
        for (power, expected) in case[name].as_object().unwrap() {
            let mut tweedie = Tweedie::new(power.parse().unwrap()).unwrap();
            tweedie.update(&Block::new(5, &predicted, &label, Some(shown)).unwrap()).unwrap();
            close(tweedie.mean_deviance().unwrap(), expected, EXACT);
        }
    }
}

#[test]
fn averages_over_targets_equal_scikit_learn() {
    let case = &load("metrics/metrics.json")["multioutput"];
    let (label, predicted) = (singles(&case["label"]), singles(&case["predicted"]));
    let weights = numbers(&case["weights"]);
    let mut regression = Regression::new(3, Space::Plain);
    regression.update(&Block::new(3, &predicted, &label, None).unwrap()).unwrap();
    let weighted = TargetAverage::Weights(&weights);
    close(regression.r2_score(TargetAverage::Uniform).unwrap(), &case["r2_score"], EXACT);
    close(regression.r2_score(weighted).unwrap(), &case["r2_score_weighted"], EXACT);
    close(regression.mean_absolute_error(TargetAverage::Uniform).unwrap(), &case["mean_absolute_error"], EXACT);
    let root = |average| regression.root_mean_squared_error(average).unwrap();
    close(root(TargetAverage::Uniform), &case["root_mean_squared_error"], EXACT);
    close(root(weighted), &case["root_mean_squared_error_weighted"], EXACT);
    assert!(regression.r2_score(TargetAverage::Weights(&[1.0])).is_err());
    assert!(regression.r2_score(TargetAverage::Weights(&[1.0, -1.0, 1.0])).is_err());
}

#[test]
fn classification_metrics_equal_scikit_learn() {
    let fixture = load("metrics/metrics.json");
    for name in ["binary", "multiclass", "absent_class"] {
        let case = &fixture[name];
        let mut confusion = Confusion::new(case["classes"].as_u64().unwrap() as usize);
        let observed = flags(&case["observed"]);
        confusion.update(&indices(&case["predicted"]), &indices(&case["label"]), Some(&observed)).unwrap();
        close(confusion.accuracy().unwrap(), &case["accuracy"], EXACT);
        close(confusion.balanced_accuracy().unwrap(), &case["balanced_accuracy"], EXACT);
        close(confusion.f1_score(Average::Macro).unwrap(), &case["f1_macro"], EXACT);
        close(confusion.f1_score(Average::Micro).unwrap(), &case["f1_micro"], EXACT);
        close(confusion.f1_score(Average::Weighted).unwrap(), &case["f1_weighted"], EXACT);
        close(confusion.matthews_corrcoef().unwrap(), &case["matthews_corrcoef"], EXACT);
        match case.get("f1_binary") {
            Some(expected) => close(confusion.f1_score(Average::Binary).unwrap(), expected, EXACT),
            None => assert!(confusion.f1_score(Average::Binary).is_err()),
        }
    }
}

#[test]
fn ranking_metrics_equal_scikit_learn_and_scipy() {
    let case = &load("metrics/metrics.json")["ranking"];
    let (score, other, observed) = (singles(&case["score"]), singles(&case["other"]), flags(&case["observed"]));
    close(roc_auc_score(&score, &flags(&case["positive"]), Some(&observed)).unwrap(), &case["roc_auc_score"], EXACT);
    close(spearman_rank_correlation(&score, &other, Some(&observed)).unwrap(), &case["spearman"], EXACT);
    let ovr = roc_auc_score_multiclass(3, &singles(&case["probabilities"]), &indices(&case["label"]), None);
    close(ovr.unwrap(), &case["roc_auc_score_ovr"], EXACT);
}

#[test]
fn calibration_error_equals_torchmetrics() {
    let case = &load("metrics/metrics.json")["calibration"];
    let (confidence, came_true) = (singles(&case["confidence"]), flags(&case["came_true"]));
    let observed = flags(&case["observed"]);
    for (bins, expected) in case["calibration_error"].as_object().unwrap() {
        let bins = bins.parse().unwrap();
        // The judge sums in single precision.
        close(calibration_error(&confidence, &came_true, Some(&observed), bins).unwrap(), expected, 1e-6);
    }
}

#[test]
fn bootstrap_intervals_agree_with_scipy() {
    let case = &load("metrics/metrics.json")["intervals"];
    let (base, arm) = (numbers(&case["base"]), numbers(&case["arm"]));
    let mean = |values: &[f64], rows: &[usize]| Some(rows.iter().map(|&row| values[row]).sum::<f64>() / rows.len() as f64);
    let settings = Bootstrap { resamples: 20_000, ..Bootstrap::default() };
    let single = bootstrap(base.len(), &settings, |rows| mean(&base, rows)).unwrap();
    let paired = paired_bootstrap(base.len(), &settings, |rows| mean(&base, rows), |rows| mean(&arm, rows)).unwrap();
    for (found, name) in [(single, "mean"), (paired, "paired")] {
        let expected = numbers(&case[name]);
        // A quantile of 20,000 draws wanders by about 2 % of the standard error; five times that is allowed.
        let tolerance = 0.1 * expected[2];
        assert!((found.low - expected[0]).abs() < tolerance, "{name}: {found:?} {expected:?}");
        assert!((found.high - expected[1]).abs() < tolerance, "{name}: {found:?} {expected:?}");
        assert!((found.standard_error - expected[2]).abs() < 0.03 * expected[2], "{name}: {found:?} {expected:?}");
    }
}
