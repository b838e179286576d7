//! Predictions in the table's unit.

use indexmap::IndexMap;

use super::evaluate::RawOutputs;
use crate::experiment::DataFile;
use crate::feed::{Fitted, FittedData};
use crate::table::complete;

/// The predictions of one field, row by row.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldPrediction {
    /// Numbers by column, in the table's unit, totals that follow by identities included.
    Numbers(IndexMap<String, Vec<f64>>),
    /// Probabilities by column.
    Present(IndexMap<String, Vec<f64>>),
    /// Probabilities of classes, row by row, and the classes' texts.
    Classes(Vec<f64>, Vec<String>),
}

/// Predictions by field.
pub type Predictions = IndexMap<String, FieldPrediction>;

/// Several members' predictions of the same rows: runs, augmented copies, samples of dropout.
#[derive(Clone, Debug, Default)]
pub struct Ensemble {
    members: usize,
    sum: Predictions,
    /// Of squared deviations from the mean so far (Welford's algorithm).
    squares: Predictions,
}

impl Ensemble {
    /// Takes another member in; `false`, and nothing changes, where it predicts other columns than the first.
    #[must_use]
    pub fn add(&mut self, member: &Predictions) -> bool {
        if self.members == 0 {
            (self.members, self.sum, self.squares) = (1, member.clone(), member.clone());
            self.squares.values_mut().flat_map(FieldPrediction::numbers_mut).for_each(|square| *square = 0.0);
            return true;
        }
        let is_like = |(name, own): (&String, &FieldPrediction)| member.get(name).is_some_and(|other| own.is_like(other));
        if self.sum.len() != member.len() || !self.sum.iter().all(is_like) {
            return false;
        }
        let before = self.members as f64;
        self.members += 1;
        let after = self.members as f64;
        for (name, own) in member {
            let (sums, squares) = (self.sum[name].numbers_mut(), self.squares[name].numbers_mut());
            for ((sum, square), value) in sums.zip(squares).zip(own.numbers()) {
                let from_old_mean = value - *sum / before;
                *sum += value;
                *square += from_old_mean * (value - *sum / after);
            }
        }
        true
    }

    /// How many members there are.
    pub fn members(&self) -> usize {
        self.members
    }

    /// The mean of all members.
    pub fn mean(&self) -> Predictions {
        let mut mean = self.sum.clone();
        mean.values_mut().flat_map(FieldPrediction::numbers_mut).for_each(|value| *value /= self.members as f64);
        mean
    }

    /// The standard deviation over members (n - 1), number by number; zeros for one member.
    pub fn spread(&self) -> Predictions {
        let mut spread = self.squares.clone();
        let degrees = self.members.saturating_sub(1).max(1) as f64;
        spread.values_mut().flat_map(FieldPrediction::numbers_mut).for_each(|square| *square = (*square / degrees).sqrt());
        spread
    }
}

/// Undoes what the data file declared: scales, units; logits become probabilities, and totals are completed.
pub fn invert(data: &DataFile, fitted: &FittedData, raw: &RawOutputs) -> Predictions {
    let mut predictions = Predictions::new();
    for (name, numbers) in &raw.fields {
        let field = &data.fields[name];
        let by_column = |width: usize, value: &dyn Fn(usize, f64) -> f64| -> IndexMap<String, Vec<f64>> {
            field
                .columns
                .iter()
                .enumerate()
                .map(|(index, column)| {
                    let own = numbers.iter().skip(index).step_by(width).map(|number| value(index, f64::from(*number))).collect();
                    (column.clone(), own)
                })
                .collect()
        };
        let prediction = match &fitted.fields[name] {
            Fitted::Present(rules, _) => FieldPrediction::Present(by_column(rules.len(), &|_, number| number)),
            Fitted::Labels(encoder) => {
                let classes = encoder.categories.len();
                let softmax = numbers.chunks_exact(classes.max(1)).flat_map(probabilities).collect();
                FieldPrediction::Classes(softmax, encoder.categories.clone())
            }
            Fitted::Targets(encoders) => {
                let mut columns = by_column(encoders.len(), &|index, number| encoders[index].invert(number));
                complete(&data.identities, &mut columns);
                FieldPrediction::Numbers(columns)
            }
            other => unreachable!("{name} is predicted and is no target: {other:?}"),
        };
        predictions.insert(name.clone(), prediction);
    }
    predictions
}

