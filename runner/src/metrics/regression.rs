//! Metrics of numbers: R2, absolute and squared error, Tweedie deviance.

use super::{Block, MetricError, Pair, check_length};

/// The space in which predictions and labels are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
pub enum Space {
    /// As they are.
    #[default]
    Plain,
    /// After `log(1 + x)`, which needs `x > -1`.
    Log1p,
}

impl Space {
    fn map(self, metric: &'static str, pair: Pair, first_row: usize) -> Result<Pair, MetricError> {
        if self == Self::Plain {
            return Ok(pair);
        }
        let log = |what, value: f64| {
            if value > -1.0 {
                return Ok(libm::log1p(value));
            }
            let needs = "values above -1 in log1p space";
            Err(MetricError::Domain { metric, needs, what, row: first_row + pair.row, target: pair.target, value })
        };
        Ok(Pair { predicted: log("the prediction", pair.predicted)?, label: log("the label", pair.label)?, ..pair })
    }
}

/// How one number is made from one per target.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum TargetAverage<'a> {
    /// The plain mean over targets, scikit-learn's `multioutput="uniform_average"`.
    #[default]
    Uniform,
    /// The mean weighted by these numbers, one per target, scikit-learn's `multioutput=[...]`.
    Weights(&'a [f64]),
}

impl TargetAverage<'_> {
    fn of(self, values: &[f64]) -> Result<f64, MetricError> {
        let Self::Weights(weights) = self else {
            return Ok(values.iter().sum::<f64>() / values.len() as f64);
        };
        check_weights(weights, values.len())?;
        let total: f64 = weights.iter().sum();
        Ok(values.iter().zip(weights).map(|(value, weight)| value * weight).sum::<f64>() / total)
    }
}

fn check_weights(weights: &[f64], targets: usize) -> Result<(), MetricError> {
    check_length("the list of target weights", targets, weights.len())?;
    if weights.iter().any(|weight| !weight.is_finite() || *weight < 0.0) || weights.iter().all(|&weight| weight == 0.0) {
        let reason = format!("target weights must be finite, not negative and not all zero, found {weights:?}");
        return Err(MetricError::Setting { metric: "weighted average", reason });
    }
    Ok(())
}

/// Weighted running sums from which R2, MAE and RMSE follow.
///
/// The spread of labels is kept by West's update of mean and second moment, which does not cancel when labels are large.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Moments {
    count: u64,
    weight: f64,
    mean: f64,
    spread: f64,
    squared_error: f64,
    absolute_error: f64,
}

impl Moments {
    /// Takes in one pair. A pair of weight 0 counts for nothing.
    pub fn add(&mut self, weight: f64, predicted: f64, label: f64) {
        if weight == 0.0 {
            return;
        }
        self.count += 1;
        self.weight += weight;
        let above_old_mean = label - self.mean;
        self.mean += above_old_mean * weight / self.weight;
        self.spread += weight * above_old_mean * (label - self.mean);
        let error = label - predicted;
        self.squared_error += weight * error * error;
        self.absolute_error += weight * error.abs();
    }

    /// How many pairs were taken in.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The weighted mean of labels, 0 before the first.
    pub fn mean_label(&self) -> f64 {
        self.mean
    }

    fn r2(&self, target: Option<usize>) -> Result<f64, MetricError> {
        let metric = "r2_score";
        match self.count {
            0 => Err(MetricError::NothingObserved { metric, target }),
            1 => Err(MetricError::Undefined { metric, target, reason: "it needs at least two observed labels" }),
            // scikit-learn's `force_finite=True`: a perfect fit of a constant is 1, any other fit of a constant is 0.
            _ if self.spread == 0.0 => Ok(if self.squared_error == 0.0 { 1.0 } else { 0.0 }),
            _ => Ok(1.0 - self.squared_error / self.spread),
        }
    }
}

