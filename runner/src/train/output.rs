//! Predictions as tables.

use std::path::Path;

use indexmap::IndexMap;

use super::error::{Result, TrainError};
use super::predictions::{FieldPrediction, Predictions};
use crate::experiment::Joined;
use crate::experiment::spec::Output;
use crate::feed::{FeedError, Labels, Loaded};
use crate::table::{Cell, Table, write};

/// One column of a written table.
pub(super) struct Written<'a> {
    pub(super) name: String,
    pub(super) cells: Vec<Cell<'a>>,
}

/// The columns of all predicted fields, in the order of the experiment.
pub(super) fn columns(predictions: &Predictions, probabilities: bool) -> Vec<Written<'_>> {
    let mut columns = Vec::new();
    for (field, prediction) in predictions {
        match prediction {
            FieldPrediction::Numbers(own) | FieldPrediction::Present(own) => {
                for (name, values) in own {
                    // A field of presences beside one of amounts has the same columns.
                    let taken = columns.iter().any(|column: &Written<'_>| column.name == *name);
                    let name = if taken { format!("{field}.{name}") } else { name.clone() };
                    columns.push(Written { name, cells: values.iter().map(|value| Cell::Number(*value)).collect() });
                }
            }
            FieldPrediction::Classes(values, classes) => {
                let chosen = prediction.classes().unwrap_or_default();
                let cells = chosen.iter().map(|class| Cell::Text(&classes[*class])).collect();
                columns.push(Written { name: field.clone(), cells });
                if probabilities {
                    for (index, class) in classes.iter().enumerate() {
                        let cells = values.iter().skip(index).step_by(classes.len()).map(|value| Cell::Number(*value)).collect();
                        columns.push(Written { name: format!("{field}_{class}"), cells });
                    }
                }
            }
        }
    }
    columns
}

/// The column that names samples: the one that the experiment says, else the first `Id` or `Image` column.
fn id_column<'t>(joined: &Joined, table: &'t Table) -> Option<&'t crate::table::Column> {
    use crate::experiment::data::Column;
    let said = match &joined.experiment.output.value {
        Output::Wide { id: Some(id), .. } => Some(id.value.as_str()),
        Output::Long { key, .. } => Some(key.value.as_str()),
        Output::Wide { id: None, .. } => None,
    };
    let names = |column: &Column| matches!(column, Column::Id { .. } | Column::Image { .. });
    let found =
        joined.data.columns.iter().find(|(name, (column, _))| names(column) && table.has(name)).map(|(name, _)| name.as_str());
    said.or(found).and_then(|name| table.column(name).ok())
}

/// Writes what the experiment's `output` says.
///
/// # Errors
/// A long table that asks for what is not predicted, or storage that fails.
pub fn write_output(joined: &Joined, loaded: &Loaded, predictions: &Predictions, path: &Path) -> Result<()> {
    let told = |error| TrainError::Feed(FeedError::Table(error));
    match &joined.experiment.output.value {
        Output::Long { id, key, name, value } => {
            let raw = &loaded.raw;
            let (ids, keys, names) = (
                raw.column(&id.value).map_err(told)?,
                raw.column(&key.value).map_err(told)?,
                raw.column(&name.value).map_err(told)?,
            );
            let samples: IndexMap<&str, usize> = {
                let own = loaded.table.column(&key.value).map_err(told)?;
                (0..own.rows()).filter_map(|row| own.text(row).map(|text| (text, row))).collect()
            };
            let numbers: IndexMap<&str, &Vec<f64>> = predictions
                .values()
                .filter_map(|prediction| match prediction {
                    FieldPrediction::Numbers(columns) => Some(columns),
                    _ => None,
                })
                .flatten()
                .map(|(name, values)| (name.as_str(), values))
                .collect();
            let mut rows = Vec::with_capacity(raw.rows());
            for row in 0..raw.rows() {
                let text = |column: &crate::table::Column| column.text(row).unwrap_or_default().to_owned();
                let sample = samples.get(text(keys).as_str()).copied();
                let sample =
                    sample.ok_or_else(|| told(keys.fault(row, "the sample was left out, and the output asks for it")))?;
                let values = numbers.get(text(names).as_str()).ok_or_else(|| {
                    let known: Vec<&str> = numbers.keys().copied().collect();
                    told(names.fault(row, format!("{:?} is not predicted; predicted are {}", text(names), known.join(", "))))
                })?;
                rows.push((text(ids), values[sample]));
            }
            let cells = rows.iter().map(|(id, value)| [Cell::Text(id), Cell::Number(*value)]);
            write(path, &[&id.value, value], cells).map_err(told)
        }
        Output::Wide { probabilities, .. } => {
            let columns = columns(predictions, *probabilities);
            let table = &loaded.table;
            let rows: Vec<usize> = (0..table.rows()).collect();
            write_table(path, id_column(joined, table), &rows, &columns)
        }
    }
}

