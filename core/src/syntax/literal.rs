//! The values of texts and numbers.

use crate::source::{Sources, Span};
use std::ops::Range;

/// A piece of a text literal: the bytes of the source that stand for it, and the character that they mean, if any. A backslash before
/// a line end means none.
struct Piece {
    source: Range<usize>,
    meaning: Result<Option<char>, &'static str>,
}

/// Where the inside of a text literal starts and ends, and whether it is raw.
fn inside(literal: &str) -> (Range<usize>, bool) {
    let raw = literal.starts_with('r');
    let hashes = if raw { literal[1..].bytes().take_while(|byte| *byte == b'#').count() } else { 0 };
    let start = hashes + 1 + usize::from(raw);
    (start..literal.len().saturating_sub(hashes + 1).max(start), raw)
}

/// Walks over the pieces of an escaped text's inside.
fn pieces(literal: &str) -> impl Iterator<Item = Piece> + '_ {
    let (range, raw) = inside(literal);
    let mut at = range.start;
    std::iter::from_fn(move || {
        let rest = &literal[at..range.end];
        let c = rest.chars().next()?;
        let (length, meaning) = if c == '\\' && !raw { escape(rest) } else { (c.len_utf8(), Ok(Some(c))) };
        let source = at..at + length;
        at += length;
        Some(Piece { source, meaning })
    })
}

/// The length and the meaning of the escape that `rest` starts with.
fn escape(rest: &str) -> (usize, Result<Option<char>, &'static str>) {
    let Some(kind) = rest[1..].chars().next() else { return (1, Err("a backslash ends the text")) };
    let simple = |c| (2, Ok(Some(c)));
    match kind {
        '\'' | '"' | '\\' => simple(kind),
        'n' => simple('\n'),
        'r' => simple('\r'),
        't' => simple('\t'),
        '0' => simple('\0'),
        '\n' => (skip_line_end(rest, 2), Ok(None)),
        '\r' if rest[2..].starts_with('\n') => (skip_line_end(rest, 3), Ok(None)),
        'x' => bytes_escape(rest),
        'u' => unicode_escape(rest),
        other => (1 + other.len_utf8(), Err("unknown escape")),
    }
}

fn skip_line_end(rest: &str, at: usize) -> usize {
    rest.len() - rest[at..].trim_start_matches([' ', '\t', '\n', '\r']).len()
}

/// `\x41`, or several in a row that together are one character in UTF-8.
fn bytes_escape(rest: &str) -> (usize, Result<Option<char>, &'static str>) {
    let mut bytes = Vec::with_capacity(4);
    let mut length = 0;
    while bytes.len() < 4 && rest[length..].starts_with("\\x") {
        let digits = rest.get(length + 2..length + 4).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) else {
            return (length + 2, Err("`\\x` takes two hexadecimal digits"));
        };
        bytes.push(byte);
        length += 4;
        if let Ok(text) = std::str::from_utf8(&bytes) {
            return (length, Ok(text.chars().next()));
        }
    }
    (length, Err("these bytes are not a character in UTF-8"))
}

fn unicode_escape(rest: &str) -> (usize, Result<Option<char>, &'static str>) {
    let shape = "`\\u` takes one to six hexadecimal digits in curly brackets: `\\u{e9}`";
    let Some(digits) = rest[2..].strip_prefix('{') else { return (2, Err(shape)) };
    let count = digits.bytes().take_while(u8::is_ascii_hexdigit).count();
    if !(1..=6).contains(&count) || !digits[count..].starts_with('}') {
        return (3 + count, Err(shape));
    }
    let value = u32::from_str_radix(&digits[..count], 16).ok().and_then(char::from_u32);
    (4 + count, value.map(Some).ok_or("there is no such character in Unicode"))
}

