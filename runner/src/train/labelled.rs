//! Predictions beside their labels: read back from what a run wrote, put together over folds, and picked from for resamples.
//!
//! Numbers are written so that they read back as the same bits, so metrics of what is read equal those of the run.

use std::path::Path;

use indexmap::IndexMap;
use serde::Deserialize;
use sward_core::source::Spanned;

use super::error::{Result, TrainError};
use super::measure::{measure, measure_all};
use super::output::{PredictionRows, columns, label_columns, write_predictions};
use super::predictions::{FieldPrediction, Predictions};
use super::record::OpenedRun;
use crate::experiment::spec::Metric;
use crate::experiment::{Joined, predicted_columns};
use crate::feed::{FeedError, Fitted, Labels};
use crate::metrics::MetricError;
use crate::table::{Cell, Column, Numbers, ReadOptions, Table, escape_formula, read, write};

/// The file of tile weights in a directory of results.
pub const MAPS: &str = "maps.csv";

/// Labelled rows with what was predicted for them. All lists are parallel; labels are by position, not by row.
#[derive(Clone, Debug)]
pub struct Labelled {
    /// The rows of the table, ascending.
    pub rows: Vec<usize>,
    /// What the samples' names are: a column of the table.
    pub id: String,
    /// The samples' names.
    pub samples: Vec<String>,
    /// Predictions by field.
    pub predictions: Predictions,
    /// Labels by field.
    pub labels: IndexMap<String, Labels>,
    /// The columns that make groups, and each row's group; `None` where rows stand alone.
    pub groups: Option<(Vec<String>, Vec<String>)>,
    /// Weights of tiles by field of photographs.
    pub maps: IndexMap<String, Vec<Vec<f32>>>,
}

/// What `split.json` says.
#[derive(Deserialize)]
struct SplitFile {
    validation: Vec<usize>,
    #[serde(default)]
    groups: Option<GroupFile>,
}

#[derive(Deserialize)]
struct GroupFile {
    columns: Vec<String>,
    validation: Vec<String>,
}

/// A text as it was before a formula in it was escaped.
fn unescaped(text: &str) -> &str {
    let inner = text.strip_prefix('\'').unwrap_or(text);
    if inner.starts_with(['=', '+', '-', '@', '\t', '\r']) { inner } else { text }
}

fn told(error: crate::table::TableError) -> TrainError {
    TrainError::Feed(FeedError::Table(error))
}

fn column<'t>(table: &'t Table, name: &str) -> Result<&'t Column> {
    table.column(&escape_formula(name)).map_err(told)
}

/// The numbers of a column, infinities and NaN among them; `None` where a cell is empty.
fn numbers_of(column: &Column) -> Result<Vec<Option<f64>>> {
    let number = |row: usize| {
        let text = unescaped(column.text(row).unwrap_or_default());
        match text {
            "" => Ok(None),
            _ => text.parse::<f64>().map(Some).map_err(|_| told(column.fault(row, format!("{text:?} is no number")))),
        }
    };
    (0..column.rows()).map(number).collect()
}

impl Labelled {
    /// Reads what a finished run predicted for its validation rows.
    ///
    /// # Errors
    /// Files that are not what a run writes.
    pub fn read(run: &OpenedRun) -> Result<Labelled> {
        let path = run.path.join("predictions.csv");
        let table = read(&path, &ReadOptions::default()).map_err(told)?;
        let broken = |cause: String| TrainError::Checkpoint { path: run.path.join("split.json").display().to_string(), cause };
        let text = std::fs::read(run.path.join("split.json")).map_err(|error| broken(format!("cannot be read: {error}")))?;
        let split: SplitFile = serde_json::from_slice(&text).map_err(|error| broken(error.to_string()))?;
        let count = table.rows();
        let mut names = table.names().skip(1);
        let id = names.next().map(|name| unescaped(name).to_owned()).unwrap_or_default();
        let rows: Vec<usize> =
            numbers_of(column(&table, "row")?)?.into_iter().map(|row| row.unwrap_or_default() as usize).collect();
        if rows != split.validation {
            return Err(broken("its rows are not those of predictions.csv".to_owned()));
        }
        let samples = column(&table, &id)?.texts().map(|text| unescaped(text.unwrap_or_default()).to_owned()).collect();
        let (mut predictions, mut labels) = (Predictions::new(), IndexMap::new());
        let mut taken: Vec<String> = Vec::new();
        for field in run.joined.experiment.predictions.keys().map(|name| name.value.as_str()) {
            let (prediction, label) = read_field(run, field, &table, count, &mut taken)?;
            predictions.insert(field.to_owned(), prediction);
            labels.insert(field.to_owned(), label);
        }
        let groups = split.groups.filter(|groups| groups.validation.len() == count);
        let groups = groups.map(|groups| (groups.columns, groups.validation));
        let maps = match run.joined.experiment.maps.is_empty() {
            true => IndexMap::new(),
            false => read_maps(&run.path.join(MAPS))?,
        };
        Ok(Labelled { rows, id, samples, predictions, labels, groups, maps })
    }

