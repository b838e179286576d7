//! What a run begins with: its directory, the state of the loop, its batches, and the features of its frozen part.

use std::path::Path;

use indexmap::IndexMap;
use sward_core::program::Role;
use sward_ops::frozen::FrozenSplit;

use super::super::checkpoint::LoopState;
use super::super::error::{Result, TrainError};
use super::super::features::{FeatureStore, Wanted, keep_features};
use super::super::groups::row_groups;
use super::super::prepare::Prepared;
use super::super::programs::{EvaluationOptions, evaluation_forward, sizes_for};
use super::super::record::{content_of, files, write};
use super::super::steps::Stepper;
use super::{TrainRequest, or_failed};
use crate::experiment::spec::{Sampler as WrittenSampler, Schedule as WrittenSchedule, Train};
use crate::experiment::{Joined, watched_direction};
use crate::feed::FeedError;
use crate::rundir::{Description, Environment, RunDirectory, content_hash};
use crate::samplers::{Batches, Sampler};
use crate::schedule::{Direction, EarlyStopping, Plateau, PlateauSettings};

/// What a frozen part gives for all rows of the fold.
pub(super) fn features_of(
    request: &TrainRequest<'_>,
    prepared: &Prepared<'_>,
    split: &FrozenSplit,
    batch: usize,
    stepper: &Stepper,
) -> Result<Option<FeatureStore>> {
    let weights = |name: &str| match stepper.program().argument(name) {
        Some(argument) if argument.role != Role::Input => Ok(Some(stepper.plan().get(name)?)),
        _ => Ok(None),
    };
    let own = prepared.split();
    let sizes = sizes_for(&request.joined.checked, &prepared.fitted, batch);
    keep_features(&Wanted {
        engine: request.engine,
        joined: request.joined,
        encoded: &prepared.encoded,
        split,
        evaluation: &evaluation_forward(request.joined, &sizes, EvaluationOptions::WITH_LOSSES)?,
        batch,
        rows: own.train.iter().chain(&own.validation).copied().collect(),
        memory_bytes: request.cache_bytes,
        weights: &weights,
        folder: request.features.clone(),
        storage: request.storage.clone(),
        verbosity: request.verbosity,
        interrupt: &request.interrupt,
    })
}

/// The seed after so many rewinds: other random numbers, of the same run.
pub(super) fn seed_after(seed: u64, rewinds: u64) -> u64 {
    seed.wrapping_add(rewinds.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// The state before the first step.
pub(super) fn first_state(joined: &Joined) -> LoopState {
    let train = &joined.experiment.train.value;
    let direction = |name: &str| watched_direction(&joined.experiment, name).unwrap_or(Direction::Minimize);
    let plateau = match &train.schedule {
        WrittenSchedule::Plateau { metric, factor, patience } => {
            let settings =
                PlateauSettings { factor: *factor, patience: *patience, ..PlateauSettings::new(direction(&metric.value)) };
            Some(Plateau::new(settings))
        }
        _ => None,
    };
    let stopping =
        train.stop.as_ref().map(|stop| EarlyStopping::new(direction(&stop.metric.value), stop.patience, stop.min_delta));
    LoopState { plateau, stopping, ..LoopState::default() }
}

/// The batches of the training rows.
pub(super) fn batches(prepared: &Prepared<'_>, train: &Train, batch: usize, rewinds: u64) -> Result<Batches> {
    let rows = &prepared.split().train;
    let table = &prepared.loaded.table;
    let of = |name: &str| table.column(name).map_err(|error| TrainError::Feed(FeedError::Table(error)));
    let sampler = match &train.sampler {
        WrittenSampler::Uniform => Sampler::Uniform,
        WrittenSampler::Weighted { by } => {
            let (column, _) = &prepared.joined.data.columns[&by.value];
            let numbers = crate::table::numbers(of(&by.value)?, &column.missing_rule()).map_err(FeedError::from)?;
            Sampler::Weighted(rows.iter().map(|row| numbers.values[*row]).collect())
        }
        WrittenSampler::ClassBalanced { by } => {
            let column = of(&by.value)?;
            let mut classes: IndexMap<&str, usize> = IndexMap::new();
            let mut numbers = Vec::with_capacity(rows.len());
            for row in rows {
                let next = classes.len();
                numbers.push(*classes.entry(column.text(*row).unwrap_or_default().trim()).or_insert(next));
            }
            Sampler::ClassBalanced(numbers)
        }
    };
    Ok(Batches::new(sampler, rows.len(), batch, true, seed_after(train.seed, rewinds))?)
}

/// Makes the directory of a new run.
pub(super) fn begin(request: &TrainRequest<'_>, prepared: &Prepared<'_>) -> Result<RunDirectory> {
    let files = files(request.session);
    let settings = serde_json::to_string(&request.settings).unwrap_or_default();
    let mut contents: Vec<(&str, &[u8])> = files.iter().map(|(path, text)| (path.as_str(), text.as_bytes())).collect();
    contents.push(("settings", settings.as_bytes()));
    let hash = content_hash(contents);
    let mut description = Description::new(&request.joined.name, request.joined.experiment.train.value.seed, hash);
    let pairs = |texts: &[String], flag: &str| -> Vec<(String, String)> {
        texts
            .iter()
            .filter_map(|text| text.split_once('='))
            .map(|(path, value)| (format!("{flag} {path}"), value.to_owned()))
            .collect()
    };
    description.overrides.extend(pairs(&request.settings.sets, "--set"));
    description.overrides.extend(pairs(&request.settings.swaps, "--swap"));
    for (path, text) in &files {
        description.inputs.insert(path.clone(), blake3::hash(text.as_bytes()).to_hex().to_string());
    }
    let table = Path::new(prepared.loaded.raw.file());
    if let Some(hash) = content_of(table) {
        description.inputs.insert(table.display().to_string(), hash);
    }
    let environment = Environment::current(request.engine.name(), request.threads);
    let storage = request.storage.clone();
    let mut run = match &request.directory {
        Some(path) => RunDirectory::create_at(storage, path, description, &environment)?,
        None => RunDirectory::create(storage, &request.root, description, &environment)?,
    };
    let kept = keep(request, prepared, &run);
    or_failed(&mut run, kept)?;
    Ok(run)
}

/// Writes what opens the run again, and which rows train and validate.
fn keep(request: &TrainRequest<'_>, prepared: &Prepared<'_>, run: &RunDirectory) -> Result<()> {
    write(run, request.session, &request.settings, &prepared.fitted)?;
    let split = prepared.split();
    let groups = row_groups(prepared.joined, &prepared.loaded.table)?.map(|(columns, groups)| {
        let names: Vec<String> = split.validation.iter().map(|row| groups.name(groups.of_row()[*row])).collect();
        serde_json::json!({ "columns": columns, "validation": names })
    });
    let splits = serde_json::json!({
        "version": 1, "fold": prepared.fold, "train": split.train, "validation": split.validation, "groups": groups,
    });
    Ok(run.write_json("split.json", &splits)?)
}
