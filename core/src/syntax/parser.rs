//! From balanced tokens to values. Brackets balance by the time this runs, so a fault inside a group never reaches beyond it.

use super::delimiters::Stream;
use super::lexer::{Delimiter, Lexeme, Token};
use super::literal::{self, Number, NumberFault};
use super::{Call, Faults, Field, Kind, MAX_DEPTH, Value};
use crate::diagnostic::{Diagnostic, codes};
use crate::source::{FileId, Span, Spanned};
use rustc_hash::FxHashMap;
use std::fmt::Display;
use std::ops::Range;

/// Up to so many fields, every one is compared with those before it.
const FEW_FIELDS: usize = 16;

/// What parsing gives.
pub(super) struct Parsed {
    /// The value, whole only if nothing was reported.
    pub value: Option<Value>,
    /// The byte ranges of names, up to and with their colons, that `ron` would refuse: fields that follow values without a name.
    pub blanked: Vec<Range<usize>>,
}

/// Parses the one value of a file.
pub(super) fn parse(text: &str, file: FileId, stream: &Stream, junk: &[u32], faults: &mut Faults) -> Parsed {
    let quiet = stream.mended.last().copied().unwrap_or(false);
    let mut parser = Parser { text, file, stream, junk, faults, at: 0, depth: 0, quiet, blanked: Vec::new() };
    let end = stream.tokens.len();
    let value = parser.value(end, "a value");
    if value.is_some() && parser.at < end {
        parser.trailing();
    }
    Parsed { value, blanked: parser.blanked }
}

struct Parser<'a> {
    text: &'a str,
    file: FileId,
    stream: &'a Stream,
    junk: &'a [u32],
    faults: &'a mut Faults,
    at: usize,
    depth: usize,
    /// The brackets of the group at hand were mended: what looks wrong directly in it follows from that.
    quiet: bool,
    blanked: Vec<Range<usize>>,
}

/// One item of a group.
enum Item {
    Plain(Value),
    /// A field, and where its colon ends.
    Named(Field, u32),
    Pair(Value, Value),
}

