//! A graph file in pieces: written out, every piece knows its place, so that a test can damage one and say where.

use std::ops::Range;

/// What a piece of the text is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A node's key.
    Key,
    /// An op's name.
    Op,
    /// The name of a port or field.
    Field,
    /// A reference, without its quotes.
    Reference,
    /// A whole number that is a size, an axis or a count.
    Number,
    /// A port with its references, and the comma behind it.
    Edge,
    /// A whole entry of `inputs`, `nodes` or `outputs`, with the comma behind it.
    Entry,
}

/// A place in the text.
#[derive(Clone, Debug)]
pub struct Piece {
    /// What stands there.
    pub kind: Kind,
    /// Its bytes.
    pub range: Range<usize>,
    /// The entry that it belongs to, by position in [`Text::entries`].
    pub entry: usize,
}

/// One entry: an input, a node or an output.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its name, with `output ` before that of an output.
    pub name: String,
    /// Its bytes.
    pub range: Range<usize>,
    /// The inputs and nodes that it reads, and the dimensions that its texts mention.
    pub reads: Vec<String>,
}

/// One value in a node's brackets.
#[derive(Clone, Debug)]
pub enum Part {
    /// A port and what it reads; a list where `is_list`.
    Port { name: String, references: Vec<String>, is_list: bool },
    /// A field with its value as written.
    Field { name: String, value: String },
    /// An unnamed value: a formula with the names in it.
    Item { value: String, reads: Vec<String> },
    /// An unnamed value as written: a type.
    Raw { value: String },
}

/// One node as it is written.
#[derive(Clone, Debug)]
pub struct NodeText {
    /// Its name.
    pub name: String,
    /// Its op.
    pub op: String,
    /// What stands in its brackets.
    pub parts: Vec<Part>,
}

/// A file that is being written.
#[derive(Clone, Debug, Default)]
pub struct Text {
    /// The text.
    pub text: String,
    /// The pieces that may be damaged.
    pub pieces: Vec<Piece>,
    /// Inputs, nodes and outputs in order.
    pub entries: Vec<Entry>,
}

impl Text {
    /// Writes a module of these inputs (name, type as written, names in it), nodes and outputs.
    pub fn module(inputs: &[(String, String, Vec<String>)], nodes: &[NodeText], outputs: &[(String, String)]) -> Text {
        let mut text = Text::default();
        text.plain("Module(\n    inputs: {\n");
        for (name, written, dims) in inputs {
            let entry = text.open(name, dims.clone());
            text.plain(&written.to_string());
            let start = text.text.len() - written.len();
            text.numbers(start, entry);
            text.close(entry);
        }
        text.plain("    },\n    nodes: {\n");
        for node in nodes {
            text.node(node);
        }
        text.plain("    },\n    outputs: {\n");
        for (name, source) in outputs {
            let entry = text.open(name, vec![node_of(source)]);
            text.entries[entry].name = format!("output {name}");
            text.reference(source, entry);
            text.close(entry);
        }
        text.plain("    },\n)\n");
        text
    }

    fn node(&mut self, node: &NodeText) {
        let entry = self.open(&node.name, Vec::new());
        self.piece(Kind::Op, &node.op, entry);
        self.plain("(");
        for part in &node.parts {
            let start = self.text.len();
            match part {
                Part::Port { name, references, is_list } => {
                    self.piece(Kind::Field, name, entry);
                    self.plain(if *is_list { ": [" } else { ": " });
                    for (position, reference) in references.iter().enumerate() {
                        if position > 0 {
                            self.plain(", ");
                        }
                        if reference.parse::<f64>().is_ok() {
                            self.plain(reference);
                        } else {
                            self.reference(reference, entry);
                            self.entries[entry].reads.push(node_of(reference));
                        }
                    }
                    self.plain(if *is_list { "], " } else { ", " });
                    let range = start..self.text.len();
                    self.pieces.push(Piece { kind: Kind::Edge, range, entry });
                }
                Part::Field { name, value } => {
                    self.piece(Kind::Field, name, entry);
                    self.plain(": ");
                    let start = self.text.len();
                    self.plain(value);
                    self.numbers(start, entry);
                    self.plain(", ");
                    let dims = words(value);
                    self.entries[entry].reads.extend(dims);
                }
                Part::Raw { value } => {
                    let start = self.text.len();
                    self.plain(value);
                    self.numbers(start, entry);
                    self.plain(", ");
                    self.entries[entry].reads.extend(words(value));
                }
                Part::Item { value, reads } => {
                    self.plain(&format!("{value:?}, "));
                    self.entries[entry].reads.extend(reads.iter().map(|name| node_of(name)));
                }
            }
        }
        self.plain(")");
        self.close(entry);
    }

