//! Writing CSV: whole or not at all, and safe to open in a spreadsheet program.

use std::borrow::Cow;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::error::{Result, TableError};

/// One cell to write.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell<'a> {
    /// A text; one that a spreadsheet program would take for a formula is escaped.
    Text(&'a str),
    /// A number, written so that it reads back as the same number.
    Number(f64),
    /// Nothing.
    Missing,
}

/// A text as it is written: one that starts like a formula (`=`, `+`, `-`, `@`, tab, return) gets an apostrophe before it, unless it
/// is a number.
pub fn escape_formula(text: &str) -> Cow<'_, str> {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']) && super::parse_number(text).is_err();
    if formula { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) }
}

/// The text of a CSV file with a header and rows, each of the header's length.
pub fn to_csv<'a, Row>(file: &str, header: &[&str], rows: impl IntoIterator<Item = Row>) -> Result<Vec<u8>>
where
    Row: IntoIterator<Item = Cell<'a>>,
{
    let whole = |cause: String| TableError::File { file: file.to_owned(), cause };
    let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
    let mut record = csv::StringRecord::new();
    for name in header {
        record.push_field(&escape_formula(name));
    }
    writer.write_record(&record).map_err(|error| whole(error.to_string()))?;
    for (index, row) in rows.into_iter().enumerate() {
        record.clear();
        for cell in row {
            match cell {
                Cell::Text(text) => record.push_field(&escape_formula(text)),
                Cell::Number(number) if number.is_finite() => record.push_field(&number.to_string()),
                Cell::Number(number) => {
                    let name = header.get(record.len()).copied().unwrap_or_default();
                    return Err(whole(format!("row {}, column {name:?}: {number} is not finite", index + 1)));
                }
                Cell::Missing => record.push_field(""),
            }
        }
        if record.len() != header.len() {
            let cause = format!("row {} has {} cells, but the header has {}", index + 1, record.len(), header.len());
            return Err(whole(cause));
        }
        writer.write_record(&record).map_err(|error| whole(error.to_string()))?;
    }
    writer.into_inner().map_err(|error| whole(error.to_string()))
}

/// Writes a CSV file: a reader sees the old file or the whole new one, whatever happens in between.
pub fn write<'a, Row>(path: &Path, header: &[&str], rows: impl IntoIterator<Item = Row>) -> Result<()>
where
    Row: IntoIterator<Item = Cell<'a>>,
{
    let text = to_csv(&path.display().to_string(), header, rows)?;
    write_atomically(path, &text).map_err(|source| TableError::Write { path: path.to_owned(), source })
}

/// One row of a long table: an id, the row of the predictions and the column of the predictions.
pub type LongRow<'a> = (&'a str, usize, usize);

/// Writes values in long format, one line for each of `rows`: its id and the value at (row, column) of `values`, `width` values a row.
pub fn write_long(path: &Path, header: [&str; 2], rows: &[LongRow<'_>], values: &[f64], width: usize) -> Result<()> {
    let value = |row: usize, column: usize| values.get(row * width + column).copied().filter(|_| column < width);
    if let Some((id, row, column)) = rows.iter().find(|(_, row, column)| value(*row, *column).is_none()) {
        return Err(TableError::File {
            file: path.display().to_string(),
            cause: format!("{id:?} asks for row {row} and column {column} of {} values a row", width),
        });
    }
    let cell = |row, column| value(row, column).map_or(Cell::Missing, Cell::Number);
    write(path, &header, rows.iter().map(|&(id, row, column)| [Cell::Text(id), cell(row, column)]))
}

/// Writes values in wide format: the key of each row, then its values, under the names given.
pub fn write_wide(path: &Path, key: &str, keys: &[&str], names: &[&str], values: &[f64]) -> Result<()> {
    if values.len() != keys.len() * names.len() {
        return Err(TableError::File {
            file: path.display().to_string(),
            cause: format!("{} values do not fill {} rows of {} columns", values.len(), keys.len(), names.len()),
        });
    }
    let header: Vec<&str> = std::iter::once(key).chain(names.iter().copied()).collect();
    // Without a column the chunks would be of length 0, which chunks() refuses.
    let mut chunks = values.chunks(names.len().max(1));
    let rows = keys.iter().map(|&key| {
        let row = chunks.next().unwrap_or_default();
        std::iter::once(Cell::Text(key)).chain(row.iter().copied().map(Cell::Number))
    });
    write(path, &header, rows)
}

/// Writes a file beside its target, makes it durable, and renames it over the target. A link, a pipe or a device in its place is refused.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs::symlink_metadata(path).is_ok_and(|existing| !existing.is_file()) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it exists and is not a regular file"));
    }
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not a file name"))?;
    let (temporary, mut file) = create_beside(folder, &name.to_string_lossy())?;
    let written = file
        .write_all(bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&temporary, path))
        .and_then(|()| File::open(folder)?.sync_all());
    if written.is_err() {
        // The first error tells more than one of the cleaning would.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Creates a file of a new name in a folder.
fn create_beside(folder: &Path, name: &str) -> io::Result<(PathBuf, File)> {
    let process = std::process::id();
    for attempt in 0..1000 {
        let path = folder.join(format!(".{name}.{process}.{attempt}.tmp"));
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "no free name for a temporary file"))
}