/// Streaming regression metrics over a number of targets.
///
/// ```
/// use sward::metrics::{Block, Regression, Space, TargetAverage};
/// let mut regression = Regression::new(1, Space::Plain);
/// regression.update(&Block::new(1, &[2.5, 0.0, 2.0, 8.0], &[3.0, -0.5, 2.0, 7.0], None)?)?;
/// assert!((regression.r2_score(TargetAverage::Uniform)? - 0.948_608_137_044).abs() < 1e-9);
/// # Ok::<(), sward::metrics::MetricError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Regression {
    space: Space,
    rows: usize,
    targets: Vec<Moments>,
}

impl Regression {
    /// Before the first row.
    pub fn new(targets: usize, space: Space) -> Self {
        Self { space, rows: 0, targets: vec![Moments::default(); targets] }
    }

    /// Takes in the observed pairs of some rows.
    ///
    /// # Errors
    /// A value that is not finite or lies outside the space, named by row and target; nothing is taken in then.
    pub fn update(&mut self, block: &Block) -> Result<(), MetricError> {
        check_length("a block's row", self.targets.len(), block.targets())?;
        let pairs: Vec<Pair> =
            block.pairs().map(|pair| self.space.map("r2_score", pair.finite(self.rows)?, self.rows)).collect::<Result<_, _>>()?;
        for pair in pairs {
            self.targets[pair.target].add(1.0, pair.predicted, pair.label);
        }
        self.rows += block.rows();
        Ok(())
    }

    /// The sums of each target.
    pub fn moments(&self) -> &[Moments] {
        &self.targets
    }

    /// R2 of each target: `1 - sum((y - p)^2) / sum((y - mean(y))^2)`.
    ///
    /// # Errors
    /// A target with fewer than two observed labels.
    pub fn r2_scores(&self) -> Result<Vec<f64>, MetricError> {
        self.targets.iter().enumerate().map(|(column, moments)| moments.r2(Some(column))).collect()
    }

    /// R2 averaged over targets, scikit-learn's `r2_score`.
    ///
    /// # Errors
    /// A target with fewer than two observed labels, or weights that do not fit.
    pub fn r2_score(&self, average: TargetAverage) -> Result<f64, MetricError> {
        average.of(&self.r2_scores()?)
    }

    /// Mean absolute error of each target.
    ///
    /// # Errors
    /// A target without an observed label.
    pub fn mean_absolute_errors(&self) -> Result<Vec<f64>, MetricError> {
        self.per_target("mean_absolute_error", |moments| moments.absolute_error / moments.weight)
    }

    /// Mean absolute error averaged over targets.
    ///
    /// # Errors
    /// A target without an observed label, or weights that do not fit.
    pub fn mean_absolute_error(&self, average: TargetAverage) -> Result<f64, MetricError> {
        average.of(&self.mean_absolute_errors()?)
    }

    /// Mean squared error of each target.
    ///
    /// # Errors
    /// A target without an observed label.
    pub fn mean_squared_errors(&self) -> Result<Vec<f64>, MetricError> {
        self.per_target("mean_squared_error", |moments| moments.squared_error / moments.weight)
    }

    /// Mean squared error averaged over targets.
    ///
    /// # Errors
    /// A target without an observed label, or weights that do not fit.
    pub fn mean_squared_error(&self, average: TargetAverage) -> Result<f64, MetricError> {
        average.of(&self.mean_squared_errors()?)
    }

    /// Root mean squared error averaged over targets: the root is taken per target, as in scikit-learn.
    ///
    /// # Errors
    /// A target without an observed label, or weights that do not fit.
    pub fn root_mean_squared_error(&self, average: TargetAverage) -> Result<f64, MetricError> {
        let roots: Vec<f64> =
            self.per_target("root_mean_squared_error", |moments| (moments.squared_error / moments.weight).sqrt())?;
        average.of(&roots)
    }

    fn per_target(&self, metric: &'static str, value: impl Fn(&Moments) -> f64) -> Result<Vec<f64>, MetricError> {
        let of = |(column, moments): (usize, &Moments)| match moments.count {
            0 => Err(MetricError::NothingObserved { metric, target: Some(column) }),
            _ => Ok(value(moments)),
        };
        self.targets.iter().enumerate().map(of).collect()
    }
}

