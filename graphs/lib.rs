//! The Sward library of graph files, embedded in the binary.

use include_dir::{Dir, include_dir};

/// Every graph file of the library, by its path below `graphs/` (`fusion/film.ron`).
pub static LIBRARY: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR");
