//! Tables: CSV in, typed columns, fitted encodings, CSV out.
//!
//! ```text
//! file --read--> Table --pivot, distinct, join--> Table --fit on training rows--> encoders --encode--> Features, Targets
//!                                                                                        \--invert--> predictions --write--> file
//! ```
//!
//! A [`Table`] holds texts, and every cell knows its file and line, so that an error far down the road still names the place. What is
//! fitted is fitted on the rows given and on no other, can be saved (serde) and, for targets, inverted. Missing is not zero: numbers
//! and targets carry `observed`, and a value behind `observed: false` is never read.

mod cells;
mod encode;
mod error;
mod identity;
mod numbers;
mod read;
mod shape;
mod targets;
mod write;

#[cfg(test)]
mod tests;

pub use cells::{Column, Table};
pub use encode::{CategoryEncoder, CoordinateEncoder, DATE_FORMATS, DateEncoder, vector};
pub use error::{Place, Result, TableError};
pub use identity::{Broken, Identity, Tolerance, broken_rows, complete};
pub use numbers::{Features, MissingAs, MissingRule, NumberEncoder, Numbers, ZScore, demand, numbers, parse_number};
pub use read::{MAX_COLUMNS, MAX_FIELD_BYTES, MAX_FILE_BYTES, ReadOptions, parse, read};
pub use shape::{Joined, Keyed, Pivot, Unmatched, Varying};
pub use targets::{TargetEncoder, Targets, encode_targets};
pub use write::{Cell, LongRow, escape_formula, to_csv, write, write_atomically, write_long, write_wide};
