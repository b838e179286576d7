//! Which rows belong together: groups by what cells mean, not by how they are written.

use super::error::Result;
use crate::experiment::Joined;
use crate::experiment::data::{Column as ColumnSpec, Role};
use crate::experiment::spec::Folds;
use crate::feed::FeedError;
use crate::splits::Groups;
use crate::table::{DateEncoder, Table, numbers};

/// The texts of a column; `None` where a cell is empty.
pub(super) fn cells(table: &Table, name: &str) -> Result<Vec<Option<String>>> {
    let column = table.column(name).map_err(FeedError::from)?;
    let present = |text: Option<&str>| text.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    Ok(column.texts().map(present).collect())
}

/// What the cells of a column mean, in one notation each: two notations of a number or a day are one value.
fn values(joined: &Joined, table: &Table, name: &str) -> Result<Vec<Option<String>>> {
    let Some((spec, _)) = joined.data.columns.get(name) else { return cells(table, name) };
    let rule = spec.missing_rule();
    let column = table.column(name).map_err(FeedError::from)?;
    Ok(match spec {
        ColumnSpec::Number { .. } => {
            let numbers = numbers(column, &rule).map_err(FeedError::from)?;
            // Adding zero makes -0 the 0 that it equals.
            let text = |(value, observed): (&f64, &bool)| observed.then(|| format!("{}", value + 0.0));
            numbers.values.iter().zip(&numbers.observed).map(text).collect()
        }
        ColumnSpec::Date { formats, .. } => {
            let dates = DateEncoder { formats: formats.clone(), rule }.dates(column).map_err(FeedError::from)?;
            dates.into_iter().map(|date| date.map(|date| date.to_string())).collect()
        }
        ColumnSpec::Image { .. } | ColumnSpec::Category { .. } | ColumnSpec::Text { .. } | ColumnSpec::Id { .. } => {
            cells(table, name)?
        }
    })
}

/// Groups of rows that agree in all of some columns.
///
/// # Errors
/// A row without a group, or a cell that does not hold what its column is said to hold.
pub(super) fn groups_by(joined: &Joined, table: &Table, names: &[&str]) -> Result<Groups> {
    let columns: Vec<(&str, Vec<Option<String>>)> =
        names.iter().map(|name| Ok((*name, values(joined, table, name)?))).collect::<Result<_>>()?;
    let borrowed: Vec<(&str, &[Option<String>])> = columns.iter().map(|(name, texts)| (*name, texts.as_slice())).collect();
    Ok(Groups::new(&borrowed)?)
}

/// The groups that folds keep whole, with the columns that make them: those that the folds name, else those of the role Group.
/// `None` where rows stand alone.
///
/// # Errors
/// A row without a group.
pub fn row_groups(joined: &Joined, table: &Table) -> Result<Option<(Vec<String>, Groups)>> {
    let kept: Vec<String> = match &joined.experiment.folds.value {
        Folds::GroupKFold { by, .. } | Folds::HoldOut { by: Some(by), .. } => {
            by.0.iter().map(|name| name.value.clone()).collect()
        }
        _ => joined
            .data
            .columns
            .iter()
            .filter(|(name, (column, _))| column.role() == Role::Group && table.has(name))
            .map(|(name, _)| name.clone())
            .collect(),
    };
    if kept.is_empty() {
        return Ok(None);
    }
    let groups = groups_by(joined, table, &as_refs(&kept))?;
    Ok(Some((kept, groups)))
}

pub(super) fn as_refs(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}