impl Parser<'_> {
    fn peek(&self) -> Option<Lexeme> {
        self.stream.tokens.get(self.at).copied()
    }

    fn token(&self) -> Option<Token> {
        self.peek().map(|lexeme| lexeme.token)
    }

    fn slice(&self, lexeme: Lexeme) -> &str {
        &self.text[lexeme.start as usize..lexeme.end as usize]
    }

    fn span(&self, lexeme: Lexeme) -> Span {
        lexeme.span(self.file)
    }

    fn report(&mut self, fault: Diagnostic) {
        if !self.quiet {
            self.faults.push(fault);
        }
    }

    /// What stands at `at`, for messages.
    fn found(&self, end: usize) -> String {
        match self.peek() {
            Some(lexeme) if self.at < end || lexeme.start < lexeme.end => match lexeme.token {
                Token::Text => "a text".to_owned(),
                Token::Name => format!("the name `{}`", self.slice(lexeme)),
                Token::Number => format!("the number `{}`", self.slice(lexeme)),
                _ => format!("`{}`", self.slice(lexeme)),
            },
            _ => "the end of the file".to_owned(),
        }
    }

    fn place(&self) -> Span {
        match self.peek() {
            Some(lexeme) => self.span(lexeme),
            None => Span::at(self.file, self.text.trim_end().len()),
        }
    }

    /// Whether characters that mean nothing, already reported, stand before the token at `at`: what looks wrong here follows from them.
    fn after_junk(&self) -> bool {
        let from = self.at.checked_sub(1).and_then(|index| self.stream.tokens.get(index)).map_or(0, |lexeme| lexeme.end);
        let to = self.peek().map_or(self.text.len() as u32, |lexeme| lexeme.start);
        let first = self.junk.partition_point(|offset| *offset < from);
        self.junk.get(first).is_some_and(|offset| *offset < to)
    }

    fn expected(&self, what: impl Display, end: usize) -> Diagnostic {
        let message = format!("expected {what}, found {}", self.found(end));
        Diagnostic::new(codes::UNEXPECTED_TOKEN, message, self.place()).text(format!("expected {what}"))
    }

    /// Parses one value before token `end`; `None` if there is none, and `at` has not moved then.
    fn value(&mut self, end: usize, what: impl Display) -> Option<Value> {
        let lexeme = self.peek().filter(|_| self.at < end);
        match lexeme.map(|lexeme| lexeme.token) {
            Some(Token::Name) => Some(self.named()),
            Some(Token::Text) => Some(self.text_value()),
            Some(Token::Number) => Some(self.number_value()),
            Some(Token::Open(delimiter)) => Some(self.group(delimiter, None)),
            Some(Token::Reported) => {
                self.at += 1;
                let span = self.span(lexeme?);
                if self.token() == Some(Token::Open(Delimiter::Round)) {
                    return Some(self.group(Delimiter::Round, Some(Spanned::new(String::new(), span))));
                }
                Some(Value { span, kind: Kind::Unit })
            }
            _ => {
                if !self.after_junk() {
                    let fault = self.expected(what, end);
                    self.report(fault);
                }
                None
            }
        }
    }

    fn named(&mut self) -> Value {
        let lexeme = self.stream.tokens[self.at];
        let span = self.span(lexeme);
        let word = self.slice(lexeme).to_owned();
        self.at += 1;
        if let Some(Token::Open(Delimiter::Round)) = self.token()
            && !matches!(word.as_str(), "true" | "false")
        {
            return self.group(Delimiter::Round, Some(Spanned::new(word, span)));
        }
        let kind = match word.as_str() {
            "true" => Kind::Bool(true),
            "false" => Kind::Bool(false),
            "inf" | "inff32" | "inff64" | "NaN" | "NaNf32" | "NaNf64" => {
                self.faults.push(
                    Diagnostic::new(codes::NUMBER_OUT_OF_RANGE, format!("`{word}` is not a finite number"), span)
                        .help("every number in a graph file is finite"),
                );
                Kind::Float(0.0)
            }
            _ => Kind::Name(word),
        };
        Value { span, kind }
    }

    fn text_value(&mut self) -> Value {
        let lexeme = self.stream.tokens[self.at];
        let span = self.span(lexeme);
        self.at += 1;
        let (value, escapes) = literal::text(self.slice(lexeme));
        for (range, reason) in escapes {
            let start = lexeme.start as usize;
            let place = Span::new(self.file, start + range.start..start + range.end);
            let escape = self.text[place.range()].escape_debug().to_string().replace("\\\\", "\\");
            let message = if reason == "unknown escape" { format!("unknown escape `{escape}`") } else { reason.to_owned() };
            self.faults.push(
                Diagnostic::new(codes::BAD_ESCAPE, message, place)
                    .help("a backslash that means itself is written `\\\\`, or the text is written raw: `r\"…\"`"),
            );
        }
        Value { span, kind: Kind::Text(value) }
    }

    fn number_value(&mut self) -> Value {
        let lexeme = self.stream.tokens[self.at];
        let span = self.span(lexeme);
        self.at += 1;
        let word = self.slice(lexeme).to_owned();
        let kind = match literal::number(&word) {
            Ok(Number::Integer(value)) => Kind::Integer(value),
            Ok(Number::Float(value)) => Kind::Float(value),
            Err(fault) => {
                self.faults.push(number_fault(fault, &word, span));
                Kind::Integer(0)
            }
        };
        Value { span, kind }
    }

    /// Parses the group that opens at `at`: a call's arguments, a list or a map.
    fn group(&mut self, delimiter: Delimiter, name: Option<Spanned<String>>) -> Value {
        let open = self.at;
        let close = self.stream.closes[open] as usize;
        let opener = self.span(self.stream.tokens[open]);
        let span = name.as_ref().map_or(opener, |name| name.span).to(self.span(self.stream.tokens[close]));
        self.at = close + 1;
        if self.depth >= MAX_DEPTH {
            self.faults.push(
                Diagnostic::new(codes::NESTED_TOO_DEEP, format!("brackets are nested more than {MAX_DEPTH} levels deep"), opener)
                    .text(format!("this is level {}", MAX_DEPTH + 1)),
            );
            return Value { span, kind: Kind::Unit };
        }
        self.at = open + 1;
        self.depth += 1;
        let outer = std::mem::replace(&mut self.quiet, self.stream.mended[open]);
        let kind = match delimiter {
            Delimiter::Round => self.call(close, name),
            Delimiter::Square => self.list(close),
            Delimiter::Curly => self.map(close),
        };
        self.quiet = outer;
        self.depth -= 1;
        self.at = close + 1;
        Value { span, kind }
    }

    /// Parses the items of a group up to its closing token, with the commas between them.
    fn items(&mut self, close: usize, parse: fn(&mut Self, usize) -> Option<Item>) -> Vec<Item> {
        let mut items = Vec::new();
        while self.at < close {
            if let Some(item) = parse(self, close) {
                items.push(item);
            } else {
                self.skip_to_comma(close);
            }
            if self.at >= close {
                break;
            }
            if self.token() == Some(Token::Comma) {
                self.at += 1;
                continue;
            }
            if self.after_junk() {
                self.skip_to_comma(close);
                self.at += usize::from(self.at < close);
                continue;
            }
            if !self.missing_comma() {
                self.skip_to_comma(close);
                self.at += usize::from(self.at < close);
            }
        }
        items
    }

    /// Goes to the next comma of the group at hand, over inner groups.
    fn skip_to_comma(&mut self, close: usize) {
        while self.at < close && self.token() != Some(Token::Comma) {
            self.at = match self.token() {
                Some(Token::Open(_)) => self.stream.closes[self.at] as usize + 1,
                _ => self.at + 1,
            };
        }
    }

    /// Reports a comma that is missing before the token at `at`. Whether that token can be taken for the next item.
    fn missing_comma(&mut self) -> bool {
        let previous = self.span(self.stream.tokens[self.at - 1]);
        let found = self.found(usize::MAX);
        if self.token() == Some(Token::Colon) {
            let fault = Diagnostic::new(codes::UNEXPECTED_TOKEN, "expected `,`, found `:`", self.place()).text("unexpected `:`");
            self.report(fault);
            return false;
        }
        let next = self.place();
        let touching = previous.end == next.start;
        let dotted = touching && self.text[next.range()].starts_with('.');
        let signed = self.token() == Some(Token::Number) && self.text[next.range()].starts_with(['+', '-']);
        let help = if dotted {
            Some("a name with dots is written in quotes: `\"stages.0\"`")
        } else if signed {
            Some("arithmetic is written in quotes: `\"4 * dim\"`")
        } else {
            None
        };
        let fault = Diagnostic::new(codes::MISSING_COMMA, format!("a comma is missing before {found}"), previous.after())
            .text("expected `,`")
            .maybe_help(help);
        self.report(fault);
        help.is_none() && !matches!(self.token(), Some(Token::Close(_)))
    }

    fn list(&mut self, close: usize) -> Kind {
        let items = self.items(close, |parser, close| {
            let value = parser.value(close, "a value")?;
            if parser.at < close && parser.token() == Some(Token::Colon) {
                let fault = Diagnostic::new(codes::UNEXPECTED_TOKEN, "a list holds values without keys", parser.place())
                    .text("unexpected `:`")
                    .help("a map is written in curly brackets: `{ \"key\": value }`");
                parser.report(fault);
                parser.skip_to_comma(close);
            }
            Some(Item::Plain(value))
        });
        Kind::List(items.into_iter().filter_map(|item| if let Item::Plain(value) = item { Some(value) } else { None }).collect())
    }

    fn map(&mut self, close: usize) -> Kind {
        let items = self.items(close, |parser, close| {
            let key = parser.value(close, "a key")?;
            if parser.at >= close || parser.token() != Some(Token::Colon) {
                let fault = parser.expected("`:` and a value", close).label(key.span, "after this key");
                parser.report(fault);
                // `{ "a" 1 }` lacks the colon alone; `{ "a", "b" }` lacks the value.
                if parser.at < close && parser.token() != Some(Token::Comma) {
                    parser.value(close, "a value");
                }
                let value = Value { span: parser.place(), kind: Kind::Unit };
                return Some(Item::Pair(key, value));
            }
            parser.at += 1;
            let value = parser.value(close, "a value")?;
            Some(Item::Pair(key, value))
        });
        let pairs: Vec<_> = items
            .into_iter()
            .filter_map(|item| if let Item::Pair(key, value) = item { Some((key, value)) } else { None })
            .collect();
        self.check_keys(&pairs);
        Kind::Map(pairs)
    }

    fn check_keys(&mut self, pairs: &[(Value, Value)]) {
        #[derive(PartialEq, Eq, Hash)]
        enum Key<'a> {
            Text(&'a str),
            Name(&'a str),
            Integer(i64),
            Bool(bool),
        }
        let mut first = FxHashMap::with_capacity_and_hasher(pairs.len(), Default::default());
        for (key, _) in pairs {
            let simple = match &key.kind {
                Kind::Text(text) => Key::Text(text),
                Kind::Name(name) => Key::Name(name),
                Kind::Integer(value) => Key::Integer(*value),
                Kind::Bool(value) => Key::Bool(*value),
                _ => {
                    self.faults.push(
                        Diagnostic::new(codes::BAD_MAP_KEY, format!("{} cannot be the key of a map", key.describe()), key.span)
                            .help("a key is a text, a name, an integer, `true` or `false`"),
                    );
                    continue;
                }
            };
            if let Some(earlier) = first.insert(simple, key.span) {
                let shown = self.text[key.span.range()].trim_matches('"');
                self.report(duplicate(codes::DUPLICATE_KEY, "key", shown, key.span, earlier));
            }
        }
    }

    fn call(&mut self, close: usize, name: Option<Spanned<String>>) -> Kind {
        if name.is_none() && self.at == close {
            return Kind::Unit;
        }
        let parsed = self.items(close, Self::argument);
        let mut items = Vec::new();
        let mut fields: Vec<Field> = Vec::new();
        let mut names = Vec::new();
        for item in parsed {
            match item {
                Item::Named(field, colon) => {
                    names.push(field.key.span.start as usize..colon as usize);
                    fields.push(field);
                }
                Item::Plain(value) => {
                    if let Some(field) = fields.first() {
                        let message = format!("{} has no name and follows the field `{}`", value.describe(), field.key.value);
                        let fault = Diagnostic::new(codes::POSITIONAL_AFTER_NAMED, message, value.span)
                            .label(field.key.span, "named fields start here")
                            .help("values without a name come first");
                        self.report(fault);
                    }
                    items.push(value);
                }
                Item::Pair(..) => {}
            }
        }
        if !items.is_empty() {
            self.blanked.append(&mut names);
        }
        self.check_fields(&fields);
        Kind::Call(Call { name, items, fields })
    }

    /// `name: value` or a value alone.
    fn argument(&mut self, close: usize) -> Option<Item> {
        let lexeme = self.peek()?;
        let colon = self.at + 1 < close && self.stream.tokens[self.at + 1].token == Token::Colon;
        if !colon || !matches!(lexeme.token, Token::Name | Token::Text | Token::Reported) {
            return self.value(close, "a value").map(Item::Plain);
        }
        let span = self.span(lexeme);
        let key = if lexeme.token == Token::Text {
            let key = literal::text(self.slice(lexeme)).0;
            let fault = Diagnostic::new(codes::UNEXPECTED_TOKEN, "the name of a field is written without quotes", span)
                .help(format!("write `{key}:`; keys in quotes belong to maps, `{{ \"{key}\": … }}`"));
            self.report(fault);
            key
        } else {
            self.slice(lexeme).to_owned()
        };
        let colon = self.stream.tokens[self.at + 1].end;
        self.at += 2;
        let value = self.value(close, format_args!("a value for `{key}`"))?;
        Some(Item::Named(Field { key: Spanned::new(key, span), value }, colon))
    }

    fn check_fields(&mut self, fields: &[Field]) {
        // Calls have few fields, and nearly all are right.
        let repeats = |(index, field): (usize, &Field)| fields[..index].iter().any(|own| own.key.value == field.key.value);
        if fields.len() <= FEW_FIELDS && !fields.iter().enumerate().any(repeats) {
            return;
        }
        let mut first = FxHashMap::default();
        for field in fields {
            if let Some(earlier) = first.insert(field.key.value.as_str(), field.key.span) {
                self.report(duplicate(codes::DUPLICATE_FIELD, "field", &field.key.value, field.key.span, earlier));
            }
        }
    }

    /// Reports what follows the value of the file.
    fn trailing(&mut self) {
        if self.after_junk() {
            return;
        }
        let place = self.place();
        let fault = match self.token() {
            Some(Token::Comma | Token::Colon) => self.expected("the end of the file", usize::MAX),
            _ => {
                Diagnostic::new(codes::MORE_THAN_ONE_VALUE, format!("{} follows the file's value", self.found(usize::MAX)), place)
                    .text("a file is one value")
            }
        };
        self.report(fault);
    }
}

