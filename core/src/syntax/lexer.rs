//! From text to tokens. Comments and white space are dropped; the inside of texts and numbers is looked at later, by `literal`.

use super::Faults;
use crate::diagnostic::{Diagnostic, codes};
use crate::source::{FileId, Span};

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    /// A bare name, `true` and `false` included.
    Name,
    /// A text with its quotes, raw or not.
    Text,
    /// A number.
    Number,
    /// Something that stands for a value, and was reported.
    Reported,
    /// `(`, `[` or `{`.
    Open(Delimiter),
    /// `)`, `]` or `}`.
    Close(Delimiter),
    /// `,`.
    Comma,
    /// `:`.
    Colon,
}

/// The kinds of brackets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delimiter {
    Round,
    Square,
    Curly,
}

impl Delimiter {
    /// The opening sign.
    pub fn open(self) -> char {
        match self {
            Delimiter::Round => '(',
            Delimiter::Square => '[',
            Delimiter::Curly => '{',
        }
    }

    /// The closing sign.
    pub fn close(self) -> char {
        match self {
            Delimiter::Round => ')',
            Delimiter::Square => ']',
            Delimiter::Curly => '}',
        }
    }
}

/// A token and its byte range.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lexeme {
    pub token: Token,
    pub start: u32,
    pub end: u32,
}

impl Lexeme {
    /// The token's place in `file`.
    pub fn span(self, file: FileId) -> Span {
        Span { file, start: self.start, end: self.end }
    }
}

/// The tokens of a text.
pub(super) struct Lexed {
    pub tokens: Vec<Lexeme>,
    /// Where characters that mean nothing were left out, in ascending order.
    pub junk: Vec<u32>,
    /// A text or a comment never ends, or there are too many faults: the tokens are not worth parsing.
    pub cut_short: bool,
}

/// RON's white space.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c' | '\u{85}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}')
}

fn is_name_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_'
}

fn is_name_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Splits a text into tokens, reporting what is not one.
pub(super) fn lex(text: &str, file: FileId, faults: &mut Faults) -> Lexed {
    let mut lexer =
        Lexer { text, bytes: text.as_bytes(), file, at: 0, tokens: Vec::with_capacity(text.len() / 6), junk: Vec::new(), faults };
    let cut_short = lexer.run().is_none();
    Lexed { tokens: lexer.tokens, junk: lexer.junk, cut_short }
}

struct Lexer<'a> {
    text: &'a str,
    bytes: &'a [u8],
    file: FileId,
    at: usize,
    tokens: Vec<Lexeme>,
    junk: Vec<u32>,
    faults: &'a mut Faults,
}

