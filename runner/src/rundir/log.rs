//! The metrics of a run: `metrics.jsonl`, one record a line, and `metrics.csv` made from it.
//!
//! The JSON lines are the truth. A process may die while it writes one; then the last line is torn, and resuming cuts it
//! off together with everything after the checkpoint's step, so that no step is logged twice.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::{IndexMap, IndexSet};
use serde::{Deserialize, Serialize};

use super::storage::{Storage, StorageError, StorageFile, write_atomically};

/// What was measured at one step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Steps done when it was measured.
    pub step: u64,
    /// The epoch that the step belongs to, counted from 0.
    pub epoch: u64,
    /// Values by name (`train/loss`, `val/r2_score`). JSON has no NaN and no infinity: they are written as `null`, and
    /// read as NaN.
    #[serde(flatten, deserialize_with = "null_is_nan")]
    pub values: IndexMap<String, f64>,
}

fn null_is_nan<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<IndexMap<String, f64>, D::Error> {
    let values = IndexMap::<String, Option<f64>>::deserialize(deserializer)?;
    Ok(values.into_iter().map(|(name, value)| (name, value.unwrap_or(f64::NAN))).collect())
}

/// Why a log cannot be continued.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A line before the last is no record.
    #[error("`{}`, line {line}: {reason}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
}

/// The open metrics files of a run.
pub struct MetricsLog {
    storage: Arc<dyn Storage>,
    directory: PathBuf,
    lines: Box<dyn StorageFile>,
    table: Box<dyn StorageFile>,
    records: Vec<Record>,
    columns: IndexSet<String>,
}

impl MetricsLog {
    /// The name of the records' file.
    pub const LINES: &'static str = "metrics.jsonl";
    /// The name of the table made from it.
    pub const TABLE: &'static str = "metrics.csv";

    /// Opens the log of a run directory. Records after `step` are cut off; a new run passes 0 and keeps nothing but a record of
    /// step 0.
    ///
    /// # Errors
    /// A line before the last that is no record, or storage that fails.
    pub fn open(storage: Arc<dyn Storage>, directory: &Path, step: u64) -> Result<Self, LogError> {
        let path = directory.join(Self::LINES);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(StorageError::wrap("read", &path)(error).into()),
        };
        let (records, length) = kept_records(&path, &text, step)?;
        let lines = storage.append(&path).map_err(StorageError::wrap("open", &path))?;
        if length < text.len() {
            storage.truncate(&path, length as u64).map_err(StorageError::wrap("truncate", &path))?;
        }
        let columns = records.iter().flat_map(|record| record.values.keys().cloned()).collect();
        let table = write_table(&*storage, directory, &columns, &records)?;
        Ok(Self { storage, directory: directory.to_owned(), lines, table, records, columns })
    }

    /// Appends one record to both files. It is handed to the system at once, and made durable by [`MetricsLog::sync`].
    ///
    /// # Errors
    /// Storage that fails.
    pub fn append(&mut self, record: Record) -> Result<(), LogError> {
        let path = self.directory.join(Self::LINES);
        let mut line = serde_json::to_vec(&record).map_err(|error| StorageError::wrap("write", &path)(error.into()))?;
        line.push(b'\n');
        // One call, so that a line is torn by nothing but a failing disk or a failing machine.
        self.lines.write_all(&line).map_err(StorageError::wrap("write", &path))?;
        let known = self.columns.len();
        self.columns.extend(record.values.keys().cloned());
        self.records.push(record);
        if self.columns.len() > known {
            self.table = write_table(&*self.storage, &self.directory, &self.columns, &self.records)?;
            return Ok(());
        }
        let row = table_row(&self.columns, &self.records[self.records.len() - 1]);
        let path = self.directory.join(Self::TABLE);
        Ok(self.table.write_all(row.as_bytes()).map_err(StorageError::wrap("write", &path))?)
    }

    /// Makes both files durable. Call it before a checkpoint is written, so that a resumed log has every record before it.
    ///
    /// # Errors
    /// Storage that fails.
    pub fn sync(&mut self) -> Result<(), LogError> {
        for (file, name) in [(&mut self.lines, Self::LINES), (&mut self.table, Self::TABLE)] {
            file.sync().map_err(StorageError::wrap("make durable", &self.directory.join(name)))?;
        }
        Ok(())
    }

    /// Every record so far.
    pub fn records(&self) -> &[Record] {
        &self.records
    }
}

/// Reads the records of a run, for reports. A torn last line is left out.
///
/// # Errors
/// A file that cannot be read, or a line before the last that is no record.
pub fn read_records(directory: &Path) -> Result<Vec<Record>, LogError> {
    let path = directory.join(MetricsLog::LINES);
    let text = std::fs::read(&path).map_err(StorageError::wrap("read", &path))?;
    Ok(kept_records(&path, &text, u64::MAX)?.0)
}

/// The records up to and with `step`, and how many bytes they take.
fn kept_records(path: &Path, text: &[u8], step: u64) -> Result<(Vec<Record>, usize), LogError> {
    let mut records = Vec::new();
    let mut length = 0;
    let mut lines = text.split_inclusive(|&byte| byte == b'\n').enumerate().peekable();
    while let Some((number, line)) = lines.next() {
        let is_last = lines.peek().is_none();
        match serde_json::from_slice::<Record>(line) {
            Ok(_) if !line.ends_with(b"\n") => break,
            Ok(record) if record.step > step => break,
            Ok(record) => records.push(record),
            Err(_) if is_last => break,
            Err(error) => return Err(LogError::Line { path: path.to_owned(), line: number + 1, reason: error.to_string() }),
        }
        length += line.len();
    }
    Ok((records, length))
}

