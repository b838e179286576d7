//! Evaluation metrics with the names and definitions of scikit-learn and torchmetrics.
//!
//! Every metric sees observed labels only: a label whose `observed` flag is false takes no part, whatever value stands in
//! its place. Sums are kept in `f64`, in row order, so a value does not depend on how rows were batched or how many
//! threads ran.
//!
//! | question | answer |
//! |---|---|
//! | where scikit-learn warns and returns NaN (one class for an AUC, one row for R2) | [`MetricError::Undefined`] |
//! | where scikit-learn defines a value for a degenerate case (constant target for R2, no positive for F1) | the same value |
//! | a prediction or an observed label that is not finite | [`MetricError::NotFinite`] |
//! | no observed label at all | [`MetricError::NothingObserved`] |

mod bootstrap;
mod calibration;
mod classification;
mod ranking;
mod regression;

pub use bootstrap::{Bootstrap, Interval, bootstrap, paired_bootstrap};
pub use calibration::{Bin, calibration_error, reliability};
pub use classification::{Average, Confusion};
pub use ranking::{average_ranks, roc_auc_score, roc_auc_score_multiclass, spearman_rank_correlation};
pub use regression::{Moments, Regression, Space, TargetAverage, Tweedie, weighted_global_r2_score};

use crate::schedule::Direction;

/// The names of metrics, and which way is better: what an experiment may watch.
pub const NAMES: [(&str, Direction); 14] = [
    ("accuracy", Direction::Maximize),
    ("balanced_accuracy", Direction::Maximize),
    ("calibration_error", Direction::Minimize),
    ("f1_score", Direction::Maximize),
    ("loss", Direction::Minimize),
    ("matthews_corrcoef", Direction::Maximize),
    ("mean_absolute_error", Direction::Minimize),
    ("mean_squared_error", Direction::Minimize),
    ("mean_tweedie_deviance", Direction::Minimize),
    ("r2_score", Direction::Maximize),
    ("roc_auc_score", Direction::Maximize),
    ("root_mean_squared_error", Direction::Minimize),
    ("spearman_rank_correlation", Direction::Maximize),
    ("weighted_global_r2_score", Direction::Maximize),
];

/// Which way a metric is better, by its name; `None` where the name is unknown.
pub fn direction(name: &str) -> Option<Direction> {
    NAMES.iter().find(|(known, _)| *known == name).map(|(_, direction)| *direction)
}

/// Why a metric has no value.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MetricError {
    /// No label is observed.
    #[error("{metric} has no value{}: no label is observed", of_target(*target))]
    NothingObserved {
        /// The metric's name.
        metric: &'static str,
        /// The target's column, where the metric looks at one target.
        target: Option<usize>,
    },
    /// The definition gives no value for these labels.
    #[error("{metric} has no value{}: {reason}", of_target(*target))]
    Undefined {
        /// The metric's name.
        metric: &'static str,
        /// The target's column, where the metric looks at one target.
        target: Option<usize>,
        /// What the definition needs.
        reason: &'static str,
    },
    /// A value lies outside the metric's domain.
    #[error("{metric} needs {needs}, but {what} of row {row}, target {target} is {value}")]
    Domain {
        /// The metric's name.
        metric: &'static str,
        /// What the metric needs, as a sentence part.
        needs: &'static str,
        /// `the prediction` or `the label`.
        what: &'static str,
        /// The row, counted from 0 over all updates.
        row: usize,
        /// The target's column.
        target: usize,
        /// The value.
        value: f64,
    },
    /// A prediction or an observed label is NaN or infinite.
    #[error("{what} of row {row}, target {target} is {value}: metrics take finite numbers only")]
    NotFinite {
        /// `the prediction` or `the label`.
        what: &'static str,
        /// The row, counted from 0 over all updates.
        row: usize,
        /// The target's column.
        target: usize,
        /// The value.
        value: f64,
    },
    /// Arrays that must go together differ in length.
    #[error("{what} has {found} values where {expected} are expected")]
    Length {
        /// The array's name.
        what: &'static str,
        /// The length that it should have.
        expected: usize,
        /// The length that it has.
        found: usize,
    },
    /// A setting of the metric is out of range.
    #[error("{metric}: {reason}")]
    Setting {
        /// The metric's name.
        metric: &'static str,
        /// What is wrong.
        reason: String,
    },
}

