//! Files read once, and the catalogue that they are read with.

use super::checked::Checked;
use super::overrides::Overrides;
use super::root::check_module;
use crate::diagnostic::{Diagnostic, Diagnostics, codes};
use crate::language::{FieldExpression, GraphFile, read_graph_file};
use crate::op::Catalogue;
use crate::source::{FileId, Sources, Span};
use crate::syntax;
use rustc_hash::FxHashMap;
use std::cell::Cell;
use std::sync::Arc;

/// A file that was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// What tells this file from all others, whatever way it was named.
    pub identity: String,
    /// The path that is shown to people.
    pub display: String,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// Where graph files come from.
pub trait Files {
    /// Finds a file. `from` is the identity of the file that names it; `None` for files named on the command line. Errors are the
    /// code, the sentence and help lines of the diagnostic that the session makes of them.
    ///
    /// # Errors
    /// When the file is not there, may not be read or lies outside of the roots.
    fn find(&mut self, from: Option<&str>, path: &str) -> Result<Found, Box<Diagnostic>>;
}

/// Reads and checks files with one catalogue; every file is read once.
pub struct Session<'c> {
    catalogue: &'c Catalogue,
    files: Box<dyn Files + 'c>,
    /// The texts.
    pub sources: Sources,
    /// What was found wrong so far.
    pub diagnostics: Diagnostics,
    identities: FxHashMap<String, FileId>,
    names: FxHashMap<FileId, String>,
    graph_files: FxHashMap<FileId, Option<Arc<GraphFile>>>,
    /// Paths that `--set` could have meant, for suggestions.
    pub(super) settable: Vec<String>,
}

impl<'c> Session<'c> {
    /// A session that finds files by `files`.
    pub fn new(catalogue: &'c Catalogue, files: impl Files + 'c) -> Session<'c> {
        Session {
            catalogue,
            files: Box::new(files),
            sources: Sources::new(),
            diagnostics: Diagnostics::new(),
            identities: FxHashMap::default(),
            names: FxHashMap::default(),
            graph_files: FxHashMap::default(),
            settable: Vec::new(),
        }
    }

    /// The catalogue.
    pub fn catalogue(&self) -> &'c Catalogue {
        self.catalogue
    }

    /// Checks the file of that name. `None` where an error was reported in [`Session::diagnostics`]. An `Interface` has nothing to
    /// elaborate and gives `None` without an error; so do the files of the runner.
    pub fn check(&mut self, path: &str, overrides: &Overrides) -> Option<Checked> {
        let (file, graph_file) = self.open(path)?;
        match &*graph_file {
            GraphFile::Module(module) => check_module(self, file, module, overrides),
            GraphFile::Interface(_) | GraphFile::Other { .. } => None,
        }
    }

    /// Reads a file named on the command line.
    pub fn open(&mut self, path: &str) -> Option<(FileId, Arc<GraphFile>)> {
        self.read(None, path, None)
    }

    /// Reads a file that another one names.
    pub fn load(&mut self, from: Option<FileId>, path: &str, span: Span) -> Option<(FileId, Arc<GraphFile>)> {
        self.read(from, path, Some(span))
    }

    fn read(&mut self, from: Option<FileId>, path: &str, span: Option<Span>) -> Option<(FileId, Arc<GraphFile>)> {
        let from = from.and_then(|file| self.names.get(&file)).cloned();
        let found = match self.files.find(from.as_deref(), path) {
            Ok(found) => found,
            Err(mut diagnostic) => {
                if let Some(span) = span {
                    diagnostic.primary = Some(crate::diagnostic::Label { span, text: String::new() });
                }
                self.diagnostics.push(*diagnostic);
                return None;
            }
        };
        if let Some(file) = self.identities.get(&found.identity) {
            return Some((*file, self.graph_files.get(file)?.clone()?));
        }
        let added = syntax::add_bytes(&mut self.sources, found.display, found.bytes, &mut self.diagnostics);
        let file = match added {
            Ok(file) | Err(file) => file,
        };
        self.identities.insert(found.identity.clone(), file);
        self.names.insert(file, found.identity);
        let graph_file = added
            .ok()
            .and_then(|file| syntax::read(&self.sources, file, &mut self.diagnostics))
            .and_then(|tree| read_graph_file(file, &tree, self.catalogue, &mut self.diagnostics))
            .map(Arc::new);
        self.graph_files.insert(file, graph_file.clone());
        Some((file, graph_file?))
    }

    /// Reads overrides as the command line gives them: `path=value`, `node=file.ron`, `name=8`. `None` where one cannot be read; the
    /// reasons are reported.
    pub fn overrides(&mut self, sets: &[String], swaps: &[String], dims: &[String]) -> Option<Overrides> {
        let mut overrides = Overrides::default();
        let mut sound = true;
        for text in sets {
            let Some((path, value)) = self.split(text, "--set", "--set hidden=64") else {
                sound = false;
                continue;
            };
            // The value alone is a file of its own, so that its errors have a place.
            let file = self.sources.add(format!("--set {path}"), value.clone());
            let span = Span::new(file, 0..value.len());
            let tree = match plain_text(&value) {
                true => Some(syntax::Value { span, kind: syntax::Kind::Text(value.clone()) }),
                false => syntax::read(&self.sources, file, &mut self.diagnostics),
            };
            match tree {
                Some(tree) => {
                    let value = FieldExpression::of(&tree);
                    overrides.sets.push(super::SetOverride { path, value, span, used: Cell::new(false) });
                }
                None => sound = false,
            }
        }
        for text in swaps {
            let Some((node, file)) = self.split(text, "--swap", "--swap fusion=fusion/film.ron") else {
                sound = false;
                continue;
            };
            let source = self.sources.add(format!("--swap {node}"), file.clone());
            let span = Span::new(source, 0..file.len());
            overrides.swaps.push(super::SwapOverride { node, file, span, used: Cell::new(false) });
        }
        for text in dims {
            let Some((name, size)) = self.split(text, "--dim", "--dim batch=8") else {
                sound = false;
                continue;
            };
            let file = self.sources.add(format!("--dim {name}"), size.clone());
            let span = Span::new(file, 0..size.len());
            match size.parse::<i64>() {
                Ok(size) if size >= 1 => overrides.dims.push(super::DimOverride { name, size, span, used: Cell::new(false) }),
                _ => {
                    let text = format!("a size is a whole number of at least 1, not `{size}`");
                    self.diagnostics.push(Diagnostic::new(codes::OVERRIDE_FORM, text, span));
                    sound = false;
                }
            }
        }
        sound.then_some(overrides)
    }

    fn split(&mut self, text: &str, flag: &str, example: &str) -> Option<(String, String)> {
        match text.split_once('=') {
            Some((left, right)) if !left.trim().is_empty() && !right.trim().is_empty() => {
                Some((left.trim().to_string(), right.trim().to_string()))
            }
            _ => {
                let diagnostic =
                    Diagnostic::without_place(codes::OVERRIDE_FORM, format!("`{flag} {text}` is not of the form path=value"));
                self.diagnostics.push(diagnostic.help(format!("write for example {example}")));
                None
            }
        }
    }
}

/// Whether an override's value is a word or path that needs no quotes on a command line: `film.ron`, `4 * width`.
fn plain_text(value: &str) -> bool {
    let starts_as_ron = value.starts_with(['"', '[', '{', '(', 'r']) && !value.ends_with(".ron");
    let is_number = value.parse::<f64>().is_ok();
    let is_switch = value == "true" || value == "false";
    let is_call = value.ends_with(')') && value.contains('(');
    !starts_as_ron && !is_number && !is_switch && !is_call
}
