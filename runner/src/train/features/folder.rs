//! Features on the disk, for runs that share a frozen part.
//!
//! ```text
//! features/<value key>/<hash of contents>.features      some rows: head, row keys, numbers, checksum
//! ```
//!
//! A file is written whole or not at all and never changed, so that processes that share a folder need no lock: at worst two compute the same
//! rows and write the same file. Whatever does not read as it was written is computed again.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::keys::{Hash, ValueKey, name_of};
use crate::rundir::{Storage, StorageError, write_atomically};

/// How a file begins: what it is, and its version.
const MAGIC: &[u8; 16] = b"sward-features-1";

/// Magic, value key, rows, numbers of a row.
const HEAD: usize = 16 + 32 + 8 + 8;

/// The ending of a file's name.
const ENDING: &str = "features";

/// How old a temporary file is that no process still writes.
const ABANDONED: Duration = Duration::from_secs(3600);

/// Where features are kept, and how many bytes of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureFolder {
    /// The folder; it need not exist.
    pub path: PathBuf,
    /// The bound in bytes. Files that were not used for long make way for new ones.
    pub limit_bytes: u64,
}

/// Why features are not written.
#[derive(Debug, thiserror::Error)]
pub enum NotKept {
    /// Storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The bound.
    #[error("`{}` may hold {} MiB, and there is nothing left to remove", .0.path.display(), .0.limit_bytes >> 20)]
    Full(FeatureFolder),
}

/// A folder of features, as one run uses it.
pub struct Shelf {
    folder: FeatureFolder,
    storage: Arc<dyn Storage>,
    /// Folders of this run's values, of which nothing is removed.
    own: Vec<PathBuf>,
}

impl Shelf {
    /// The folder for a run that keeps these values.
    pub fn new(folder: FeatureFolder, storage: Arc<dyn Storage>, keys: &[ValueKey]) -> Shelf {
        let own = keys.iter().map(|key| folder.path.join(key.name())).collect();
        Shelf { folder, storage, own }
    }

    /// Reads what there is of a value; `put` is given the key and the numbers of each row. Gives what is wrong with files that are no good;
    /// they are removed.
    pub fn read(&self, key: &ValueKey, mut put: impl FnMut(&Hash, Vec<f32>)) -> Vec<String> {
        let mut faults = Vec::new();
        for (path, _) in files(&self.folder.path.join(key.name())).unwrap_or_default() {
            if path.extension().is_none_or(|ending| ending != ENDING) {
                continue;
            }
            match std::fs::read(&path).map_err(|error| error.to_string()).and_then(|bytes| {
                let rows = parse(&bytes, key)?;
                rows.for_each(|(row, numbers)| put(&row, numbers));
                Ok(())
            }) {
                Ok(()) => {
                    // A file that was used is the last to make way; where this fails, it is one of the first.
                    let _ = std::fs::File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
                }
                // Another process made room.
                Err(_) if !path.exists() => {}
                Err(cause) => {
                    faults.push(format!("{}: {cause}", path.display()));
                    let _ = self.storage.remove(&path);
                }
            }
        }
        faults
    }

    /// Writes rows of a value: their keys, and their numbers one after another.
    ///
    /// # Errors
    /// Storage that fails, or a bound that is reached. What was there before stays.
    pub fn write(&self, key: &ValueKey, rows: &[Hash], numbers: &[f32]) -> Result<(), NotKept> {
        let bytes = bytes_of(key, rows, numbers);
        self.make_room(bytes.len() as u64)?;
        let directory = self.folder.path.join(key.name());
        self.storage.create_directory(&directory).map_err(StorageError::wrap("create", &directory))?;
        let path = directory.join(format!("{}.{ENDING}", name_of(blake3::hash(&bytes).as_bytes())));
        Ok(write_atomically(self.storage.as_ref(), &path, |writer| writer.write_all(&bytes))?)
    }

    /// Removes files of other values, those that were not used for longest first, until so many bytes more are within the bound.
    fn make_room(&self, bytes: u64) -> Result<(), NotKept> {
        let mut kept = Vec::new();
        let now = SystemTime::now();
        for (directory, _) in folders(&self.folder.path).unwrap_or_default() {
            for (path, data) in files(&directory).unwrap_or_default() {
                let used = data.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                let is_whole = path.extension().is_some_and(|ending| ending == ENDING);
                if !is_whole && now.duration_since(used).is_ok_and(|age| age > ABANDONED) {
                    let _ = self.storage.remove(&path);
                    continue;
                }
                kept.push((used, path, data.len(), is_whole && !self.own.contains(&directory)));
            }
        }
        let mut total: u64 = kept.iter().map(|(_, _, bytes, _)| bytes).sum();
        kept.sort();
        for (_, path, own, may_go) in kept {
            if total.saturating_add(bytes) <= self.folder.limit_bytes {
                return Ok(());
            }
            if may_go && self.storage.remove(&path).is_ok() {
                total -= own;
            }
        }
        match total.saturating_add(bytes) <= self.folder.limit_bytes {
            true => Ok(()),
            false => Err(NotKept::Full(self.folder.clone())),
        }
    }
}

