//! Files read once, and the catalogue that they are read with.

use super::checked::Checked;
use super::overrides::Overrides;
use super::root::check_module;
use super::rules::Rules;
use crate::diagnostic::{Diagnostic, Diagnostics, codes};
use crate::language::{FieldExpression, GraphFile, read_graph_file};
use crate::op::Catalogue;
use crate::roots::{PathError, RootId, Roots};
use crate::source::{FileId, Sources, Span};
use crate::syntax;
use rustc_hash::FxHashMap;
use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;

/// Reads and checks files with one catalogue; every file is read once.
pub struct Session<'c> {
    catalogue: &'c Catalogue,
    roots: Roots,
    /// The texts.
    pub sources: Sources,
    /// What was found wrong so far.
    pub diagnostics: Diagnostics,
    graph_files: FxHashMap<FileId, Option<Arc<GraphFile>>>,
    /// What the paths that files name were found to be: one that is named forty times is looked for once.
    found: FxHashMap<FileId, FxHashMap<String, FileId>>,
    pub(super) rules: Rules,
}

impl<'c> Session<'c> {
    /// A session that finds files in `roots`.
    pub fn new(catalogue: &'c Catalogue, roots: Roots) -> Session<'c> {
        Session {
            catalogue,
            roots,
            sources: Sources::new(),
            diagnostics: Diagnostics::new(),
            graph_files: FxHashMap::default(),
            found: FxHashMap::default(),
            rules: Rules::default(),
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
        self.check_file(file, &graph_file, overrides)
    }

    /// As [`Session::check`], for a file that was read.
    pub fn check_file(&mut self, file: FileId, graph_file: &GraphFile, overrides: &Overrides) -> Option<Checked> {
        match graph_file {
            GraphFile::Module(module) => check_module(self, file, module, overrides),
            GraphFile::Interface(_) | GraphFile::Other { .. } => None,
        }
    }

    /// Checks a module that was put together from parts of `file`: the graph of an experiment. `None` where an error was reported.
    pub fn check_tree(&mut self, file: FileId, tree: &syntax::Value, overrides: &Overrides) -> Option<Checked> {
        let graph_file = read_graph_file(file, tree, self.catalogue, &mut self.diagnostics)?;
        self.check_file(file, &graph_file, overrides)
    }

    /// The roots, for files that are no graph files (tables, weights).
    pub fn roots(&self) -> &Roots {
        &self.roots
    }

    /// The roots, to add one.
    pub fn roots_mut(&mut self) -> &mut Roots {
        &mut self.roots
    }

    /// Reads a file named on the command line: of the disk, else of the built-in library.
    pub fn open(&mut self, path: &str) -> Option<(FileId, Arc<GraphFile>)> {
        let found = self.roots.open(&mut self.sources, Path::new(path)).or_else(|error| match self.roots.library() {
            // Where a module of this name is in no folder, it is looked for where `Use` would find it at last.
            Some(library) if matches!(error, PathError::NotFound { .. }) => {
                self.roots.open_in(&mut self.sources, library, path).map_err(|_| error)
            }
            _ => Err(error),
        });
        self.read(found, None)
    }

    /// Reads a file of a root, by its path there.
    pub fn open_in(&mut self, root: RootId, path: &str) -> Option<(FileId, Arc<GraphFile>)> {
        let found = self.roots.open_in(&mut self.sources, root, path);
        self.read(found, None)
    }

    /// Reads a file that another one names.
    pub fn load(&mut self, from: FileId, path: &str, span: Span) -> Option<(FileId, Arc<GraphFile>)> {
        if let Some(file) = self.found.get(&from).and_then(|found| found.get(path)) {
            let file = *file;
            return Some((file, self.graph_files.get(&file)?.clone()?));
        }
        let found = self.roots.resolve(&mut self.sources, from, path);
        if let Ok(file) = found {
            self.found.entry(from).or_default().insert(path.to_string(), file);
        }
        self.read(found, Some(span))
    }

    fn read(&mut self, found: Result<FileId, PathError>, span: Option<Span>) -> Option<(FileId, Arc<GraphFile>)> {
        let file = match found {
            Ok(file) => file,
            Err(error) => {
                self.diagnostics.push(error.diagnostic(span));
                return None;
            }
        };
        if let Some(known) = self.graph_files.get(&file) {
            return Some((file, known.clone()?));
        }
        let graph_file = syntax::read(&self.sources, file, &mut self.diagnostics)
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
