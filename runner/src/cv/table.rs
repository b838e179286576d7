//! What the folds say together.

use std::path::Path;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::directory::{CvDescription, fold_directory};
use crate::experiment::Joined;
use crate::rundir::Standing;
use crate::splits::{Split, leaks};
use crate::table::{Cell, Table, write};
use crate::train::{Labelled, OpenedRun, TrainError, row_groups};

/// One fold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FoldResult {
    /// Its number.
    pub fold: usize,
    /// How many rows it validates.
    pub rows: usize,
    /// Its best epoch, from 1.
    pub best_epoch: u64,
    /// How long it was trained.
    pub seconds: Option<f64>,
    /// Its metrics and losses on those rows, as they are logged: `val/...`. `None` where one has no value.
    pub metrics: IndexMap<String, Option<f64>>,
}

/// All folds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CvTable {
    /// The version of this description.
    pub version: u32,
    /// The experiment's name.
    pub name: String,
    /// The finished folds.
    pub folds: Vec<FoldResult>,
    /// How many there are to be.
    pub of: usize,
    /// The mean over folds.
    pub mean: IndexMap<String, Option<f64>>,
    /// The standard deviation over folds (of a sample: n - 1).
    pub spread: IndexMap<String, Option<f64>>,
    /// Metrics of all out-of-fold predictions together; losses have none.
    pub overall: IndexMap<String, Option<f64>>,
}

/// What the check for leaks looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leakage {
    /// The table's rows.
    pub rows: usize,
    /// The folds.
    pub folds: usize,
    /// The columns that make groups, and how many groups they make.
    pub groups: Option<(Vec<String>, usize)>,
    /// Rows that no fold validates.
    pub never: usize,
}

impl Leakage {
    /// Looks at all splits.
    ///
    /// # Errors
    /// The first leak.
    pub fn check(joined: &Joined, table: &Table, splits: &[Split]) -> Result<Leakage, TrainError> {
        let groups = row_groups(joined, table)?;
        if let Some(leak) = leaks(splits, groups.as_ref().map(|(_, groups)| groups)).into_iter().next() {
            return Err(TrainError::Fold(format!("the folds leak: {leak}")));
        }
        let mut validated = vec![false; table.rows()];
        splits.iter().flat_map(|split| &split.validation).for_each(|row| validated[*row] = true);
        Ok(Leakage {
            rows: table.rows(),
            folds: splits.len(),
            groups: groups.map(|(columns, groups)| (columns, groups.len())),
            never: validated.iter().filter(|own| !**own).count(),
        })
    }

    /// The check as a sentence.
    pub fn sentence(&self) -> String {
        let units = match &self.groups {
            Some((columns, count)) => format!("no row and none of the {count} groups of {}", columns.join(" and ")),
            None => "no row".to_owned(),
        };
        let never = if self.never > 0 { format!("; {} rows are never validated", self.never) } else { String::new() };
        format!(
            "no leak: {} rows, {} {}; {units} is on both sides of a split, and what is fitted is fitted on training rows alone{never}",
            self.rows,
            self.folds,
            if self.folds == 1 { "fold" } else { "folds" },
        )
    }
}

/// A file of a run.
#[derive(Deserialize)]
struct Results {
    best_epoch: u64,
    metrics: IndexMap<String, Option<f64>>,
}

/// The results of a finished run; `seconds` where they are known.
///
/// # Errors
/// Files that are not what a run writes.
pub fn read_result(path: &Path, fold: usize, rows: usize) -> Result<FoldResult, TrainError> {
    let told = |name: &str, cause: String| TrainError::Checkpoint { path: path.join(name).display().to_string(), cause };
    let read = |name: &str| std::fs::read(path.join(name)).map_err(|error| told(name, format!("cannot be read: {error}")));
    let results: Results =
        serde_json::from_slice(&read("results.json")?).map_err(|error| told("results.json", error.to_string()))?;
    let seconds = read("timing.json")
        .ok()
        .and_then(|text| serde_json::from_slice::<serde_json::Value>(&text).ok())
        .and_then(|value| value["seconds"].as_f64());
    Ok(FoldResult { fold, rows, best_epoch: results.best_epoch + 1, seconds, metrics: results.metrics })
}

/// The finished folds, opened, in order.
///
/// # Errors
/// A fold that cannot be read.
fn finished(path: &Path, description: &CvDescription) -> Result<Vec<(usize, OpenedRun)>, TrainError> {
    let mut runs = Vec::new();
    for fold in 0..description.folds {
        let own = fold_directory(path, fold);
        if Standing::of(&own)? == Standing::Finished {
            runs.push((fold, OpenedRun::open(&own)?));
        }
    }
    Ok(runs)
}

/// The out-of-fold predictions of the finished folds, with the first of them; `None` where none has finished.
///
/// # Errors
/// A fold that cannot be read.
pub fn pooled(path: &Path) -> Result<Option<(OpenedRun, Labelled)>, TrainError> {
    let runs = finished(path, &CvDescription::read(path)?)?;
    let parts = runs.iter().map(|(_, run)| Labelled::read(run)).collect::<Result<Vec<_>, _>>()?;
    match runs.into_iter().next() {
        Some((_, first)) => Ok(Some((first, Labelled::join(parts)?))),
        None => Ok(None),
    }
}

