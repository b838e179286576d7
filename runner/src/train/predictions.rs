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

    /// Adds another prediction of the same rows, for means.
    ///
    /// # Panics
    /// For predictions of another field.
    pub fn add(&mut self, other: &FieldPrediction) {
        let sum = |own: &mut Vec<f64>, other: &Vec<f64>| own.iter_mut().zip(other).for_each(|(own, other)| *own += other);
        match (self, other) {
            (FieldPrediction::Numbers(own), FieldPrediction::Numbers(other))
            | (FieldPrediction::Present(own), FieldPrediction::Present(other)) => {
                own.iter_mut().for_each(|(name, values)| sum(values, &other[name]));
            }
            (FieldPrediction::Classes(own, classes), FieldPrediction::Classes(other, others)) if classes == others => {
                sum(own, other)
            }
            _ => panic!("predictions of different fields are added"),
        }
    }

    /// Divides every number.
    pub fn divide(&mut self, by: f64) {
        let each = |values: &mut Vec<f64>| values.iter_mut().for_each(|value| *value /= by);
        match self {
            FieldPrediction::Numbers(own) | FieldPrediction::Present(own) => own.values_mut().for_each(each),
            FieldPrediction::Classes(own, _) => each(own),
        }
    }

    /// The class of the largest probability, row by row.
    pub fn classes(&self) -> Option<Vec<usize>> {
        let FieldPrediction::Classes(probabilities, classes) = self else { return None };
        let largest = |row: &[f64]| (0..row.len()).fold(0, |best, index| if row[index] > row[best] { index } else { best });
        Some(probabilities.chunks_exact(classes.len().max(1)).map(largest).collect())
    }
}
