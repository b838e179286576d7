//! From text to a tree of values in which every value, name and key keeps its place.
//!
//! The language is [RON](https://github.com/ron-rs/ron) with one addition and some restrictions. The `ron` crate's own tree cannot
//! carry it: it forgets names (`Gelu` becomes a unit), positions and repeated keys. So this module has its own reader, and `ron` is
//! the judge of it:
//!
//! - *The reader* (tokens, then brackets, then values) builds the tree, and goes on after a fault, so that one missing comma does not
//!   hide the rest. It takes time linear in the text and refuses nesting past [`MAX_DEPTH`], before anything recurses that deep.
//! - *The judge*: each text that the reader accepts is given to `ron` as well, whole, and what `ron` refuses is refused
//!   (`REFUSED_BY_RON`). Thus no text is a Sward file that is not RON, but for the addition, which is hidden from the judge by
//!   blanking the names concerned. In tests `ron`'s values are compared with ours.
//!
//! The addition: a call may hold values without names before its named fields, `Float(1.5, above: 1.0)`; to RON a call is either a
//! tuple or a struct.
//!
//! The restrictions, each an error with a mend: repeated fields and keys; numbers that are not finite or do not fit 64 bits; numbers
//! with type suffixes; attributes, single-quoted characters, byte strings, ranges, raw names; names with letters beyond ASCII; keys
//! of maps that are not a text, a name, an integer, `true` or `false`; nesting past 100 levels (RON: 128 by default, counted
//! differently).

pub mod decode;
mod delimiters;
mod judge;
mod lexer;
mod literal;
mod parser;
mod print;

pub use literal::span_in_text;
pub use print::{LINE_WIDTH, print};

use crate::diagnostic::{Diagnostic, Diagnostics, codes};
use crate::source::{FileId, Sources, Span, Spanned};

/// How deep brackets may nest.
pub const MAX_DEPTH: usize = 100;

/// How many bytes a file may have.
pub const MAX_FILE_BYTES: usize = 4 << 20;

/// A value and its place. The span covers the whole value: a text with its quotes, a call from its name to its closing bracket.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    /// Where the value is written.
    pub span: Span,
    /// What it is.
    pub kind: Kind,
}

/// The kinds of values.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// `()`.
    Unit,
    /// `true` or `false`.
    Bool(bool),
    /// A number written without fraction and exponent.
    Integer(i64),
    /// A finite number written with a fraction or an exponent.
    Float(f64),
    /// A text in quotes, with its escapes resolved.
    Text(String),
    /// A bare name: `Gelu`.
    Name(String),
    /// A name with arguments, or arguments alone: `Linear(units: 4)`, `Float(1.5, above: 1.0)`, `(1, 2)`.
    Call(Call),
    /// `[1, 2, 3]`.
    List(Vec<Value>),
    /// `{ "a": 1 }`, in the order of writing; keys are distinct texts, names, integers or booleans.
    Map(Vec<(Value, Value)>),
}

/// A name with arguments, or arguments alone. Those without a name come before those with one.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The name before the bracket.
    pub name: Option<Spanned<String>>,
    /// The values without a name.
    pub items: Vec<Value>,
    /// The values with a name, in the order of writing; the names are distinct.
    pub fields: Vec<Field>,
}

/// A named value in a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// The name.
    pub key: Spanned<String>,
    /// The value.
    pub value: Value,
}

impl Value {
    /// What kind of thing this is, with its article, for messages: `a text`, `the call \`Linear(…)\``.
    pub fn describe(&self) -> String {
        match &self.kind {
            Kind::Unit => "`()`".to_owned(),
            Kind::Bool(value) => format!("`{value}`"),
            Kind::Integer(value) => format!("the integer `{value}`"),
            Kind::Float(value) => format!("the number `{value:?}`"),
            Kind::Text(_) => "a text".to_owned(),
            Kind::Name(name) => format!("the name `{name}`"),
            Kind::Call(Call { name: Some(name), .. }) => format!("the call `{}(…)`", name.value),
            Kind::Call(_) => "a group in brackets".to_owned(),
            Kind::List(_) => "a list".to_owned(),
            Kind::Map(_) => "a map".to_owned(),
        }
    }

    /// The text, if this is one.
    pub fn as_text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The name, if this is a bare one.
    pub fn as_name(&self) -> Option<&str> {
        match &self.kind {
            Kind::Name(name) => Some(name),
            _ => None,
        }
    }

    /// The call, if this is one.
    pub fn as_call(&self) -> Option<&Call> {
        match &self.kind {
            Kind::Call(call) => Some(call),
            _ => None,
        }
    }