    /// Puts the rows of several folds together, ascending. Where vocabularies differ, since a training split lacks a class, a class that a
    /// fold does not know has the probability zero there.
    ///
    /// # Errors
    /// No part, a row that two parts hold, or parts of different fields.
    pub fn join(parts: Vec<Labelled>) -> Result<Labelled> {
        let mut parts = parts;
        align_classes(&mut parts);
        let mut parts = parts.into_iter();
        let mut all = parts.next().ok_or_else(|| TrainError::Usage("no fold has finished".to_owned()))?;
        for part in parts {
            let same = all.predictions.keys().eq(part.predictions.keys()) && all.groups.is_some() == part.groups.is_some();
            if !same {
                return Err(TrainError::Usage("the folds predict different fields".to_owned()));
            }
            all.rows.extend(part.rows);
            all.samples.extend(part.samples);
            for (name, own) in &mut all.predictions {
                extend_prediction(own, &part.predictions[name]);
            }
            for (name, own) in &mut all.labels {
                extend_labels(own, &part.labels[name]);
            }
            if let (Some((_, own)), Some((_, other))) = (&mut all.groups, part.groups) {
                own.extend(other);
            }
            for (name, own) in &mut all.maps {
                own.extend(part.maps.get(name).cloned().unwrap_or_default());
            }
        }
        let mut order: Vec<usize> = (0..all.rows.len()).collect();
        order.sort_by_key(|position| all.rows[*position]);
        if let Some(twice) = order.windows(2).find(|two| all.rows[two[0]] == all.rows[two[1]]) {
            return Err(TrainError::Usage(format!("row {} is validated by two folds", all.rows[twice[0]])));
        }
        Ok(all.pick(&order))
    }

    /// The rows at some positions, with repeats.
    pub fn pick(&self, positions: &[usize]) -> Labelled {
        fn at<T: Clone>(all: &[T], positions: &[usize]) -> Vec<T> {
            positions.iter().map(|position| all[*position].clone()).collect()
        }
        let numbers = |own: &Numbers| Numbers { values: at(&own.values, positions), observed: at(&own.observed, positions) };
        let named = |own: &[(String, Numbers)]| own.iter().map(|(name, own)| (name.clone(), numbers(own))).collect::<Vec<_>>();
        let labels = self.labels.iter().map(|(name, own)| {
            let own = match own {
                Labels::Numbers(own) => Labels::Numbers(named(own)),
                Labels::Present(own) => Labels::Present(named(own)),
                Labels::Classes(known, classes) => Labels::Classes(at(known, positions), classes.clone()),
            };
            (name.clone(), own)
        });
        Labelled {
            rows: at(&self.rows, positions),
            id: self.id.clone(),
            samples: at(&self.samples, positions),
            predictions: self.pick_predictions(positions),
            labels: labels.collect(),
            groups: self.groups.as_ref().map(|(columns, own)| (columns.clone(), at(own, positions))),
            maps: self.maps.iter().map(|(name, own)| (name.clone(), at(own, positions))).collect(),
        }
    }

