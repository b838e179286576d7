//! Diagnostics as GitHub workflow commands, which show as annotations on a pull request.

use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::source::Sources;
use std::fmt::Write;

/// GitHub shows at most this many annotations of each severity a step, and drops the rest silently.
const SHOWN: usize = 10;

/// Workflow commands, one a line, most severe first: up to ten errors, ten warnings and ten notes. What is left out is counted in a
/// line of plain text, which shows in the log.
pub fn github(sources: &Sources, diagnostics: &Diagnostics) -> String {
    let sorted = diagnostics.sorted();
    let mut lines = String::new();
    let mut left_out = diagnostics.omitted();
    for severity in [Severity::Error, Severity::Warning, Severity::Note] {
        let of_severity: Vec<_> = sorted.iter().filter(|diagnostic| diagnostic.severity == severity).collect();
        left_out += of_severity.len().saturating_sub(SHOWN);
        for diagnostic in of_severity.into_iter().take(SHOWN) {
            command(&mut lines, sources, diagnostic);
        }
    }
    if left_out > 0 {
        // Writing to a string cannot fail.
        let _ = writeln!(lines, "{left_out} more findings are not shown as annotations");
    }
    lines
}

fn command(lines: &mut String, sources: &Sources, diagnostic: &Diagnostic) {
    let command = match diagnostic.severity {
        Severity::Note => "notice",
        severity => severity.word(),
    };
    let mut properties = Vec::new();
    if let Some(span) = diagnostic.span() {
        let (start, end) = (sources.start(span), sources.end(span));
        properties.push(format!("file={}", escape_property(sources.path(span.file))));
        properties.push(format!("line={}", start.line));
        properties.push(format!("endLine={}", end.line));
        // GitHub wants columns only where both ends lie on one line, and counts the last character in.
        if start.line == end.line {
            properties.push(format!("col={}", start.column));
            properties.push(format!("endColumn={}", end.column.saturating_sub(1).max(start.column)));
        }
    }
    properties.push(format!("title={}", escape_property(&diagnostic.code.to_string())));
    let mut message = diagnostic.message.clone();
    for label in diagnostic.primary.iter().filter(|label| !label.text.is_empty()) {
        let _ = write!(message, ": {}", label.text);
    }
    for label in &diagnostic.labels {
        let _ = write!(message, "\n{}: {}", sources.place(label.span), label.text);
    }
    for help in &diagnostic.help {
        let _ = write!(message, "\nhelp: {help}");
    }
    let _ = writeln!(lines, "::{command} {}::{}", properties.join(","), escape_data(&message));
}

/// GitHub's escapes for a message.
fn escape_data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// GitHub's escapes for a property.
fn escape_property(text: &str) -> String {
    escape_data(text).replace(':', "%3A").replace(',', "%2C")
}
