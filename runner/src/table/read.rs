//! Reading CSV: RFC 4180 in UTF-8, strictly, with limits.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use super::cells::{Column, Table};
use super::error::{Result, TableError, shown};

/// The most bytes of one cell.
pub const MAX_FIELD_BYTES: usize = 1 << 20;
/// The most columns of one table.
pub const MAX_COLUMNS: usize = 10_000;
/// The most bytes of one file.
pub const MAX_FILE_BYTES: u64 = 4 << 30;

/// How a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadOptions {
    /// What stands between two cells.
    pub delimiter: u8,
}

impl Default for ReadOptions {
    fn default() -> Self {
        ReadOptions { delimiter: b',' }
    }
}

/// Reads a table from a file.
pub fn read(path: &Path, options: &ReadOptions) -> Result<Table> {
    let unreadable = |source| TableError::Read { path: path.to_owned(), source };
    // A pipe would block when opened, so the kind is asked first.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(TableError::NotAFile { path: path.to_owned() });
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    parse(&bytes, &path.display().to_string(), options)
}

/// Reads a table from the bytes of a file; `file` is named in errors.
pub fn parse(bytes: &[u8], file: &str, options: &ReadOptions) -> Result<Table> {
    let whole = |cause: String| TableError::File { file: file.to_owned(), cause };
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(whole(format!("larger than the limit of {MAX_FILE_BYTES} bytes")));
    }
    if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
        return Err(whole("the file is UTF-16; convert it: iconv -f UTF-16 -t UTF-8 OLD.csv > NEW.csv".to_owned()));
    }
    // Spreadsheet programs put a byte order mark before UTF-8.
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(whole("the file is empty; a table has a header line and at least one row".to_owned()));
    }
    check_encoding(bytes, file, options.delimiter)?;
    let lines = check_fields(bytes, file, options.delimiter)?;
    let mut reader = csv::ReaderBuilder::new().delimiter(options.delimiter).has_headers(false).flexible(true).from_reader(bytes);
    let mut record = csv::StringRecord::new();
    let mut lines = lines.into_iter();
    let mut next = |record: &mut csv::StringRecord| {
        let more = reader.read_record(record).map_err(|error| whole(error.to_string()))?;
        Ok::<_, TableError>(more.then(|| lines.next().unwrap_or(0)))
    };
    let header_line = next(&mut record)?.unwrap_or(1);
    let header: Vec<String> = record.iter().map(str::to_owned).collect();
    check_header(&header, header_line, file, options.delimiter)?;
    let mut cells: Vec<Vec<Option<Box<str>>>> = vec![Vec::new(); header.len()];
    let mut row_lines = Vec::new();
    while let Some(line) = next(&mut record)? {
        if record.len() != header.len() {
            return Err(ragged(file, line, &record, &header));
        }
        for (column, text) in cells.iter_mut().zip(&record) {
            column.push(Some(text.into()));
        }
        row_lines.push(line);
    }
    if row_lines.is_empty() {
        return Err(whole("there is a header but no row".to_owned()));
    }
    let (file, lines): (Arc<str>, Arc<[u64]>) = (file.into(), row_lines.into());
    let columns = header.into_iter().zip(cells).map(|(name, cells)| Column::new(name, file.clone(), lines.clone(), cells));
    Ok(Table::new(file.clone(), lines.len(), columns))
}

fn ragged(file: &str, line: u64, record: &csv::StringRecord, header: &[String]) -> TableError {
    let (found, expected) = (record.len(), header.len());
    let cause = if found < expected {
        format!(
            "the row has {found} cells but the header has {expected}: {} is missing",
            header[found..].iter().take(3).map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
        )
    } else {
        format!(
            "the row has {found} cells but the header has {expected}: {} is too much; quote a cell that holds the delimiter",
            shown(&record[expected])
        )
    };
    TableError::Format { file: file.to_owned(), line, cause }
}

fn check_header(header: &[String], line: u64, file: &str, delimiter: u8) -> Result<()> {
    let fault = |cause: String| Err(TableError::Format { file: file.to_owned(), line, cause });
    if header.len() > MAX_COLUMNS {
        return fault(format!("the header has {} columns, above the limit of {MAX_COLUMNS}", header.len()));
    }
    let mut seen = HashMap::new();
    for (index, name) in header.iter().enumerate() {
        if let Some(first) = seen.insert(name, index) {
            return fault(format!(
                "the header has the column {} twice, as number {} and number {}; rename one",
                shown(name),
                first + 1,
                index + 1
            ));
        }
    }
    // One column that holds another delimiter is a file that was written with that one.
    if let ([name], b',') = (header, delimiter)
        && let Some(other) = [';', '\t'].into_iter().find(|other| name.contains(*other))
    {
        return fault(format!("the header is one column, {}; is the delimiter {other:?}?", shown(name)));
    }
    Ok(())
}

