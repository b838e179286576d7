//! What does not fit: in serde's words first, then as a diagnostic with its place.

use super::super::Value;
use crate::diagnostic::{Diagnostic, codes};
use crate::language::unknown_field;
use crate::source::Span;
use crate::suggest::nearest;
use serde::de;
use std::fmt;

/// What serde says, and where once that is known.
#[derive(Debug)]
pub(super) struct DecodeError {
    fault: Fault,
    span: Option<Span>,
}

#[derive(Debug)]
enum Fault {
    Form(String),
    /// `owner` is what has no such field, once that is known.
    Unknown {
        owner: String,
        field: String,
        known: Vec<&'static str>,
    },
    UnknownChoice {
        name: String,
        known: Vec<&'static str>,
    },
    Missing(&'static str),
    Told(Box<Diagnostic>),
}

impl DecodeError {
    pub(super) fn at(mut self, span: Span) -> DecodeError {
        self.span.get_or_insert(span);
        self
    }

    /// Serde knows an unknown field before it says of what.
    pub(super) fn of(mut self, name: &str) -> DecodeError {
        if let Fault::Unknown { owner, .. } = &mut self.fault {
            name.clone_into(owner);
        }
        self
    }

    pub(super) fn told(diagnostic: Diagnostic) -> DecodeError {
        DecodeError { span: diagnostic.span(), fault: Fault::Told(Box::new(diagnostic)) }
    }

    pub(super) fn diagnostic(self, root: &Value) -> Diagnostic {
        let span = self.span.unwrap_or(root.span);
        match self.fault {
            Fault::Form(message) => Diagnostic::new(codes::FIELD_FORM, message, span),
            Fault::Unknown { owner, field, known } => unknown_field(&owner, &field, span, &known),
            Fault::UnknownChoice { name, known } => {
                let diagnostic = Diagnostic::new(codes::FIELD_FORM, format!("`{name}` is not known here"), span);
                match nearest(&name, known.iter().copied()) {
                    Some(near) => diagnostic.suggest(Some(near)),
                    None => diagnostic.help(format!("known are {}", known.join(", "))),
                }
            }
            Fault::Missing(field) => Diagnostic::new(codes::MISSING_FIELD, format!("the field `{field}` is missing"), span)
                .text(format!("`{field}` is missing")),
            Fault::Told(diagnostic) => *diagnostic,
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fault {
            Fault::Form(message) => formatter.write_str(message),
            Fault::Unknown { field, .. } => write!(formatter, "there is no field `{field}`"),
            Fault::UnknownChoice { name, .. } => write!(formatter, "`{name}` is not known here"),
            Fault::Missing(field) => write!(formatter, "the field `{field}` is missing"),
            Fault::Told(diagnostic) => formatter.write_str(&diagnostic.message),
        }
    }
}

impl std::error::Error for DecodeError {}

impl de::Error for DecodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        DecodeError { fault: Fault::Form(message.to_string()), span: None }
    }

    fn invalid_type(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::custom(format!("{expected} is expected, not {}", plain(found)))
    }

    fn invalid_value(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::custom(format!("{expected} is expected, not {}", plain(found)))
    }

    fn unknown_variant(name: &str, known: &'static [&'static str]) -> Self {
        DecodeError { fault: Fault::UnknownChoice { name: name.to_owned(), known: known.to_vec() }, span: None }
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        DecodeError { fault: Fault::Unknown { owner: String::new(), field: field.to_owned(), known: known.to_vec() }, span: None }
    }

    fn missing_field(field: &'static str) -> Self {
        DecodeError { fault: Fault::Missing(field), span: None }
    }
}

/// What was found, in the words of the language.
fn plain(found: de::Unexpected<'_>) -> String {
    match found {
        de::Unexpected::Signed(number) => format!("the integer `{number}`"),
        de::Unexpected::Unsigned(number) => format!("the integer `{number}`"),
        de::Unexpected::Float(number) => format!("the number `{number:?}`"),
        de::Unexpected::Str(text) => format!("the text {text:?}"),
        de::Unexpected::Bool(flag) => format!("`{flag}`"),
        de::Unexpected::Map => "a map".to_owned(),
        de::Unexpected::Seq => "a list".to_owned(),
        other => other.to_string(),
    }
}

pub(super) type Result2<T> = Result<T, DecodeError>;
