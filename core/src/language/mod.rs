//! The language's files as they are written: from syntax trees to modules and interfaces.
//!
//! `docs/language.md` is the definition. Here a file's form is judged, without values: what has a value depends on params and on the
//! shapes that arrive, and is [`crate::check`]'s.

mod elsewhere;
mod fields;
mod module;
mod nodes;
mod read;

pub use crate::check::expression_error;
pub use fields::{Entries, FieldReader, map_entries, unknown_field};
pub use module::*;
pub use nodes::CONSTRUCTS;
pub use read::read_graph_file;
pub(crate) use read::within;
