//! Tables and photographs on the disk: found below one folder, read strictly.

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use sward_core::roots::{DiskFolder, Folder, FoundKind, PathError, check_path};

use super::error::{FeedError, Result};
use crate::experiment::data::{Broken, Column as ColumnSpec, Csv};
use crate::experiment::{DataFile, Field, FieldRole};
use crate::pixels::{decode, read_header};
use crate::table::{Broken as BrokenIdentity, Keyed, Numbers, ReadOptions, Table, Varying, broken_rows, numbers, read};

/// The folder of a data file: its tables and photographs lie below it, and nothing else is opened.
pub struct DataFolder {
    folder: DiskFolder,
    path: PathBuf,
}

impl DataFolder {
    /// Opens a folder.
    ///
    /// # Errors
    /// A path that is no folder.
    pub fn open(path: &Path) -> Result<DataFolder> {
        // A relative file in the working directory has an empty parent.
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let folder = DiskFolder::open(path).map_err(|error| FeedError::Path {
            what: "the folder",
            path: path.display().to_string(),
            folder: "the data".to_owned(),
            source: Box::new(error),
        })?;
        Ok(DataFolder { folder, path: path.to_owned() })
    }

    /// The folder's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The place on the disk of a file below the folder; `what` names it in errors.
    ///
    /// # Errors
    /// A path that leaves the folder, or names no regular file.
    pub fn find(&self, what: &'static str, path: &str) -> Result<PathBuf> {
        let fault = |source: PathError| FeedError::Path {
            what,
            path: path.to_owned(),
            folder: self.path.display().to_string(),
            source: Box::new(source),
        };
        check_path(path).map_err(fault)?;
        match self.folder.look(path).map_err(fault)? {
            Some(found) if found.kind == FoundKind::File => {}
            Some(_) => return Err(fault(PathError::NotAFile { path: path.to_owned() })),
            None => return Err(fault(PathError::NotFound { path: path.to_owned(), tried: Vec::new(), nearest: None })),
        }
        self.folder.disk_path(path).ok_or_else(|| fault(PathError::NotAFile { path: path.to_owned() }))
    }
}

/// A table of one row a sample, with what was found odd while reading it.
pub struct Loaded {
    /// One row a sample.
    pub table: Table,
    /// The table as the file has it, for outputs that answer it row by row.
    pub raw: Table,
    /// Sentences for people: rows left out, identities that do not hold, keys without a partner.
    pub notes: Vec<String>,
    varying: Vec<(String, Varying)>,
}

/// Reads a table, joins and reshapes it as the data file says.
///
/// # Errors
/// The first thing that is not as it should be, with file, line and column.
pub fn load(csv: &Csv, folder: &DataFolder) -> Result<Loaded> {
    let path = folder.find("the table", &csv.path.value)?;
    load_at(csv, &path, folder)
}

fn load_at(csv: &Csv, path: &Path, folder: &DataFolder) -> Result<Loaded> {
    let options = ReadOptions { delimiter: u8::try_from(csv.delimiter).unwrap_or(b',') };
    let raw = read(path, &options)?;
    let mut varying = Vec::new();
    let mut notes = Vec::new();
    let mut keep = |key: &str, keyed: Keyed| {
        varying.extend(keyed.varying.into_iter().map(|own| (key.to_owned(), own)));
        keyed.table
    };
    let mut table = match (&csv.pivot, &csv.distinct) {
        (Some(pivot), _) => keep(&pivot.key, raw.pivot(pivot)?),
        (None, Some(key)) => keep(&key.value, raw.distinct(&key.value)?),
        (None, None) => raw.clone(),
    };
    for join in &csv.join {
        let other = load(&join.table.value, folder)?;
        let other_key = join.other_key.as_ref().map_or(&join.key.value, |key| &key.value);
        let joined = table.join(&other.table, &join.key.value, other_key)?;
        notes.extend(other.notes);
        if joined.unmatched.count > 0 {
            let (key, place) = &joined.unmatched.examples[0];
            let file = other.table.file();
            notes.push(format!("{} rows have no partner in {file}, the first is {key:?} ({place})", joined.unmatched.count));
        }
        table = joined.table;
    }
    Ok(Loaded { table, raw, notes, varying })
}

/// Reads the rows of a data file and judges them: declared columns are there, numbers lie in their domains, photographs can be read.
/// Without targets, columns that only they need may be missing.
///
/// # Errors
/// The first thing that is not as it should be.
pub fn load_rows(
    data: &DataFile,
    csv: &Csv,
    table_path: Option<&Path>,
    folder: &DataFolder,
    with_targets: bool,
) -> Result<Loaded> {
    let mut loaded = match table_path {
        Some(path) => load_at(csv, path, folder)?,
        None => load(csv, folder)?,
    };
    check_columns(data, &loaded, with_targets)?;
    if with_targets {
        check_identities(data, &mut loaded)?;
    }
    let mut left_out = Vec::new();
    for field in data.fields.values().filter(|field| field.transform.is_some()) {
        left_out.extend(check_pictures(data, field, &loaded.table, folder)?);
    }
    if !left_out.is_empty() {
        left_out.sort_by_key(|(row, _)| *row);
        left_out.dedup_by_key(|(row, _)| *row);
        let kept: Vec<usize> =
            (0..loaded.table.rows()).filter(|row| left_out.binary_search_by_key(row, |(row, _)| *row).is_err()).collect();
        for (_, reason) in &left_out {
            loaded.notes.push(format!("left out: {reason}"));
        }
        loaded.table = loaded.table.pick(&kept);
    }
    if loaded.table.rows() == 0 {
        return Err(FeedError::Empty { what: format!("{}: no row is left", loaded.table.file()) });
    }
    Ok(loaded)
}