fn duplicate(code: crate::diagnostic::Code, what: &str, name: &str, again: Span, earlier: Span) -> Diagnostic {
    Diagnostic::new(code, format!("{what} `{name}` is given twice"), again)
        .text("given again here")
        .label(earlier, "first given here")
        .help("keep one of them")
}

fn number_fault(fault: NumberFault, word: &str, span: Span) -> Diagnostic {
    let out_of_range = |message: String| Diagnostic::new(codes::NUMBER_OUT_OF_RANGE, message, span);
    match fault {
        NumberFault::Malformed => Diagnostic::new(codes::BAD_NUMBER, format!("`{word}` is not a number"), span)
            .help("a name starts with a letter, and arithmetic is written in quotes: `\"4 * dim\"`"),
        NumberFault::Suffix(at) => Diagnostic::new(codes::BAD_NUMBER, format!("the number `{word}` has a type suffix"), span)
            .help(format!("write `{}`: types follow from where a number stands", &word[..at])),
        NumberFault::TooManyBits => out_of_range(format!("the integer `{word}` does not fit in 64 bits")).help(format!(
            "integers go from {} to {}; a larger number is written with an exponent: `1e20`",
            i64::MIN,
            i64::MAX
        )),
        NumberFault::TooLarge => {
            out_of_range(format!("`{word}` is too large for a 64-bit floating-point number")).help("the largest is about 1.8e308")
        }
        NumberFault::TooSmall => out_of_range(format!("`{word}` is not zero and too small for a 64-bit floating-point number"))
            .help("the smallest is about 4.9e-324; write `0.0` for zero"),
        NumberFault::NonFinite => {
            out_of_range(format!("`{word}` is not a finite number")).help("every number in a graph file is finite")
        }
    }
}
