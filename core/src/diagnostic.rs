//! What Sward tells people about their files: one [`Diagnostic`] a fault, gathered in [`Diagnostics`], written by [`render`].
//!
//! A diagnostic has a stable [`Code`] with a page in `docs/errors.md`, one sentence that says what is wrong, the place where it is
//! wrong, labels on the other places that matter, and help that says how to mend it.

pub mod codes;
mod docs;
pub mod render;

pub use codes::{Code, all_codes};
pub use docs::errors_page;

use crate::source::{Span, char_start};
use rustc_hash::FxHashSet;

/// How bad a diagnostic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used, and probably does not do what was meant.
    Warning,
    /// Something worth knowing.
    Note,
}

impl Severity {
    /// The word that people and programs see: `error`, `warning` or `note`.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        }
    }
}

/// A place and what is to be said about it; the text may be empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// A few words set beside the carets, without a full stop.
    pub text: String,
}

/// One fault, with everything that a person needs to mend it.
///
/// ```
/// use sward_core::diagnostic::{Diagnostic, codes};
/// use sward_core::source::{Sources, Span};
///
/// let mut sources = Sources::new();
/// let file = sources.add("a.ron", "Linear(units: 4, units: 8)");
/// let diagnostic = Diagnostic::new(codes::DUPLICATE_FIELD, "field `units` is given twice", Span::new(file, 17..22))
///     .text("given again here")
///     .label(Span::new(file, 7..12), "first given here")
///     .help("keep one of them");
/// assert_eq!(diagnostic.code.to_string(), "S0015");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Diagnostic {
    /// The kind of fault.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// One sentence that says what is wrong, without a full stop, with the names and numbers of this case.
    pub message: String,
    /// Where it is wrong. `None` when no text is at fault (a file that is not there, a command-line option).
    pub primary: Option<Label>,
    /// Other places that take part in the fault, in this file or others.
    pub labels: Vec<Label>,
    /// How to mend it: the nearest name, the right form.
    pub help: Vec<String>,
}

impl Diagnostic {
    /// A diagnostic at a place. It is a warning if its code is one, an error otherwise.
    pub fn new(code: Code, message: impl Into<String>, span: Span) -> Self {
        let mut diagnostic = Self::without_place(code, message);
        diagnostic.primary = Some(Label { span, text: String::new() });
        diagnostic
    }

    /// A diagnostic that no text is to blame for.
    pub fn without_place(code: Code, message: impl Into<String>) -> Self {
        let severity = if code.is_warning() { Severity::Warning } else { Severity::Error };
        Self { code, severity, message: brief(message.into()), primary: None, labels: Vec::new(), help: Vec::new() }
    }

    /// Sets the words beside the carets of the main place.
    pub fn text(mut self, text: impl Into<String>) -> Self {
        if let Some(primary) = &mut self.primary {
            primary.text = brief(text.into());
        }
        self
    }

    /// Adds another place that takes part.
    pub fn label(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, text: brief(text.into()) });
        self
    }

    /// Adds a line of help.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(brief(help.into()));
        self
    }

    /// Adds a line of help if there is one to add.
    pub fn maybe_help(self, help: Option<impl Into<String>>) -> Self {
        match help {
            Some(help) => self.help(help),
            None => self,
        }
    }

    /// Adds ``did you mean `…`?`` if there is a nearest name.
    pub fn suggest(self, nearest: Option<&str>) -> Self {
        self.maybe_help(nearest.map(|name| format!("did you mean `{name}`?")))
    }

    /// Changes the severity.
    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// The main place, if a text is to blame.
    pub fn span(&self) -> Option<Span> {
        self.primary.as_ref().map(|label| label.span)
    }
}

/// How many bytes a sentence, a label or a line of help has at most: more than people read, and room for every true one.
const BRIEF_BYTES: usize = 1200;

