//! What is fitted on the training rows: z-scores and vocabularies.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::error::Result;
use crate::experiment::data::{Column as ColumnSpec, FieldSpec, MissingFeature, Scale};
use crate::experiment::{DataFile, Field};
use crate::table::{
    CategoryEncoder, CoordinateEncoder, DateEncoder, MissingAs, MissingRule, NumberEncoder, Table, TargetEncoder,
};

/// One field, fitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Fitted {
    /// Photographs: nothing is fitted.
    Picture,
    /// Numeric features.
    Numbers(Vec<NumberEncoder>),
    /// A category.
    Categories(CategoryEncoder),
    /// A date.
    DayOfYear(DateEncoder),
    /// A place.
    Coordinates(CoordinateEncoder),
    /// Columns in a row, divided by a number.
    Vector(f64),
    /// Tensors of a file: nothing is fitted.
    Tensors,
    /// Texts: nothing is fitted.
    Tokens,
    /// Numbers to predict.
    Targets(Vec<TargetEncoder>),
    /// Whether numbers are above a bound: the rules of missing cells, and the bound.
    Present(Vec<MissingRule>, f64),
    /// Classes.
    Labels(CategoryEncoder),
}

/// All fields, fitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FittedData {
    /// By the fields' names.
    pub fields: IndexMap<String, Fitted>,
    /// The sizes that follow from vocabularies: `state_categories`.
    pub sizes: IndexMap<String, usize>,
}

/// Fits every field on the training rows; no other row has any influence.
///
/// # Errors
/// Training rows that cannot be fitted: no category, no number, one value throughout.
pub fn fit(data: &DataFile, table: &Table, rows: &[usize]) -> Result<FittedData> {
    let mut fields = IndexMap::new();
    let mut sizes = IndexMap::new();
    for field in data.fields.values() {
        let fitted = fit_field(data, field, table, rows)?;
        if let Some((name, _)) = &field.size {
            let size = match &fitted {
                Fitted::Categories(encoder) => encoder.cardinality(),
                Fitted::Labels(encoder) => encoder.cardinality() - 1,
                _ => continue,
            };
            sizes.insert(name.clone(), size);
        }
        fields.insert(field.name.clone(), fitted);
    }
    Ok(FittedData { fields, sizes })
}

fn fit_field(data: &DataFile, field: &Field, table: &Table, rows: &[usize]) -> Result<Fitted> {
    let rule = |name: &str| data.columns[name].0.missing_rule();
    Ok(match &field.spec {
        FieldSpec::Transform { .. } => Fitted::Picture,
        FieldSpec::Tensors { .. } => Fitted::Tensors,
        FieldSpec::Tokens { .. } => Fitted::Tokens,
        FieldSpec::Vector { divide, .. } => Fitted::Vector(*divide),
        FieldSpec::Numbers { scale, missing, .. } => {
            let missing = match missing {
                None => MissingAs::Refuse,
                Some(MissingFeature::Indicator) => MissingAs::Indicator,
                Some(MissingFeature::Masked) => MissingAs::Null,
            };
            let one =
                |name: &String| NumberEncoder::fit(table.column(name)?, rows, *scale == Scale::ZScore, missing, &rule(name));
            Fitted::Numbers(field.columns.iter().map(one).collect::<Result<_, _>>()?)
        }
        FieldSpec::Categories { .. } => Fitted::Categories(vocabulary(data, &field.columns[0], table, rows)?),
        FieldSpec::Labels { .. } => Fitted::Labels(vocabulary(data, &field.columns[0], table, rows)?),
        FieldSpec::DayOfYear { .. } => {
            let name = &field.columns[0];
            let formats = match &data.columns[name].0 {
                ColumnSpec::Date { formats, .. } => formats.clone(),
                _ => Vec::new(),
            };
            Fitted::DayOfYear(DateEncoder { formats, rule: rule(name) })
        }
        FieldSpec::Coordinates { levels, .. } => {
            Fitted::Coordinates(CoordinateEncoder { levels: *levels, rule: rule(&field.columns[0]) })
        }
        FieldSpec::Targets { divide, scale, .. } => {
            let one =
                |name: &String| TargetEncoder::fit(table.column(name)?, rows, *divide, *scale == Scale::ZScore, &rule(name));
            Fitted::Targets(field.columns.iter().map(one).collect::<Result<_, _>>()?)
        }
        FieldSpec::Present { above, .. } => Fitted::Present(field.columns.iter().map(|name| rule(name)).collect(), *above),
    })
}

/// The vocabulary that the file states, or that of the training rows.
pub(super) fn vocabulary(data: &DataFile, name: &str, table: &Table, rows: &[usize]) -> Result<CategoryEncoder> {
    let (column, _) = &data.columns[name];
    match column {
        ColumnSpec::Category { values, .. } if !values.is_empty() => {
            let mut categories = values.clone();
            categories.sort();
            categories.dedup();
            Ok(CategoryEncoder { column: name.to_owned(), categories, rule: column.missing_rule() })
        }
        _ => Ok(CategoryEncoder::fit(table.column(name)?, rows, &column.missing_rule())?),
    }
}
