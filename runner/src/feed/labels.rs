//! What metrics compare predictions with: the table's own numbers, in the table's unit.

use super::error::Result;
use super::fit::{Fitted, FittedData};
use crate::experiment::{DataFile, Field, predicted_columns};
use crate::table::{Numbers, Table, numbers};

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
/// A cell that is no number.
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