/// One R2 over all (row, target) pairs, each weighted by its target, against one weighted mean of all labels.
///
/// This is the score of the CSIRO pasture biomass competition (weights 0.1, 0.1, 0.1, 0.2 and 0.5), which equals
/// scikit-learn's `r2_score` on the flattened arrays with `sample_weight`. Because one global mean is the baseline,
/// differences between targets count as explained variance, and the value lies above the weighted mean of each target's R2.
///
/// # Errors
/// Weights that do not fit, a value outside the space, or fewer than two observed labels.
pub fn weighted_global_r2_score(block: &Block, weights: &[f64], space: Space) -> Result<f64, MetricError> {
    check_weights(weights, block.targets())?;
    let mut moments = Moments::default();
    for pair in block.pairs() {
        let pair = space.map("weighted_global_r2_score", pair.finite(0)?, 0)?;
        moments.add(weights[pair.target], pair.predicted, pair.label);
    }
    moments.r2(None)
}

/// Streaming mean Tweedie deviance, scikit-learn's `mean_tweedie_deviance`, over all observed labels of all targets.
#[derive(Debug, Clone, PartialEq)]
pub struct Tweedie {
    power: f64,
    rows: usize,
    count: u64,
    sum: f64,
}

impl Tweedie {
    /// Power 0 is the squared error, 1 the Poisson, 2 the gamma and 3 the inverse Gaussian deviance; between 1 and 2 lie the
    /// compound Poisson deviances for zero-inflated labels.
    ///
    /// # Errors
    /// A power between 0 and 1, for which no distribution exists, or one that is not finite.
    pub fn new(power: f64) -> Result<Self, MetricError> {
        if !power.is_finite() || (power > 0.0 && power < 1.0) {
            let reason = format!("power {power} has no distribution; use 0 or less, or 1 or more");
            return Err(MetricError::Setting { metric: Self::NAME, reason });
        }
        Ok(Self { power, rows: 0, count: 0, sum: 0.0 })
    }

    const NAME: &'static str = "mean_tweedie_deviance";

    /// Takes in the observed pairs of some rows.
    ///
    /// # Errors
    /// A value that is not finite or outside the deviance's domain, named by row and target; nothing is taken in then.
    pub fn update(&mut self, block: &Block) -> Result<(), MetricError> {
        let mut next = self.clone();
        for pair in block.pairs() {
            let pair = pair.finite(self.rows)?;
            next.check(pair)?;
            next.sum += unit_deviance(self.power, pair.label, pair.predicted);
            next.count += 1;
        }
        next.rows += block.rows();
        *self = next;
        Ok(())
    }

    fn check(&self, pair: Pair) -> Result<(), MetricError> {
        let wrong = |what, needs, value| {
            Err(MetricError::Domain { metric: Self::NAME, needs, what, row: self.rows + pair.row, target: pair.target, value })
        };
        if self.power != 0.0 && pair.predicted <= 0.0 {
            return wrong("the prediction", "positive predictions at this power", pair.predicted);
        }
        if (1.0..2.0).contains(&self.power) && pair.label < 0.0 {
            return wrong("the label", "labels of zero or more at this power", pair.label);
        }
        if self.power >= 2.0 && pair.label <= 0.0 {
            return wrong("the label", "positive labels at this power", pair.label);
        }
        Ok(())
    }

    /// The mean deviance.
    ///
    /// # Errors
    /// No observed label.
    pub fn mean_deviance(&self) -> Result<f64, MetricError> {
        match self.count {
            0 => Err(MetricError::NothingObserved { metric: Self::NAME, target: None }),
            count => Ok(self.sum / count as f64),
        }
    }
}

