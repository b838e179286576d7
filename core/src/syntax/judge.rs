//! The second opinion: the `ron` crate reads every text that our reader accepts.

use crate::diagnostic::{Diagnostic, codes};
use crate::source::{FileId, Span};
use std::ops::Range;

/// Gives `text` to `ron`, with the names and colons in `blanked` blanked out, so that calls with both kinds of arguments are tuples
/// to it. Every offset stays as it is. Depth was limited before: `ron`'s own count is off.
pub(super) fn judge(text: &str, file: FileId, blanked: &[Range<usize>]) -> Option<Diagnostic> {
    let options = ron::Options::default().without_recursion_limit();
    let verdict = if blanked.is_empty() {
        options.from_str::<serde::de::IgnoredAny>(text)
    } else {
        options.from_str::<serde::de::IgnoredAny>(&blank(text, blanked))
    };
    let error = verdict.err()?;
    let place = Span::at(file, offset_of(text, error.span.end.line, error.span.end.col));
    Some(Diagnostic::new(codes::REFUSED_BY_RON, format!("RON refuses this text: {}", error.code), place))
}

/// Overwrites ranges with blanks, byte for byte, line ends kept.
fn blank(text: &str, ranges: &[Range<usize>]) -> String {
    let mut ranges = ranges.to_vec();
    ranges.sort_by_key(|range| range.start);
    let mut blanked = String::with_capacity(text.len());
    let mut at = 0;
    for range in ranges {
        blanked.push_str(&text[at..range.start]);
        blanked.extend(text[range.clone()].bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }));
        at = range.end;
    }
    blanked.push_str(&text[at..]);
    blanked
}

/// The byte offset of `ron`'s line and column, which count characters from 1.
fn offset_of(text: &str, line: usize, column: usize) -> usize {
    let start = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum::<usize>();
    let within = text[start..].char_indices().nth(column.saturating_sub(1)).map_or(text.len() - start, |(offset, _)| offset);
    start + within
}
