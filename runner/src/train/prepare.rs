//! Rows, splits and fitted encodings of an experiment's table.

use std::path::Path;

use super::error::{Result, TrainError};
use super::groups::{as_refs, cells, groups_by, row_groups};
use super::record::{RunSettings, check_tables};
use crate::experiment::data::FieldSpec;
use crate::experiment::spec::Folds;
use crate::experiment::{FieldRole, Joined};
use crate::feed::{DataFolder, Encoded, FittedData, Loaded, check_classes, encode, fit, load_rows};
use crate::splits::{
    Split, SplitError, folds_without_target, given_folds, group_k_fold, hold_out, k_fold, leaks, stratified_k_fold,
};
use crate::table::{Table, numbers};

/// An experiment with its rows.
pub struct Prepared<'j> {
    /// The experiment.
    pub joined: &'j Joined,
    /// The folder of the data.
    pub folder: DataFolder,
    /// The rows.
    pub loaded: Loaded,
    /// All splits.
    pub splits: Vec<Split>,
    /// The split that is trained.
    pub fold: usize,
    /// Fitted on the split's training rows.
    pub fitted: FittedData,
    /// All rows, encoded.
    pub encoded: Encoded,
}

impl Prepared<'_> {
    /// The split that is trained.
    pub fn split(&self) -> &Split {
        &self.splits[self.fold]
    }
}

/// Reads the table, splits it, and fits and encodes it for one fold. `folder` is where the data file lies.
///
/// # Errors
/// Data that is not what the files say, folds that leak or cannot be.
pub fn prepare<'j>(joined: &'j Joined, folder: &Path, fold: usize) -> Result<Prepared<'j>> {
    prepare_fold(joined, folder, fold, joined.experiment.train.value.seed)
}

/// As [`prepare`], for a run: its data, its fold, the seed that its folds are drawn with.
///
/// # Errors
/// As [`prepare`].
pub fn prepare_run<'j>(joined: &'j Joined, settings: &RunSettings) -> Result<Prepared<'j>> {
    prepare_fold(joined, &settings.data, settings.fold, settings.fold_seed(joined))
}

fn prepare_fold<'j>(joined: &'j Joined, folder: &Path, fold: usize, seed: u64) -> Result<Prepared<'j>> {
    let folder = DataFolder::open(folder)?;
    let loaded = load_rows(&joined.data, &joined.data.spec.table.value, None, &folder, true)?;
    let splits = fold_splits(joined, &loaded.table, seed)?;
    if fold >= splits.len() {
        let count = splits.len();
        return Err(TrainError::Usage(format!("there is no fold {fold}: the folds are 0 to {}", count - 1)));
    }
    let fitted = fit(&joined.data, &loaded.table, &splits[fold].train)?;
    let encoded = encode(&joined.data, &fitted, &loaded.table, &folder, true)?;
    Ok(Prepared { joined, folder, loaded, splits, fold, fitted, encoded })
}

/// The splits that an experiment's folds give, proved free of leaks.
///
/// # Errors
/// Folds that cannot be made of these rows, part a group, leave a target without a label to learn from, or a class without a training row;
/// a table that has changed since the run whose folds these are.
pub fn fold_splits(joined: &Joined, table: &Table, seed: u64) -> Result<Vec<Split>> {
    check_tables(&joined.tables, table)?;
    let groups = |names: &[&str]| groups_by(joined, table, names);
    let rows = table.rows();
    let names = |list: &crate::experiment::data::OneOrMany| list.0.iter().map(|name| name.value.clone()).collect::<Vec<_>>();
    let splits = match &joined.experiment.folds.value {
        Folds::KFold { k } => k_fold(rows, *k, Some(seed))?,
        Folds::StratifiedKFold { k, by } => stratified_k_fold(&groups(&[&by.value])?, *k, Some(seed))?,
        Folds::GroupKFold { k, by } => group_k_fold(&groups(&as_refs(&names(by)))?, *k, Some(seed))?,
        Folds::HoldOut { share, by: None } => vec![hold_out(rows, *share, None, seed)?],
        Folds::HoldOut { share, by: Some(by) } => vec![hold_out(rows, *share, Some(&groups(&as_refs(&names(by)))?), seed)?],
        Folds::Given { column } => given_folds(&groups(&[&column.value])?)?,
        Folds::Single { column, validate } => {
            let texts = cells(table, &column.value)?;
            let is_validation = |row: &usize| texts[*row].as_deref() == Some(validate.as_str());
            let (validation, train): (Vec<usize>, Vec<usize>) = (0..rows).partition(is_validation);
            if validation.is_empty() || train.is_empty() {
                let what = if train.is_empty() { "every row" } else { "no row" };
                return Err(TrainError::Fold(format!("the folds: {what} has {validate:?} in the column `{}`", column.value)));
            }
            vec![Split { train, validation }]
        }
        Folds::LastRows { count } => {
            if *count >= rows {
                return Err(TrainError::Fold(format!(
                    "the folds: the table has {rows} rows, and the last {count} are to validate"
                )));
            }
            vec![Split { train: (0..rows - count).collect(), validation: (rows - count..rows).collect() }]
        }
    };
    check_splits(joined, table, &splits)?;
    Ok(splits)
}

/// No group on both sides, no target without a label in a training split, no class that only validation rows have.
fn check_splits(joined: &Joined, table: &Table, splits: &[Split]) -> Result<()> {
    let own = row_groups(joined, table)?.map(|(_, groups)| groups);
    if let Some(leak) = leaks(splits, own.as_ref()).into_iter().next() {
        return Err(TrainError::Fold(format!("the folds leak: {leak}")));
    }
    for field in joined.data.fields.values().filter(|field| field.role == FieldRole::Target) {
        if !joined.experiment.predictions.keys().any(|name| name.value == field.name) {
            continue;
        }
        let targets: Vec<&str> = field.columns.iter().map(String::as_str).collect();
        let mut observed = vec![false; table.rows() * targets.len()];
        for (index, name) in field.columns.iter().enumerate() {
            let (spec, _) = &joined.data.columns[name];
            let column = table.column(name).map_err(crate::feed::FeedError::from)?;
            let rule = spec.missing_rule();
            if let crate::experiment::data::Column::Number { .. } = spec {
                let own = numbers(column, &rule).map_err(crate::feed::FeedError::from)?;
                for row in 0..table.rows() {
                    observed[row * targets.len() + index] = own.observed[row];
                }
            } else {
                for row in 0..table.rows() {
                    observed[row * targets.len() + index] = !rule.matches(column.text(row).unwrap_or_default().trim());
                }
            }
        }
        let faults: Vec<SplitError> = folds_without_target(splits, &targets, &observed)?;
        if let Some(fault) = faults.first() {
            return Err(TrainError::Fold(format!("the folds: {fault}")));
        }
    }
    let is_used = |name: &str| {
        joined.inputs.iter().any(|input| input.field == name) || joined.experiment.predictions.keys().any(|own| own.value == name)
    };
    for field in joined.data.fields.values().filter(|field| matches!(field.spec, FieldSpec::Labels { .. })) {
        if is_used(&field.name) {
            check_classes(&joined.data, field, table, splits)?;
        }
    }
    Ok(())
}
