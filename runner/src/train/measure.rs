//! Metrics of predictions, in the table's unit.

use indexmap::IndexMap;
use sward_core::source::Spanned;

use super::predictions::{FieldPrediction, Predictions};
use crate::experiment::spec::{F1Average, Metric, Regression as Settings};
use crate::experiment::{Joined, field_of};
use crate::feed::Labels;
use crate::metrics::{
    Average, Block, Confusion, MetricError, Regression, TargetAverage, Tweedie, calibration_error, roc_auc_score,
    roc_auc_score_multiclass, spearman_rank_correlation, weighted_global_r2_score,
};

/// Predictions, labels and their masks side by side, row-major.
struct Pairs {
    targets: usize,
    predicted: Vec<f32>,
    label: Vec<f32>,
    observed: Vec<bool>,
    weights: Vec<f64>,
}

/// Computes every metric of an experiment. `rows` are the rows of `labels` that the predictions are of, in order. A metric that has no value
/// (one class alone, say) is NaN, and its reason is returned beside the values.
pub fn measure_all(
    joined: &Joined,
    predictions: &Predictions,
    labels: &IndexMap<String, Labels>,
    rows: &[usize],
) -> (IndexMap<String, f64>, Vec<String>) {
    let mut values = IndexMap::new();
    let mut reasons = Vec::new();
    for (name, metric) in &joined.experiment.metrics {
        let value = measure(joined, metric, predictions, labels, rows).unwrap_or_else(|error| {
            reasons.push(format!("{}: {error}", name.value));
            f64::NAN
        });
        values.insert(name.value.clone(), value);
    }
    (values, reasons)
}

/// Computes one metric.
///
/// # Errors
/// A metric without a value for these labels.
pub fn measure(
    joined: &Joined,
    metric: &Spanned<Metric>,
    predictions: &Predictions,
    labels: &IndexMap<String, Labels>,
    rows: &[usize],
) -> Result<f64, MetricError> {
    let own = &metric.value;
    let field = field_of(&joined.experiment, &joined.data, own.of(), own.takes()).expect("the experiment was checked");
    let (prediction, label) = (&predictions[&field.name], &labels[&field.name]);
    // Totals follow from the parts: without weights they would count twice, so that the field's own columns are compared.
    let own_columns: Vec<(&str, f64)> = field.columns.iter().map(|name| (name.as_str(), 1.0)).collect();
    let columns = own_columns.as_slice();
    let plain = |settings: &Settings| {
        let weighed: Vec<(&str, f64)> = settings.weights.iter().map(|(name, weight)| (name.value.as_str(), *weight)).collect();
        pairs(prediction, label, rows, if weighed.is_empty() { columns } else { &weighed })
    };
    match own {
        Metric::R2Score(settings) => regression(settings, &plain(settings), Regression::r2_score),
        Metric::MeanAbsoluteError(settings) => regression(settings, &plain(settings), Regression::mean_absolute_error),
        Metric::MeanSquaredError(settings) => regression(settings, &plain(settings), Regression::mean_squared_error),
        Metric::RootMeanSquaredError(settings) => regression(settings, &plain(settings), Regression::root_mean_squared_error),
        Metric::WeightedGlobalR2Score(settings) => {
            let pairs = plain(settings);
            weighted_global_r2_score(&block(&pairs)?, &pairs.weights, settings.space)
        }
        Metric::MeanTweedieDeviance { power, .. } => {
            let pairs = pairs(prediction, label, rows, columns);
            let mut tweedie = Tweedie::new(*power)?;
            tweedie.update(&block(&pairs)?)?;
            tweedie.mean_deviance()
        }
        Metric::SpearmanRankCorrelation(_) => {
            let pairs = pairs(prediction, label, rows, columns);
            let column =
                |values: &[f32], target: usize| values.iter().skip(target).step_by(pairs.targets).copied().collect::<Vec<_>>();
            let mut sum = 0.0;
            for target in 0..pairs.targets {
                let observed: Vec<bool> = pairs.observed.iter().skip(target).step_by(pairs.targets).copied().collect();
                sum +=
                    spearman_rank_correlation(&column(&pairs.predicted, target), &column(&pairs.label, target), Some(&observed))?;
            }
            Ok(sum / pairs.targets as f64)
        }
        Metric::Accuracy(_) => confusion(prediction, label, rows, columns)?.accuracy(),
        Metric::BalancedAccuracy(_) => confusion(prediction, label, rows, columns)?.balanced_accuracy(),
        Metric::MatthewsCorrcoef(_) => confusion(prediction, label, rows, columns)?.matthews_corrcoef(),
        Metric::F1Score { average, .. } => confusion(prediction, label, rows, columns)?.f1_score(match average {
            F1Average::Binary => Average::Binary,
            F1Average::Macro => Average::Macro,
            F1Average::Micro => Average::Micro,
            F1Average::Weighted => Average::Weighted,
        }),
        Metric::RocAucScore(_) => area(prediction, label, rows, columns),
        Metric::CalibrationError { bins, .. } => {
            let (confidence, came_true, observed) = confidences(prediction, label, rows, columns);
            calibration_error(&confidence, &came_true, Some(&observed), *bins)
        }
    }
}

