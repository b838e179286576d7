//! Finding the features of all rows: those of earlier runs, and those that are still to be computed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use sward_core::program::Program;
use sward_kernels::{Engine, Tensor};
use sward_ops::frozen::FrozenSplit;

use super::super::error::{Result, TrainError};
use super::super::programs::frozen_part;
use super::FeatureStore;
use super::folder::{FeatureFolder, Shelf, Waiting, rows_by_key};
use super::keys::{Hash, ValueKey, row_keys, value_keys};
use super::maker::{Maker, Neighbours};
use crate::experiment::Joined;
use crate::feed::Encoded;
use crate::interrupt::Interrupt;
use crate::progress::{Progress, Verbosity};
use crate::rundir::Storage;

/// So many bytes, or so much time, and rows are written to the disk: what a process that dies has computed for nothing.
const WAITING_BYTES: usize = 16 << 20;
const WAITING_TIME: Duration = Duration::from_secs(10);

/// Features of which rows are wanted, and what they are made with.
pub struct Wanted<'a> {
    /// What runs programs.
    pub engine: &'a dyn Engine,
    /// The experiment.
    pub joined: &'a Joined,
    /// The rows of the table.
    pub encoded: &'a Encoded,
    /// The training program in two parts.
    pub split: &'a FrozenSplit,
    /// The program of an evaluation, at the same batch.
    pub evaluation: &'a Program,
    /// Rows of a batch.
    pub batch: usize,
    /// The rows: those that are trained, then those that are validated.
    pub rows: Vec<usize>,
    /// Memory for features, in bytes.
    pub memory_bytes: usize,
    /// Parameters and buffers by name.
    pub weights: &'a dyn Fn(&str) -> Result<Option<Tensor>>,
    /// Where features are kept for other runs, if anywhere.
    pub folder: Option<FeatureFolder>,
    /// What writes go through.
    pub storage: Arc<dyn Storage>,
    /// What is shown.
    pub verbosity: Verbosity,
    /// Asks for an orderly end.
    pub interrupt: &'a Interrupt,
}

/// How features came about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct FeatureCount {
    /// Rows that have features.
    pub rows: usize,
    /// Rows that were computed.
    pub computed: usize,
    /// Rows that an earlier run had computed.
    pub found: usize,
    /// Bytes of a row.
    pub bytes_of_a_row: usize,
    /// How long it took.
    pub seconds: f64,
}

/// The disk's part: keys of values, and by value those of rows.
struct Kept {
    shelf: Shelf,
    values: Vec<ValueKey>,
    rows: Vec<Vec<Hash>>,
}

/// What a frozen part gives for all rows, where it is kept: where it fits into memory, where a row's features are its own, and where evaluation
/// has the same part. A disk that fails costs the time to compute features, and no more.
///
/// # Errors
/// A photograph that cannot be read, a fault of the engine, or an interrupt.
pub fn keep_features(wanted: &Wanted<'_>) -> Result<Option<FeatureStore>> {
    let mut store = FeatureStore::new(wanted.split, wanted.batch);
    let text = |split: &FrozenSplit| split.prefix.to_string();
    let same = frozen_part(wanted.joined, wanted.evaluation, wanted.batch).is_some_and(|own| text(&own) == text(wanted.split));
    let bytes = store.bytes_of_a_row().saturating_mul(wanted.rows.len());
    if !same || bytes > wanted.memory_bytes {
        return Ok(None);
    }
    let begin = Instant::now();
    let mut rows = wanted.rows.clone();
    rows.sort_unstable();
    rows.dedup();
    let mut progress = Progress::new(wanted.verbosity, rows.len() as u64, 1, 0);
    let mut kept = on_disk(wanted, &rows, &mut progress)?;
    if let Some(kept) = &kept {
        find(&mut store, kept, &rows, &mut progress);
    }
    let found = store.rows.len();
    if found < rows.len() {
        let mut maker = Maker::new(wanted.engine, wanted.joined, wanted.encoded, wanted.split, wanted.batch, wanted.weights)?;
        match maker.neighbours(&wanted.rows)? {
            Neighbours::Nothing => {}
            Neighbours::Rounding => {
                // Which rows stood beside a row would tell in its last bits: such features are this run's alone.
                store.rows.clear();
                kept = None;
            }
            Neighbours::Much => return Ok(None),
        }
        compute(&mut store, &mut maker, kept.as_ref(), &rows, wanted.interrupt, &mut progress)?;
    }
    progress.finish();
    let found = if kept.is_some() { found } else { 0 };
    store.count = FeatureCount {
        rows: rows.len(),
        computed: rows.len() - found,
        found,
        bytes_of_a_row: store.bytes_of_a_row(),
        seconds: begin.elapsed().as_secs_f64(),
    };
    let place = match (&wanted.folder, &kept) {
        (Some(folder), Some(_)) => format!(" in {}", folder.path.display()),
        _ => String::new(),
    };
    progress.message(&format!(
        "features of the frozen part: {} of {} rows computed, {found} found{place}; {:.1} MiB, {:.2} s",
        store.count.computed,
        rows.len(),
        bytes as f64 / (1 << 20) as f64,
        store.count.seconds
    ));
    Ok(Some(store))
}

