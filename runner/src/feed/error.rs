//! Why data cannot be fed.

use crate::pixels::PixelError;
use crate::table::TableError;
use crate::weights::WeightError;
use sward_core::roots::PathError;

/// Why data cannot be fed.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The data file does not lie on a disk.
    #[error("the data file `{file}` is built in; copy it beside your table (its paths are relative to its own folder)")]
    BuiltIn {
        /// The file.
        file: String,
    },
    /// A path that leaves its folder, or names nothing.
    #[error("{what} `{path}` of {folder}: {source}")]
    Path {
        /// What the path is of: `the table`, `the photograph`.
        what: &'static str,
        /// As it is written.
        path: String,
        /// The folder that it is relative to.
        folder: String,
        /// Why not.
        source: Box<PathError>,
    },
    /// A table that does not hold what the data file says.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A column that a reshaped table has lost.
    #[error(
        "{file}: the column {column:?} differs within one {key:?} ({first} and {second} differ), so that a row per {key:?} cannot have it"
    )]
    Varying {
        /// The file.
        file: String,
        /// The column.
        column: String,
        /// The column that rows are gathered by.
        key: String,
        /// A cell.
        first: String,
        /// Another of the same key.
        second: String,
    },
    /// A photograph that cannot be read.
    #[error("{place}: {source}")]
    Picture {
        /// The cell that names it.
        place: String,
        /// Why not.
        source: Box<PixelError>,
    },
    /// More broken photographs than may be left out.
    #[error("{count} photographs cannot be read, and at most {allowed} may be left out; the first: {first}")]
    TooManyBroken {
        /// How many.
        count: usize,
        /// The bound.
        allowed: usize,
        /// The first.
        first: String,
    },
    /// A file of tensors.
    #[error(transparent)]
    Weights(#[from] WeightError),
    /// A tokenizer, or a text that it refuses.
    #[error(transparent)]
    Text(#[from] crate::text::TextError),
    /// A row whose tensor is not there or of another shape.
    #[error("{place}: {cause}")]
    Tensor {
        /// The cell that names it.
        place: String,
        /// What is wrong.
        cause: String,
    },
    /// No row is left.
    #[error("{what}")]
    Empty {
        /// What has no rows.
        what: String,
    },
}

/// The result of feeding.
pub type Result<T, E = FeedError> = std::result::Result<T, E>;
