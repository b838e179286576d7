//! Taking fields out of a call by name, with one error for everything that does not belong.

use crate::diagnostic::{Diagnostic, Diagnostics, codes};
use crate::source::{Span, Spanned};
use crate::suggest::nearest;
use crate::syntax::{Kind, Value};
use std::sync::Arc;

/// The entries of a map whose keys are texts, in the order of writing.
pub type Entries<'a> = Vec<(Spanned<Arc<str>>, &'a Value)>;

/// The fields of one call. Unknown fields are reported when the reader is made.
pub struct FieldReader<'a> {
    what: String,
    span: Span,
    fields: Vec<(&'a str, &'a Value)>,
}

impl<'a> FieldReader<'a> {
    /// For a call whose values all have names.
    pub fn new(tree: &'a Value, what: &str, known: &[&'static str], diagnostics: &mut Diagnostics) -> FieldReader<'a> {
        FieldReader::build(tree, what, None, known, diagnostics)
    }

    /// For a call whose first unnamed value belongs to the field `item`.
    pub fn with_item(
        tree: &'a Value,
        what: &str,
        item: &'static str,
        known: &[&'static str],
        diagnostics: &mut Diagnostics,
    ) -> FieldReader<'a> {
        FieldReader::build(tree, what, Some(item), known, diagnostics)
    }

    fn build(
        tree: &'a Value,
        what: &str,
        item: Option<&'static str>,
        known: &[&'static str],
        diagnostics: &mut Diagnostics,
    ) -> FieldReader<'a> {
        let mut reader = FieldReader { what: what.to_string(), span: tree.span, fields: Vec::new() };
        let Kind::Call(call) = &tree.kind else { return reader };
        let mut items = call.items.iter();
        if let (Some(item), Some(value)) = (item, items.clone().next()) {
            items.next();
            reader.fields.push((item, value));
        }
        for extra in items {
            diagnostics.push(
                Diagnostic::new(codes::UNNAMED_VALUE, format!("`{what}` takes no unnamed value here"), extra.span)
                    .help(format!("its fields are {}", known.join(", "))),
            );
        }
        for field in &call.fields {
            let key = field.key.value.as_str();
            if !known.contains(&key) {
                diagnostics.push(unknown_field(what, key, field.key.span, known));
            } else if reader.fields.iter().any(|(name, _)| *name == key) {
                diagnostics.push(Diagnostic::new(
                    codes::UNNAMED_VALUE,
                    format!("`{key}` is given twice: as the unnamed value and by name"),
                    field.key.span,
                ));
            } else {
                reader.fields.push((key, &field.value));
            }
        }
        reader
    }

    /// The field's value, if it was written.
    pub fn value(&mut self, name: &str) -> Option<&'a Value> {
        self.fields.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
    }

    /// The field's value; its absence is an error.
    pub fn required(&mut self, name: &str, diagnostics: &mut Diagnostics) -> Option<&'a Value> {
        let value = self.value(name);
        if value.is_none() {
            diagnostics.push(
                Diagnostic::new(codes::MISSING_FIELD, format!("`{}` needs the field `{name}`", self.what), self.span)
                    .text(format!("`{name}` is missing")),
            );
        }
        value
    }

    /// A text.
    pub fn text(&mut self, name: &str, diagnostics: &mut Diagnostics) -> Option<Spanned<String>> {
        let value = self.value(name)?;
        match &value.kind {
            Kind::Text(text) => Some(Spanned::new(text.clone(), value.span)),
            _ => {
                self.wrong(name, "a text in quotes", value, diagnostics);
                None
            }
        }
    }

    /// A list; empty where it was not written.
    pub fn list(&mut self, name: &str, diagnostics: &mut Diagnostics) -> Vec<&'a Value> {
        let Some(value) = self.value(name) else { return Vec::new() };
        match &value.kind {
            Kind::List(items) => items.iter().collect(),
            _ => {
                self.wrong(name, "a list", value, diagnostics);
                Vec::new()
            }
        }
    }

    /// A map with texts as keys; empty where it was not written.
    pub fn map(&mut self, name: &str, diagnostics: &mut Diagnostics) -> Entries<'a> {
        let Some(value) = self.value(name) else { return Vec::new() };
        match map_entries(value, diagnostics) {
            Some(entries) => entries,
            None => {
                self.wrong(name, "a map { \"name\": ... }", value, diagnostics);
                Vec::new()
            }
        }
    }

    /// A map that must be written.
    pub fn required_map(&mut self, name: &str, diagnostics: &mut Diagnostics) -> Entries<'a> {
        match self.required(name, diagnostics) {
            Some(_) => self.map(name, diagnostics),
            None => Vec::new(),
        }
    }

    /// A whole number.
    pub fn whole(&mut self, name: &str, diagnostics: &mut Diagnostics) -> Option<i64> {
        self.spanned_whole(name, diagnostics).map(|number| number.value)
    }

    /// A whole number with its place.
    pub fn spanned_whole(&mut self, name: &str, diagnostics: &mut Diagnostics) -> Option<Spanned<i64>> {
        let value = self.value(name)?;
        match value.kind {
            Kind::Integer(number) => Some(Spanned::new(number, value.span)),
            _ => {
                self.wrong(name, "a whole number", value, diagnostics);
                None
            }
        }
    }

    /// A number.
    pub fn number(&mut self, name: &str, diagnostics: &mut Diagnostics) -> Option<f64> {
        self.spanned_number(name, diagnostics).map(|number| number.value)
    }

    /// A number with its place.
    pub fn spanned_number(&mut self, name: &str, diagnostics: &mut Diagnostics) -> Option<Spanned<f64>> {
        let value = self.value(name)?;
        match value.kind {
            Kind::Integer(number) => Some(Spanned::new(number as f64, value.span)),
            Kind::Float(number) => Some(Spanned::new(number, value.span)),
            _ => {
                self.wrong(name, "a number", value, diagnostics);
                None
            }
        }
    }

    /// A switch; `otherwise` where it was not written.
    pub fn flag(&mut self, name: &str, otherwise: bool, diagnostics: &mut Diagnostics) -> bool {
        let Some(value) = self.value(name) else { return otherwise };
        match value.kind {
            Kind::Bool(flag) => flag,
            _ => {
                self.wrong(name, "true or false", value, diagnostics);
                otherwise
            }
        }
    }

    fn wrong(&self, name: &str, expected: &str, value: &Value, diagnostics: &mut Diagnostics) {
        diagnostics.push(Diagnostic::new(
            codes::FIELD_FORM,
            format!("`{}.{name}` is {expected}, not {}", self.what, value.describe()),
            value.span,
        ));
    }
}

/// The entries of a map whose keys are texts; `None` where the value is no map.
pub fn map_entries<'a>(value: &'a Value, diagnostics: &mut Diagnostics) -> Option<Entries<'a>> {
    let Kind::Map(entries) = &value.kind else { return None };
    let mut named = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        match &key.kind {
            Kind::Text(text) => named.push((Spanned::new(Arc::from(text.as_str()), key.span), value)),
            _ => diagnostics.push(
                Diagnostic::new(
                    codes::FORM,
                    format!("a name in a map is written in quotes, not as {}", key.describe()),
                    key.span,
                )
                .help("write { \"name\": ... }"),
            ),
        }
    }
    Some(named)
}

/// The error for a field that a construct or op does not have.
pub fn unknown_field(what: &str, key: &str, span: Span, known: &[&str]) -> Diagnostic {
    let diagnostic = Diagnostic::new(codes::UNKNOWN_FIELD, format!("`{what}` has no field `{key}`"), span);
    match nearest(key, known.iter().copied()) {
        Some(name) => diagnostic.suggest(Some(name)),
        None if known.is_empty() => diagnostic.help(format!("`{what}` has no fields")),
        None => diagnostic.help(format!("its fields are {}", known.join(", "))),
    }
}