fn of_target(target: Option<usize>) -> String {
    target.map_or_else(String::new, |column| format!(" for target {column}"))
}

/// Predictions and labels of some rows, row-major: value `row * targets + target`.
#[derive(Debug, Clone, Copy)]
pub struct Block<'a> {
    targets: usize,
    predicted: &'a [f32],
    label: &'a [f32],
    observed: Option<&'a [bool]>,
}

/// One observed pair of a [`Block`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// The row within the block.
    pub row: usize,
    /// The target's column.
    pub target: usize,
    /// What the model says.
    pub predicted: f64,
    /// What was measured.
    pub label: f64,
}

impl<'a> Block<'a> {
    /// Joins predictions and labels of `targets` columns; `observed` says which labels were measured, `None` that all were.
    ///
    /// # Errors
    /// [`MetricError::Length`] where the arrays do not go together.
    pub fn new(
        targets: usize,
        predicted: &'a [f32],
        label: &'a [f32],
        observed: Option<&'a [bool]>,
    ) -> Result<Self, MetricError> {
        if targets == 0 {
            return Err(MetricError::Setting { metric: "metrics", reason: "there is no target".into() });
        }
        let expected = predicted.len();
        let mut lengths = vec![("labels", label.len())];
        lengths.extend(observed.map(|flags| ("observed", flags.len())));
        if let Some(&(what, found)) = lengths.iter().find(|(_, found)| *found != expected) {
            return Err(MetricError::Length { what, expected, found });
        }
        if !expected.is_multiple_of(targets) {
            return Err(MetricError::Length {
                what: "predictions",
                expected: expected.div_ceil(targets) * targets,
                found: expected,
            });
        }
        Ok(Self { targets, predicted, label, observed })
    }

    /// How many columns there are.
    pub fn targets(&self) -> usize {
        self.targets
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.predicted.len() / self.targets
    }

    /// Every observed pair in row order.
    pub fn pairs(&self) -> impl Iterator<Item = Pair> + '_ {
        (0..self.predicted.len()).filter(|&at| self.observed.is_none_or(|flags| flags[at])).map(|at| Pair {
            row: at / self.targets,
            target: at % self.targets,
            predicted: f64::from(self.predicted[at]),
            label: f64::from(self.label[at]),
        })
    }
}

impl Pair {
    /// Refuses a value that is not finite. `first_row` is the block's place in the whole.
    fn finite(self, first_row: usize) -> Result<Self, MetricError> {
        for (what, value) in [("the prediction", self.predicted), ("the label", self.label)] {
            if !value.is_finite() {
                return Err(MetricError::NotFinite { what, row: first_row + self.row, target: self.target, value });
            }
        }
        Ok(self)
    }
}

/// Refuses settings that are not one per target.
fn check_length(what: &'static str, expected: usize, found: usize) -> Result<(), MetricError> {
    if expected == found { Ok(()) } else { Err(MetricError::Length { what, expected, found }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_better_when_small_and_scores_when_large() {
        for (name, found) in NAMES {
            let is_error = ["error", "deviance", "loss"].iter().any(|word| name.ends_with(word));
            assert_eq!(found == Direction::Minimize, is_error, "{name}");
        }
        assert_eq!(direction("r2_score"), Some(Direction::Maximize));
        assert_eq!(direction("r2"), None);
        assert!(NAMES.is_sorted_by_key(|(name, _)| *name));
    }

    #[test]
    fn a_block_of_unequal_lengths_is_refused_by_name() {
        let error = Block::new(2, &[0.0; 4], &[0.0; 4], Some(&[true; 3])).unwrap_err();
        assert_eq!(error.to_string(), "observed has 3 values where 4 are expected");
        assert!(Block::new(2, &[0.0; 3], &[0.0; 3], None).is_err());
        assert!(Block::new(0, &[], &[], None).is_err());
    }

    #[test]
    fn an_unobserved_pair_is_never_seen() {
        let block = Block::new(2, &[1.0, 2.0, 3.0, 4.0], &[f32::NAN, 5.0, 6.0, 7.0], Some(&[false, true, true, true]));
        let pairs: Vec<_> = block.unwrap().pairs().map(|pair| (pair.row, pair.target, pair.label)).collect();
        assert_eq!(pairs, [(0, 1, 5.0), (1, 0, 6.0), (1, 1, 7.0)]);
    }
}