    fn plain(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn piece(&mut self, kind: Kind, text: &str, entry: usize) {
        let range = self.text.len()..self.text.len() + text.len();
        self.text.push_str(text);
        self.pieces.push(Piece { kind, range, entry });
    }

    fn reference(&mut self, reference: &str, entry: usize) {
        self.plain("\"");
        self.piece(Kind::Reference, reference, entry);
        self.plain("\"");
    }

    /// Marks the whole numbers written since `start`.
    fn numbers(&mut self, start: usize, entry: usize) {
        let written = self.text[start..].to_string();
        let mut position = 0;
        for part in written.split(|c: char| !(c.is_alphanumeric() || c == '.' || c == '_')) {
            if !part.is_empty() && part.chars().all(|c| c.is_ascii_digit()) {
                let range = start + position..start + position + part.len();
                self.pieces.push(Piece { kind: Kind::Number, range, entry });
            }
            position += part.len() + 1;
        }
    }

    fn open(&mut self, name: &str, reads: Vec<String>) -> usize {
        self.plain("        ");
        let start = self.text.len();
        let entry = self.entries.len();
        self.entries.push(Entry { name: name.to_string(), range: start..start, reads });
        self.plain("\"");
        self.piece(Kind::Key, name, entry);
        self.plain("\": ");
        entry
    }

    fn close(&mut self, entry: usize) {
        self.plain(",");
        let range = self.entries[entry].range.start..self.text.len();
        self.entries[entry].range = range.clone();
        self.pieces.push(Piece { kind: Kind::Entry, range, entry });
        self.plain("\n");
    }

    /// All entries that an entry reads, directly or through others.
    pub fn sources(&self, entry: usize) -> Vec<bool> {
        let mut found = vec![false; self.entries.len()];
        let mut waiting = vec![entry];
        while let Some(reader) = waiting.pop() {
            for (index, source) in self.entries.iter().enumerate() {
                if !found[index] && self.entries[reader].reads.contains(&source.name) {
                    found[index] = true;
                    waiting.push(index);
                }
            }
        }
        found
    }

    /// The entry and all that read it, directly or through others.
    pub fn affected(&self, entry: usize) -> Vec<bool> {
        let mut affected = vec![false; self.entries.len()];
        affected[entry] = true;
        loop {
            let names: Vec<&str> =
                self.entries.iter().zip(&affected).filter(|(_, hit)| **hit).map(|(entry, _)| entry.name.as_str()).collect();
            let more: Vec<usize> = (0..self.entries.len())
                .filter(|index| !affected[*index] && self.entries[*index].reads.iter().any(|read| names.contains(&read.as_str())))
                .collect();
            if more.is_empty() {
                return affected;
            }
            more.into_iter().for_each(|index| affected[index] = true);
        }
    }
}

/// A reference without its port.
fn node_of(reference: &str) -> String {
    reference.split(':').next().unwrap_or(reference).to_string()
}

/// The names in a value as written.
fn words(value: &str) -> Vec<String> {
    let parts = value.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    parts.filter(|part| part.starts_with(|c: char| c.is_ascii_lowercase())).map(str::to_string).collect()
}