/// The text, without its middle where names or sizes of a file made it too long to read.
fn brief(text: String) -> String {
    if text.len() <= BRIEF_BYTES {
        return text;
    }
    let (start, end) = (char_start(&text, BRIEF_BYTES / 2), char_start(&text, text.len() - BRIEF_BYTES / 4));
    format!("{} … ({} bytes are left out) … {}", &text[..start], end - start, &text[end..])
}

/// How many diagnostics are kept; those past it are counted only.
pub const DIAGNOSTICS_KEPT: usize = 1000;

/// Diagnostics gathered by one or several stages. Repeats are dropped, and past [`DIAGNOSTICS_KEPT`] the rest are only counted, so
/// that a hostile file cannot fill the memory or the screen.
#[derive(Debug, Clone, Default)]
pub struct Diagnostics {
    kept: Vec<Diagnostic>,
    seen: FxHashSet<Diagnostic>,
    omitted: usize,
    errors: usize,
    warnings: usize,
}

impl Diagnostics {
    /// An empty collection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a diagnostic unless an equal one is there.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        if self.seen.contains(&diagnostic) {
            return;
        }
        match diagnostic.severity {
            Severity::Error => self.errors += 1,
            Severity::Warning => self.warnings += 1,
            Severity::Note => {}
        }
        if self.kept.len() >= DIAGNOSTICS_KEPT {
            self.omitted += 1;
            return;
        }
        self.seen.insert(diagnostic.clone());
        self.kept.push(diagnostic);
    }

    /// Adds all of another collection.
    pub fn append(&mut self, other: Diagnostics) {
        for diagnostic in other.kept {
            self.push(diagnostic);
        }
        self.omitted += other.omitted;
    }

    /// Makes every warning an error (`--deny warnings`).
    pub fn deny_warnings(&mut self) {
        for diagnostic in &mut self.kept {
            if diagnostic.severity == Severity::Warning {
                diagnostic.severity = Severity::Error;
            }
        }
        self.seen = self.kept.iter().cloned().collect();
        self.errors += std::mem::take(&mut self.warnings);
    }

    /// The diagnostics in reading order: by file in the order of reading, by place, then errors before warnings, by code and by text.
    /// Those without a place come first. The order does not depend on the order of pushing.
    pub fn sorted(&self) -> Vec<&Diagnostic> {
        let mut sorted: Vec<_> = self.kept.iter().collect();
        sorted.sort_by(|a, b| reading_order(a).cmp(&reading_order(b)).then_with(|| a.labels.cmp(&b.labels)));
        sorted
    }

    /// The diagnostics in the order in which they were pushed.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.kept.iter()
    }

    /// How many errors were pushed, kept or not.
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// How many warnings were pushed, kept or not.
    pub fn warnings(&self) -> usize {
        self.warnings
    }

    /// How many diagnostics were counted only.
    pub fn omitted(&self) -> usize {
        self.omitted
    }

    /// Whether an error was pushed.
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// Whether further diagnostics are counted only: then there is no use in looking for what they could suggest.
    pub fn is_full(&self) -> bool {
        self.kept.len() >= DIAGNOSTICS_KEPT
    }

    /// Whether nothing was pushed.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// How many diagnostics are kept.
    pub fn len(&self) -> usize {
        self.kept.len()
    }
}

impl Extend<Diagnostic> for Diagnostics {
    fn extend<I: IntoIterator<Item = Diagnostic>>(&mut self, diagnostics: I) {
        for diagnostic in diagnostics {
            self.push(diagnostic);
        }
    }
}

impl FromIterator<Diagnostic> for Diagnostics {
    fn from_iter<I: IntoIterator<Item = Diagnostic>>(diagnostics: I) -> Self {
        let mut all = Self::new();
        all.extend(diagnostics);
        all
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

type ReadingOrder<'a> = (Option<Span>, Severity, Code, &'a str, &'a [String]);

fn reading_order(diagnostic: &Diagnostic) -> ReadingOrder<'_> {
    (diagnostic.span(), diagnostic.severity, diagnostic.code, &diagnostic.message, &diagnostic.help)
}

#[cfg(test)]
mod tests;