/// Twice the log-likelihood ratio of the saturated model and the mean `mean`.
fn unit_deviance(power: f64, label: f64, mean: f64) -> f64 {
    if power == 0.0 {
        return (label - mean).powi(2);
    }
    if power == 1.0 {
        let logarithm = if label == 0.0 { 0.0 } else { label * libm::log(label / mean) };
        return 2.0 * (logarithm - label + mean);
    }
    if power == 2.0 {
        return 2.0 * (libm::log(mean / label) + label / mean - 1.0);
    }
    let below_one = 1.0 - power;
    let below_two = 2.0 - power;
    // A negative label is allowed at powers below 0, where its own term is dropped as in scikit-learn.
    let saturated = libm::pow(label.max(0.0), below_two) / (below_one * below_two);
    2.0 * (saturated - label * libm::pow(mean, below_one) / below_one + libm::pow(mean, below_two) / below_two)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn regression(predicted: &[f32], label: &[f32], observed: &[bool]) -> Regression {
        let mut regression = Regression::new(1, Space::Plain);
        regression.update(&Block::new(1, predicted, label, Some(observed)).unwrap()).unwrap();
        regression
    }

    #[test]
    fn a_constant_target_scores_one_when_met_and_zero_otherwise() {
        let r2 = |predicted: &[f32]| regression(predicted, &[3.0; 3], &[true; 3]).r2_score(TargetAverage::Uniform).unwrap();
        assert_eq!(r2(&[3.0; 3]), 1.0);
        assert_eq!(r2(&[3.0, 3.0, 2.0]), 0.0);
    }

    #[test]
    fn too_few_observed_labels_are_an_error_that_names_the_target() {
        let single = regression(&[1.0, 2.0], &[1.0, 2.0], &[true, false]);
        assert_eq!(
            single.r2_score(TargetAverage::Uniform).unwrap_err().to_string(),
            "r2_score has no value for target 0: it needs at least two observed labels"
        );
        let none = regression(&[1.0], &[1.0], &[false]);
        assert_eq!(
            none.mean_absolute_error(TargetAverage::Uniform).unwrap_err().to_string(),
            "mean_absolute_error has no value for target 0: no label is observed"
        );
    }

    #[test]
    fn a_value_outside_the_domain_is_named_by_row_and_target() {
        let mut log = Regression::new(2, Space::Log1p);
        log.update(&Block::new(2, &[0.0; 2], &[0.0; 2], None).unwrap()).unwrap();
        let before = log.clone();
        let bad = log.update(&Block::new(2, &[1.0, -1.0], &[0.0; 2], None).unwrap()).unwrap_err();
        assert_eq!(bad.to_string(), "r2_score needs values above -1 in log1p space, but the prediction of row 1, target 1 is -1");
        assert_eq!(log, before, "a refused block leaves no trace");

        let mut tweedie = Tweedie::new(1.5).unwrap();
        let bad = tweedie.update(&Block::new(1, &[1.0, 0.0], &[0.0; 2], None).unwrap()).unwrap_err();
        assert!(bad.to_string().contains("the prediction of row 1, target 0 is 0"), "{bad}");
        assert!(Tweedie::new(0.5).is_err());
    }

    #[test]
    fn labels_far_from_zero_do_not_cancel() {
        // The naive sum of squares loses all digits here.
        let label = [16_777_213.0, 16_777_214.0, 16_777_215.0, 16_777_216.0];
        let predicted = [16_777_213.0, 16_777_214.0, 16_777_215.0, 16_777_215.0];
        let r2 = regression(&predicted, &label, &[true; 4]).r2_score(TargetAverage::Uniform).unwrap();
        assert!((r2 - 0.8).abs() < 1e-12, "{r2}");
    }

    proptest! {
        #[test]
        fn batching_and_hidden_labels_never_change_a_bit(
            rows in proptest::collection::vec((-100f32..100.0, -100f32..100.0, any::<bool>()), 4..60),
            cut in 0usize..60,
        ) {
            let predicted: Vec<f32> = rows.iter().map(|row| row.0).collect();
            let label: Vec<f32> = rows.iter().map(|row| row.1).collect();
            let observed: Vec<bool> = rows.iter().map(|row| row.2).collect();
            let poisoned: Vec<f32> = rows.iter().map(|row| if row.2 { row.1 } else { f32::NAN }).collect();
            let whole = regression(&predicted, &label, &observed);
            let cut = cut.min(rows.len());
            let mut parts = Regression::new(1, Space::Plain);
            for range in [0..cut, cut..rows.len()] {
                let block = Block::new(1, &predicted[range.clone()], &poisoned[range.clone()], Some(&observed[range]));
                parts.update(&block.unwrap()).unwrap();
            }
            prop_assert_eq!(whole, parts);
        }
    }
}
