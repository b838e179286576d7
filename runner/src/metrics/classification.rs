//! Metrics of classes: accuracy, F1 and Matthews correlation, all from one confusion matrix.

use super::{MetricError, check_length};

/// How F1 is averaged over classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Average {
    /// The score of class 1 of two.
    Binary,
    /// The plain mean over classes that occur as a label or as a prediction.
    Macro,
    /// From counts pooled over classes; equals the accuracy.
    Micro,
    /// The mean over classes weighted by the number of labels.
    Weighted,
}

/// A streaming confusion matrix.
///
/// ```
/// use sward::metrics::{Average, Confusion};
/// let mut confusion = Confusion::new(2);
/// confusion.update(&[1, 0, 1, 1], &[1, 0, 0, 1], None)?;
/// assert_eq!(confusion.accuracy()?, 0.75);
/// assert_eq!(confusion.f1_score(Average::Binary)?, 0.8);
/// # Ok::<(), sward::metrics::MetricError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    rows: usize,
    counts: Vec<u64>,
}

impl Confusion {
    /// Before the first row.
    pub fn new(classes: usize) -> Self {
        Self { classes, rows: 0, counts: vec![0; classes * classes] }
    }

    /// Takes in the observed rows: `predicted` and `label` are class numbers.
    ///
    /// # Errors
    /// A class number out of range, named by row; nothing is taken in then.
    pub fn update(&mut self, predicted: &[usize], label: &[usize], observed: Option<&[bool]>) -> Result<(), MetricError> {
        check_length("labels", predicted.len(), label.len())?;
        if let Some(flags) = observed {
            check_length("observed", predicted.len(), flags.len())?;
        }
        let seen = |row: usize| observed.is_none_or(|flags| flags[row]);
        let rows: Vec<usize> = (0..predicted.len()).filter(|&row| seen(row)).collect();
        for &row in &rows {
            for (what, class) in [("the prediction", predicted[row]), ("the label", label[row])] {
                if class >= self.classes {
                    return Err(MetricError::Domain {
                        metric: "the confusion matrix",
                        needs: "class numbers below the number of classes",
                        what,
                        row: self.rows + row,
                        target: 0,
                        value: class as f64,
                    });
                }
            }
        }
        for row in rows {
            self.counts[label[row] * self.classes + predicted[row]] += 1;
        }
        self.rows += predicted.len();
        Ok(())
    }

    /// How many classes there are.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// How often rows of class `label` were predicted as class `predicted`.
    pub fn count(&self, label: usize, predicted: usize) -> u64 {
        self.counts[label * self.classes + predicted]
    }

    fn total(&self, metric: &'static str) -> Result<f64, MetricError> {
        match self.counts.iter().sum::<u64>() {
            0 => Err(MetricError::NothingObserved { metric, target: None }),
            total => Ok(total as f64),
        }
    }

    fn hits(&self) -> f64 {
        (0..self.classes).map(|class| self.count(class, class)).sum::<u64>() as f64
    }

    fn labels_of(&self, class: usize) -> f64 {
        (0..self.classes).map(|other| self.count(class, other)).sum::<u64>() as f64
    }

    fn predictions_of(&self, class: usize) -> f64 {
        (0..self.classes).map(|other| self.count(other, class)).sum::<u64>() as f64
    }

    /// The share of rows whose class was met.
    ///
    /// # Errors
    /// No observed label.
    pub fn accuracy(&self) -> Result<f64, MetricError> {
        Ok(self.hits() / self.total("accuracy")?)
    }

    /// The mean over labelled classes of the share that was met, scikit-learn's `balanced_accuracy_score`.
    ///
    /// # Errors
    /// No observed label.
    pub fn balanced_accuracy(&self) -> Result<f64, MetricError> {
        self.total("balanced_accuracy")?;
        let labelled: Vec<usize> = (0..self.classes).filter(|&class| self.labels_of(class) > 0.0).collect();
        let recalls = labelled.iter().map(|&class| self.count(class, class) as f64 / self.labels_of(class));
        Ok(recalls.sum::<f64>() / labelled.len() as f64)
    }