/// What is wrong with an escape, and where in the literal.
pub(super) type EscapeFault = (Range<usize>, &'static str);

/// The value of a text literal, quotes included; bad escapes are left out of the value and listed.
pub(super) fn text(literal: &str) -> (String, Vec<EscapeFault>) {
    let (range, raw) = inside(literal);
    let plain = &literal[range];
    if raw || !plain.contains('\\') {
        return (plain.to_owned(), Vec::new());
    }
    let mut value = String::with_capacity(plain.len());
    let mut faults = Vec::new();
    for piece in pieces(literal) {
        match piece.meaning {
            Ok(meaning) => value.extend(meaning),
            Err(reason) => faults.push((piece.source, reason)),
        }
    }
    (value, faults)
}

/// The place in the file of a byte range of a text's value: `span` is that of the literal, quotes included, and `range` counts bytes
/// of the value after its escapes were resolved. A range past the end gives the place of the closing quote.
///
/// ```
/// use sward_core::{source::{Sources, Span}, syntax::span_in_text};
///
/// let mut sources = Sources::new();
/// let file = sources.add("a.ron", r#"Formula("a\t+ b")"#);
/// let literal = Span::new(file, 8..16);
/// assert_eq!(sources.slice(span_in_text(&sources, literal, 4..5)), "b");
/// ```
pub fn span_in_text(sources: &Sources, span: Span, range: Range<usize>) -> Span {
    let literal = sources.slice(span);
    let (within, raw) = inside(literal);
    let (mut start, mut end) = (None, None);
    if raw || !literal.contains('\\') {
        start = Some(within.start + range.start).filter(|at| *at <= within.end);
        end = Some(within.start + range.end).filter(|at| *at <= within.end);
    } else {
        let mut offset = 0;
        for piece in pieces(literal) {
            let Ok(Some(c)) = piece.meaning else { continue };
            if offset >= range.start {
                start.get_or_insert(piece.source.start);
            }
            offset += c.len_utf8();
            if offset >= range.end {
                end.get_or_insert(if range.is_empty() { piece.source.start } else { piece.source.end });
                break;
            }
        }
    }
    let start = start.unwrap_or(within.end);
    let end = end.unwrap_or(within.end).max(start);
    let base = span.start as usize;
    Span::new(span.file, base + start..base + end)
}

/// The value of a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Integer(i64),
    Float(f64),
}

/// Why a number has no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NumberFault {
    /// It is not written like a number.
    Malformed,
    /// A type follows it, from this byte on.
    Suffix(usize),
    /// An integer beyond 64 bits.
    TooManyBits,
    /// It would become infinite.
    TooLarge,
    /// It is not zero and would become zero.
    TooSmall,
    /// `inf` or `NaN`.
    NonFinite,
}

/// The value of a number literal.
pub(super) fn number(literal: &str) -> Result<Number, NumberFault> {
    let (sign, digits) = match literal.as_bytes().first() {
        Some(b'-') => ("-", &literal[1..]),
        Some(b'+') => ("", &literal[1..]),
        _ => ("", literal),
    };
    if matches!(digits, "inf" | "inff32" | "inff64" | "NaN" | "NaNf32" | "NaNf64") {
        return Err(NumberFault::NonFinite);
    }
    let sign_length = literal.len() - digits.len();
    let radix = [("0x", 16), ("0o", 8), ("0b", 2)].into_iter().find(|(prefix, _)| digits.starts_with(prefix));
    let result = match radix {
        Some((prefix, radix)) => integer(sign, &digits[prefix.len()..], radix),
        None if digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_') => integer(sign, digits, 10),
        None => float(sign, digits),
    };
    // `4u8` is well written but for its suffix.
    if result == Err(NumberFault::Malformed)
        && let Some(at) = digits.rfind(['i', 'u', 'f'])
        && matches!(&digits[at..], "i8" | "i16" | "i32" | "i64" | "i128" | "u8" | "u16" | "u32" | "u64" | "u128" | "f32" | "f64")
        && number(&literal[..sign_length + at]).is_ok()
    {
        return Err(NumberFault::Suffix(sign_length + at));
    }
    result
}

fn integer(sign: &str, digits: &str, radix: u32) -> Result<Number, NumberFault> {
    if digits.is_empty() || digits.starts_with('_') || !digits.chars().all(|c| c == '_' || c.is_digit(radix)) {
        return Err(NumberFault::Malformed);
    }
    let mut plain = String::with_capacity(digits.len() + 1);
    plain.push_str(sign);
    plain.extend(digits.chars().filter(|c| *c != '_'));
    i64::from_str_radix(&plain, radix).map(Number::Integer).map_err(|_| NumberFault::TooManyBits)
}

fn float(sign: &str, digits: &str) -> Result<Number, NumberFault> {
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Err(NumberFault::Malformed);
    }
    let mut plain = String::with_capacity(digits.len() + 1);
    plain.push_str(sign);
    let mut previous = '_';
    for c in digits.chars() {
        match c {
            '_' if previous == '.' => return Err(NumberFault::Malformed),
            '_' => {}
            '0'..='9' | '.' | 'e' | 'E' | '+' | '-' => plain.push(c),
            _ => return Err(NumberFault::Malformed),
        }
        previous = c;
    }
    let value: f64 = plain.parse().map_err(|_| NumberFault::Malformed)?;
    let mantissa = plain.split(['e', 'E']).next().unwrap_or_default();
    if value.is_infinite() {
        Err(NumberFault::TooLarge)
    } else if value == 0.0 && mantissa.contains(|c: char| ('1'..='9').contains(&c)) {
        Err(NumberFault::TooSmall)
    } else {
        Ok(Number::Float(value))
    }
}