    fn pick_predictions(&self, positions: &[usize]) -> Predictions {
        let one = |own: &FieldPrediction| {
            let columns = |own: &IndexMap<String, Vec<f64>>| -> IndexMap<String, Vec<f64>> {
                own.iter().map(|(name, own)| (name.clone(), positions.iter().map(|at| own[*at]).collect())).collect()
            };
            match own {
                FieldPrediction::Numbers(own) => FieldPrediction::Numbers(columns(own)),
                FieldPrediction::Present(own) => FieldPrediction::Present(columns(own)),
                FieldPrediction::Classes(own, classes) => {
                    let width = classes.len();
                    let picked = positions.iter().flat_map(|at| &own[at * width..(at + 1) * width]).copied().collect();
                    FieldPrediction::Classes(picked, classes.clone())
                }
            }
        };
        self.predictions.iter().map(|(name, own)| (name.clone(), one(own))).collect()
    }

    /// One metric of the rows at some positions, with repeats.
    ///
    /// # Errors
    /// A metric without a value for these labels.
    pub fn measure_at(&self, joined: &Joined, metric: &Spanned<Metric>, positions: &[usize]) -> Result<f64, MetricError> {
        measure(joined, metric, &self.pick_predictions(positions), &self.labels, positions)
    }

    /// Every metric of the experiment, and the reasons of those without a value.
    pub fn measure_all(&self, joined: &Joined) -> (IndexMap<String, f64>, Vec<String>) {
        let positions: Vec<usize> = (0..self.rows.len()).collect();
        measure_all(joined, &self.predictions, &self.labels, &positions)
    }

    /// The number of each row's group, in order of first appearance; `None` where rows stand alone, or all are of one group: its rows are
    /// then the only thing that could be drawn.
    pub fn group_numbers(&self) -> Option<Vec<usize>> {
        let (_, names) = self.groups.as_ref()?;
        let mut numbers: IndexMap<&str, usize> = IndexMap::new();
        let mut own = Vec::with_capacity(names.len());
        for name in names {
            let next = numbers.len();
            own.push(*numbers.entry(name.as_str()).or_insert(next));
        }
        (numbers.len() > 1).then_some(own)
    }

    /// Writes predictions beside labels, as a run does.
    ///
    /// # Errors
    /// Storage that fails.
    pub fn write(&self, path: &Path) -> Result<()> {
        let columns = columns(&self.predictions, true);
        let labels = label_columns(&self.predictions, &self.labels);
        let mut header = vec!["row".to_owned(), self.id.clone()];
        header.extend(columns.iter().map(|column| column.name.clone()));
        header.extend(labels.iter().map(|(name, _)| format!("{name}.label")));
        let text = |cell: &Cell<'_>| match cell {
            Cell::Text(text) => (*text).to_owned(),
            Cell::Number(number) => format!("{number}"),
            Cell::Missing => String::new(),
        };
        let row = |position: usize| {
            let mut cells = vec![self.rows[position].to_string(), self.samples[position].clone()];
            cells.extend(columns.iter().map(|column| text(&column.cells[position])));
            cells.extend(labels.iter().map(|(_, label)| label(position)));
            cells
        };
        let rows = (0..self.rows.len()).map(row).collect();
        write_predictions(path, &PredictionRows { header, rows })
    }
}

/// The prediction and the labels of one field. `taken` are the columns that stand before, whose names are not given twice.
fn read_field(
    run: &OpenedRun,
    field: &str,
    table: &Table,
    count: usize,
    taken: &mut Vec<String>,
) -> Result<(FieldPrediction, Labels)> {
    let spec = &run.joined.data.fields[field];
    let mut by_column = |names: Vec<String>| -> Result<(IndexMap<String, Vec<f64>>, Vec<(String, Numbers)>)> {
        let (mut predicted, mut labels) = (IndexMap::new(), Vec::new());
        for name in names {
            let written = if taken.contains(&name) { format!("{field}.{name}") } else { name.clone() };
            let values = numbers_of(column(table, &written)?)?;
            let known = numbers_of(column(table, &format!("{written}.label"))?)?;
            predicted.insert(name.clone(), values.into_iter().map(|value| value.unwrap_or(f64::NAN)).collect());
            let observed = known.iter().map(Option::is_some).collect();
            labels.push((name, Numbers { values: known.into_iter().map(Option::unwrap_or_default).collect(), observed }));
            taken.push(written);
        }
        Ok((predicted, labels))
    };
    Ok(match &run.fitted.fields[field] {
        Fitted::Present(..) => {
            let (predicted, labels) = by_column(spec.columns.clone())?;
            (FieldPrediction::Present(predicted), Labels::Present(labels))
        }
        Fitted::Labels(encoder) => {
            let classes = encoder.categories.clone();
            let mut probabilities = vec![f64::NAN; count * classes.len()];
            for (index, class) in classes.iter().enumerate() {
                for (row, value) in numbers_of(column(table, &format!("{field}_{class}"))?)?.into_iter().enumerate() {
                    probabilities[row * classes.len() + index] = value.unwrap_or(f64::NAN);
                }
            }
            let texts = column(table, &format!("{field}.label"))?;
            let class_of = |text: Option<&str>| {
                let text = unescaped(text.unwrap_or_default());
                classes.iter().position(|class| class == text)
            };
            let known = texts.texts().map(class_of).collect();
            (FieldPrediction::Classes(probabilities, classes.clone()), Labels::Classes(known, classes))
        }
        _ => {
            let (predicted, labels) = by_column(predicted_columns(&run.joined.data, spec).into_iter().collect())?;
            (FieldPrediction::Numbers(predicted), Labels::Numbers(labels))
        }
    })
}

