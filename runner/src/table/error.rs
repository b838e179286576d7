//! What may go wrong with a table: each error names the file, the line, the column, the cause and, where there is one, a mend.

use std::fmt;
use std::path::PathBuf;

/// The place of one cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file's path as it was given.
    pub file: String,
    /// The line of the file, from 1; 0 where the cell comes from no line.
    pub line: u64,
    /// The column's name.
    pub column: String,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(formatter, "{}: column {:?}", self.file, self.column),
            line => write!(formatter, "{}:{line}: column {:?}", self.file, self.column),
        }
    }
}

/// A fault of a table or of its meaning.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The file cannot be opened or read.
    #[error("{}: cannot read the table: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The path names a folder, pipe, socket or device.
    #[error("{}: not a regular file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// The file cannot be written.
    #[error("{}: cannot write the table: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file breaks the rules of CSV or a limit.
    #[error("{file}:{line}: {cause}")]
    Format {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
        /// What is wrong, and a mend.
        cause: String,
    },
    /// The file as a whole is wrong.
    #[error("{file}: {cause}")]
    File {
        /// The file.
        file: String,
        /// What is wrong, and a mend.
        cause: String,
    },
    /// A cell does not hold what its column is said to hold.
    #[error("{place}: {cause}")]
    Cell {
        /// The cell.
        place: Place,
        /// What is wrong, and a mend.
        cause: String,
    },
    /// A column does not exist.
    #[error("{file}: there is no column {name:?}{}", hint(nearest, columns))]
    NoColumn {
        /// The file.
        file: String,
        /// The name that was asked for.
        name: String,
        /// The nearest name, where one is near.
        nearest: Option<String>,
        /// The columns that exist.
        columns: Vec<String>,
    },
    /// A column cannot be fitted.
    #[error("column {column:?}: {cause}")]
    Fit {
        /// The column.
        column: String,
        /// Why.
        cause: String,
    },
    /// An identity between columns cannot be read or used.
    #[error("identity {identity:?}: {cause}")]
    Identity {
        /// The identity as written.
        identity: String,
        /// Why.
        cause: String,
    },
}

/// The result of a table operation.
pub type Result<T, E = TableError> = std::result::Result<T, E>;

/// The end of a message about an unknown name: the nearest one, or all of them where they are few.
fn hint(nearest: &Option<String>, names: &[String]) -> String {
    const FEW: usize = 12;
    match nearest {
        Some(name) => format!("; did you mean {name:?}?"),
        None if names.len() <= FEW => format!("; its columns are {}", names.join(", ")),
        None => format!("; its {} columns start with {}", names.len(), names[..FEW].join(", ")),
    }
}

/// A text for a message, cut to a readable length.
pub(crate) fn shown(text: &str) -> String {
    const MOST: usize = 60;
    if text.chars().count() <= MOST {
        return format!("{text:?}");
    }
    let start: String = text.chars().take(MOST).collect();
    format!("{start:?}… ({} bytes)", text.len())
}
