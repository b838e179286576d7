//! Sections that several reports share.

use std::path::{Path, PathBuf};

use crate::experiment::Joined;
use crate::experiment::data::FieldSpec;
use crate::feed::{Labels, labels};
use crate::metrics::{calibration_error, reliability};
use crate::report::{Calibration, Content, Curve, CurvePanel, Distribution, GroupValues, Predictions, Section, Table};
use crate::rundir::{Description, Environment, Record};
use crate::train::{FILES, FieldPrediction, Labelled, OpenedRun, TrainError};

/// More classes than these make a table of confusions unreadable.
const CLASSES: usize = 20;
/// The largest text of files that goes into a report, in bytes.
const FILE_TEXT: usize = 200_000;

/// A section without a note.
pub fn section(title: &str, note: &str, content: Content) -> Section {
    Section { title: title.to_owned(), note: note.to_owned(), content }
}

/// A number for a summary.
pub fn shown(value: Option<f64>) -> String {
    value.filter(|value| value.is_finite()).map_or_else(|| "–".to_owned(), crate::report::plot::number)
}

/// Curves of one or several runs over epochs: a panel a measure. `runs` are names (empty for one run alone) and records.
pub fn curves(runs: &[(String, Vec<Record>)]) -> Vec<CurvePanel> {
    let mut panels: Vec<CurvePanel> = Vec::new();
    for (run, records) in runs {
        for name in measures(records) {
            let title = panel_of(&name, runs.len() > 1);
            let points = records.iter().filter_map(|record| Some(((record.epoch + 1) as f64, *record.values.get(&name)?)));
            let label = if run.is_empty() { name.clone() } else { run.clone() };
            let curve = Curve { name: label, points: points.collect() };
            match panels.iter_mut().find(|panel| panel.title == title) {
                Some(panel) => panel.curves.push(curve),
                None => panels.push(CurvePanel { title, horizontal: "epoch".to_owned(), curves: vec![curve] }),
            }
        }
    }
    panels
}

/// The measures of an epoch, in order: losses, metrics, the learning rate.
fn measures(records: &[Record]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in records.iter().flat_map(|record| record.values.keys()) {
        let is_of_epoch = *name == "train/loss" || *name == "train/lr" || name.starts_with("val/");
        if is_of_epoch && !names.contains(name) {
            names.push(name.clone());
        }
    }
    names.sort_by_key(|name| match name.as_str() {
        "train/loss" => 0,
        "val/loss" => 1,
        "train/lr" => 4,
        name if name.starts_with("val/loss.") => 3,
        _ => 2,
    });
    names
}

/// The panel of a measure. Several runs have a panel for each loss: more curves than colours would be alike.
fn panel_of(name: &str, is_of_several: bool) -> String {
    match name {
        "train/loss" if is_of_several => "training loss".to_owned(),
        "val/loss" if is_of_several => "validation loss".to_owned(),
        "train/loss" | "val/loss" => "loss".to_owned(),
        "train/lr" => "learning rate".to_owned(),
        _ => name.strip_prefix("val/").unwrap_or(name).to_owned(),
    }
}

/// The records of epochs' ends.
pub fn epoch_records(path: &Path) -> Vec<Record> {
    let records = crate::rundir::read_records(path).unwrap_or_default();
    records.into_iter().filter(|record| record.values.contains_key("train/loss")).collect()
}

/// The unit of a column.
fn unit(joined: &Joined, column: &str) -> String {
    match joined.data.columns.get(column) {
        Some((crate::experiment::data::Column::Number { unit, .. }, _)) => unit.clone(),
        _ => String::new(),
    }
}

/// Predicted against true for every column of numbers, and confusions of classes.
pub fn predictions(joined: &Joined, all: &Labelled) -> Vec<Section> {
    let mut sections = Vec::new();
    let mut targets = Vec::new();
    for (field, prediction) in &all.predictions {
        match (prediction, &all.labels[field]) {
            (FieldPrediction::Numbers(columns), Labels::Numbers(known)) => {
                for (name, numbers) in known {
                    let Some(values) = columns.get(name) else { continue };
                    let pairs: Vec<(f64, f64)> = (0..values.len())
                        .filter(|row| numbers.observed[*row] && values[*row].is_finite())
                        .map(|row| (numbers.values[row], values[row]))
                        .collect();
                    if pairs.is_empty() {
                        continue;
                    }
                    let score = r2(&pairs).map_or_else(String::new, |r2| format!("R2 {r2:.3}"));
                    targets.push(Predictions { target: name.clone(), unit: unit(joined, name), pairs, score });
                }
            }
            (FieldPrediction::Classes(_, classes), Labels::Classes(known, _)) if classes.len() <= CLASSES => {
                let predicted = prediction.classes().unwrap_or_default();
                let table = confusion(classes, known, &predicted);
                let note = "A row is a true class, a column what was predicted.";
                sections.push(section(&format!("Confusions of {field}"), note, Content::Table(table)));
            }
            _ => {}
        }
    }
    if !targets.is_empty() {
        sections.insert(0, section("Predictions", "Validation rows only, in the table's unit.", Content::Predictions(targets)));
    }
    sections
}