/// The line (from 1) and the column (from 0) that a byte stands in, quotes regarded.
fn locate(bytes: &[u8], offset: usize, delimiter: u8) -> (u64, usize) {
    let (mut line, mut column, mut quoted) = (1, 0, false);
    for &byte in &bytes[..offset] {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' => {
                line += 1;
                column = if quoted { column } else { 0 };
            }
            byte if byte == delimiter && !quoted => column += 1,
            _ => {}
        }
    }
    (line, column)
}

/// The name of a column by number, as far as the first line tells it.
fn column_name(bytes: &[u8], column: usize, delimiter: u8) -> String {
    let header = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let name = header.split(|&byte| byte == delimiter).nth(column).map(String::from_utf8_lossy);
    match name {
        Some(name) => format!("column {}", shown(name.trim().trim_matches('"'))),
        None => format!("cell {}", column + 1),
    }
}

fn check_encoding(bytes: &[u8], file: &str, delimiter: u8) -> Result<()> {
    let fault = |offset: usize, cause: &dyn Fn(String) -> String| {
        let (line, column) = locate(bytes, offset, delimiter);
        let cause = cause(column_name(bytes, column, delimiter));
        Err(TableError::Format { file: file.to_owned(), line, cause })
    };
    if let Err(error) = std::str::from_utf8(bytes) {
        let offset = error.valid_up_to();
        let byte = bytes[offset];
        return fault(offset, &|column| {
            format!(
                "{column}: the byte 0x{byte:02X} is not UTF-8 (it is {:?} in Latin-1); \
                 convert the file: iconv -f LATIN1 -t UTF-8 OLD.csv > NEW.csv",
                char::from(byte)
            )
        });
    }
    if let Some(offset) = bytes.iter().position(|&byte| byte == 0) {
        return fault(offset, &|column| format!("{column}: there is a zero byte; this is not a text file"));
    }
    Ok(())
}

/// Where a byte stands in the grammar of CSV.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    Bare,
    Quoted,
    /// After a quote within a quoted cell: the end of the cell, or the first half of an escaped quote.
    Quote,
}

/// The line on which each record starts. Refuses cells above the limit and quotes that do not pair, which would swallow the rows that
/// follow.
fn check_fields(bytes: &[u8], file: &str, delimiter: u8) -> Result<Vec<u64>> {
    let mut lines = Vec::new();
    let (mut state, mut line, mut column) = (State::Start, 1u64, 0usize);
    // Where the present cell starts.
    let (mut start, mut start_line) = (0usize, 1u64);
    let fault = |line: u64, column: usize, cause: &str| {
        let cause = format!("{}: {cause}", column_name(bytes, column, delimiter));
        Err(TableError::Format { file: file.to_owned(), line, cause })
    };
    for (offset, &byte) in bytes.iter().enumerate() {
        let ends_line = byte == b'\n' || byte == b'\r';
        let ends = ends_line || byte == delimiter;
        // An empty line is no record.
        if column == 0 && offset == start && !ends_line {
            lines.push(line);
        }
        state = match state {
            State::Quoted if byte == b'"' => State::Quote,
            State::Quoted => State::Quoted,
            State::Quote if byte == b'"' => State::Quoted,
            State::Start if byte == b'"' => State::Quoted,
            _ if ends => {
                if byte == delimiter {
                    column += 1;
                    if column >= MAX_COLUMNS {
                        return fault(line, column, &format!("more than {MAX_COLUMNS} columns"));
                    }
                } else {
                    column = 0;
                }
                (start, start_line) = (offset + 1, if byte == b'\n' { line + 1 } else { line });
                State::Start
            }
            State::Quote => {
                return fault(
                    start_line,
                    column,
                    &format!(
                        "the quote that opens here closes in line {line} before more text; \
                         close it where the cell ends, and write a quote within a cell twice"
                    ),
                );
            }
            State::Start | State::Bare => State::Bare,
        };
        if offset + 1 - start > MAX_FIELD_BYTES + 2 {
            let swallowed = if state == State::Quoted { "; is its quote ever closed?" } else { "" };
            return fault(start_line, column, &format!("the cell is above the limit of {MAX_FIELD_BYTES} bytes{swallowed}"));
        }
        line += u64::from(byte == b'\n');
    }
    if state == State::Quoted {
        return fault(
            start_line,
            column,
            &format!("the quote that opens here is never closed: it swallows the file up to line {line}"),
        );
    }
    Ok(lines)
}
