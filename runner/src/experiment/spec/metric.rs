//! The field `metrics`.

use indexmap::IndexMap;
use serde::Deserialize;
use sward_core::source::Spanned;

use crate::metrics::Space;

/// What is measured on validation rows.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Metric {
    /// scikit-learn's `r2_score`.
    R2Score(Regression),
    /// Against one mean of all labels.
    WeightedGlobalR2Score(Regression),
    /// scikit-learn's `mean_absolute_error`.
    MeanAbsoluteError(Regression),
    /// scikit-learn's `mean_squared_error`.
    MeanSquaredError(Regression),
    /// scikit-learn's `root_mean_squared_error`.
    RootMeanSquaredError(Regression),
    /// scikit-learn's `mean_tweedie_deviance`.
    MeanTweedieDeviance {
        /// The field.
        #[serde(default)]
        of: Option<Spanned<String>>,
        /// The power of the variance.
        power: f64,
    },
    /// The mean over targets of the rank correlation.
    SpearmanRankCorrelation(Of),
    /// scikit-learn's `accuracy_score`.
    Accuracy(Of),
    /// scikit-learn's `balanced_accuracy_score`.
    BalancedAccuracy(Of),
    /// scikit-learn's `f1_score`.
    F1Score {
        /// The field.
        #[serde(default)]
        of: Option<Spanned<String>>,
        /// How classes are averaged.
        #[serde(default)]
        average: F1Average,
    },
    /// scikit-learn's `matthews_corrcoef`.
    MatthewsCorrcoef(Of),
    /// scikit-learn's `roc_auc_score`, one against the rest.
    RocAucScore(Of),
    /// The expected calibration error.
    CalibrationError {
        /// The field.
        #[serde(default)]
        of: Option<Spanned<String>>,
        /// How many bins of confidence.
        #[serde(default = "ten_bins")]
        bins: usize,
    },
}

fn ten_bins() -> usize {
    10
}

/// The field that a metric is of.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Of {
    /// The field; not needed where one is predicted.
    #[serde(default)]
    pub of: Option<Spanned<String>>,
}

/// Settings of a metric of numbers.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Regression {
    /// The field; not needed where one is predicted.
    #[serde(default)]
    pub of: Option<Spanned<String>>,
    /// The space in which numbers are compared.
    #[serde(default)]
    pub space: Space,
    /// Weights of targets; the field's own columns equally where none is given.
    #[serde(default)]
    pub weights: IndexMap<Spanned<String>, f64>,
}

/// How F1 scores of classes are averaged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum F1Average {
    /// Of the second of two classes alone.
    Binary,
    /// Over classes.
    #[default]
    Macro,
    /// Over rows.
    Micro,
    /// Over classes by their number of rows.
    Weighted,
}

impl Metric {
    /// The field that it is of, where it is said.
    pub fn of(&self) -> Option<&Spanned<String>> {
        match self {
            Metric::R2Score(settings)
            | Metric::WeightedGlobalR2Score(settings)
            | Metric::MeanAbsoluteError(settings)
            | Metric::MeanSquaredError(settings)
            | Metric::RootMeanSquaredError(settings) => settings.of.as_ref(),
            Metric::SpearmanRankCorrelation(of)
            | Metric::Accuracy(of)
            | Metric::BalancedAccuracy(of)
            | Metric::MatthewsCorrcoef(of)
            | Metric::RocAucScore(of) => of.of.as_ref(),
            Metric::MeanTweedieDeviance { of, .. } | Metric::F1Score { of, .. } | Metric::CalibrationError { of, .. } => {
                of.as_ref()
            }
        }
    }

    /// The name in [`crate::metrics::NAMES`].
    pub fn name(&self) -> &'static str {
        match self {
            Metric::R2Score(_) => "r2_score",
            Metric::WeightedGlobalR2Score(_) => "weighted_global_r2_score",
            Metric::MeanAbsoluteError(_) => "mean_absolute_error",
            Metric::MeanSquaredError(_) => "mean_squared_error",
            Metric::RootMeanSquaredError(_) => "root_mean_squared_error",
            Metric::MeanTweedieDeviance { .. } => "mean_tweedie_deviance",
            Metric::SpearmanRankCorrelation(_) => "spearman_rank_correlation",
            Metric::Accuracy(_) => "accuracy",
            Metric::BalancedAccuracy(_) => "balanced_accuracy",
            Metric::F1Score { .. } => "f1_score",
            Metric::MatthewsCorrcoef(_) => "matthews_corrcoef",
            Metric::RocAucScore(_) => "roc_auc_score",
            Metric::CalibrationError { .. } => "calibration_error",
        }
    }

    /// Whether it takes numbers, classes or probabilities.
    pub fn takes(&self) -> Takes {
        match self {
            Metric::R2Score(_)
            | Metric::WeightedGlobalR2Score(_)
            | Metric::MeanAbsoluteError(_)
            | Metric::MeanSquaredError(_)
            | Metric::RootMeanSquaredError(_)
            | Metric::MeanTweedieDeviance { .. }
            | Metric::SpearmanRankCorrelation(_) => Takes::Numbers,
            _ => Takes::Classes,
        }
    }
}

/// What a metric takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// `Targets`.
    Numbers,
    /// `Labels` or `Present`.
    Classes,
}
