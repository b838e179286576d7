//! Random graphs over the whole catalogue: right ones check clean and mean the same at sizes as in symbols; damaged ones are refused
//! where they are damaged.

mod damage;
mod generate;
mod properties;
mod recipes;
mod text;

use sward_core::check::{Checked, Session};
use sward_core::diagnostic::{Diagnostic, Severity, render};
use sward_core::roots::{MemoryFolder, Roots};
use sward_core::source::FileId;
use sward_ops::catalogue::catalogue;

/// Why a text is refused.
pub struct Refused {
    /// The errors in the order in which they are shown.
    pub errors: Vec<Diagnostic>,
    /// The damaged file, where it could be read as text.
    pub main: Option<FileId>,
    /// The message as a person sees it.
    pub text: String,
}

/// Checks a text as the file `main.ron` beside `block.ron`, with these sizes as `--dim` gives them.
pub fn check(text: &str, dims: &[String]) -> Result<Checked, Box<Refused>> {
    let mut roots = Roots::new();
    let root = roots.add_root("", MemoryFolder::new().with("main.ron", text).with("block.ron", generate::BLOCK));
    let mut session = Session::new(catalogue(), roots);
    let overrides = session.overrides(&[], &[], dims);
    let checked =
        session.open_in(root, "main.ron").and_then(|(id, file)| session.check_file(id, &file, &overrides.unwrap_or_default()));
    let errors: Vec<Diagnostic> =
        session.diagnostics.sorted().into_iter().filter(|found| found.severity == Severity::Error).cloned().collect();
    let text = render::text(&session.sources, &session.diagnostics, false);
    match checked {
        Some(checked) if errors.is_empty() => Ok(checked),
        Some(_) => panic!("a graph with errors is no proof:\n{text}"),
        None => {
            assert!(!errors.is_empty(), "what is refused has a reason");
            let main = session.sources.iter().find(|(_, file)| file.path() == "main.ron").map(|(id, _)| id);
            Err(Box::new(Refused { errors, main, text }))
        }
    }
}
