//! Metrics of order: area under the ROC curve and Spearman's rank correlation.

use super::{MetricError, check_length};

/// The rank of every value counted from 1; equal values share the mean of their ranks.
pub fn average_ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    while start < order.len() {
        // `==` and not `total_cmp`, so that 0.0 and -0.0 tie; the sort puts them side by side.
        let end = (start + 1..order.len()).find(|&at| values[order[at]] != values[order[start]]).unwrap_or(order.len());
        for &at in &order[start..end] {
            ranks[at] = (start + end + 1) as f64 / 2.0;
        }
        start = end;
    }
    ranks
}

/// The observed entries of an array of finite numbers.
fn observed_values(what: &'static str, values: &[f32], observed: Option<&[bool]>) -> Result<Vec<f64>, MetricError> {
    if let Some(flags) = observed {
        check_length("observed", values.len(), flags.len())?;
    }
    let mut kept = Vec::with_capacity(values.len());
    for (row, &value) in values.iter().enumerate() {
        if observed.is_some_and(|flags| !flags[row]) {
            continue;
        }
        if !value.is_finite() {
            return Err(MetricError::NotFinite { what, row, target: 0, value: f64::from(value) });
        }
        kept.push(f64::from(value));
    }
    Ok(kept)
}

/// The area under the ROC curve: the chance that a positive row scores above a negative one, ties counting one half.
///
/// # Errors
/// A score that is not finite, or observed labels of one class alone.
pub fn roc_auc_score(score: &[f32], positive: &[bool], observed: Option<&[bool]>) -> Result<f64, MetricError> {
    check_length("labels", score.len(), positive.len())?;
    let scores = observed_values("the prediction", score, observed)?;
    let labels: Vec<bool> =
        (0..positive.len()).filter(|&row| observed.is_none_or(|flags| flags[row])).map(|row| positive[row]).collect();
    area(&scores, &labels, None)
}

fn area(scores: &[f64], labels: &[bool], target: Option<usize>) -> Result<f64, MetricError> {
    let metric = "roc_auc_score";
    let positives = labels.iter().filter(|&&label| label).count() as f64;
    let negatives = labels.len() as f64 - positives;
    if labels.is_empty() {
        return Err(MetricError::NothingObserved { metric, target });
    }
    if positives == 0.0 || negatives == 0.0 {
        return Err(MetricError::Undefined { metric, target, reason: "every observed label is of one class" });
    }
    let ranks = average_ranks(scores);
    let rank_sum: f64 = ranks.iter().zip(labels).filter(|(_, label)| **label).map(|(rank, _)| rank).sum();
    Ok((rank_sum - positives * (positives + 1.0) / 2.0) / (positives * negatives))
}

/// The plain mean over classes of the area of that class against the rest (`multi_class="ovr", average="macro"`).
///
/// `score` is row-major, one column per class.
///
/// # Errors
/// A score that is not finite, a class number out of range, or a class that no observed row has.
pub fn roc_auc_score_multiclass(
    classes: usize,
    score: &[f32],
    label: &[usize],
    observed: Option<&[bool]>,
) -> Result<f64, MetricError> {
    check_length("scores", label.len() * classes, score.len())?;
    if let Some(flags) = observed {
        check_length("observed", label.len(), flags.len())?;
    }
    let rows: Vec<usize> = (0..label.len()).filter(|&row| observed.is_none_or(|flags| flags[row])).collect();
    if let Some(&row) = rows.iter().find(|&&row| label[row] >= classes) {
        return Err(MetricError::Domain {
            metric: "roc_auc_score",
            needs: "class numbers below the number of classes",
            what: "the label",
            row,
            target: 0,
            value: label[row] as f64,
        });
    }
    let mut sum = 0.0;
    for class in 0..classes {
        let column: Vec<f32> = rows.iter().map(|&row| score[row * classes + class]).collect();
        let positive: Vec<bool> = rows.iter().map(|&row| label[row] == class).collect();
        sum += area(&observed_values("the prediction", &column, None)?, &positive, Some(class))?;
    }
    Ok(sum / classes as f64)
}

/// Spearman's rank correlation: Pearson's correlation of average ranks.
///
/// # Errors
/// A value that is not finite, fewer than two observed pairs, or a constant array.
pub fn spearman_rank_correlation(a: &[f32], b: &[f32], observed: Option<&[bool]>) -> Result<f64, MetricError> {
    let metric = "spearman_rank_correlation";
    check_length("the second array", a.len(), b.len())?;
    let first = average_ranks(&observed_values("the prediction", a, observed)?);
    let second = average_ranks(&observed_values("the label", b, observed)?);
    if first.is_empty() {
        return Err(MetricError::NothingObserved { metric, target: None });
    }
    // The mean of n ranks is (n + 1) / 2, ties or not.
    let mean = (first.len() as f64 + 1.0) / 2.0;
    let product = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(p, q)| (p - mean) * (q - mean)).sum::<f64>();
    let scale = (product(&first, &first) * product(&second, &second)).sqrt();
    if scale == 0.0 {
        return Err(MetricError::Undefined { metric, target: None, reason: "one of the arrays is constant" });
    }
    Ok((product(&first, &second) / scale).clamp(-1.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn equal_values_share_a_rank() {
        assert_eq!(average_ranks(&[3.0, 1.0, 3.0, -0.0, 0.0]), [4.5, 3.0, 4.5, 1.5, 1.5]);
    }

    #[test]
    fn one_class_alone_has_no_area() {
        let error = roc_auc_score(&[0.1, 0.2, 0.3], &[true, true, false], Some(&[true, true, false])).unwrap_err();
        assert_eq!(error.to_string(), "roc_auc_score has no value: every observed label is of one class");
    }

    #[test]
    fn a_score_that_is_not_finite_is_named() {
        let error = roc_auc_score(&[0.1, f32::NAN], &[true, false], None).unwrap_err();
        assert!(error.to_string().starts_with("the prediction of row 1, target 0 is NaN"), "{error}");
    }

    proptest! {
        #[test]
        fn the_area_counts_pairs(rows in proptest::collection::vec((0u8..6, any::<bool>()), 2..40)) {
            let score: Vec<f32> = rows.iter().map(|row| f32::from(row.0)).collect();
            let positive: Vec<bool> = rows.iter().map(|row| row.1).collect();
            let (mut wins, mut pairs) = (0.0, 0.0);
            for (high, _) in positive.iter().enumerate().filter(|(_, label)| **label) {
                for (low, _) in positive.iter().enumerate().filter(|(_, label)| !**label) {
                    pairs += 1.0;
                    wins += if score[high] > score[low] { 1.0 } else if score[high] == score[low] { 0.5 } else { 0.0 };
                }
            }
            match roc_auc_score(&score, &positive, None) {
                Ok(value) => prop_assert!((value - wins / pairs).abs() < 1e-12),
                Err(_) => prop_assert_eq!(pairs, 0.0),
            }
        }
    }
}