impl Lexer<'_> {
    /// Lexes to the end of the text; `None` if a text or comment swallows the rest, or after too many faults.
    fn run(&mut self) -> Option<()> {
        while let Some(&byte) = self.bytes.get(self.at) {
            if self.faults.is_full() {
                return None;
            }
            let start = self.at;
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
                b',' => self.single(Token::Comma),
                b':' => self.single(Token::Colon),
                b'(' => self.single(Token::Open(Delimiter::Round)),
                b')' => self.single(Token::Close(Delimiter::Round)),
                b'[' => self.single(Token::Open(Delimiter::Square)),
                b']' => self.single(Token::Close(Delimiter::Square)),
                b'{' => self.single(Token::Open(Delimiter::Curly)),
                b'}' => self.single(Token::Close(Delimiter::Curly)),
                b'"' => {
                    self.at += 1;
                    self.escaped(start)?;
                    self.push(Token::Text, start);
                }
                b'/' if self.bytes.get(start + 1) == Some(&b'/') => self.skip_line(),
                b'/' if self.bytes.get(start + 1) == Some(&b'*') => self.block_comment()?,
                b'\'' => self.single_quoted(),
                b'#' if self.bytes.get(start + 1) == Some(&b'!') => self.attribute(),
                _ if is_name_start(byte) => self.word()?,
                b'.' if self.bytes[start..].starts_with(b"..") => self.range(start),
                b'0'..=b'9' | b'.' | b'+' | b'-' if self.starts_number() => self.number(),
                _ => self.unknown(),
            }
        }
        Some(())
    }

    fn push(&mut self, token: Token, start: usize) {
        self.tokens.push(Lexeme { token, start: start as u32, end: self.at as u32 });
    }

    fn single(&mut self, token: Token) {
        self.at += 1;
        self.push(token, self.at - 1);
    }

    fn span_from(&self, start: usize) -> Span {
        Span::new(self.file, start..self.at)
    }

    fn skip_line(&mut self) {
        self.at = self.text[self.at..].find('\n').map_or(self.bytes.len(), |length| self.at + length);
    }

    fn block_comment(&mut self) -> Option<()> {
        let opener = self.at;
        let mut open = vec![opener];
        self.at += 2;
        while let Some(&innermost) = open.last() {
            let rest = &self.bytes[self.at..];
            if rest.is_empty() {
                let mut fault = Diagnostic::new(
                    codes::UNCLOSED_COMMENT,
                    "this comment is never closed",
                    Span::new(self.file, opener..opener + 2),
                )
                .text("opened here");
                if innermost != opener {
                    let inner = Span::new(self.file, innermost..innermost + 2);
                    fault = fault.label(inner, "comments nest: this one is open as well");
                }
                self.faults.push(fault.help("close it with `*/`"));
                return None;
            }
            if rest.starts_with(b"/*") {
                open.push(self.at);
                self.at += 2;
            } else if rest.starts_with(b"*/") {
                open.pop();
                self.at += 2;
            } else {
                self.at += 1;
            }
        }
        Some(())
    }

    /// Goes past the closing quote of a text whose opening quote is behind `at`.
    fn escaped(&mut self, start: usize) -> Option<()> {
        loop {
            match self.bytes[self.at..].iter().position(|byte| matches!(byte, b'"' | b'\\')) {
                Some(length) if self.bytes[self.at + length] == b'"' => {
                    self.at += length + 1;
                    return Some(());
                }
                // A backslash, and whatever it escapes.
                Some(length) if self.at + length + 2 <= self.bytes.len() => self.at += length + 2,
                _ => {
                    self.unclosed_text(start);
                    return None;
                }
            }
        }
    }

    /// `r"…"` or `r#"…"#`, with `at` behind the `r`.
    fn raw(&mut self, start: usize) -> Option<()> {
        let hashes = self.bytes[self.at..].iter().take_while(|byte| **byte == b'#').count();
        let ending = format!("\"{}", "#".repeat(hashes));
        let inside = self.at + hashes + 1;
        match self.text[inside..].find(&ending) {
            Some(length) => {
                self.at = inside + length + ending.len();
                Some(())
            }
            None => {
                let span = Span::new(self.file, start..inside);
                self.faults.push(
                    Diagnostic::new(codes::UNCLOSED_TEXT, "this raw text is never closed", span)
                        .text("opened here")
                        .help(format!("close it with `{ending}`")),
                );
                None
            }
        }
    }

    /// One quote too few makes texts of what lies between texts: the first text that goes over a line end is the likely culprit.
    fn unclosed_text(&mut self, start: usize) {
        let runs_over = |lexeme: &&Lexeme| {
            lexeme.token == Token::Text
                && self.bytes[lexeme.start as usize] == b'"'
                && self.bytes[lexeme.start as usize..lexeme.end as usize].contains(&b'\n')
        };
        let culprit = self.tokens.iter().find(runs_over).map(|lexeme| lexeme.start as usize);
        let opener = culprit.unwrap_or(start);
        let mut fault = Diagnostic::new(codes::UNCLOSED_TEXT, "a text is never closed", Span::new(self.file, opener..opener + 1));
        fault = if culprit.is_some() {
            let last = Span::new(self.file, start..start + 1);
            fault.text("this text goes over a line end: is its closing quote missing?").label(last, "the last `\"` opens a text")
        } else {
            fault.text("opened here")
        };
        // What was found inside out says nothing.
        self.faults.0.retain(|fault| fault.span().is_none_or(|span| (span.start as usize) < opener));
        self.faults.push(fault.help("close it with `\"`"));
    }

    /// A name, or a text with a prefix.
    fn word(&mut self) -> Option<()> {
        let start = self.at;
        let length = self.bytes[start..].iter().take_while(|byte| is_name_part(**byte)).count();
        self.at += length;
        let next = self.bytes.get(self.at).copied();
        let after_hashes = || self.bytes[self.at..].iter().find(|byte| **byte != b'#').copied();
        match (&self.text[start..self.at], next) {
            ("r", Some(b'"')) => self.raw(start).map(|()| self.push(Token::Text, start)),
            ("r", Some(b'#')) if after_hashes() == Some(b'"') => self.raw(start).map(|()| self.push(Token::Text, start)),
            ("r", Some(b'#')) if self.bytes.get(self.at + 1).copied().is_some_and(is_name_part) => {
                self.at += 1;
                self.at += self.bytes[self.at..].iter().take_while(|byte| is_name_part(**byte) || b"+-.".contains(byte)).count();
                self.unused(start, "raw names are not part of the language", "write the name without `r#`");
                Some(())
            }
            ("b", Some(b'"')) => {
                self.at += 1;
                self.escaped(start)?;
                self.unused(start, "byte strings are not part of the language", "write a text without the `b`");
                Some(())
            }
            ("br", Some(b'"' | b'#')) if after_hashes() == Some(b'"') => {
                self.raw(start)?;
                self.unused(start, "byte strings are not part of the language", "write a text without the `b`");
                Some(())
            }
            _ if self.text[self.at..].starts_with(|c: char| !c.is_ascii() && c.is_alphanumeric()) => {
                self.foreign_letters(start);
                Some(())
            }
            _ => {
                self.push(Token::Name, start);
                Some(())
            }
        }
    }

    /// Reports a form of RON that the language leaves out, and lets it stand for a value.
    fn unused(&mut self, start: usize, message: &str, help: &str) {
        let span = self.span_from(start);
        self.faults.push(Diagnostic::new(codes::UNUSED_RON, message, span).help(help));
        self.push(Token::Reported, start);
    }

    fn single_quoted(&mut self) {
        let start = self.at;
        let line_end = self.text[start..].find(['\n', '\r']).map_or(self.bytes.len(), |length| start + length);
        // The closing quote is the next one on the line, but for `'\''` and `'''`.
        let inside = &self.bytes[start + 1..line_end];
        let skip = if inside.starts_with(b"\\'") { 2 } else { usize::from(inside.starts_with(b"''")) };
        let Some(length) = inside[skip..].iter().position(|byte| *byte == b'\'') else {
            self.at += 1;
            self.junk.push(start as u32);
            let span = self.span_from(start);
            self.faults.push(
                Diagnostic::new(codes::UNKNOWN_CHARACTER, "`'` means nothing here", span)
                    .help("a text is written in double quotes"),
            );
            return;
        };
        self.at = start + 1 + skip + length + 1;
        let inside = self.text[start + 1..self.at - 1].to_owned();
        let help = format!("write it in double quotes: `\"{inside}\"`");
        self.unused(start, "single quotes are not part of the language", &help);
    }

    fn attribute(&mut self) {
        let start = self.at;
        let line_end = self.text[start..].find(['\n', '\r']).map_or(self.bytes.len(), |length| start + length);
        self.at = self.text[start..line_end].find(']').map_or(line_end, |length| start + length + 1);
        let span = self.span_from(start);
        self.faults.push(
            Diagnostic::new(codes::UNUSED_RON, "attributes are not part of the language", span)
                .help("take it out: no extension of RON is needed"),
        );
    }

    fn range(&mut self, start: usize) {
        self.at += self.bytes[self.at..].iter().take_while(|byte| is_name_part(**byte) || b".=+-".contains(byte)).count();
        self.unused(start, "ranges are not part of the language", "write the bounds as two values");
    }

    /// Whether a digit follows the signs and points at `at`, or `inf` or `NaN` follow a sign.
    fn starts_number(&self) -> bool {
        let rest = &self.text[self.at..];
        let rest = rest.strip_prefix(['+', '-']).unwrap_or(rest);
        if self.is_non_finite(rest) && rest.len() < self.text.len() - self.at {
            return true;
        }
        rest.strip_prefix('.').unwrap_or(rest).starts_with(|c: char| c.is_ascii_digit())
    }

    fn is_non_finite(&self, rest: &str) -> bool {
        ["inf", "NaN"].iter().any(|word| rest.starts_with(word))
    }

    /// Everything that could belong to a number; whether it is one is seen when its value is wanted.
    fn number(&mut self) {
        let start = self.at;
        if matches!(self.bytes[start], b'+' | b'-') {
            self.at += 1;
        }
        let hexadecimal = self.bytes[self.at..].starts_with(b"0x");
        let mut previous = 0;
        while let Some(&byte) = self.bytes.get(self.at) {
            let exponent_sign = matches!(byte, b'+' | b'-') && matches!(previous, b'e' | b'E') && !hexadecimal;
            if self.bytes[self.at..].starts_with(b"..") {
                self.range(start);
                return;
            }
            if !is_name_part(byte) && byte != b'.' && !exponent_sign {
                break;
            }
            previous = byte;
            self.at += 1;
        }
        self.push(Token::Number, start);
    }

    /// A name that holds letters beyond ASCII, as a whole.
    fn foreign_letters(&mut self, start: usize) {
        let rest = &self.text[start..];
        let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        self.at = start + length;
        let word = &self.text[start..self.at];
        let Some((offset, letter)) = word.char_indices().find(|(_, c)| !c.is_ascii()) else { return };
        let place = Span::new(self.file, start + offset..start + offset + letter.len_utf8());
        let message = format!("`{letter}` (U+{:04X}) cannot be part of a name", letter as u32);
        self.faults.push(
            Diagnostic::new(codes::UNKNOWN_CHARACTER, message, place)
                .text("not a letter from a to z")
                .help(format!("names use the letters a to z, digits and `_`; a text is written in quotes: `\"{word}\"`")),
        );
        self.push(Token::Reported, start);
    }

    fn unknown(&mut self) {
        let start = self.at;
        let Some(c) = self.text[start..].chars().next() else { return };
        if is_space(c) {
            self.at += c.len_utf8();
            return;
        }
        if c.is_alphanumeric() {
            return self.foreign_letters(start);
        }
        while self.text[self.at..].starts_with(c) {
            self.at += c.len_utf8();
        }
        let found = &self.text[start..self.at];
        let message = if c.is_ascii_graphic() {
            format!("`{found}` means nothing here")
        } else if c.is_control() || c.is_whitespace() || is_invisible(c) {
            format!("the character U+{:04X} means nothing here", c as u32)
        } else {
            format!("`{found}` (U+{:04X}) means nothing here", c as u32)
        };
        let help = match c {
            '=' => Some("a field is written `name: value`"),
            ';' => Some("items are separated by `,`"),
            '+' | '-' | '*' | '/' | '%' | '^' => Some("arithmetic is written in quotes: `\"4 * dim\"`"),
            '#' => Some("a comment starts with `//`"),
            '“' | '”' | '„' | '«' | '»' | '‘' | '’' | '`' => Some("a text is written in plain double quotes"),
            '.' => Some("a name with dots is written in quotes: `\"stages.0\"`"),
            _ if c.is_whitespace() || is_invisible(c) => {
                Some("it looks like a space or like nothing: delete it or type a plain space")
            }
            _ => None,
        };
        let span = self.span_from(start);
        self.faults.push(Diagnostic::new(codes::UNKNOWN_CHARACTER, message, span).maybe_help(help));
        // These were clearly meant as signs that exist; what follows is read as if they had been.
        match c {
            '=' => self.push(Token::Colon, start),
            ';' => self.push(Token::Comma, start),
            '#' => self.skip_line(),
            _ => self.junk.push(start as u32),
        }
    }
}

/// Characters without a picture of their own that editors and web pages leave behind.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}
