//! Numbers out of texts: what counts as missing, and z-scores fitted on a part of the rows.

use serde::{Deserialize, Serialize};

use super::cells::Column;
use super::error::{Result, TableError, shown};

/// What a column accepts as a missing value. An empty cell counts only where missing values are allowed at all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MissingRule {
    /// Whether cells may be missing.
    pub allowed: bool,
    /// Texts that mean a missing value besides the empty cell, such as `NA`; compared without regard to case.
    pub words: Vec<String>,
}

impl MissingRule {
    /// No cell may be missing.
    pub fn refuse() -> MissingRule {
        MissingRule::default()
    }

    /// Empty cells, `nan`, `NA`, `N/A` and `null` are missing.
    pub fn usual() -> MissingRule {
        let words = ["nan", "na", "n/a", "null", "none"].map(str::to_owned).to_vec();
        MissingRule { allowed: true, words }
    }

    /// Whether a text means a missing value.
    pub fn matches(&self, text: &str) -> bool {
        text.is_empty() || self.words.iter().any(|word| word.eq_ignore_ascii_case(text))
    }
}

/// The numbers of a column: `values[i]` counts only where `observed[i]`, and is 0 elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub struct Numbers {
    /// The numbers.
    pub values: Vec<f64>,
    /// Whether the cell held one.
    pub observed: Vec<bool>,
}

impl Numbers {
    /// The observed numbers of the rows given.
    pub fn observed_in<'a>(&'a self, rows: &'a [usize]) -> impl Iterator<Item = f64> + 'a {
        rows.iter().filter(|&&row| self.observed[row]).map(|&row| self.values[row])
    }

    /// How many rows are observed.
    pub fn count(&self) -> usize {
        self.observed.iter().filter(|&&observed| observed).count()
    }
}

/// Reads one number. Spaces around it are accepted; infinities and numbers beyond the range of 64-bit floats are not.
pub fn parse_number(text: &str) -> Result<f64, String> {
    let trimmed = text.trim();
    match trimmed.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number),
        Ok(number) if number.is_nan() => {
            Err(format!("{} is not a number; if it means a missing value, allow missing values and list the word", shown(text)))
        }
        Ok(_) => Err(format!("{} is infinite; a number must be finite", shown(text))),
        Err(_) => {
            let commas = trimmed.matches(',').count();
            let mend = if commas == 1 && trimmed.replacen(',', ".", 1).parse::<f64>().is_ok() {
                "; write the decimal point as a point"
            } else {
                ""
            };
            Err(format!("{} is not a number{mend}", shown(text)))
        }
    }
}

/// Reads a column of numbers.
pub fn numbers(column: &Column, rule: &MissingRule) -> Result<Numbers> {
    let mut numbers = Numbers { values: vec![0.0; column.rows()], observed: vec![false; column.rows()] };
    for row in 0..column.rows() {
        let text = column.text(row);
        if text.is_none_or(|text| rule.matches(text.trim())) {
            if !rule.allowed {
                return Err(column.fault(row, missing_cause(text, column.place(row).line)));
            }
            continue;
        }
        let number = parse_number(text.unwrap_or_default()).map_err(|cause| column.fault(row, cause))?;
        (numbers.values[row], numbers.observed[row]) = (number, true);
    }
    Ok(numbers)
}

/// Why a missing cell is refused.
pub(super) fn missing_cause(text: Option<&str>, line: u64) -> String {
    let what = match text {
        None if line == 0 => "no row states a value".to_owned(),
        None | Some("") => "the cell is empty".to_owned(),
        Some(text) => format!("{} means a missing value", shown(text)),
    };
    format!("{what}, and this column does not allow missing values")
}

/// Refuses observed numbers that do not hold a condition, such as one that a loss demands of its targets.
pub fn demand(column: &Column, numbers: &Numbers, condition: impl Fn(f64) -> bool, expected: &str) -> Result<()> {
    match (0..column.rows()).find(|&row| numbers.observed[row] && !condition(numbers.values[row])) {
        None => Ok(()),
        Some(row) => Err(column.fault(row, format!("{} is not {expected}", numbers.values[row]))),
    }
}

