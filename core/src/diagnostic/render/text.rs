//! Diagnostics as people read them in a terminal.

use crate::diagnostic::{Diagnostic, Diagnostics, Label, Severity};
use crate::source::{FileId, Sources, Span};
use annotate_snippets::renderer::DEFAULT_TERM_WIDTH;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

/// All diagnostics in reading order with blank lines between them, each ending with a line end; nothing for none.
pub fn text(sources: &Sources, diagnostics: &Diagnostics, coloured: bool) -> String {
    let mut text = String::new();
    for diagnostic in diagnostics.sorted() {
        text.push_str(&one(sources, diagnostic, coloured));
        text.push('\n');
    }
    if diagnostics.omitted() > 0 {
        text.push_str(&format!("… and {} more that are not shown\n", diagnostics.omitted()));
    }
    text
}

/// `2 errors, 1 warning`; the empty string for none.
pub fn summary(diagnostics: &Diagnostics) -> String {
    let count = |count: usize, word: &str| match count {
        0 => None,
        1 => Some(format!("1 {word}")),
        many => Some(format!("{many} {word}s")),
    };
    let counts = [count(diagnostics.errors(), "error"), count(diagnostics.warnings(), "warning")];
    counts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// One diagnostic, ending with a line end.
pub fn one(sources: &Sources, diagnostic: &Diagnostic, coloured: bool) -> String {
    let renderer = if coloured { Renderer::styled() } else { Renderer::plain() };
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let title = level.primary_title(diagnostic.message.as_str()).id(diagnostic.code.to_string());
    let mut group = Group::with_title(title);
    for (file, labels) in by_file(diagnostic) {
        match window(sources, file, &labels) {
            Some((first, window)) => group = group.element(snippet(sources, file, &labels, first, window)),
            None => {
                for (_, label) in labels {
                    let position = sources.start(label.span);
                    let place = Origin::path(sources.path(file)).line(position.line).char_column(position.column);
                    group = group.element(place);
                }
            }
        }
    }
    group = group.elements(diagnostic.help.iter().map(|help| Level::HELP.message(help.as_str())));
    let mut text = renderer.term_width(DEFAULT_TERM_WIDTH).render(&[group]);
    text.push('\n');
    text
}

/// The labels gathered by file: the primary one's file first, then in the order of the labels. `true` marks the primary one.
fn by_file(diagnostic: &Diagnostic) -> Vec<(FileId, Vec<(bool, &Label)>)> {
    let all = diagnostic.primary.iter().map(|label| (true, label)).chain(diagnostic.labels.iter().map(|label| (false, label)));
    let mut files: Vec<(FileId, Vec<(bool, &Label)>)> = Vec::new();
    for (primary, label) in all {
        match files.iter_mut().find(|(file, _)| *file == label.span.file) {
            Some((_, labels)) => labels.push((primary, label)),
            None => files.push((label.span.file, vec![(primary, label)])),
        }
    }
    files
}

/// How many bytes of a file one diagnostic shows at most. The renderer's work grows with the text that it is given: a thousand faults
/// in one line of a megabyte would take minutes.
const SHOWN_BYTES: usize = 16 * 1024;

/// The lines of one file that the labels touch: the first one's number, and their bytes. `None` where that is more than people read.
fn window(sources: &Sources, file: FileId, labels: &[(bool, &Label)]) -> Option<(usize, std::ops::Range<usize>)> {
    let source = sources.file(file);
    let first = labels.iter().map(|(_, label)| source.line_of(label.span.start as usize)).min().unwrap_or(1);
    let last = labels.iter().map(|(_, label)| source.line_of(label.span.end as usize)).max().unwrap_or(first);
    let window = source.line_range(first).start..source.line_range(last).end;
    (window.len() <= SHOWN_BYTES).then_some((first, window))
}

/// The lines of a window with the labels in it.
fn snippet<'a>(
    sources: &'a Sources,
    file: FileId,
    labels: &[(bool, &'a Label)],
    first: usize,
    window: std::ops::Range<usize>,
) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let source = sources.file(file);
    let mut snippet = Snippet::source(&source.text()[window.clone()]).line_start(first).path(source.path());
    for (primary, label) in labels {
        let kind = if *primary { AnnotationKind::Primary } else { AnnotationKind::Context };
        let range = clip(label.span, &window);
        let words = (!label.text.is_empty()).then_some(label.text.as_str());
        snippet = snippet.annotation(kind.span(range).label(words));
    }
    snippet
}

/// The span's range counted from the window's start.
fn clip(span: Span, window: &std::ops::Range<usize>) -> std::ops::Range<usize> {
    let start = (span.start as usize).clamp(window.start, window.end) - window.start;
    let end = (span.end as usize).clamp(window.start, window.end) - window.start;
    start..end.max(start)
}
