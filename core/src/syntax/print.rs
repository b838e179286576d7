//! From a tree back to text.
//!
//! The layout is stable: it depends on the tree alone. What fits is set on one line of [`LINE_WIDTH`] columns; the call of a whole
//! file, and a map of two or more entries that hold more than single values, are always opened up. Comments are not in the tree, so
//! they are lost.

use super::{Call, Kind, Value};
use std::fmt::Write;

/// How many columns a printed line has at most, texts longer than that aside.
pub const LINE_WIDTH: usize = 110;

const INDENT: usize = 4;

/// Prints a value as the text of a file, with a line end at its end. Reading it gives the same tree.
///
/// ```
/// use sward_core::{diagnostic::Diagnostics, source::Sources, syntax};
///
/// let mut sources = Sources::new();
/// let file = sources.add("a.ron", "Module(params:{\"hidden\":Int(128,)})");
/// let value = syntax::read(&sources, file, &mut Diagnostics::new()).unwrap();
/// assert_eq!(syntax::print(&value), "Module(\n    params: { \"hidden\": Int(128) },\n)\n");
/// ```
pub fn print(value: &Value) -> String {
    let mut layout = layout(value);
    if let Kind::Call(call) = &value.kind {
        layout.open |= !call.fields.is_empty();
    }
    let mut text = String::new();
    write(&mut text, value, &layout, 0, 0);
    text.push('\n');
    text
}

/// What is known of a value before it is printed.
struct Layout {
    /// Its width in characters on one line.
    width: usize,
    /// Whether it is opened up even if it fits.
    open: bool,
    /// Those of the values inside of it, in the order of [`Value::children`].
    inner: Vec<Layout>,
}

fn layout(value: &Value) -> Layout {
    let inner: Vec<_> = value.children().into_iter().map(layout).collect();
    let sum: usize = inner.iter().map(|layout| layout.width).sum();
    let separators = |count: usize| 2 * count.saturating_sub(1);
    let (width, mut open) = match &value.kind {
        Kind::Call(call) => {
            let names: usize = call.fields.iter().map(|field| field.key.value.chars().count() + 2).sum();
            (call.name().chars().count() + 2 + sum + names + separators(inner.len()), false)
        }
        Kind::List(items) => (2 + sum + separators(items.len()), false),
        Kind::Map(entries) if entries.is_empty() => (2, false),
        Kind::Map(entries) => {
            let many = entries.len() > 1 && entries.iter().any(|(_, value)| !is_single(value));
            (4 + sum + 2 * entries.len() + separators(entries.len()), many)
        }
        _ => (single(value).chars().count(), false),
    };
    open |= inner.iter().any(|layout| layout.open);
    Layout { width, open, inner }
}

/// Whether a value has no others inside.
fn is_single(value: &Value) -> bool {
    !matches!(value.kind, Kind::Call(_) | Kind::List(_) | Kind::Map(_))
}

/// The text of a value that has no others inside.
fn single(value: &Value) -> String {
    match &value.kind {
        Kind::Bool(value) => value.to_string(),
        Kind::Integer(value) => value.to_string(),
        Kind::Float(value) => format!("{value:?}"),
        Kind::Text(text) => quote(text),
        Kind::Name(name) => name.clone(),
        _ => "()".to_owned(),
    }
}

/// A text in quotes, with escapes where they are needed.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\0' => quoted.push_str("\\0"),
            // A mark at the very start of a file would be taken for a byte order mark; bidirectional marks hide what is written.
            c if c.is_control()
                || matches!(c, '\u{feff}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
            {
                // Writing to a string cannot fail.
                let _ = write!(quoted, "\\u{{{:x}}}", c as u32);
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Prints `value`, which starts at `column` of a line that is indented by `indent`.
fn write(text: &mut String, value: &Value, layout: &Layout, indent: usize, column: usize) {
    // One more column for the comma that follows.
    let open = layout.open || column + layout.width + 1 > LINE_WIDTH;
    match &value.kind {
        Kind::Call(call) => {
            text.push_str(call.name());
            write_call(text, call, layout, indent, open, column);
        }
        Kind::List(items) if items.is_empty() => text.push_str("[]"),
        Kind::List(items) if open && items.iter().all(is_single) => write_filled(text, items, indent),
        Kind::List(items) => {
            let mut group = Group::new(text, indent, open, column, ['[', ']'], "");
            for (item, layout) in items.iter().zip(&layout.inner) {
                group.item("", item, layout);
            }
            group.close();
        }
        Kind::Map(entries) if entries.is_empty() => text.push_str("{}"),
        Kind::Map(entries) => {
            let mut group = Group::new(text, indent, open, column, ['{', '}'], " ");
            for ((key, value), layout) in entries.iter().zip(layout.inner.chunks_exact(2)) {
                group.item(&format!("{}: ", single(key)), value, &layout[1]);
            }
            group.close();
        }
        _ => text.push_str(&single(value)),
    }
}

fn write_call(text: &mut String, call: &Call, layout: &Layout, indent: usize, open: bool, column: usize) {
    if layout.inner.is_empty() {
        text.push_str("()");
        return;
    }
    let mut group = Group::new(text, indent, open, column + call.name().chars().count(), ['(', ')'], "");
    let (items, fields) = layout.inner.split_at(call.items.len());
    for (item, layout) in call.items.iter().zip(items) {
        group.item("", item, layout);
    }
    for (field, layout) in call.fields.iter().zip(fields) {
        group.item(&format!("{}: ", field.key.value), &field.value, layout);
    }
    group.close();
}

/// A long list of single values: as many in a line as fit.
fn write_filled(text: &mut String, items: &[Value], indent: usize) {
    text.push('[');
    let mut column = LINE_WIDTH;
    for item in items {
        let shown = single(item);
        let width = shown.chars().count() + 1;
        if column + 1 + width > LINE_WIDTH {
            new_line(text, indent + INDENT);
            column = indent + INDENT;
        } else {
            text.push(' ');
            column += 1;
        }
        text.push_str(&shown);
        text.push(',');
        column += width;
    }
    new_line(text, indent);
    text.push(']');
}

fn new_line(text: &mut String, indent: usize) {
    text.push('\n');
    text.extend(std::iter::repeat_n(' ', indent));
}

/// Prints the items of a bracketed group, on one line or on a line each.
struct Group<'a> {
    text: &'a mut String,
    indent: usize,
    open: bool,
    column: usize,
    closing: char,
    padding: &'static str,
    first: bool,
}

impl<'a> Group<'a> {
    fn new(text: &'a mut String, indent: usize, open: bool, column: usize, brackets: [char; 2], padding: &'static str) -> Self {
        text.push(brackets[0]);
        if !open {
            text.push_str(padding);
        }
        Self { text, indent, open, column: column + 1 + padding.len(), closing: brackets[1], padding, first: true }
    }

    fn item(&mut self, prefix: &str, value: &Value, layout: &Layout) {
        let width = prefix.chars().count();
        if self.open {
            let indent = self.indent + INDENT;
            new_line(self.text, indent);
            self.text.push_str(prefix);
            write(self.text, value, layout, indent, indent + width);
            self.text.push(',');
        } else {
            if !self.first {
                self.text.push_str(", ");
                self.column += 2;
            }
            self.text.push_str(prefix);
            write(self.text, value, layout, self.indent, self.column + width);
            self.column += width + layout.width;
        }
        self.first = false;
    }

    fn close(self) {
        if self.open {
            new_line(self.text, self.indent);
        } else {
            self.text.push_str(self.padding);
        }
        self.text.push(self.closing);
    }
}