/// Mean and standard deviation (of the population, as in scikit-learn's StandardScaler) of the rows that a column was fitted on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ZScore {
    /// The mean.
    pub mean: f64,
    /// The standard deviation, positive.
    pub deviation: f64,
    /// How many observed numbers were used.
    pub count: usize,
}

impl ZScore {
    /// Fits the observed numbers of the rows given, which are the training rows alone.
    pub fn fit(column: &str, numbers: &Numbers, rows: &[usize]) -> Result<ZScore> {
        let fault = |cause: String| TableError::Fit { column: column.to_owned(), cause };
        let count = numbers.observed_in(rows).count();
        if count < 2 {
            return Err(fault(format!(
                "a z-score needs at least 2 observed numbers, but the {} training rows hold {count}",
                rows.len()
            )));
        }
        let mean = numbers.observed_in(rows).map(|value| value / count as f64).sum::<f64>();
        let variance = numbers.observed_in(rows).map(|value| (value - mean).powi(2) / count as f64).sum::<f64>();
        let deviation = variance.sqrt();
        if !(deviation.is_finite() && mean.is_finite()) {
            return Err(fault("the numbers are too large for a z-score".to_owned()));
        }
        // Rounding leaves a trace of a deviation where all numbers are equal.
        if deviation <= mean.abs() * 1e-12 {
            return Err(fault(format!("all {count} training numbers are {mean}; a z-score needs two different ones")));
        }
        Ok(ZScore { mean, deviation, count })
    }

    /// The z-score of a number.
    pub fn apply(&self, value: f64) -> f64 {
        (value - self.mean) / self.deviation
    }

    /// The number of a z-score.
    pub fn invert(&self, score: f64) -> f64 {
        score * self.deviation + self.mean
    }
}

/// How a model sees that a number is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum MissingAs {
    /// A missing cell is an error.
    #[default]
    Refuse,
    /// Two features: the number, 0 where missing, and 1 where it is missing.
    Indicator,
    /// One feature, 0 where missing, beside a mask from which the model takes a learned value.
    Null,
}

/// A numeric feature, fitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NumberEncoder {
    /// The column's name.
    pub column: String,
    /// The z-score, where one was asked for.
    pub scale: Option<ZScore>,
    /// How a missing number is seen.
    pub missing: MissingAs,
    /// What counts as missing.
    pub rule: MissingRule,
}

/// Features of some rows, row by row, and whether each row's source was observed.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    /// Features of a row.
    pub width: usize,
    /// Values, row by row.
    pub values: Vec<f32>,
    /// Whether the row's cell was there.
    pub observed: Vec<bool>,
}

impl NumberEncoder {
    /// Fits the encoder on the training rows; no other row has any influence.
    pub fn fit(column: &Column, rows: &[usize], z_score: bool, missing: MissingAs, rule: &MissingRule) -> Result<NumberEncoder> {
        let rule = MissingRule { allowed: missing != MissingAs::Refuse, ..rule.clone() };
        let numbers = numbers(column, &rule)?;
        let scale = if z_score { Some(ZScore::fit(column.name(), &numbers, rows)?) } else { None };
        Ok(NumberEncoder { column: column.name().to_owned(), scale, missing, rule })
    }

    /// How many features a row has.
    pub fn width(&self) -> usize {
        if self.missing == MissingAs::Indicator { 2 } else { 1 }
    }

    /// Encodes a column of this or another table.
    pub fn encode(&self, column: &Column) -> Result<Features> {
        let numbers = numbers(column, &self.rule)?;
        let mut values = Vec::with_capacity(column.rows() * self.width());
        for (&value, &observed) in numbers.values.iter().zip(&numbers.observed) {
            let scaled = self.scale.map_or(value, |scale| scale.apply(value));
            values.push(if observed { scaled as f32 } else { 0.0 });
            if self.missing == MissingAs::Indicator {
                values.push(f32::from(u8::from(!observed)));
            }
        }
        check_finite(column, &values, self.width())?;
        Ok(Features { width: self.width(), values, observed: numbers.observed })
    }
}

/// Refuses numbers that 32-bit floats cannot hold.
pub(super) fn check_finite(column: &Column, values: &[f32], width: usize) -> Result<()> {
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(index) => Err(column.fault(index / width, "the number is beyond the range of 32-bit floats")),
    }
}