/// Puts the finished folds together.
///
/// # Errors
/// A fold that cannot be read.
pub fn read_table(path: &Path) -> Result<(CvTable, Option<(OpenedRun, Labelled)>), TrainError> {
    let description = CvDescription::read(path)?;
    let runs = finished(path, &description)?;
    let mut folds = Vec::new();
    let mut parts = Vec::new();
    for (fold, run) in &runs {
        let part = Labelled::read(run)?;
        folds.push(read_result(&run.path, *fold, part.rows.len())?);
        parts.push(part);
    }
    let all = match runs.into_iter().next() {
        Some((_, first)) => Some((first, Labelled::join(parts)?)),
        None => None,
    };
    let overall = match &all {
        Some((first, all)) => {
            let (values, _) = all.measure_all(&first.joined);
            values.into_iter().map(|(name, value)| (format!("val/{name}"), value.is_finite().then_some(value))).collect()
        }
        None => IndexMap::new(),
    };
    let (mean, spread) = moments(&folds);
    let table = CvTable { version: 1, name: description.name, folds, of: description.folds, mean, spread, overall };
    Ok((table, all))
}

/// Mean and standard deviation of every metric that all folds have.
fn moments(folds: &[FoldResult]) -> (IndexMap<String, Option<f64>>, IndexMap<String, Option<f64>>) {
    let names: Vec<&String> = folds.first().map(|fold| fold.metrics.keys().collect()).unwrap_or_default();
    let (mut means, mut spreads) = (IndexMap::new(), IndexMap::new());
    for name in names {
        let values: Option<Vec<f64>> = folds.iter().map(|fold| fold.metrics.get(name).copied().flatten()).collect();
        let mean = values.as_ref().map(|values| values.iter().sum::<f64>() / values.len() as f64);
        let spread = match (&values, mean) {
            (Some(values), Some(mean)) if values.len() > 1 => {
                let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
                Some((squares / (values.len() - 1) as f64).sqrt())
            }
            _ => None,
        };
        means.insert(name.clone(), mean);
        spreads.insert(name.clone(), spread);
    }
    (means, spreads)
}

impl CvTable {
    /// The lines of the table: a head, a line a fold, mean, spread and all rows together.
    pub fn cells(&self) -> (Vec<String>, Vec<Vec<String>>) {
        let names: Vec<&String> = self.mean.keys().collect();
        let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.5}"));
        let mut head = vec!["fold".to_owned(), "rows".to_owned(), "epoch".to_owned()];
        head.extend(names.iter().map(|name| (*name).clone()));
        let line = |first: [String; 3], values: &IndexMap<String, Option<f64>>| -> Vec<String> {
            first.into_iter().chain(names.iter().map(|name| number(values.get(*name).copied().flatten()))).collect()
        };
        let mut lines: Vec<Vec<String>> = self
            .folds
            .iter()
            .map(|fold| line([fold.fold.to_string(), fold.rows.to_string(), fold.best_epoch.to_string()], &fold.metrics))
            .collect();
        let rows: usize = self.folds.iter().map(|fold| fold.rows).sum();
        let named = |name: &str, rows: String| [name.to_owned(), rows, String::new()];
        lines.push(line(named("mean", String::new()), &self.mean));
        lines.push(line(named("spread", String::new()), &self.spread));
        lines.push(line(named("out of fold", rows.to_string()), &self.overall));
        (head, lines)
    }

    /// For people.
    pub fn text(&self) -> String {
        let (head, lines) = self.cells();
        let mut text = crate::plain::aligned(&head, &lines);
        if self.folds.len() < self.of {
            text += &format!("{} of {} folds have finished\n", self.folds.len(), self.of);
        }
        text
    }

    /// Writes the folds as CSV.
    ///
    /// # Errors
    /// Storage that fails.
    pub fn write_csv(&self, path: &Path) -> Result<(), TrainError> {
        let names: Vec<&String> = self.mean.keys().collect();
        let mut header = vec!["fold", "rows", "best_epoch", "seconds"];
        header.extend(names.iter().map(|name| name.as_str()));
        let numbers: Vec<String> = self.folds.iter().map(|fold| fold.fold.to_string()).collect();
        let cell = |value: Option<f64>| value.map_or(Cell::Missing, Cell::Number);
        let rows = self.folds.iter().zip(&numbers).map(|(fold, number)| {
            let first = [Cell::Text(number), Cell::Number(fold.rows as f64), Cell::Number(fold.best_epoch as f64)];
            let own = names.iter().map(|name| cell(fold.metrics.get(*name).copied().flatten()));
            first.into_iter().chain([cell(fold.seconds)]).chain(own).collect::<Vec<_>>()
        });
        write(path, &header, rows).map_err(|error| TrainError::Feed(crate::feed::FeedError::Table(error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_that_one_fold_lacks_has_no_mean() {
        let fold = |fold, a, b| FoldResult {
            fold,
            rows: 2,
            best_epoch: 1,
            seconds: None,
            metrics: [("val/a".to_owned(), a), ("val/b".to_owned(), b)].into_iter().collect(),
        };
        let (mean, spread) = moments(&[fold(0, Some(1.0), Some(1.0)), fold(1, Some(3.0), None)]);
        assert_eq!((mean["val/a"], spread["val/a"]), (Some(2.0), Some(2f64.sqrt())));
        assert_eq!((mean["val/b"], spread["val/b"]), (None, None));
    }
}