/// The columns that fields read.
fn check_columns(data: &DataFile, loaded: &Loaded, with_targets: bool) -> Result<()> {
    let read = |field: &&Field| with_targets || field.role == FieldRole::Feature;
    for name in data.fields.values().filter(read).flat_map(|field| &field.columns) {
        if loaded.table.has(name) {
            continue;
        }
        if let Some((key, varying)) = loaded.varying.iter().find(|(_, own)| own.column == *name) {
            return Err(FeedError::Varying {
                file: loaded.table.file().to_owned(),
                column: name.clone(),
                key: key.clone(),
                first: varying.first.to_string(),
                second: varying.second.to_string(),
            });
        }
        loaded.table.column(name)?;
    }
    for (name, (column, _)) in &data.columns {
        let ColumnSpec::Number { domain, .. } = column else { continue };
        if let Ok(own) = loaded.table.column(name) {
            let rule = column.missing_rule();
            let numbers = numbers(own, &rule)?;
            crate::table::demand(own, &numbers, |value| domain.admits(value), domain.expected())?;
        }
    }
    Ok(())
}

fn check_identities(data: &DataFile, loaded: &mut Loaded) -> Result<()> {
    for identity in &data.identities {
        let names = std::iter::once(&identity.total).chain(identity.terms.iter().map(|(_, name)| name));
        let mut parsed: Vec<(String, Numbers)> = Vec::new();
        for name in names {
            if !loaded.table.has(name) {
                continue;
            }
            let (column, _) = &data.columns[name];
            parsed.push((name.clone(), numbers(loaded.table.column(name)?, &column.missing_rule())?));
        }
        if parsed.len() <= identity.terms.len() {
            continue;
        }
        let of = |name: &str| {
            let numbers = parsed.iter().find(|(own, _)| own == name).map(|(_, numbers)| numbers);
            Ok((loaded.table.column(name)?, numbers.expect("every column of the identity was parsed")))
        };
        let broken: Vec<BrokenIdentity> = broken_rows(identity, data.spec.tolerance, of)?;
        if let Some(first) = broken.first() {
            let note = format!(
                "{} rows break the identity {identity}, the first is {}: {} is stated, {} is the sum",
                broken.len(),
                first.place,
                first.total,
                first.sum
            );
            loaded.notes.push(note);
        }
    }
    Ok(())
}

/// Looks at every photograph before anything is trained. Where broken ones may be left out they are decoded whole, since a truncated file
/// has a good header.
fn check_pictures(data: &DataFile, field: &Field, table: &Table, folder: &DataFolder) -> Result<Vec<(usize, String)>> {
    let (Some(transform), Some(name)) = (&field.transform, field.columns.first()) else { return Ok(Vec::new()) };
    let (ColumnSpec::Image { folder: below, broken, .. }, _) = &data.columns[name] else { return Ok(Vec::new()) };
    let column = table.column(name)?;
    let faults: Vec<(usize, FeedError)> = (0..table.rows())
        .into_par_iter()
        .filter_map(|row| {
            let outcome = picture_path(folder, below, column, row).and_then(|path| {
                let looked = match broken {
                    Broken::Fail => read_header(&path, &transform.decode).map(|_| ()),
                    Broken::Skip(_) => decode(&path, &transform.decode).map(|_| ()),
                };
                looked.map_err(|source| FeedError::Picture { place: column.place(row).to_string(), source: Box::new(source) })
            });
            outcome.err().map(|error| (row, error))
        })
        .collect();
    match broken {
        Broken::Fail => faults.into_iter().next().map_or(Ok(Vec::new()), |(_, first)| Err(first)),
        Broken::Skip(allowed) if faults.len() > *allowed => {
            Err(FeedError::TooManyBroken { count: faults.len(), allowed: *allowed, first: faults[0].1.to_string() })
        }
        Broken::Skip(_) => Ok(faults.into_iter().map(|(row, fault)| (row, fault.to_string())).collect()),
    }
}

/// The file of a row's photograph.
pub(super) fn picture_path(folder: &DataFolder, below: &str, column: &crate::table::Column, row: usize) -> Result<PathBuf> {
    let text = column.text(row).unwrap_or_default().trim();
    if text.is_empty() {
        return Err(FeedError::Tensor {
            place: column.place(row).to_string(),
            cause: "the path of the photograph is empty".to_owned(),
        });
    }
    let path = if below.is_empty() { text.to_owned() } else { format!("{}/{text}", below.trim_end_matches('/')) };
    folder.find("the photograph", &path).map_err(|error| match error {
        FeedError::Path { source, .. } => FeedError::Tensor {
            place: column.place(row).to_string(),
            cause: format!("{source} (below {})", folder.path().display()),
        },
        other => other,
    })
}