/// One minus the share of unexplained squares; `None` where labels do not vary.
fn r2(pairs: &[(f64, f64)]) -> Option<f64> {
    let mean = pairs.iter().map(|pair| pair.0).sum::<f64>() / pairs.len() as f64;
    let total: f64 = pairs.iter().map(|pair| (pair.0 - mean) * (pair.0 - mean)).sum();
    let rest: f64 = pairs.iter().map(|pair| (pair.0 - pair.1) * (pair.0 - pair.1)).sum();
    (total > 0.0).then(|| 1.0 - rest / total)
}

fn confusion(classes: &[String], known: &[Option<usize>], predicted: &[usize]) -> Table {
    let mut counts = vec![vec![0usize; classes.len()]; classes.len()];
    for (known, predicted) in known.iter().zip(predicted) {
        if let Some(known) = known {
            counts[*known][*predicted] += 1;
        }
    }
    let mut head = vec!["true".to_owned()];
    head.extend(classes.iter().cloned());
    let row = |(class, counts): (&String, &Vec<usize>)| {
        std::iter::once(class.clone()).chain(counts.iter().map(usize::to_string)).collect()
    };
    Table { head, rows: classes.iter().zip(&counts).map(row).collect() }
}

/// The error of every row: absolute over the spread of labels for numbers (mean of targets), one minus the probability of what is true
/// for classes and presence; `None` where no label is observed.
pub fn errors(all: &Labelled) -> Vec<Option<f64>> {
    error_sums(all).into_iter().map(|(sum, count)| (count > 0).then(|| sum / count as f64)).collect()
}

/// Of every row, the sum of the errors and the number of the labels that they are of.
pub fn error_sums(all: &Labelled) -> Vec<(f64, usize)> {
    let mut sums = vec![(0.0, 0usize); all.rows.len()];
    let mut add = |row: usize, error: f64| {
        if error.is_finite() {
            sums[row].0 += error;
            sums[row].1 += 1;
        }
    };
    for (field, prediction) in &all.predictions {
        match (prediction, &all.labels[field]) {
            (FieldPrediction::Present(columns), Labels::Present(known)) => {
                for (name, numbers) in known {
                    let Some(values) = columns.get(name) else { continue };
                    for row in (0..values.len()).filter(|row| numbers.observed[*row]) {
                        add(row, (values[row] - numbers.values[row]).abs());
                    }
                }
            }
            (FieldPrediction::Numbers(columns), Labels::Numbers(known)) => {
                for (name, numbers) in known {
                    let Some(values) = columns.get(name) else { continue };
                    let observed: Vec<f64> =
                        (0..values.len()).filter(|row| numbers.observed[*row]).map(|row| numbers.values[row]).collect();
                    let mean = observed.iter().sum::<f64>() / observed.len().max(1) as f64;
                    let squares: f64 = observed.iter().map(|value| (value - mean) * (value - mean)).sum();
                    let spread = (squares / observed.len().max(1) as f64).sqrt();
                    // Labels that are all alike have no spread to measure errors in.
                    if spread <= 1e-9 * mean.abs() {
                        continue;
                    }
                    for row in (0..values.len()).filter(|row| numbers.observed[*row]) {
                        add(row, (values[row] - numbers.values[row]).abs() / spread);
                    }
                }
            }
            (FieldPrediction::Classes(values, classes), Labels::Classes(known, _)) => {
                for (row, class) in known.iter().enumerate() {
                    if let Some(class) = class {
                        add(row, 1.0 - values[row * classes.len() + class]);
                    }
                }
            }
            _ => {}
        }
    }
    sums
}

