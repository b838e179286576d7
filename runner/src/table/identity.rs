//! Identities between columns, such as `Total = Green + Dead + Clover`: checked on labels, and used to complete predictions.

use std::fmt;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::cells::Column;
use super::error::{Place, Result, TableError};
use super::numbers::Numbers;

/// A column that equals a linear sum of others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Identity {
    /// The column on the left.
    pub total: String,
    /// Factors and columns on the right.
    pub terms: Vec<(f64, String)>,
}

impl fmt::Display for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} = ", self.total)?;
        for (index, (factor, name)) in self.terms.iter().enumerate() {
            match (index, *factor < 0.0) {
                (0, false) => {}
                (0, true) => formatter.write_str("-")?,
                (_, false) => formatter.write_str(" + ")?,
                (_, true) => formatter.write_str(" - ")?,
            }
            if factor.abs() != 1.0 {
                write!(formatter, "{} * ", factor.abs())?;
            }
            formatter.write_str(name)?;
        }
        Ok(())
    }
}

impl From<Identity> for String {
    fn from(identity: Identity) -> String {
        identity.to_string()
    }
}

impl TryFrom<String> for Identity {
    type Error = TableError;

    fn try_from(text: String) -> Result<Identity> {
        Identity::parse(&text)
    }
}

/// Splits a sum at the signs that stand between its terms: those with a space before, and the first.
fn signed_terms(sum: &str) -> Vec<(f64, &str)> {
    let (mut terms, mut start, mut sign) = (Vec::new(), 0, 1.0);
    for (offset, character) in sum.char_indices() {
        let next = match character {
            '+' => 1.0,
            '-' => -1.0,
            _ => continue,
        };
        let before = &sum[start..offset];
        // A hyphen within a name, or a sign within 1e-3, has no space before it.
        if !before.trim().is_empty() && !before.ends_with(char::is_whitespace) {
            continue;
        }
        if !before.trim().is_empty() || !terms.is_empty() {
            terms.push((sign, before.trim()));
        }
        (start, sign) = (offset + 1, next);
    }
    terms.push((sign, sum[start..].trim()));
    terms
}

impl Identity {
    /// Reads `Total = A + 2 * B - C`: a column, then a sum of columns with or without factors.
    ///
    /// A hyphen is part of a name unless a space stands before it.
    pub fn parse(text: &str) -> Result<Identity> {
        let fault = |cause: &str| TableError::Identity { identity: text.to_owned(), cause: cause.to_owned() };
        let (total, sum) = text.split_once('=').ok_or_else(|| fault("there is no \"=\""))?;
        let total = total.trim();
        if total.is_empty() {
            return Err(fault("there is no column left of \"=\""));
        }
        let mut terms: Vec<(f64, String)> = Vec::new();
        for (sign, term) in signed_terms(sum) {
            let (factor, name) = match term.split_once('*') {
                None => (1.0, term),
                Some((factor, name)) => {
                    let factor =
                        super::parse_number(factor).map_err(|_| fault("a factor must be a number, left of its \"*\""))?;
                    (factor, name.trim())
                }
            };
            if name.is_empty() {
                return Err(fault("a term has no column"));
            }
            if name.contains(['*', '=']) {
                return Err(fault("only sums of columns with constant factors are understood"));
            }
            if name.starts_with(['+', '-']) {
                return Err(fault("a column whose name starts with a sign cannot be told from a sign and a column"));
            }
            if super::parse_number(name).is_ok() {
                return Err(fault("a term must be a column, not a number"));
            }
            if name == total || terms.iter().any(|(_, known)| known == name) {
                return Err(fault(&format!("the column {name:?} stands twice")));
            }
            terms.push((sign * factor, name.to_owned()));
        }
        Ok(Identity { total: total.to_owned(), terms })
    }

    /// The sum of the terms; `None` where one is missing.
    pub fn sum(&self, value: impl Fn(&str) -> Option<f64>) -> Option<f64> {
        self.terms.iter().try_fold(0.0, |sum, (factor, name)| Some(sum + factor * value(name)?))
    }
}

/// How far the two sides of an identity may differ: `absolute + relative * |total|`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tolerance {
    /// In the unit of the columns.
    pub absolute: f64,
    /// As a share of the total.
    pub relative: f64,
}

/// A row that breaks an identity.
#[derive(Clone, Debug, PartialEq)]
pub struct Broken {
    /// The row's index.
    pub row: usize,
    /// Where the total was read.
    pub place: Place,
    /// What the total says.
    pub total: f64,
    /// What its terms sum to.
    pub sum: f64,
}

/// The rows that break an identity; rows where any of its columns is missing say nothing.
///
/// `column` gives each column with its numbers.
pub fn broken_rows<'a>(
    identity: &Identity,
    tolerance: Tolerance,
    column: impl Fn(&str) -> Result<(&'a Column, &'a Numbers)>,
) -> Result<Vec<Broken>> {
    let (total_column, totals) = column(&identity.total)?;
    let terms: Vec<(f64, &Numbers)> =
        identity.terms.iter().map(|(factor, name)| Ok((*factor, column(name)?.1))).collect::<Result<_>>()?;
    let mut broken = Vec::new();
    for row in 0..total_column.rows() {
        if !totals.observed[row] || terms.iter().any(|(_, numbers)| !numbers.observed[row]) {
            continue;
        }
        let total = totals.values[row];
        let sum: f64 = terms.iter().map(|(factor, numbers)| factor * numbers.values[row]).sum();
        if (total - sum).abs() > tolerance.absolute + tolerance.relative * total.abs() {
            broken.push(Broken { row, place: total_column.place(row), total, sum });
        }
    }
    Ok(broken)
}

/// Adds every total whose terms are known, until nothing more follows: what a model predicts completes the columns of the output.
///
/// Each known column holds one value a row. A total that is known already stays as it is.
pub fn complete(identities: &[Identity], known: &mut IndexMap<String, Vec<f64>>) {
    loop {
        let next = identities.iter().find_map(|identity| {
            if known.contains_key(&identity.total) {
                return None;
            }
            let columns: Vec<(f64, &Vec<f64>)> =
                identity.terms.iter().map(|(factor, name)| Some((*factor, known.get(name)?))).collect::<Option<_>>()?;
            let rows = columns.first().map_or(0, |(_, values)| values.len());
            let sums = (0..rows).map(|row| columns.iter().map(|(factor, values)| factor * values[row]).sum()).collect();
            Some((identity.total.clone(), sums))
        });
        match next {
            Some((total, sums)) => known.insert(total, sums),
            None => return,
        };
    }
}
