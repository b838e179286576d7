//! What metrics compare predictions with: the table's own numbers, in the table's unit.

use indexmap::IndexMap;

use super::error::Result;
use super::fit::{Fitted, FittedData, vocabulary};
use crate::experiment::data::Column as ColumnSpec;
use crate::experiment::{DataFile, Field, predicted_columns};
use crate::splits::Split;
use crate::table::{CategoryEncoder, Numbers, Table, numbers};

/// The labels of a predicted field.
#[derive(Clone, Debug)]
pub enum Labels {
    /// Numbers by column, totals that follow by identities included, in the table's unit.
    Numbers(Vec<(String, Numbers)>),
    /// Whether numbers are above a bound, by column: 0 and 1.
    Present(Vec<(String, Numbers)>),
    /// The class of each row, where it is known, and the classes' texts.
    Classes(Vec<Option<usize>>, Vec<String>),
}

/// Reads the labels of a predicted field. Totals that the table does not state stay missing: what is compared was measured.
///
/// # Errors
/// A cell that is no number, or a class that the model does not know.
pub fn labels(data: &DataFile, fitted: &FittedData, field: &Field, table: &Table) -> Result<Labels> {
    let of = |name: &str| -> Result<Numbers> {
        match table.column(name) {
            Ok(column) => Ok(numbers(column, &data.columns[name].0.missing_rule())?),
            // A total that follows from the predicted parts need not stand in the table.
            Err(_) if !field.columns.iter().any(|own| own == name) => {
                Ok(Numbers { values: vec![0.0; table.rows()], observed: vec![false; table.rows()] })
            }
            Err(error) => Err(error.into()),
        }
    };
    Ok(match &fitted.fields[&field.name] {
        Fitted::Present(_, above) => {
            let one = |name: &String| {
                let mut own = of(name)?;
                own.values.iter_mut().for_each(|value| *value = f64::from(u8::from(*value > *above)));
                Ok((name.clone(), own))
            };
            Labels::Present(field.columns.iter().map(one).collect::<Result<_>>()?)
        }
        Fitted::Labels(encoder) => {
            refuse_unknown(data, encoder, table, 0..table.rows(), "rows", ", and train anew")?;
            let classes = encoder.encode(table.column(&encoder.column)?);
            let known = classes.into_iter().map(|index| usize::try_from(index - 1).ok()).collect();
            Labels::Classes(known, encoder.categories.clone())
        }
        _ => {
            let names = predicted_columns(data, field);
            Labels::Numbers(names.into_iter().map(|name| Ok((name.clone(), of(&name)?))).collect::<Result<_>>()?)
        }
    })
}

/// Refuses folds whose validation rows hold a class that their training rows lack, or rows of a class that is not among the stated ones.
///
/// # Errors
/// The first such class, with its first cell.
pub fn check_classes(data: &DataFile, field: &Field, table: &Table, splits: &[Split]) -> Result<()> {
    for (fold, split) in splits.iter().enumerate() {
        let encoder = vocabulary(data, &field.columns[0], table, &split.train)?;
        // Training rows can only hold an unknown class where the file states the vocabulary.
        let rows = split.train.iter().chain(&split.validation).copied();
        refuse_unknown(data, &encoder, table, rows, &format!("validation rows of fold {fold}"), "")?;
    }
    Ok(())
}

/// Refuses labels that are neither missing nor a class of the vocabulary. Read as missing they would drop out of losses and metrics, which
/// would then look better than they are.
fn refuse_unknown(
    data: &DataFile,
    encoder: &CategoryEncoder,
    table: &Table,
    rows: impl Iterator<Item = usize>,
    whose: &str,
    then: &str,
) -> Result<()> {
    let column = table.column(&encoder.column)?;
    // By class: how many rows, and the first.
    let mut unknown: IndexMap<&str, (usize, usize)> = IndexMap::new();
    for row in rows {
        let text = column.text(row).unwrap_or_default().trim();
        let is_missing = text.is_empty() || encoder.rule.matches(text);
        if !is_missing && encoder.index(Some(text)) == 0 {
            let own = unknown.entry(text).or_insert((0, row));
            *own = (own.0 + 1, own.1.min(row));
        }
    }
    let Some((class, (count, first))) = unknown.first() else { return Ok(()) };
    let others = match unknown.len() - 1 {
        0 => String::new(),
        others => format!(" (and {others} more such classes)"),
    };
    let is_stated = matches!(&data.columns[&encoder.column].0, ColumnSpec::Category { values, .. } if !values.is_empty());
    let cause = if is_stated {
        format!(
            "the class {class:?} of {count} rows{others} is not among the `values` of the column, and would count as a missing label; \
             add it to them{then}, or to the words of `missing`"
        )
    } else {
        format!(
            "the class {class:?} stands in {count} {whose}{others} and in no training row, and would count as a missing label; \
             give all classes in the data file, {:?}: Category(values: [...]){then}",
            encoder.column
        )
    };
    Err(column.fault(*first, cause).into())
}
