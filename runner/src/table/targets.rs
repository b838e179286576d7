//! Targets: observed where the table states them, in the unit that a model learns, and back.

use serde::{Deserialize, Serialize};

use super::cells::{Column, Table};
use super::error::{Result, TableError};
use super::numbers::{MissingRule, Numbers, ZScore, check_finite, numbers};

/// One target, fitted: the model learns `(value / divide - mean) / deviation`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetEncoder {
    /// The column's name.
    pub column: String,
    /// What a value is divided by to change its unit, such as a plot's area; 1 where the unit stays.
    pub divide: f64,
    /// The z-score of the divided values, where one was asked for.
    pub scale: Option<ZScore>,
    /// What counts as missing.
    pub rule: MissingRule,
}

impl TargetEncoder {
    /// Fits one target on the training rows; no other row has any influence.
    pub fn fit(column: &Column, rows: &[usize], divide: f64, z_score: bool, rule: &MissingRule) -> Result<TargetEncoder> {
        if !(divide.is_finite() && divide > 0.0) {
            return Err(TableError::Fit {
                column: column.name().to_owned(),
                cause: format!("divide is {divide}, but it must be positive"),
            });
        }
        let mut encoder = TargetEncoder { column: column.name().to_owned(), divide, scale: None, rule: rule.clone() };
        let mut numbers = numbers(column, rule)?;
        if !rows.iter().any(|&row| numbers.observed[row]) {
            return Err(TableError::Fit {
                column: column.name().to_owned(),
                cause: format!("none of the {} training rows states this target", rows.len()),
            });
        }
        if z_score {
            for value in &mut numbers.values {
                *value /= divide;
            }
            encoder.scale = Some(ZScore::fit(column.name(), &numbers, rows)?);
        }
        Ok(encoder)
    }

    /// The value that the model learns.
    pub fn apply(&self, value: f64) -> f64 {
        let value = value / self.divide;
        self.scale.map_or(value, |scale| scale.apply(value))
    }

    /// The value in the table's unit.
    pub fn invert(&self, learned: f64) -> f64 {
        self.scale.map_or(learned, |scale| scale.invert(learned)) * self.divide
    }

    /// The targets of a column, in the table's unit.
    pub fn numbers(&self, column: &Column) -> Result<Numbers> {
        numbers(column, &self.rule)
    }
}

/// Several targets side by side: values as the model learns them, row by row, 0 where not observed.
#[derive(Clone, Debug, PartialEq)]
pub struct Targets {
    /// How many targets.
    pub width: usize,
    /// Values, row by row.
    pub values: Vec<f32>,
    /// Whether the table states the value.
    pub observed: Vec<bool>,
}

/// Encodes several targets of a table.
pub fn encode_targets(encoders: &[TargetEncoder], table: &Table) -> Result<Targets> {
    let (rows, width) = (table.rows(), encoders.len());
    let mut targets = Targets { width, values: vec![0.0; rows * width], observed: vec![false; rows * width] };
    for (index, encoder) in encoders.iter().enumerate() {
        let column = table.column(&encoder.column)?;
        let numbers = encoder.numbers(column)?;
        let learned: Vec<f32> = numbers.values.iter().map(|&value| encoder.apply(value) as f32).collect();
        check_finite(column, &learned, 1)?;
        for row in (0..rows).filter(|&row| numbers.observed[row]) {
            targets.values[row * width + index] = learned[row];
            targets.observed[row * width + index] = true;
        }
    }
    Ok(targets)
}