/// The mean error by group; none where rows stand alone.
pub fn groups(joined: &Joined, all: &Labelled) -> Option<Section> {
    let (columns, names) = all.groups.as_ref()?;
    let mut of_group: indexmap::IndexMap<&str, (usize, f64, usize)> = indexmap::IndexMap::new();
    let (measure, own): (String, Vec<Option<f64>>) =
        absolute_errors(joined, all).unwrap_or_else(|| ("one minus the probability of the true class".to_owned(), errors(all)));
    for (name, error) in names.iter().zip(&own) {
        let entry = of_group.entry(name).or_default();
        entry.0 += 1;
        if let Some(error) = error {
            entry.1 += error;
            entry.2 += 1;
        }
    }
    if of_group.len() < 2 {
        return None;
    }
    let groups = of_group
        .into_iter()
        .filter(|(_, (_, _, count))| *count > 0)
        .map(|(name, (rows, sum, count))| (name.to_owned(), rows, sum / count as f64))
        .collect();
    let note = format!("Groups of {}; a group is never on both sides of a split.", columns.join(" and "));
    Some(section("Error by group", &note, Content::Groups(GroupValues { measure, groups })))
}

/// Mean absolute errors of the first field of numbers, by row.
fn absolute_errors(joined: &Joined, all: &Labelled) -> Option<(String, Vec<Option<f64>>)> {
    let (field, columns) = all.predictions.iter().find_map(|(field, prediction)| match prediction {
        FieldPrediction::Numbers(columns) => Some((field, columns)),
        _ => None,
    })?;
    let Labels::Numbers(known) = &all.labels[field] else { return None };
    let own: Vec<&String> = joined.data.fields[field].columns.iter().collect();
    let mut units: Vec<String> = own.iter().map(|name| unit(joined, name)).collect();
    units.dedup();
    let unit = if units.len() == 1 && !units[0].is_empty() { format!(" ({})", units[0]) } else { String::new() };
    let error = |row: usize| {
        let errors: Vec<f64> = known
            .iter()
            .filter(|(name, numbers)| own.contains(&name) && numbers.observed[row])
            .map(|(name, numbers)| (columns[name][row] - numbers.values[row]).abs())
            .collect();
        (!errors.is_empty()).then(|| errors.iter().sum::<f64>() / errors.len() as f64)
    };
    let targets: Vec<&str> = own.iter().map(|name| name.as_str()).collect();
    let named = if targets.len() <= 3 { targets.join(", ") } else { format!("{} targets", targets.len()) };
    Some((format!("Mean absolute error of {named}{unit}"), (0..all.rows.len()).map(error).collect()))
}

/// The labels of the whole table where it can be read, else of the validated rows.
pub fn distributions(run: &OpenedRun, all: Option<&Labelled>, table: Option<&crate::table::Table>) -> Option<Section> {
    let mut targets = Vec::new();
    for name in run.joined.experiment.predictions.keys() {
        let field = &run.joined.data.fields[&name.value];
        if !matches!(field.spec, FieldSpec::Targets { .. }) {
            continue;
        }
        let read = table.and_then(|table| labels(&run.joined.data, &run.fitted, field, table).ok());
        let Some(Labels::Numbers(known)) = read.as_ref().or_else(|| all.map(|all| &all.labels[&name.value])) else { continue };
        for (name, numbers) in known {
            let values: Vec<f64> =
                (0..numbers.values.len()).filter(|row| numbers.observed[*row]).map(|row| numbers.values[row]).collect();
            let missing = numbers.values.len() - values.len();
            if !values.is_empty() {
                targets.push(Distribution { target: name.clone(), unit: unit(&run.joined, name), values, missing });
            }
        }
    }
    let note = if table.is_some() { "All rows of the table." } else { "Validated rows; the table could not be read." };
    (!targets.is_empty()).then(|| section("Labels", note, Content::Distributions(targets)))
}

/// Reliability of presences and of classes.
pub fn calibration(all: &Labelled) -> Option<Section> {
    const BINS: usize = 10;
    let mut diagrams = Vec::new();
    let mut add = |title: String, confidence: &[f32], came_true: &[bool], observed: &[bool]| {
        let bins = reliability(confidence, came_true, Some(observed), BINS);
        let error = calibration_error(confidence, came_true, Some(observed), BINS);
        if let (Ok(bins), Ok(error)) = (bins, error) {
            diagrams.push(Calibration { title, bins, error });
        }
    };
    for (field, prediction) in &all.predictions {
        match (prediction, &all.labels[field]) {
            (FieldPrediction::Present(columns), Labels::Present(known)) => {
                for (name, numbers) in known {
                    let Some(values) = columns.get(name) else { continue };
                    let confidence: Vec<f32> = values.iter().map(|value| *value as f32).collect();
                    let came_true: Vec<bool> = numbers.values.iter().map(|value| *value > 0.5).collect();
                    add(format!("Presence of {name}"), &confidence, &came_true, &numbers.observed);
                }
            }
            (FieldPrediction::Classes(values, classes), Labels::Classes(known, _)) => {
                let predicted = prediction.classes().unwrap_or_default();
                let confidence: Vec<f32> =
                    predicted.iter().enumerate().map(|(row, class)| values[row * classes.len() + class] as f32).collect();
                let came_true: Vec<bool> = known.iter().zip(&predicted).map(|(known, own)| *known == Some(*own)).collect();
                let observed: Vec<bool> = known.iter().map(Option::is_some).collect();
                add(format!("The predicted class of {field}"), &confidence, &came_true, &observed);
            }
            _ => {}
        }
    }
    (!diagrams.is_empty()).then(|| section("Calibration", "", Content::Calibration(diagrams)))
}

