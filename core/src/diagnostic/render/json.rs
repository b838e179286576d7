//! Diagnostics for programs: one JSON object a line.

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::source::{Sources, Span};
use serde::Serialize;

#[derive(Serialize)]
struct Place<'a> {
    file: &'a str,
    line: usize,
    column: usize,
    end_line: usize,
    end_column: usize,
}

#[derive(Serialize)]
struct LabelRecord<'a> {
    #[serde(flatten)]
    place: Place<'a>,
    text: &'a str,
}

/// The version 1 record. Keys may be added; these keep their meaning. `end_column` is one past the last character.
#[derive(Serialize)]
struct Record<'a> {
    code: String,
    severity: &'static str,
    message: &'a str,
    file: Option<&'a str>,
    line: Option<usize>,
    column: Option<usize>,
    end_line: Option<usize>,
    end_column: Option<usize>,
    /// The places that take part, the main one first.
    labels: Vec<LabelRecord<'a>>,
    help: &'a [String],
}

fn place(sources: &Sources, span: Span) -> Place<'_> {
    let (start, end) = (sources.start(span), sources.end(span));
    Place { file: sources.path(span.file), line: start.line, column: start.column, end_line: end.line, end_column: end.column }
}

fn record<'a>(sources: &'a Sources, diagnostic: &'a Diagnostic) -> Record<'a> {
    let main = diagnostic.span().map(|span| place(sources, span));
    let labels = diagnostic.primary.iter().filter(|label| !label.text.is_empty()).chain(&diagnostic.labels);
    Record {
        code: diagnostic.code.to_string(),
        severity: diagnostic.severity.word(),
        message: &diagnostic.message,
        file: main.as_ref().map(|place| place.file),
        line: main.as_ref().map(|place| place.line),
        column: main.as_ref().map(|place| place.column),
        end_line: main.as_ref().map(|place| place.end_line),
        end_column: main.as_ref().map(|place| place.end_column),
        labels: labels.map(|label| LabelRecord { place: place(sources, label.span), text: &label.text }).collect(),
        help: &diagnostic.help,
    }
}

/// All diagnostics in reading order, one JSON object a line. A diagnostic without a place has `null` for the file and its numbers.
pub fn json(sources: &Sources, diagnostics: &Diagnostics) -> String {
    let mut lines = String::new();
    for diagnostic in diagnostics.sorted() {
        // A record holds strings and numbers alone, which always can be written.
        if let Ok(line) = serde_json::to_string(&record(sources, diagnostic)) {
            lines.push_str(&line);
            lines.push('\n');
        }
    }
    lines
}