    /// The harmonic mean of precision and recall of one class; 0 where the class was neither labelled nor predicted.
    pub fn f1_of(&self, class: usize) -> f64 {
        let both = self.labels_of(class) + self.predictions_of(class);
        if both == 0.0 { 0.0 } else { 2.0 * self.count(class, class) as f64 / both }
    }

    /// F1, the harmonic mean of precision and recall.
    ///
    /// # Errors
    /// No observed label, or `Binary` with another number of classes than two.
    pub fn f1_score(&self, average: Average) -> Result<f64, MetricError> {
        let total = self.total("f1_score")?;
        let classes = 0..self.classes;
        Ok(match average {
            Average::Binary if self.classes != 2 => {
                let reason = format!("average binary needs 2 classes, there are {}; use macro", self.classes);
                return Err(MetricError::Setting { metric: "f1_score", reason });
            }
            Average::Binary => self.f1_of(1),
            Average::Micro => self.hits() / total,
            Average::Macro => {
                let occurs = |class: &usize| self.labels_of(*class) + self.predictions_of(*class) > 0.0;
                let occurring: Vec<usize> = classes.filter(occurs).collect();
                occurring.iter().map(|&class| self.f1_of(class)).sum::<f64>() / occurring.len() as f64
            }
            Average::Weighted => classes.map(|class| self.f1_of(class) * self.labels_of(class)).sum::<f64>() / total,
        })
    }

    /// Matthews correlation of any number of classes (Gorodkin, 2004); 0 where labels or predictions are constant.
    ///
    /// # Errors
    /// No observed label.
    pub fn matthews_corrcoef(&self) -> Result<f64, MetricError> {
        let total = self.total("matthews_corrcoef")?;
        let over_classes = |value: &dyn Fn(usize) -> f64| (0..self.classes).map(value).sum::<f64>();
        let squared = total * total;
        let covariance = self.hits() * total - over_classes(&|class| self.labels_of(class) * self.predictions_of(class));
        let of_labels = squared - over_classes(&|class| self.labels_of(class).powi(2));
        let of_predictions = squared - over_classes(&|class| self.predictions_of(class).powi(2));
        let scale = (of_labels * of_predictions).sqrt();
        Ok(if scale == 0.0 { 0.0 } else { covariance / scale })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_prediction_has_no_correlation_and_no_f1() {
        let mut confusion = Confusion::new(2);
        confusion.update(&[0, 0, 0], &[0, 1, 0], None).unwrap();
        assert_eq!(confusion.matthews_corrcoef().unwrap(), 0.0);
        assert_eq!(confusion.f1_score(Average::Binary).unwrap(), 0.0);
    }

    #[test]
    fn a_class_that_never_occurs_is_left_out_of_the_macro_mean() {
        let mut confusion = Confusion::new(5);
        confusion.update(&[0, 1], &[0, 1], None).unwrap();
        assert_eq!(confusion.f1_score(Average::Macro).unwrap(), 1.0);
        assert_eq!(confusion.balanced_accuracy().unwrap(), 1.0);
    }

    #[test]
    fn a_class_out_of_range_is_refused_unless_it_is_hidden() {
        let mut confusion = Confusion::new(2);
        assert!(confusion.update(&[0, 1], &[0, 7], None).unwrap_err().to_string().contains("the label of row 1"));
        assert_eq!(confusion, Confusion::new(2));
        confusion.update(&[0, 1], &[0, 7], Some(&[true, false])).unwrap();
        assert_eq!(confusion.accuracy().unwrap(), 1.0);
    }

    #[test]
    fn no_observed_label_has_no_score() {
        let mut confusion = Confusion::new(2);
        confusion.update(&[0], &[0], Some(&[false])).unwrap();
        assert!(matches!(confusion.accuracy(), Err(MetricError::NothingObserved { .. })));
        assert!(matches!(confusion.matthews_corrcoef(), Err(MetricError::NothingObserved { .. })));
    }
}