/// What is needed to look on the disk; `None` where features stay in memory.
fn on_disk(wanted: &Wanted<'_>, rows: &[usize], progress: &mut Progress) -> Result<Option<Kept>> {
    let Some(folder) = &wanted.folder else { return Ok(None) };
    let Some(values) = value_keys(wanted.engine, wanted.joined, wanted.split, wanted.batch, wanted.weights)? else {
        return Ok(None);
    };
    match row_keys(&values, wanted.joined, wanted.encoded, rows) {
        Ok(rows) => Ok(Some(Kept { shelf: Shelf::new(folder.clone(), wanted.storage.clone(), &values), values, rows })),
        Err(error) => {
            // Reading the photograph as one says which it is, and ends the run.
            progress.warning(&format!("features stay in memory: {error}"));
            Ok(None)
        }
    }
}

/// Takes over the rows of which every value is there.
fn find(store: &mut FeatureStore, kept: &Kept, rows: &[usize], progress: &mut Progress) {
    let mut parts: Vec<std::collections::HashMap<usize, Vec<f32>>> = Vec::new();
    for (value, keys) in kept.values.iter().zip(&kept.rows) {
        let by_key = rows_by_key(keys, rows);
        let mut own = std::collections::HashMap::new();
        let faults = kept.shelf.read(value, |key, numbers| {
            for row in by_key.get(key).into_iter().flatten() {
                own.insert(*row, numbers.clone());
            }
        });
        for fault in faults {
            progress.warning(&format!("{fault}; its features are computed again"));
        }
        parts.push(own);
    }
    for row in rows {
        if let Some(own) = parts.iter().map(|part| part.get(row)).collect::<Option<Vec<_>>>() {
            store.rows.insert(*row, own.into_iter().flatten().copied().collect());
        }
    }
}

/// Computes the rows that are missing, and writes them to the disk.
fn compute(
    store: &mut FeatureStore,
    maker: &mut Maker<'_>,
    kept: Option<&Kept>,
    rows: &[usize],
    interrupt: &Interrupt,
    progress: &mut Progress,
) -> Result<()> {
    let missing: Vec<usize> = (0..rows.len()).filter(|place| !store.rows.contains_key(&rows[*place])).collect();
    let mut waiting = Waiting::new(store.cached.len());
    let mut written = Instant::now();
    let mut disk = kept;
    let mut done = (rows.len() - missing.len()) as u64;
    for part in missing.chunks(store.batch) {
        let own: Vec<usize> = part.iter().map(|place| rows[*place]).collect();
        for (place, features) in part.iter().zip(maker.make(&own)?) {
            if let Some(kept) = disk {
                let mut rest = features.as_slice();
                waiting.add(kept.values.iter().zip(&kept.rows).map(|(value, keys)| {
                    let (own, behind) = rest.split_at(value.width);
                    rest = behind;
                    (keys[*place], own)
                }));
            }
            store.rows.insert(rows[*place], features);
        }
        done += part.len() as u64;
        progress.count(done, "rows");
        let is_last = done == rows.len() as u64 || interrupt.requested();
        let is_due = waiting.bytes() >= WAITING_BYTES || written.elapsed() >= WAITING_TIME || is_last;
        if let Some(kept) = disk.filter(|_| is_due) {
            written = Instant::now();
            if let Err(cause) = waiting.flush(&kept.shelf, &kept.values) {
                progress.warning(&format!("features stay in memory: {cause}"));
                disk = None;
            }
        }
        if interrupt.requested() {
            return Err(TrainError::Interrupted);
        }
    }
    Ok(())
}
