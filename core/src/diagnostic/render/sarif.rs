//! Diagnostics as a SARIF 2.1.0 document (OASIS standard), which code scanning services and editors read.

use crate::diagnostic::codes::Entry;
use crate::diagnostic::{Diagnostic, Diagnostics, Severity, all_codes};
use crate::source::{Sources, Span};
use serde_json::{Value, json};

/// One document with one run: every code of the registry as a rule, every diagnostic in reading order as a result.
pub fn sarif(sources: &Sources, diagnostics: &Diagnostics) -> String {
    let rules: Vec<_> = all_codes().map(rule).collect();
    let index = |diagnostic: &Diagnostic| all_codes().position(|entry| entry.code == diagnostic.code);
    let results: Vec<_> =
        diagnostics.sorted().into_iter().map(|diagnostic| result(sources, diagnostic, index(diagnostic))).collect();
    let document = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "sward", "semanticVersion": env!("CARGO_PKG_VERSION"), "rules": rules } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    format!("{document:#}\n")
}

fn rule(entry: &Entry) -> Value {
    let level = if entry.code.is_warning() { "warning" } else { "error" };
    let markdown =
        format!("{}\n\nWrong:\n\n```ron\n{}\n```\n\nRight:\n\n```ron\n{}\n```\n", entry.explanation, entry.wrong, entry.right);
    json!({
        "id": entry.code.to_string(),
        "shortDescription": { "text": entry.title },
        "fullDescription": { "text": entry.explanation },
        "help": { "text": entry.explanation, "markdown": markdown },
        "defaultConfiguration": { "level": level },
    })
}

fn result(sources: &Sources, diagnostic: &Diagnostic, rule_index: Option<usize>) -> Value {
    let level = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    };
    let mut message = diagnostic.message.clone();
    for help in &diagnostic.help {
        message.push_str("\nhelp: ");
        message.push_str(help);
    }
    let mut result = json!({
        "ruleId": diagnostic.code.to_string(),
        "ruleIndex": rule_index,
        "level": level,
        "message": { "text": message },
    });
    if let Some(primary) = &diagnostic.primary {
        result["locations"] = json!([location(sources, primary.span, &primary.text, None)]);
    }
    if !diagnostic.labels.is_empty() {
        let related = diagnostic.labels.iter().enumerate();
        result["relatedLocations"] = related.map(|(id, label)| location(sources, label.span, &label.text, Some(id))).collect();
    }
    result
}

fn location(sources: &Sources, span: Span, text: &str, id: Option<usize>) -> Value {
    let (start, end) = (sources.start(span), sources.end(span));
    let mut location = json!({
        "physicalLocation": {
            "artifactLocation": { "uri": uri(sources.path(span.file)) },
            "region": { "startLine": start.line, "startColumn": start.column, "endLine": end.line, "endColumn": end.column },
        },
    });
    if let Some(id) = id {
        location["id"] = json!(id);
    }
    if !text.is_empty() {
        location["message"] = json!({ "text": text });
    }
    location
}

/// A path as a URI reference: bytes that a URI cannot hold are escaped, and so is a colon, which would end a scheme.
fn uri(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.replace('\\', "/").bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => uri.push(char::from(byte)),
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}
