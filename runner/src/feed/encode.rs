//! Tables as arrays, one entry a row, ready to be cut into batches.

use indexmap::IndexMap;
use std::path::PathBuf;

use super::error::{FeedError, Result};
use super::fit::{Fitted, FittedData};
use super::load::{DataFolder, picture_path};
use crate::experiment::data::{Column as ColumnSpec, FieldSpec};
use crate::experiment::{DataFile, Field, FieldRole};
use crate::table::{Table, encode_targets, numbers, vector};
use crate::text::TextEncoder;
use crate::weights::WeightFile;

/// The rows of a table, encoded.
pub struct Encoded {
    /// How many rows.
    pub rows: usize,
    /// By the fields' names; fields that the table has no columns for are not there.
    pub fields: IndexMap<String, EncodedField>,
}

/// One field of all rows.
pub struct EncodedField {
    /// What the rows hold.
    pub values: Values,
    /// Elements of a row's mask, and all masks.
    pub observed: Option<(usize, Vec<bool>)>,
}

/// What the rows of a field hold.
pub enum Values {
    /// So many numbers a row.
    Floats(usize, Vec<f32>),
    /// So many whole numbers a row.
    Whole(usize, Vec<i64>),
    /// A photograph a row, with the cells that name them.
    Pictures(Vec<PathBuf>, Vec<String>),
}

/// Encodes a table. Without targets, only features are encoded.
///
/// # Errors
/// A cell that does not hold what its column is said to hold.
pub fn encode(data: &DataFile, fitted: &FittedData, table: &Table, folder: &DataFolder, with_targets: bool) -> Result<Encoded> {
    let mut fields = IndexMap::new();
    for field in data.fields.values() {
        if with_targets || field.role == FieldRole::Feature {
            fields.insert(field.name.clone(), encode_field(data, field, &fitted.fields[&field.name], table, folder)?);
        }
    }
    Ok(Encoded { rows: table.rows(), fields })
}

fn encode_field(data: &DataFile, field: &Field, fitted: &Fitted, table: &Table, folder: &DataFolder) -> Result<EncodedField> {
    let rows = table.rows();
    // One mask a row becomes the field's only where the graph has one.
    let masked = |values: Values, observed: Vec<bool>| EncodedField {
        values,
        observed: field.observed.is_some().then_some((1, observed)),
    };
    Ok(match fitted {
        Fitted::Picture => {
            let name = &field.columns[0];
            let (ColumnSpec::Image { folder: below, .. }, _) = &data.columns[name] else {
                unreachable!("a picture field is made of an image column")
            };
            let column = table.column(name)?;
            let paths = (0..rows).map(|row| picture_path(folder, below, column, row)).collect::<Result<_>>()?;
            let cells = (0..rows).map(|row| column.place(row).to_string()).collect();
            EncodedField { values: Values::Pictures(paths, cells), observed: None }
        }
        Fitted::Numbers(encoders) => {
            let parts =
                encoders.iter().map(|encoder| encoder.encode(table.column(&encoder.column)?)).collect::<Result<Vec<_>, _>>()?;
            let width = parts.iter().map(|part| part.width).sum();
            let mut values = Vec::with_capacity(rows * width);
            let mut observed = Vec::with_capacity(rows * parts.len());
            for row in 0..rows {
                for part in &parts {
                    values.extend_from_slice(&part.values[row * part.width..(row + 1) * part.width]);
                    observed.push(part.observed[row]);
                }
            }
            let count = parts.len();
            EncodedField {
                values: Values::Floats(width, values),
                observed: field.observed.is_some().then_some((count, observed)),
            }
        }
        Fitted::Categories(encoder) => {
            let indices = encoder.encode(table.column(&encoder.column)?);
            let observed = indices.iter().map(|index| *index > 0).collect();
            masked(Values::Whole(1, indices), observed)
        }
        Fitted::DayOfYear(encoder) => {
            let features = encoder.encode(table.column(&field.columns[0])?)?;
            masked(Values::Floats(features.width, features.values), features.observed)
        }
        Fitted::Coordinates(encoder) => {
            let features = encoder.encode(table.column(&field.columns[0])?, table.column(&field.columns[1])?)?;
            masked(Values::Floats(features.width, features.values), features.observed)
        }
        Fitted::Vector(divide) => {
            let mut features = vector(table, &field.columns)?;
            features.values.iter_mut().for_each(|value| *value = (f64::from(*value) / divide) as f32);
            EncodedField { values: Values::Floats(features.width, features.values), observed: None }
        }
        Fitted::Tensors => tensors(field, table, folder)?,
        Fitted::Tokens => tokens(field, table, folder)?,
        Fitted::Targets(encoders) => {
            let targets = encode_targets(encoders, table)?;
            EncodedField {
                values: Values::Floats(targets.width, targets.values),
                observed: Some((targets.width, targets.observed)),
            }
        }
        Fitted::Present(rules, above) => {
            let width = rules.len();
            let (mut values, mut observed) = (vec![0.0; rows * width], vec![false; rows * width]);
            for (index, (name, rule)) in field.columns.iter().zip(rules).enumerate() {
                let own = numbers(table.column(name)?, rule)?;
                for row in 0..rows {
                    values[row * width + index] = f32::from(u8::from(own.observed[row] && own.values[row] > *above));
                    observed[row * width + index] = own.observed[row];
                }
            }
            EncodedField { values: Values::Floats(width, values), observed: Some((width, observed)) }
        }
        Fitted::Labels(encoder) => {
            let indices = encoder.encode(table.column(&encoder.column)?);
            let observed = indices.iter().map(|index| *index > 0).collect();
            masked(Values::Whole(1, indices.into_iter().map(|index| (index - 1).max(0)).collect()), observed)
        }
    })
}

/// The tokens of a row's text; a missing text has the special tokens alone.
fn tokens(field: &Field, table: &Table, folder: &DataFolder) -> Result<EncodedField> {
    let FieldSpec::Tokens { tokenizer, length, .. } = &field.spec else { unreachable!("the field is made of a text") };
    let encoder = TextEncoder::open(&folder.find("the tokenizer", &tokenizer.value)?, *length)?;
    let column = table.column(&field.columns[0])?;
    let texts: Vec<&str> = column.texts().map(Option::unwrap_or_default).collect();
    let tokens = encoder.encode(&texts)?;
    let mask = tokens.mask.into_iter().map(|here| here != 0).collect();
    Ok(EncodedField { values: Values::Whole(*length, tokens.ids), observed: Some((*length, mask)) })
}

/// A tensor a row, by the text of a column.
fn tensors(field: &Field, table: &Table, folder: &DataFolder) -> Result<EncodedField> {
    let FieldSpec::Tensors { file, shape, .. } = &field.spec else { unreachable!("the field is made of tensors") };
    let weights = WeightFile::open(&folder.find("the file of tensors", &file.value)?)?;
    let column = table.column(&field.columns[0])?;
    let width = shape.iter().product();
    let mut values = Vec::with_capacity(table.rows() * width);
    for row in 0..table.rows() {
        let key = column.text(row).unwrap_or_default();
        let fault = |cause: String| FeedError::Tensor { place: column.place(row).to_string(), cause };
        let view = weights.get(key).ok_or_else(|| fault(format!("{} has no tensor {key:?}", weights.path().display())))?;
        if view.shape != shape.as_slice() {
            return Err(fault(format!("the tensor {key:?} has the shape {:?}, and the field says {shape:?}", view.shape)));
        }
        values.extend_from_slice(&view.to_f32()?);
    }
    Ok(EncodedField { values: Values::Floats(width, values), observed: None })
}