    /// The values directly inside of this one, keys included, in the order of writing.
    pub fn children(&self) -> Vec<&Value> {
        match &self.kind {
            Kind::Call(call) => call.items.iter().chain(call.fields.iter().map(|field| &field.value)).collect(),
            Kind::List(items) => items.iter().collect(),
            Kind::Map(entries) => entries.iter().flat_map(|(key, value)| [key, value]).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether both are the same value, wherever each was written. Numbers are compared by their bits, so `0.0` is not `-0.0`.
    pub fn same(&self, other: &Value) -> bool {
        match (&self.kind, &other.kind) {
            (Kind::Float(a), Kind::Float(b)) => a.to_bits() == b.to_bits(),
            (Kind::List(a), Kind::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same(b)),
            (Kind::Map(a), Kind::Map(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0.same(&b.0) && a.1.same(&b.1)),
            (Kind::Call(a), Kind::Call(b)) => a.same(b),
            (a, b) => a == b,
        }
    }
}

impl Call {
    /// The name before the bracket, or the empty string.
    pub fn name(&self) -> &str {
        self.name.as_ref().map_or("", |name| &name.value)
    }

    /// The field of this name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.key.value == name)
    }

    fn same(&self, other: &Call) -> bool {
        self.name() == other.name()
            && self.name.is_some() == other.name.is_some()
            && self.items.len() == other.items.len()
            && self.fields.len() == other.fields.len()
            && self.items.iter().zip(&other.items).all(|(a, b)| a.same(b))
            && self.fields.iter().zip(&other.fields).all(|(a, b)| a.key.value == b.key.value && a.value.same(&b.value))
    }
}

/// Reads the one value that a file holds. `None` means that at least one error was pushed.
///
/// ```
/// use sward_core::{diagnostic::Diagnostics, source::Sources, syntax};
///
/// let mut sources = Sources::new();
/// let file = sources.add("linear.ron", "Linear(units: 4)");
/// let mut diagnostics = Diagnostics::new();
/// let value = syntax::read(&sources, file, &mut diagnostics).expect("the text is right");
/// let call = value.as_call().expect("it is a call");
/// assert_eq!((call.name(), sources.slice(call.field("units").unwrap().key.span)), ("Linear", "units"));
/// ```
pub fn read(sources: &Sources, file: FileId, diagnostics: &mut Diagnostics) -> Option<Value> {
    let text = sources.text(file);
    if text.len() > MAX_FILE_BYTES {
        diagnostics.push(too_large(Span::at(file, 0), text.len() as u64));
        return None;
    }
    let mut faults = Faults::default();
    let lexed = lexer::lex(text, file, &mut faults);
    let mut value = None;
    if !lexed.cut_short {
        if lexed.tokens.is_empty() && faults.is_empty() {
            faults.push(
                Diagnostic::new(codes::EMPTY_FILE, "the file holds no value", Span::at(file, 0))
                    .help("a graph file is one value, for example `Module(…)`"),
            );
        } else {
            let stream = delimiters::balance(text, file, lexed.tokens, &mut faults);
            let parsed = parser::parse(text, file, &stream, &lexed.junk, &mut faults);
            if faults.is_empty() {
                faults.0.extend(judge::judge(text, file, &parsed.blanked));
            }
            value = parsed.value;
        }
    }
    let sound = faults.is_empty();
    diagnostics.extend(faults.0);
    value.filter(|_| sound)
}

/// How many faults one file's reading collects. Past it the lexer stops and the later stages keep silent, so that a hostile text costs
/// neither time nor memory.
const FAULTS_KEPT: usize = 100;

/// The faults of one file's reading.
#[derive(Default)]
struct Faults(Vec<Diagnostic>);

impl Faults {
    fn push(&mut self, fault: Diagnostic) {
        if !self.is_full() {
            self.0.push(fault);
        }
    }

    fn is_full(&self) -> bool {
        self.0.len() >= FAULTS_KEPT
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The error for a file over [`MAX_FILE_BYTES`].
pub(crate) fn too_large(span: Span, bytes: u64) -> Diagnostic {
    Diagnostic::new(codes::FILE_TOO_LARGE, format!("the file has {bytes} bytes; a graph file has at most {MAX_FILE_BYTES}"), span)
}

/// Adds a file from its bytes: a file that is too large or not UTF-8 is an error. The file is added in any case, so that the error
/// has a place; `Err` holds its id.
pub fn add_bytes(
    sources: &mut Sources,
    path: impl Into<String>,
    bytes: Vec<u8>,
    diagnostics: &mut Diagnostics,
) -> Result<FileId, FileId> {
    if bytes.len() > MAX_FILE_BYTES {
        let file = sources.add(path, "");
        diagnostics.push(too_large(Span::at(file, 0), bytes.len() as u64));
        return Err(file);
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(sources.add(path, text)),
        Err(error) => {
            let valid = error.utf8_error().valid_up_to();
            let bytes = error.as_bytes();
            // Up to the first bad byte the repaired text has the same offsets; `add` takes a byte order mark off.
            let mark = if bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
            let file = sources.add(path, String::from_utf8_lossy(bytes).into_owned());
            let at = valid - mark;
            let span = Span::new(file, at..at + char::REPLACEMENT_CHARACTER.len_utf8());
            let utf16 = bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff");
            diagnostics.push(
                Diagnostic::new(
                    codes::NOT_UTF8,
                    format!("the file is not UTF-8 text: byte {:#04x} at offset {valid}", bytes[valid]),
                    span,
                )
                .text(if utf16 { "this looks like UTF-16" } else { "not UTF-8 from here" })
                .help("save the file with the encoding UTF-8"),
            );
            Err(file)
        }
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