/// The graph drawn.
pub fn graph(joined: &Joined) -> Section {
    let note = "From fields of the data to losses and predictions; a box with a second sheet behind it holds a module.";
    section("Graph", note, Content::Drawing(crate::cli::plot::svg(&joined.checked, 2)))
}

/// The experiment's files, and what was changed on the command line.
pub fn configuration(path: &Path, overrides: &indexmap::IndexMap<String, String>) -> Section {
    let mut text = String::new();
    for (setting, value) in overrides {
        text += &format!("{setting}={value}\n");
    }
    let root = path.join(FILES);
    let mut files: Vec<PathBuf> = sward_core::roots::graph_files(&root);
    files.sort();
    let mut read: Vec<(PathBuf, String)> =
        files.into_iter().filter_map(|file| std::fs::read_to_string(&file).ok().map(|text| (file, text))).collect();
    // What joins the others stands first.
    read.sort_by_key(|(_, text)| {
        let kinds = ["Experiment(", "Data(", "Transform("];
        kinds.iter().position(|kind| text.trim_start().starts_with(kind)).unwrap_or(kinds.len())
    });
    for (file, own) in read {
        let name = file.strip_prefix(&root).unwrap_or(&file).display().to_string();
        if text.len() + own.len() > FILE_TEXT {
            text += &format!("\n// {name}: left out, the text is long\n");
            continue;
        }
        text += &format!("{}// {name}\n{own}", if text.is_empty() { "" } else { "\n" });
    }
    section("Configuration", "Every file that was read, with what was changed on the command line first.", Content::Text(text))
}

/// The machine, and what went in.
pub fn environment(path: &Path, description: Option<&Description>) -> Section {
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut add = |name: &str, value: String| rows.push(vec![name.to_owned(), value]);
    let read = std::fs::read(path.join("environment.json"));
    if let Some(machine) = read.ok().and_then(|text| serde_json::from_slice::<Environment>(&text).ok()) {
        add("sward", format!("{}{}", machine.sward, if machine.optimized { "" } else { ", built without optimizations" }));
        add("target", machine.target);
        add("system", machine.system);
        add("processor", format!("{} ({} logical)", machine.processor, machine.processors));
        add("instruction sets", machine.instruction_sets.join(" "));
        add("memory", format!("{} MiB", machine.memory_bytes >> 20));
        add("engine", machine.engine);
        add("threads", if machine.threads == 0 { "one a processor".to_owned() } else { machine.threads.to_string() });
    }
    if let Some(description) = description {
        add("begun", description.created.clone());
        add("command", description.command.join(" "));
        add("seed", description.seed.to_string());
        add("hash", description.hash.clone());
    }
    section("Environment", "", Content::Table(Table { head: vec!["".to_owned(), "".to_owned()], rows }))
}

/// Reads the rows of a run's table; the reason where they are not there.
pub fn rows_of(run: &OpenedRun) -> Result<(crate::feed::DataFolder, crate::feed::Loaded), TrainError> {
    let folder = crate::feed::DataFolder::open(&run.settings.data)?;
    let loaded = crate::feed::load_rows(&run.joined.data, &run.joined.data.spec.table.value, None, &folder, true)?;
    Ok((folder, loaded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confusions_count_known_rows_alone() {
        let classes = ["a".to_owned(), "b".to_owned()];
        let table = confusion(&classes, &[Some(0), Some(1), None, Some(1)], &[0, 0, 1, 1]);
        assert_eq!(table.rows, [["a", "1", "0"], ["b", "1", "1"]]);
    }

    #[test]
    fn r2_of_the_mean_is_zero() {
        assert_eq!(r2(&[(1.0, 2.0), (3.0, 2.0)]), Some(0.0));
        assert_eq!(r2(&[(1.0, 1.0), (1.0, 1.0)]), None);
    }
}