/// Writes the whole table anew and opens it for appending.
fn write_table(
    storage: &dyn Storage,
    directory: &Path,
    columns: &IndexSet<String>,
    records: &[Record],
) -> Result<Box<dyn StorageFile>, StorageError> {
    let path = directory.join(MetricsLog::TABLE);
    write_atomically(storage, &path, |writer| {
        let header: Vec<&str> = ["step", "epoch"].into_iter().chain(columns.iter().map(String::as_str)).collect();
        writer.write_all(csv_line(&header)?.as_bytes())?;
        records.iter().try_for_each(|record| writer.write_all(table_row(columns, record).as_bytes()))
    })?;
    storage.append(&path).map_err(StorageError::wrap("open", &path))
}

/// Quotes where a column's name needs it.
fn csv_line(cells: &[&str]) -> io::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(cells)?;
    let bytes = writer.into_inner().map_err(|error| io::Error::other(error.to_string()))?;
    String::from_utf8(bytes).map_err(io::Error::other)
}

/// Numbers as Rust prints them: the shortest text that reads back to the same bits. A value not measured is empty.
fn table_row(columns: &IndexSet<String>, record: &Record) -> String {
    let cell = |column: &String| record.values.get(column).map_or_else(String::new, f64::to_string);
    let cells = [record.step.to_string(), record.epoch.to_string()].into_iter().chain(columns.iter().map(cell));
    cells.collect::<Vec<_>>().join(",") + "\n"
}

#[cfg(test)]
mod tests {
    use super::super::storage::Disk;
    use super::*;

    fn record(step: u64, values: &[(&str, f64)]) -> Record {
        Record { step, epoch: step / 10, values: values.iter().map(|(name, value)| ((*name).into(), *value)).collect() }
    }

    fn open(directory: &Path, step: u64) -> Result<MetricsLog, LogError> {
        MetricsLog::open(Arc::new(Disk), directory, step)
    }

    fn read(directory: &Path, name: &str) -> String {
        std::fs::read_to_string(directory.join(name)).unwrap()
    }

    #[test]
    fn records_go_to_lines_and_to_a_table_that_grows_columns() {
        let directory = tempfile::tempdir().unwrap();
        let mut log = open(directory.path(), 0).unwrap();
        log.append(record(1, &[("train/loss", 0.1 + 0.2)])).unwrap();
        log.append(record(2, &[("train/loss", f64::INFINITY)])).unwrap();
        log.append(record(2, &[("val/a,b", 0.5)])).unwrap();
        log.append(record(13, &[("train/loss", 1e-9), ("val/a,b", 2.0)])).unwrap();
        log.sync().unwrap();
        assert_eq!(
            read(directory.path(), "metrics.jsonl"),
            "{\"step\":1,\"epoch\":0,\"train/loss\":0.30000000000000004}\n{\"step\":2,\"epoch\":0,\"train/loss\":null}\n\
             {\"step\":2,\"epoch\":0,\"val/a,b\":0.5}\n{\"step\":13,\"epoch\":1,\"train/loss\":1e-9,\"val/a,b\":2.0}\n"
        );
        assert_eq!(
            read(directory.path(), "metrics.csv"),
            "step,epoch,train/loss,\"val/a,b\"\n1,0,0.30000000000000004,\n2,0,inf,\n2,0,,0.5\n13,1,0.000000001,2\n"
        );
        let again = read_records(directory.path()).unwrap();
        assert_eq!(again[0].values["train/loss"], 0.1 + 0.2);
        assert!(again[1].values["train/loss"].is_nan());
    }

    #[test]
    fn resuming_cuts_at_the_checkpoint_wherever_the_last_line_is_torn() {
        let whole = tempfile::tempdir().unwrap();
        let steps = |log: &mut MetricsLog, steps: std::ops::Range<u64>| {
            for step in steps {
                log.append(record(step, &[("loss", step as f64 / 3.0)])).unwrap();
                if step % 2 == 0 {
                    log.append(record(step, &[("val", step as f64)])).unwrap();
                }
            }
        };
        steps(&mut open(whole.path(), 0).unwrap(), 1..9);
        let text = read(whole.path(), "metrics.jsonl");
        let checkpoint_end = text.find("{\"step\":5").unwrap();
        for torn in checkpoint_end..=text.len() {
            let directory = tempfile::tempdir().unwrap();
            std::fs::write(directory.path().join("metrics.jsonl"), &text[..torn]).unwrap();
            std::fs::write(directory.path().join("metrics.csv"), "a stale table").unwrap();
            let mut log = open(directory.path(), 4).unwrap();
            assert_eq!(log.records().len(), 6);
            steps(&mut log, 5..9);
            for name in ["metrics.jsonl", "metrics.csv"] {
                assert_eq!(read(directory.path(), name), read(whole.path(), name), "{name}, torn at {torn}");
            }
        }
    }

    #[test]
    fn a_broken_line_in_the_middle_is_an_error_with_its_number() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("metrics.jsonl"), "{\"step\":1,\"epoch\":0}\n{\"st\n{\"step\":2,\"epoch\":0}\n")
            .unwrap();
        let error = open(directory.path(), 9).err().unwrap().to_string();
        assert!(error.contains("metrics.jsonl`, line 2: "), "{error}");
    }
}