fn write_table(path: &Path, id: Option<&crate::table::Column>, rows: &[usize], columns: &[Written<'_>]) -> Result<()> {
    let numbers: Vec<String> = rows.iter().map(usize::to_string).collect();
    let mut header: Vec<&str> = vec![id.map_or("row", |column| column.name())];
    header.extend(columns.iter().map(|column| column.name.as_str()));
    let lines = rows.iter().enumerate().map(|(position, &row)| {
        let name = match id {
            Some(column) => column.text(row).unwrap_or_default(),
            None => numbers[position].as_str(),
        };
        std::iter::once(Cell::Text(name)).chain(columns.iter().map(move |column| column.cells[position]))
    });
    write(path, &header, lines).map_err(|error| TrainError::Feed(FeedError::Table(error)))
}

/// Predictions of labelled rows beside their labels: `row`, the sample's name, then for every column its prediction and `<column>.label`.
pub struct PredictionRows {
    /// The names of the columns.
    pub header: Vec<String>,
    /// The cells, row by row.
    pub rows: Vec<Vec<String>>,
}

/// Puts predictions and labels of some rows side by side.
pub fn prediction_rows(
    joined: &Joined,
    table: &Table,
    predictions: &Predictions,
    labels: &IndexMap<String, Labels>,
    rows: &[usize],
) -> PredictionRows {
    let id = id_column(joined, table);
    let mut header = vec!["row".to_owned(), id.map_or("sample", |column| column.name()).to_owned()];
    let columns = columns(predictions, true);
    for column in &columns {
        header.push(column.name.clone());
    }
    let label_columns = label_columns(predictions, labels);
    header.extend(label_columns.iter().map(|(name, _)| format!("{name}.label")));
    let cell = |cell: &Cell<'_>| match cell {
        Cell::Text(text) => (*text).to_owned(),
        Cell::Number(number) => format!("{number}"),
        Cell::Missing => String::new(),
    };
    let rows = rows
        .iter()
        .enumerate()
        .map(|(position, &row)| {
            let name = id.and_then(|column| column.text(row)).unwrap_or_default().to_owned();
            let mut cells = vec![row.to_string(), name];
            cells.extend(columns.iter().map(|column| cell(&column.cells[position])));
            cells.extend(label_columns.iter().map(|(_, label)| label(row)));
            cells
        })
        .collect();
    PredictionRows { header, rows }
}

pub(super) type LabelText<'a> = Box<dyn Fn(usize) -> String + 'a>;

pub(super) fn label_columns<'a>(predictions: &Predictions, labels: &'a IndexMap<String, Labels>) -> Vec<(String, LabelText<'a>)> {
    let mut columns: Vec<(String, LabelText<'a>)> = Vec::new();
    for field in predictions.keys() {
        match &labels[field] {
            Labels::Numbers(own) | Labels::Present(own) => {
                for (name, numbers) in own {
                    let taken = columns.iter().any(|(known, _)| known == name);
                    let name = if taken { format!("{field}.{name}") } else { name.clone() };
                    let text =
                        move |row: usize| if numbers.observed[row] { format!("{}", numbers.values[row]) } else { String::new() };
                    columns.push((name, Box::new(text)));
                }
            }
            Labels::Classes(known, classes) => {
                let text = move |row: usize| known[row].map_or_else(String::new, |class| classes[class].clone());
                columns.push((field.clone(), Box::new(text)));
            }
        }
    }
    columns
}

/// Writes predictions beside labels.
///
/// # Errors
/// Storage that fails.
pub fn write_predictions(path: &Path, rows: &PredictionRows) -> Result<()> {
    let header: Vec<&str> = rows.header.iter().map(String::as_str).collect();
    let lines = rows.rows.iter().map(|row| row.iter().map(|cell| Cell::Text(cell)));
    write(path, &header, lines).map_err(|error| TrainError::Feed(FeedError::Table(error)))
}