/// Softmax, without overflow.
fn probabilities(logits: &[f32]) -> Vec<f64> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> = logits.iter().map(|logit| libm::exp(f64::from(*logit) - f64::from(largest))).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

impl FieldPrediction {
    /// How many rows there are.
    pub fn rows(&self) -> usize {
        match self {
            FieldPrediction::Numbers(columns) | FieldPrediction::Present(columns) => columns.values().next().map_or(0, Vec::len),
            FieldPrediction::Classes(probabilities, classes) => probabilities.len() / classes.len().max(1),
        }
    }

    /// Whether another prediction has the same columns and classes.
    fn is_like(&self, other: &FieldPrediction) -> bool {
        use FieldPrediction::{Classes, Numbers, Present};
        match (self, other) {
            (Numbers(a), Numbers(b)) | (Present(a), Present(b)) => a.keys().eq(b.keys()),
            (Classes(_, a), Classes(_, b)) => a == b,
            _ => false,
        }
    }

    /// Every number, column by column.
    fn numbers_mut(&mut self) -> Box<dyn Iterator<Item = &mut f64> + '_> {
        match self {
            FieldPrediction::Numbers(own) | FieldPrediction::Present(own) => Box::new(own.values_mut().flatten()),
            FieldPrediction::Classes(own, _) => Box::new(own.iter_mut()),
        }
    }

    /// Every number, column by column.
    fn numbers(&self) -> Box<dyn Iterator<Item = f64> + '_> {
        match self {
            FieldPrediction::Numbers(own) | FieldPrediction::Present(own) => Box::new(own.values().flatten().copied()),
            FieldPrediction::Classes(own, _) => Box::new(own.iter().copied()),
        }
    }

    /// The class of the largest probability, row by row.
    pub fn classes(&self) -> Option<Vec<usize>> {
        let FieldPrediction::Classes(probabilities, classes) = self else { return None };
        let largest = |row: &[f64]| (0..row.len()).fold(0, |best, index| if row[index] > row[best] { index } else { best });
        Some(probabilities.chunks_exact(classes.len().max(1)).map(largest).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(values: &[f64]) -> Predictions {
        let columns = [("a".to_owned(), values[..2].to_vec()), ("b".to_owned(), values[2..].to_vec())];
        [("y".to_owned(), FieldPrediction::Numbers(columns.into_iter().collect()))].into_iter().collect()
    }

    fn numbers(predictions: &Predictions) -> Vec<f64> {
        predictions["y"].numbers().collect()
    }

    #[test]
    fn an_ensemble_has_a_mean_and_a_spread() {
        let mut ensemble = Ensemble::default();
        for values in [[1.0, 2.0, 3.0, 1e6], [3.0, 2.0, 5.0, 1e6 + 2.0], [5.0, 2.0, 7.0, 1e6 + 4.0]] {
            assert!(ensemble.add(&member(&values)));
        }
        assert_eq!(ensemble.members(), 3);
        assert_eq!(numbers(&ensemble.mean()), [3.0, 2.0, 5.0, 1e6 + 2.0]);
        assert_eq!(numbers(&ensemble.spread()), [2.0, 0.0, 2.0, 2.0]);
        let other = [("z".to_owned(), member(&[0.0; 4])["y"].clone())].into_iter().collect();
        assert!(!ensemble.add(&other), "another field");
        let classes = FieldPrediction::Classes(vec![0.5; 4], vec!["k".to_owned()]);
        assert!(!ensemble.add(&[("y".to_owned(), classes)].into_iter().collect()), "another kind");
        assert_eq!(numbers(&ensemble.mean()), [3.0, 2.0, 5.0, 1e6 + 2.0]);
    }

    #[test]
    fn one_member_has_no_spread() {
        let mut ensemble = Ensemble::default();
        assert!(ensemble.add(&member(&[1.0, 2.0, 3.0, 4.0])));
        assert_eq!(numbers(&ensemble.spread()), [0.0; 4]);
    }
}