fn regression(
    settings: &Settings,
    pairs: &Pairs,
    value: fn(&Regression, TargetAverage<'_>) -> Result<f64, MetricError>,
) -> Result<f64, MetricError> {
    let mut regression = Regression::new(pairs.targets, settings.space);
    regression.update(&block(pairs)?)?;
    value(&regression, TargetAverage::Weights(&pairs.weights))
}

fn block(pairs: &Pairs) -> Result<Block<'_>, MetricError> {
    Block::new(pairs.targets, &pairs.predicted, &pairs.label, Some(&pairs.observed))
}

/// The pairs of some columns, with their weights.
fn pairs(prediction: &FieldPrediction, labels: &Labels, rows: &[usize], weighed: &[(&str, f64)]) -> Pairs {
    let (FieldPrediction::Numbers(columns) | FieldPrediction::Present(columns), Labels::Numbers(known) | Labels::Present(known)) =
        (prediction, labels)
    else {
        unreachable!("metrics of numbers are of numbers")
    };
    let mut pairs = Pairs {
        targets: weighed.len(),
        predicted: Vec::new(),
        label: Vec::new(),
        observed: Vec::new(),
        weights: weighed.iter().map(|(_, weight)| *weight).collect(),
    };
    let of = |name: &str| known.iter().find(|(own, _)| own == name).map(|(_, numbers)| numbers);
    for (position, row) in rows.iter().enumerate() {
        for (name, _) in weighed {
            let numbers = of(name).expect("labels of every predicted column are read");
            pairs.predicted.push(columns[*name][position] as f32);
            pairs.label.push(numbers.values[*row] as f32);
            pairs.observed.push(numbers.observed[*row]);
        }
    }
    pairs
}

fn confusion(
    prediction: &FieldPrediction,
    labels: &Labels,
    rows: &[usize],
    columns: &[(&str, f64)],
) -> Result<Confusion, MetricError> {
    match labels {
        Labels::Classes(known, classes) => {
            let mut confusion = Confusion::new(classes.len());
            let predicted = prediction.classes().expect("labels are predicted by classes");
            let label: Vec<usize> = rows.iter().map(|row| known[*row].unwrap_or(0)).collect();
            let observed: Vec<bool> = rows.iter().map(|row| known[*row].is_some()).collect();
            confusion.update(&predicted, &label, Some(&observed))?;
            Ok(confusion)
        }
        _ => {
            let pairs = pairs(prediction, labels, rows, columns);
            let mut confusion = Confusion::new(2);
            let above = |values: &[f32]| values.iter().map(|value| usize::from(*value > 0.5)).collect::<Vec<_>>();
            confusion.update(&above(&pairs.predicted), &above(&pairs.label), Some(&pairs.observed))?;
            Ok(confusion)
        }
    }
}

fn area(prediction: &FieldPrediction, labels: &Labels, rows: &[usize], columns: &[(&str, f64)]) -> Result<f64, MetricError> {
    match (labels, prediction) {
        (Labels::Classes(known, classes), FieldPrediction::Classes(probabilities, _)) => {
            let score: Vec<f32> = probabilities.iter().map(|value| *value as f32).collect();
            let label: Vec<usize> = rows.iter().map(|row| known[*row].unwrap_or(0)).collect();
            let observed: Vec<bool> = rows.iter().map(|row| known[*row].is_some()).collect();
            if classes.len() == 2 {
                let second: Vec<f32> = score.iter().skip(1).step_by(2).copied().collect();
                let positive: Vec<bool> = label.iter().map(|class| *class == 1).collect();
                return roc_auc_score(&second, &positive, Some(&observed));
            }
            roc_auc_score_multiclass(classes.len(), &score, &label, Some(&observed))
        }
        _ => {
            let pairs = pairs(prediction, labels, rows, columns);
            let positive: Vec<bool> = pairs.label.iter().map(|label| *label > 0.5).collect();
            roc_auc_score(&pairs.predicted, &positive, Some(&pairs.observed))
        }
    }
}

/// Confidences of what was said, whether it came true, and whether that is known.
fn confidences(
    prediction: &FieldPrediction,
    labels: &Labels,
    rows: &[usize],
    columns: &[(&str, f64)],
) -> (Vec<f32>, Vec<bool>, Vec<bool>) {
    match (labels, prediction) {
        (Labels::Classes(known, classes), FieldPrediction::Classes(probabilities, _)) => {
            let predicted = prediction.classes().expect("labels are predicted by classes");
            let confidence =
                predicted.iter().enumerate().map(|(row, class)| probabilities[row * classes.len() + class] as f32).collect();
            let came_true = rows.iter().zip(&predicted).map(|(row, class)| known[*row] == Some(*class)).collect();
            (confidence, came_true, rows.iter().map(|row| known[*row].is_some()).collect())
        }
        _ => {
            let pairs = pairs(prediction, labels, rows, columns);
            let came_true = pairs.label.iter().map(|label| *label > 0.5).collect();
            (pairs.predicted, came_true, pairs.observed)
        }
    }
}