fn entries(directory: &Path, is_wanted: impl Fn(&std::fs::Metadata) -> bool) -> io::Result<Vec<(PathBuf, std::fs::Metadata)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        // Of the entry itself: a link is neither a file nor a folder.
        if let Ok(data) = entry.metadata()
            && is_wanted(&data)
        {
            found.push((entry.path(), data));
        }
    }
    // The system's order must not decide which of two files is read first.
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(found)
}

fn files(directory: &Path) -> io::Result<Vec<(PathBuf, std::fs::Metadata)>> {
    entries(directory, std::fs::Metadata::is_file)
}

fn folders(directory: &Path) -> io::Result<Vec<(PathBuf, std::fs::Metadata)>> {
    entries(directory, std::fs::Metadata::is_dir)
}

fn bytes_of(key: &ValueKey, rows: &[Hash], numbers: &[f32]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD + rows.len() * 32 + numbers.len() * 4 + 32);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&key.hash);
    bytes.extend_from_slice(&(rows.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&(key.width as u64).to_le_bytes());
    rows.iter().for_each(|row| bytes.extend_from_slice(row));
    numbers.iter().for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
    let checksum = blake3::hash(&bytes);
    bytes.extend_from_slice(checksum.as_bytes());
    bytes
}

/// The rows of a file, or why it is no good.
fn parse(bytes: &[u8], key: &ValueKey) -> Result<impl Iterator<Item = (Hash, Vec<f32>)>, String> {
    let whole = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap_or_default());
    if bytes.len() < HEAD + 32 {
        return Err(format!("it is cut off after {} bytes", bytes.len()));
    }
    if bytes[..16] != MAGIC[..] {
        return Err("it is no file of features".to_owned());
    }
    let (rows, width) = (whole(48), whole(56));
    if width != key.width as u64 || bytes[16..48] != key.hash {
        return Err("it holds features of another program".to_owned());
    }
    let expected = (width * 4 + 32).checked_mul(rows).and_then(|own| own.checked_add((HEAD + 32) as u64));
    if expected != Some(bytes.len() as u64) {
        return Err(format!("it has {} bytes, and {rows} rows take another number", bytes.len()));
    }
    let (body, checksum) = bytes.split_at(bytes.len() - 32);
    if blake3::hash(body).as_bytes()[..] != *checksum {
        return Err("its checksum is another one".to_owned());
    }
    let (names, numbers) = body[HEAD..].split_at(rows as usize * 32);
    let numbers_of = move |row: usize| {
        let own = &numbers[row * key.width * 4..(row + 1) * key.width * 4];
        own.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap_or_default())).collect()
    };
    Ok(names.chunks_exact(32).enumerate().map(move |(row, name)| (name.try_into().unwrap_or_default(), numbers_of(row))))
}

/// Rows that wait to be written, by value.
pub struct Waiting {
    rows: Vec<(Vec<Hash>, Vec<f32>)>,
}

impl Waiting {
    /// Nothing, of so many values.
    pub fn new(values: usize) -> Waiting {
        Waiting { rows: vec![Default::default(); values] }
    }

    /// Adds a row: the key and the numbers of each value.
    pub fn add<'n>(&mut self, parts: impl Iterator<Item = (Hash, &'n [f32])>) {
        for ((rows, numbers), (key, own)) in self.rows.iter_mut().zip(parts) {
            rows.push(key);
            numbers.extend_from_slice(own);
        }
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.rows.iter().map(|(rows, numbers)| rows.len() * 32 + numbers.len() * 4).sum()
    }

    /// Writes everything.
    ///
    /// # Errors
    /// As [`Shelf::write`].
    pub fn flush(&mut self, shelf: &Shelf, keys: &[ValueKey]) -> Result<(), NotKept> {
        for ((rows, numbers), key) in self.rows.iter_mut().zip(keys) {
            if !rows.is_empty() {
                shelf.write(key, rows, numbers)?;
                rows.clear();
                numbers.clear();
            }
        }
        Ok(())
    }
}

/// Which rows have a key.
pub fn rows_by_key(keys: &[Hash], rows: &[usize]) -> HashMap<Hash, Vec<usize>> {
    let mut found: HashMap<Hash, Vec<usize>> = HashMap::new();
    for (key, row) in keys.iter().zip(rows) {
        found.entry(*key).or_default().push(*row);
    }
    found
}
