//! Categories, dates, coordinates and fixed vectors as features.

use std::collections::BTreeSet;
use std::f64::consts::TAU;

use jiff::civil::Date;
use jiff::fmt::strtime;
use serde::{Deserialize, Serialize};

use super::cells::{Column, Table};
use super::error::{Result, TableError, shown};
use super::numbers::{Features, MissingRule, check_finite, missing_cause, numbers};

/// The categories of a column, fitted on the training rows. Index 0 is the null category: missing, or unseen in training.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CategoryEncoder {
    /// The column's name.
    pub column: String,
    /// The categories in order; category i has the index i + 1.
    pub categories: Vec<String>,
    /// What counts as missing besides the empty cell.
    pub rule: MissingRule,
}

impl CategoryEncoder {
    /// Collects the texts of the training rows, sorted, so that the order of rows does not matter.
    pub fn fit(column: &Column, rows: &[usize], rule: &MissingRule) -> Result<CategoryEncoder> {
        let found: BTreeSet<&str> =
            rows.iter().filter_map(|&row| column.text(row)).map(str::trim).filter(|text| !rule.matches(text)).collect();
        if found.is_empty() {
            return Err(TableError::Fit {
                column: column.name().to_owned(),
                cause: format!("the {} training rows hold no category", rows.len()),
            });
        }
        let categories = found.into_iter().map(str::to_owned).collect();
        Ok(CategoryEncoder { column: column.name().to_owned(), categories, rule: rule.clone() })
    }

    /// How many indices there are, the null category included: the size of an embedding.
    pub fn cardinality(&self) -> usize {
        self.categories.len() + 1
    }

    /// The index of a text.
    pub fn index(&self, text: Option<&str>) -> usize {
        let text = text.unwrap_or_default().trim();
        if self.rule.matches(text) {
            return 0;
        }
        self.categories.binary_search_by(|category| category.as_str().cmp(text)).map_or(0, |index| index + 1)
    }

    /// The text of an index; `None` for the null category.
    pub fn category(&self, index: usize) -> Option<&str> {
        index.checked_sub(1).and_then(|index| self.categories.get(index)).map(String::as_str)
    }

    /// The indices of a column.
    pub fn encode(&self, column: &Column) -> Vec<i64> {
        column.texts().map(|text| self.index(text) as i64).collect()
    }
}

/// The formats that dates are read in when a column states none: year, month, day; a time of day may follow.
pub const DATE_FORMATS: [&str; 8] = [
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%Y%m%d",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
];

/// A date as the sine and cosine of its day of the year, so that December meets January.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DateEncoder {
    /// The formats tried in order (strftime's directives); [`DATE_FORMATS`] where none is given.
    ///
    /// Orders such as day before month are read only where stated: 3/4/2015 could be either.
    pub formats: Vec<String>,
    /// What counts as missing.
    pub rule: MissingRule,
}

impl DateEncoder {
    /// Reads one date.
    pub fn parse(&self, text: &str) -> Result<Date, String> {
        let text = text.trim();
        let read = |format: &str| strtime::parse(format, text).and_then(|parts| parts.to_date()).ok();
        let date = if self.formats.is_empty() {
            DATE_FORMATS.into_iter().find_map(read)
        } else {
            self.formats.iter().find_map(|format| read(format))
        };
        date.ok_or_else(|| {
            let formats = if self.formats.is_empty() { DATE_FORMATS[..4].join(", ") } else { self.formats.join(", ") };
            format!("{} is not a date in any of the formats {formats}", shown(text))
        })
    }

    /// The dates of a column; `None` where missing.
    pub fn dates(&self, column: &Column) -> Result<Vec<Option<Date>>> {
        (0..column.rows())
            .map(|row| {
                let text = column.text(row);
                if text.is_none_or(|text| self.rule.matches(text.trim())) {
                    if self.rule.allowed {
                        return Ok(None);
                    }
                    return Err(column.fault(row, missing_cause(text, column.place(row).line)));
                }
                self.parse(text.unwrap_or_default()).map(Some).map_err(|cause| column.fault(row, cause))
            })
            .collect()
    }

    /// Two features a row: sine and cosine of the share of the year that has passed; both 0 where missing.
    pub fn encode(&self, column: &Column) -> Result<Features> {
        let dates = self.dates(column)?;
        let values = dates
            .iter()
            .flat_map(|date| match date {
                None => [0.0, 0.0],
                Some(date) => {
                    let share = f64::from(date.day_of_year() - 1) / f64::from(date.days_in_year());
                    let (sine, cosine) = libm::sincos(TAU * share);
                    [sine as f32, cosine as f32]
                }
            })
            .collect();
        Ok(Features { width: 2, values, observed: dates.iter().map(Option::is_some).collect() })
    }
}

/// Latitude and longitude in degrees as sines and cosines of doubled angles.
///
/// Level k gives sin and cos of 2^k times the latitude, then of 2^k times the longitude: four features a level.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CoordinateEncoder {
    /// How often the angle is doubled, plus one; 1 to 16.
    pub levels: u32,
    /// What counts as missing.
    #[serde(default)]
    pub rule: MissingRule,
}

impl CoordinateEncoder {
    /// How many features a row has.
    pub fn width(&self) -> usize {
        4 * self.levels as usize
    }

    /// Encodes two columns; a row where either is missing is 0 and not observed.
    pub fn encode(&self, latitude: &Column, longitude: &Column) -> Result<Features> {
        if !(1..=16).contains(&self.levels) {
            let cause = format!("levels is {}, but it must be between 1 and 16", self.levels);
            return Err(TableError::Fit { column: latitude.name().to_owned(), cause });
        }
        let degrees = |column: &Column, limit: f64, what: &str| {
            let numbers = numbers(column, &self.rule)?;
            let range = format!("a {what} between -{limit} and {limit} degrees");
            super::numbers::demand(column, &numbers, |value| value.abs() <= limit, &range)?;
            Ok::<_, TableError>(numbers)
        };
        let (latitudes, longitudes) = (degrees(latitude, 90.0, "latitude")?, degrees(longitude, 180.0, "longitude")?);
        let mut values = Vec::with_capacity(latitude.rows() * self.width());
        let mut observed = Vec::with_capacity(latitude.rows());
        for row in 0..latitude.rows() {
            let there = latitudes.observed[row] && longitudes.observed[row];
            observed.push(there);
            for level in 0..self.levels {
                for degrees in [latitudes.values[row], longitudes.values[row]] {
                    let (sine, cosine) = libm::sincos(degrees.to_radians() * f64::from(1 << level));
                    values.extend(if there { [sine as f32, cosine as f32] } else { [0.0, 0.0] });
                }
            }
        }
        Ok(Features { width: self.width(), values, observed })
    }
}

/// The cells of several numeric columns as one vector a row, such as the pixels `p0..p63`; no cell may be missing.
pub fn vector(table: &Table, names: &[String]) -> Result<Features> {
    let (rows, width) = (table.rows(), names.len());
    let mut values = vec![0.0; rows * width];
    for (index, name) in names.iter().enumerate() {
        let column = table.column(name)?;
        let parsed: Vec<f32> = numbers(column, &MissingRule::refuse())?.values.into_iter().map(|value| value as f32).collect();
        check_finite(column, &parsed, 1)?;
        for (row, value) in parsed.into_iter().enumerate() {
            values[row * width + index] = value;
        }
    }
    Ok(Features { width, values, observed: vec![true; rows] })
}