/// Gives every part the classes that any part knows.
fn align_classes(parts: &mut [Labelled]) {
    let fields: Vec<String> = parts.first().map(|part| part.predictions.keys().cloned().collect()).unwrap_or_default();
    for field in fields {
        let mut union: Vec<String> = Vec::new();
        for part in parts.iter() {
            if let Some(FieldPrediction::Classes(_, classes)) = part.predictions.get(&field) {
                union.extend(classes.iter().filter(|class| !union.contains(class)).cloned().collect::<Vec<_>>());
            }
        }
        if union.is_empty() {
            continue;
        }
        union.sort();
        for part in parts.iter_mut() {
            let Some(FieldPrediction::Classes(values, classes)) = part.predictions.get(&field) else { continue };
            let place: Vec<usize> =
                classes.iter().map(|class| union.iter().position(|own| own == class).unwrap_or_default()).collect();
            let mut spread = vec![0.0; part.rows.len() * union.len()];
            for (row, own) in values.chunks_exact(classes.len().max(1)).enumerate() {
                own.iter().zip(&place).for_each(|(value, place)| spread[row * union.len() + place] = *value);
            }
            let known = match part.labels.get(&field) {
                Some(Labels::Classes(known, _)) => known.iter().map(|class| class.map(|class| place[class])).collect(),
                _ => Vec::new(),
            };
            part.labels.insert(field.clone(), Labels::Classes(known, union.clone()));
            part.predictions.insert(field.clone(), FieldPrediction::Classes(spread, union.clone()));
        }
    }
}

fn extend_prediction(own: &mut FieldPrediction, other: &FieldPrediction) {
    match (own, other) {
        (FieldPrediction::Numbers(own), FieldPrediction::Numbers(other))
        | (FieldPrediction::Present(own), FieldPrediction::Present(other)) => {
            own.iter_mut().for_each(|(name, own)| own.extend_from_slice(&other[name]));
        }
        (FieldPrediction::Classes(own, _), FieldPrediction::Classes(other, _)) => own.extend_from_slice(other),
        _ => unreachable!("folds of one experiment predict the same kinds"),
    }
}

fn extend_labels(own: &mut Labels, other: &Labels) {
    match (own, other) {
        (Labels::Numbers(own), Labels::Numbers(other)) | (Labels::Present(own), Labels::Present(other)) => {
            for ((_, own), (_, other)) in own.iter_mut().zip(other) {
                own.values.extend_from_slice(&other.values);
                own.observed.extend_from_slice(&other.observed);
            }
        }
        (Labels::Classes(own, _), Labels::Classes(other, _)) => own.extend_from_slice(other),
        _ => unreachable!("folds of one experiment have the same kinds of labels"),
    }
}

