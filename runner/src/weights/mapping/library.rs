//! The library's mappings, and mappings from files.

use super::Mapping;
use super::read::{Written, read};
use std::path::Path;
use sward_core::diagnostic::{Diagnostics, render};
use sward_core::source::Sources;
use sward_core::suggest::nearest;

/// The library's folder of mappings.
const FOLDER: &str = "weights/";

/// The mapping that is tried first: a checkpoint's names are the graph's.
const FIRST: &str = "timm";

/// Why a mapping cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    /// No mapping of the library has this name.
    #[error("there is no mapping called `{name}`{}; the library's are {}", suggestion(.nearest), .known.join(", "))]
    Unknown {
        /// The name.
        name: String,
        /// The most similar one.
        nearest: Option<String>,
        /// All names.
        known: Vec<String>,
    },
    /// A file that cannot be read.
    #[error("the mapping `{path}` cannot be read: {reason}")]
    Io {
        /// The file.
        path: String,
        /// Why not.
        reason: String,
    },
    /// A mapping with errors: the diagnostics as people see them.
    #[error("the mapping is not well-formed\n{0}")]
    Broken(String),
}

fn suggestion(nearest: &Option<String>) -> String {
    nearest.as_ref().map_or_else(String::new, |name| format!(" (did you mean `{name}`?)"))
}

/// The mappings that are tried for a file.
#[derive(Debug, Clone)]
pub struct Mappings(Vec<Mapping>);

impl Mappings {
    /// All of the library, timm's first, then by name.
    ///
    /// # Errors
    /// A mapping of the library that is not well-formed: a defect of the program.
    pub fn library() -> Result<Mappings, MappingError> {
        let mut names: Vec<String> = library_names();
        names.sort_by_key(|name| (name != FIRST, name.clone()));
        names.iter().map(|name| library_mapping(name)).collect::<Result<_, _>>().map(Mappings)
    }

    /// One mapping: a name of the library, or a path that ends with `.ron`.
    ///
    /// # Errors
    /// A name or file that is not there, or a mapping that is not well-formed.
    pub fn only(name: &str) -> Result<Mappings, MappingError> {
        open_mapping(name).map(|mapping| Mappings(vec![mapping]))
    }

    /// The mappings in the order in which they are tried.
    pub fn iter(&self) -> impl Iterator<Item = &Mapping> {
        self.0.iter()
    }
}

fn library_names() -> Vec<String> {
    let files = sward_graphs::files().into_iter();
    files.filter_map(|(path, _)| Some(path.strip_prefix(FOLDER)?.strip_suffix(".ron")?.to_owned())).collect()
}

/// A mapping by its name in the library, or by the path of its file.
///
/// # Errors
/// As [`Mappings::only`].
pub fn open_mapping(name: &str) -> Result<Mapping, MappingError> {
    if !name.ends_with(".ron") {
        return library_mapping(name);
    }
    let text = std::fs::read_to_string(Path::new(name))
        .map_err(|error| MappingError::Io { path: name.to_owned(), reason: error.to_string() })?;
    read_text(name, text)
}

fn library_mapping(name: &str) -> Result<Mapping, MappingError> {
    let path = format!("{FOLDER}{name}.ron");
    match sward_graphs::files().into_iter().find(|(own, _)| *own == path) {
        Some((path, bytes)) => read_text(&path, String::from_utf8_lossy(bytes).into_owned()),
        None => {
            let known = library_names();
            let nearest = nearest(name, known.iter().map(String::as_str)).map(str::to_owned);
            Err(MappingError::Unknown { name: name.to_owned(), nearest, known })
        }
    }
}

fn read_text(path: &str, text: String) -> Result<Mapping, MappingError> {
    let (mut sources, mut diagnostics) = (Sources::new(), Diagnostics::new());
    let file = sources.add(path, text);
    let Some(Written { mut mapping, extends }) = read(&sources, file, &mut diagnostics) else {
        return Err(MappingError::Broken(render::text(&sources, &diagnostics, false)));
    };
    if let Some((base, _)) = extends {
        // A base is always one of the library, and bases of the library extend nothing: no cycle is possible.
        let base = library_mapping(base.trim_start_matches(FOLDER).trim_end_matches(".ron"))?;
        mapping.extend(base);
    }
    Ok(mapping)
}

impl Mapping {
    /// Goes on with another's ignored names, adaptations, optional parameters and prefixes. Rules stay its own.
    fn extend(&mut self, base: Mapping) {
        self.ignored.extend(base.ignored);
        self.adapt.extend(base.adapt);
        self.optional.extend(base.optional);
        self.prefixes.extend(base.prefixes);
    }
}
