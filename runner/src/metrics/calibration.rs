//! Calibration: do things said with confidence 0.8 happen eight times in ten?

use super::{MetricError, check_length};

/// One bin of a reliability diagram.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bin {
    /// The lowest confidence of the bin.
    pub low: f64,
    /// The bound above the bin; for the last bin it equals `low`.
    pub high: f64,
    /// How many observed rows fall in it.
    pub count: u64,
    /// Their mean confidence, 0 for an empty bin.
    pub mean_confidence: f64,
    /// The share of them that came true, 0 for an empty bin.
    pub share_true: f64,
}

/// The bins `[i / bins, (i + 1) / bins)`, and a last one that holds a confidence of exactly 1, as in torchmetrics.
///
/// For two classes `confidence` is the probability of the positive class and `came_true` its label; for more it is the
/// largest probability, and `came_true` says whether that class was right.
///
/// # Errors
/// No bins, a confidence outside 0 to 1, or no observed row.
pub fn reliability(
    confidence: &[f32],
    came_true: &[bool],
    observed: Option<&[bool]>,
    bins: usize,
) -> Result<Vec<Bin>, MetricError> {
    let metric = "calibration_error";
    if bins == 0 {
        return Err(MetricError::Setting { metric, reason: "at least one bin is needed".into() });
    }
    check_length("labels", confidence.len(), came_true.len())?;
    if let Some(flags) = observed {
        check_length("observed", confidence.len(), flags.len())?;
    }
    let mut counts = vec![(0u64, 0.0f64, 0u64); bins + 1];
    for (row, &value) in confidence.iter().enumerate() {
        if observed.is_some_and(|flags| !flags[row]) {
            continue;
        }
        let value = f64::from(value);
        if !(0.0..=1.0).contains(&value) {
            let needs = "probabilities from 0 to 1";
            return Err(MetricError::Domain { metric, needs, what: "the prediction", row, target: 0, value });
        }
        let bin = &mut counts[bin_of(value, bins)];
        bin.0 += 1;
        bin.1 += value;
        bin.2 += u64::from(came_true[row]);
    }
    if counts.iter().all(|bin| bin.0 == 0) {
        return Err(MetricError::NothingObserved { metric, target: None });
    }
    let mean = |sum: f64, count: u64| if count == 0 { 0.0 } else { sum / count as f64 };
    let describe = |(at, &(count, sum, hits)): (usize, &(u64, f64, u64))| Bin {
        low: boundary(at, bins),
        high: boundary((at + 1).min(bins), bins),
        count,
        mean_confidence: mean(sum, count),
        share_true: mean(hits as f64, count),
    };
    Ok(counts.iter().enumerate().map(describe).collect())
}

/// Where bin `at` begins, rounded to `f32` as the boundaries of torchmetrics are, because confidences are `f32`.
fn boundary(at: usize, bins: usize) -> f64 {
    f64::from((at as f64 / bins as f64) as f32)
}

fn bin_of(value: f64, bins: usize) -> usize {
    let mut bin = ((value * bins as f64) as usize).min(bins);
    while bin > 0 && boundary(bin, bins) > value {
        bin -= 1;
    }
    while bin < bins && boundary(bin + 1, bins) <= value {
        bin += 1;
    }
    bin
}

/// The expected calibration error: the mean over rows of the gap between confidence and truth of the row's bin.
///
/// # Errors
/// As [`reliability`].
pub fn calibration_error(
    confidence: &[f32],
    came_true: &[bool],
    observed: Option<&[bool]>,
    bins: usize,
) -> Result<f64, MetricError> {
    let diagram = reliability(confidence, came_true, observed, bins)?;
    let total = diagram.iter().map(|bin| bin.count).sum::<u64>() as f64;
    Ok(diagram.iter().map(|bin| bin.count as f64 / total * (bin.mean_confidence - bin.share_true).abs()).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_boundary_opens_its_own_bin() {
        for bins in [1, 3, 10, 15] {
            for at in 0..=bins {
                assert_eq!(bin_of(boundary(at, bins), bins), at, "boundary {at} of {bins} bins");
                if at > 0 {
                    let below = f64::from(((at as f64 / bins as f64) as f32).next_down());
                    assert_eq!(bin_of(below, bins), at - 1);
                }
            }
        }
    }

    #[test]
    fn a_confidence_that_is_no_probability_is_refused() {
        for value in [-0.1, 1.1, f32::NAN] {
            assert!(matches!(calibration_error(&[value], &[true], None, 10), Err(MetricError::Domain { .. })));
        }
        assert!(calibration_error(&[0.5], &[true], None, 0).is_err());
        assert!(calibration_error(&[0.5], &[true], Some(&[false]), 5).is_err());
    }

    #[test]
    fn perfect_confidence_has_no_error() {
        assert_eq!(calibration_error(&[1.0, 0.0, 1.0], &[true, false, true], None, 10).unwrap(), 0.0);
    }
}