/// Writes weights of tiles: `row`, then `<field>.<tile>`.
///
/// # Errors
/// Storage that fails.
pub fn write_maps(path: &Path, rows: &[usize], maps: &IndexMap<String, Vec<Vec<f32>>>) -> Result<()> {
    let mut header = vec!["row".to_owned()];
    for (field, weights) in maps {
        let tiles = weights.first().map_or(0, Vec::len);
        header.extend((0..tiles).map(|tile| format!("{field}.{tile}")));
    }
    let row = |(position, row): (usize, &usize)| {
        let mut cells = vec![row.to_string()];
        cells.extend(maps.values().flat_map(|weights| weights[position].iter().map(|weight| format!("{weight}"))));
        cells
    };
    let cells: Vec<Vec<String>> = rows.iter().enumerate().map(row).collect();
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    write(path, &header, cells.iter().map(|row| row.iter().map(|cell| Cell::Text(cell)))).map_err(told)
}

/// Reads what [`write_maps`] wrote.
fn read_maps(path: &Path) -> Result<IndexMap<String, Vec<Vec<f32>>>> {
    let table = read(path, &ReadOptions::default()).map_err(told)?;
    let mut maps: IndexMap<String, Vec<Vec<f32>>> = IndexMap::new();
    for name in table.names().skip(1) {
        let Some((field, _)) = name.rsplit_once('.') else { continue };
        let own = maps.entry(field.to_owned()).or_insert_with(|| vec![Vec::new(); table.rows()]);
        for (row, value) in numbers_of(table.column(name).map_err(told)?)?.into_iter().enumerate() {
            own[row].push(value.unwrap_or(f64::NAN) as f32);
        }
    }
    Ok(maps)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(rows: &[usize], classes: &[&str], values: &[f64], known: &[usize]) -> Labelled {
        let classes: Vec<String> = classes.iter().map(|class| (*class).to_owned()).collect();
        Labelled {
            rows: rows.to_vec(),
            id: "name".to_owned(),
            samples: rows.iter().map(|row| format!("s{row}")).collect(),
            predictions: [("kind".to_owned(), FieldPrediction::Classes(values.to_vec(), classes.clone()))].into_iter().collect(),
            labels: [("kind".to_owned(), Labels::Classes(known.iter().map(|class| Some(*class)).collect(), classes))]
                .into_iter()
                .collect(),
            groups: None,
            maps: IndexMap::new(),
        }
    }

    #[test]
    fn folds_of_different_vocabularies_are_pooled_over_all_classes() {
        let first = part(&[2, 0], &["a", "c"], &[0.25, 0.75, 1.0, 0.0], &[1, 0]);
        let second = part(&[1], &["b", "c"], &[0.5, 0.5], &[0]);
        let all = Labelled::join(vec![first, second]).unwrap();
        assert_eq!(all.rows, [0, 1, 2]);
        assert_eq!(all.samples, ["s0", "s1", "s2"]);
        let FieldPrediction::Classes(values, classes) = &all.predictions["kind"] else { panic!("classes stay classes") };
        assert_eq!(classes, &["a", "b", "c"]);
        assert_eq!(values, &[1.0, 0.0, 0.0, 0.0, 0.5, 0.5, 0.25, 0.0, 0.75]);
        let Labels::Classes(known, _) = &all.labels["kind"] else { panic!("classes stay classes") };
        assert_eq!(known, &[Some(0), Some(1), Some(2)]);
    }

    #[test]
    fn one_group_alone_is_no_grouping() {
        let mut own = part(&[0, 1, 2], &["a"], &[1.0; 3], &[0; 3]);
        let grouped = |own: &mut Labelled, names: [&str; 3]| {
            own.groups = Some((vec!["plot".to_owned()], names.map(str::to_owned).to_vec()));
            own.group_numbers()
        };
        assert_eq!(grouped(&mut own, ["p", "q", "p"]), Some(vec![0, 1, 0]));
        assert_eq!(grouped(&mut own, ["p", "p", "p"]), None);
    }

    #[test]
    fn a_row_of_two_folds_is_refused() {
        let one = part(&[1], &["a"], &[1.0], &[0]);
        let error = Labelled::join(vec![one.clone(), one]).unwrap_err().to_string();
        assert_eq!(error, "row 1 is validated by two folds");
    }

    #[test]
    fn an_escaped_formula_reads_back() {
        for text in ["=1+1", "-a", "plain", "'quoted'", "-1.5"] {
            assert_eq!(unescaped(&escape_formula(text)), text);
        }
    }
}
