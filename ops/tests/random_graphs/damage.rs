//! One fault in a right file, and where an error about it may stand.
//!
//! The rule, by kind of damage. *Damaged* is the entry (input, node or output) whose text was changed; *affected* are it and all entries
//! that read it, directly or through others, for their types follow from its.
//!
//! | damage | every error stands |
//! |---|---|
//! | an edge taken out | in the damaged entry, or in one that it alone led to an output |
//! | a reference renamed to nothing | on the reference |
//! | a reference renamed to another tensor | in an affected entry, or in one that the damaged one alone led to an output |
//! | an op misspelt to nothing | on the op's name |
//! | a field or port misspelt | in the damaged entry |
//! | a number changed | in an affected entry |
//! | a key made equal to another | on one of the two keys |
//! | the file cut | on what the cut goes through, or on a bracket that it leaves open |

use super::generate::Draw;
use super::text::{Kind, Piece, Text};
use std::ops::Range;
use sward_ops::catalogue::catalogue;

/// A damaged file.
pub struct Damaged {
    /// What was done.
    pub what: String,
    /// The text.
    pub text: String,
    /// Where errors may stand.
    pub allowed: Vec<Range<usize>>,
    /// Whether the file is wrong for certain.
    pub is_wrong: bool,
}

/// Exchanges a part of the text; the ranges of `kept` move with their parts.
fn exchange(text: &Text, range: &Range<usize>, by: &str, kept: Vec<Range<usize>>) -> (String, Vec<Range<usize>>) {
    let mut changed = text.text.clone();
    changed.replace_range(range.clone(), by);
    let moved = |offset: usize| if offset >= range.end { offset + by.len() - range.len() } else { offset };
    let kept = kept
        .into_iter()
        .map(|own| if own.start >= range.end { moved(own.start)..moved(own.end) } else { own.start..moved(own.end) });
    (changed, kept.collect())
}

fn affected(text: &Text, entry: usize) -> Vec<Range<usize>> {
    text.entries.iter().zip(text.affected(entry)).filter(|(_, hit)| *hit).map(|(entry, _)| entry.range.clone()).collect()
}

/// The entries that an entry reads: what only led through it to an output leads there no more.
fn sources(text: &Text, entry: usize) -> Vec<Range<usize>> {
    text.entries.iter().zip(text.sources(entry)).filter(|(_, hit)| *hit).map(|(entry, _)| entry.range.clone()).collect()
}

/// Damages a file in one place.
pub fn damage(text: &Text, draw: &mut Draw) -> Damaged {
    if draw.below(6) == 0 {
        return cut(text, draw);
    }
    let kinds = [Kind::Edge, Kind::Reference, Kind::Reference, Kind::Op, Kind::Field, Kind::Number, Kind::Number, Kind::Key];
    let kind = *draw.pick(&kinds);
    let pieces: Vec<&Piece> = text.pieces.iter().filter(|piece| piece.kind == kind).collect();
    let piece = *draw.pick(&pieces);
    let written = text.text[piece.range.clone()].to_string();
    let own_entry = vec![text.entries[piece.entry].range.clone()];
    let made = |what: String, by: &str, allowed: Vec<Range<usize>>, is_wrong: bool| {
        let (changed, allowed) = exchange(text, &piece.range, by, allowed);
        Damaged { what, text: changed, allowed, is_wrong }
    };
    match kind {
        Kind::Edge => {
            let allowed = own_entry.into_iter().chain(sources(text, piece.entry)).collect();
            made(format!("the edge `{written}` is taken out"), "", allowed, false)
        }
        Kind::Reference if draw.flag() => {
            let misspelt = format!("{written}z");
            made(format!("`{written}` is renamed to nothing"), &misspelt, vec![piece.range.clone()], true)
        }
        Kind::Reference => {
            let others: Vec<&Piece> =
                text.pieces.iter().filter(|own| own.kind == Kind::Key && own.entry != piece.entry).collect();
            let other = text.text[draw.pick(&others).range.clone()].to_string();
            if other.starts_with("out_") {
                return made(format!("`{written}` is renamed to the output `{other}`"), &other, vec![piece.range.clone()], true);
            }
            // A later node may come to read itself: then every entry on the way takes part in the cycle.
            let mut allowed = affected(text, piece.entry);
            allowed.push(piece.range.clone());
            allowed.extend(sources(text, piece.entry));
            made(format!("`{written}` is renamed to `{other}`"), &other, allowed, false)
        }
        Kind::Op => {
            let at = draw.below(written.len());
            let misspelt = format!("{}{}", &written[..at], &written[at + 1..]);
            let is_other = catalogue().get(&misspelt).is_some() || ["If", "As"].contains(&misspelt.as_str());
            let is_name = misspelt.starts_with(|c: char| c.is_ascii_alphabetic());
            let allowed = if is_other || !is_name { affected(text, piece.entry) } else { vec![piece.range.clone()] };
            made(format!("the op `{written}` is misspelt `{misspelt}`"), &misspelt, allowed, !is_other)
        }
        Kind::Field => made(format!("the field `{written}` is misspelt"), &format!("{written}x"), own_entry, true),
        Kind::Number => {
            let other = draw.pick(&["0", "1", "2", "5", "7", "1000000000000", "9223372036854775807"]).to_string();
            made(format!("the number {written} becomes {other}"), &other, affected(text, piece.entry), false)
        }
        Kind::Key => {
            let is_output = |own: &Piece| text.entries[own.entry].name.starts_with("output ");
            let is_input = |own: &Piece| text.text[..own.range.start].find("nodes: {").is_none();
            let section = |own: &Piece| (is_input(own), is_output(own));
            let others: Vec<&&Piece> =
                pieces.iter().filter(|own| own.entry != piece.entry && section(own) == section(piece)).collect();
            let Some(other) = (!others.is_empty()).then(|| *draw.pick(&others)) else { return cut(text, draw) };
            let name = text.text[other.range.clone()].to_string();
            let allowed = vec![piece.range.clone(), other.range.clone()];
            made(format!("the key `{written}` becomes `{name}`, which is there"), &name, allowed, true)
        }
        Kind::Entry => unreachable!("entries are not among the kinds drawn"),
    }
}

/// Ends the file anywhere before its last bracket.
fn cut(text: &Text, draw: &mut Draw) -> Damaged {
    let start = "Module(".len();
    let end = start + draw.below(text.text.trim_end().len() - start);
    let left = text.text[..end].to_string();
    let mut open: Vec<usize> = Vec::new();
    let mut quote: Option<usize> = None;
    for (position, c) in left.char_indices() {
        match (c, quote) {
            ('"', None) => quote = Some(position),
            ('"', Some(_)) => quote = None,
            ('(' | '[' | '{', None) => open.push(position),
            (')' | ']' | '}', None) => {
                open.pop();
            }
            _ => {}
        }
    }
    let mut allowed: Vec<Range<usize>> = open.into_iter().chain(quote).map(|position| position..position + 1).collect();
    let word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-');
    let trimmed = left.trim_end();
    let token = trimmed.len() - trimmed.chars().rev().take_while(|c| word(*c)).count().max(1);
    allowed.push(token..left.len() + 1);
    Damaged { what: format!("the file is cut at {end}"), text: left, allowed, is_wrong: true }
}
