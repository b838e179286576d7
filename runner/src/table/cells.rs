//! A table in memory: named columns of text cells that remember their file and line.

use std::collections::HashMap;
use std::sync::Arc;

use indexmap::IndexMap;

use super::error::{Place, Result, TableError};

/// One column: its cells and where each was read.
#[derive(Clone, Debug)]
pub struct Column {
    name: String,
    /// The column's name in its file, where it is another: a pivot's value column.
    read_as: Option<String>,
    file: Arc<str>,
    /// The line of each row; 0 where the row has no line in this column's file.
    lines: Arc<[u64]>,
    cells: Vec<Option<Box<str>>>,
}

impl Column {
    pub(crate) fn new(name: String, file: Arc<str>, lines: Arc<[u64]>, cells: Vec<Option<Box<str>>>) -> Column {
        debug_assert_eq!(lines.len(), cells.len());
        Column { name, read_as: None, file, lines, cells }
    }

    /// The column's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.cells.len()
    }

    /// A cell's text, or `None` where a pivot or a join found nothing. An empty cell of the file is an empty text.
    pub fn text(&self, row: usize) -> Option<&str> {
        self.cells[row].as_deref()
    }

    /// All cells in order.
    pub fn texts(&self) -> impl Iterator<Item = Option<&str>> {
        self.cells.iter().map(Option::as_deref)
    }

    /// Where a cell was read.
    pub fn place(&self, row: usize) -> Place {
        Place { file: self.file.to_string(), line: self.lines[row], column: self.title() }
    }

    /// The name for messages: a pivoted column also names the column that its cells were read from.
    fn title(&self) -> String {
        match &self.read_as {
            Some(origin) => format!("{} ({})", origin, self.name),
            None => self.name.clone(),
        }
    }

    /// The error of one cell.
    pub fn fault(&self, row: usize, cause: impl Into<String>) -> TableError {
        TableError::Cell { place: self.place(row), cause: cause.into() }
    }

    /// The same cells under another name; their places keep the name of the column that they were read from.
    pub(crate) fn renamed(mut self, name: &str) -> Column {
        self.read_as.get_or_insert(std::mem::replace(&mut self.name, name.to_owned()));
        self
    }

    /// The rows given, in their order; `None` becomes a cell without text or line.
    pub(crate) fn picked(&self, rows: &[Option<usize>]) -> Column {
        Column {
            name: self.name.clone(),
            read_as: self.read_as.clone(),
            file: self.file.clone(),
            lines: rows.iter().map(|row| row.map_or(0, |row| self.lines[row])).collect(),
            cells: rows.iter().map(|row| row.and_then(|row| self.cells[row].clone())).collect(),
        }
    }
}

/// A table: columns of one length, in the file's order.
#[derive(Clone, Debug)]
pub struct Table {
    file: Arc<str>,
    rows: usize,
    columns: IndexMap<String, Column>,
}

impl Table {
    pub(crate) fn new(file: Arc<str>, rows: usize, columns: impl IntoIterator<Item = Column>) -> Table {
        let columns: IndexMap<String, Column> = columns.into_iter().map(|column| (column.name.clone(), column)).collect();
        debug_assert!(columns.values().all(|column| column.rows() == rows));
        Table { file, rows, columns }
    }

    /// The path that the table was read from.
    pub fn file(&self) -> &str {
        &self.file
    }

    pub(crate) fn shared_file(&self) -> Arc<str> {
        self.file.clone()
    }

    /// The paths that the columns were read from, each once.
    pub fn files(&self) -> indexmap::IndexSet<&str> {
        self.columns.values().map(|column| &*column.file).collect()
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The columns' names in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.keys().map(String::as_str)
    }

    /// Whether there is a column of this name.
    pub fn has(&self, name: &str) -> bool {
        self.columns.contains_key(name)
    }

    /// The columns in order.
    pub fn columns(&self) -> impl Iterator<Item = &Column> {
        self.columns.values()
    }

    /// A column by name; the error of an unknown name holds the nearest one.
    pub fn column(&self, name: &str) -> Result<&Column> {
        self.columns.get(name).ok_or_else(|| TableError::NoColumn {
            file: self.file.to_string(),
            name: name.to_owned(),
            nearest: sward_core::suggest::nearest(name, self.names()).map(str::to_owned),
            columns: self.names().map(str::to_owned).collect(),
        })
    }

    /// The names that a range such as `p0..p63` stands for: one prefix, both numbers included. Each must exist.
    pub fn range(&self, range: &str) -> Result<Vec<String>> {
        let fault = |cause: &str| TableError::File {
            file: self.file.to_string(),
            cause: format!("the column range {range:?} {cause}; write it as \"p0..p63\""),
        };
        let (first, last) = range.split_once("..").ok_or_else(|| fault("has no \"..\""))?;
        let split = |name: &str| {
            let digits = name.len() - name.trim_end_matches(|c: char| c.is_ascii_digit()).len();
            let (prefix, number) = name.split_at(name.len() - digits);
            number.parse::<usize>().ok().map(|number| (prefix.to_owned(), number, digits))
        };
        let (prefix, first, digits) = split(first).ok_or_else(|| fault("does not start with a numbered column"))?;
        let (last_prefix, last, _) = split(last).ok_or_else(|| fault("does not end with a numbered column"))?;
        if prefix != last_prefix {
            return Err(fault("has two prefixes"));
        }
        if last < first || last - first >= super::MAX_COLUMNS {
            return Err(fault("is empty or too long"));
        }
        (first..=last)
            .map(|number| {
                // Leading zeros are kept as they are written: p000..p127.
                let padded = format!("{prefix}{number:0digits$}");
                let plain = format!("{prefix}{number}");
                let name = if self.has(&padded) { padded } else { plain };
                self.column(&name).map(|column| column.name.clone())
            })
            .collect()
    }

    /// The table with only the rows given, in their order.
    pub fn pick(&self, rows: &[usize]) -> Table {
        let rows: Vec<Option<usize>> = rows.iter().copied().map(Some).collect();
        Table::new(self.file.clone(), rows.len(), self.columns.values().map(|column| column.picked(&rows)))
    }

    /// The first row of every key, in order of appearance, and for each row the index of its key. A missing key is an error.
    pub(crate) fn keys(&self, key: &str) -> Result<(Vec<usize>, Vec<usize>)> {
        let column = self.column(key)?;
        let mut index = HashMap::new();
        let (mut firsts, mut of_row) = (Vec::new(), Vec::with_capacity(self.rows));
        for row in 0..self.rows {
            let text = match column.text(row) {
                Some(text) if !text.is_empty() => text,
                _ => return Err(column.fault(row, "the key is empty")),
            };
            let known = *index.entry(text).or_insert_with(|| {
                firsts.push(row);
                firsts.len() - 1
            });
            of_row.push(known);
        }
        Ok((firsts, of_row))
    }
}
