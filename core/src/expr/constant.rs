//! The values of expressions.

use std::fmt;

use crate::dim::Dim;

/// The value of an expression.
#[derive(Clone, PartialEq, Debug)]
pub enum Constant {
    /// A whole number, perhaps symbolic.
    Int(Dim),
    /// A finite number.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Constant>),
}

impl Constant {
    /// What kind of value it is, with its article, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Constant::Int(_) => "a whole number",
            Constant::Float(_) => "a number",
            Constant::Bool(_) => "true or false",
            Constant::Text(_) => "a text",
            Constant::List(_) => "a list",
        }
    }

    /// The whole number, symbolic or not.
    pub fn as_dim(&self) -> Option<&Dim> {
        match self {
            Constant::Int(dim) => Some(dim),
            _ => None,
        }
    }

    /// The whole number, where it depends on no size.
    pub fn as_int(&self) -> Option<i64> {
        self.as_dim().and_then(Dim::as_constant)
    }

    /// The number, where it depends on no size; a whole number becomes a float.
    pub fn as_float(&self) -> Option<f64> {
        match self {
            Constant::Float(value) => Some(*value),
            Constant::Int(dim) => dim.as_constant().map(|value| value as f64),
            _ => None,
        }
    }

    /// The truth value.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Constant::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Constant::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The elements of a list.
    pub fn as_list(&self) -> Option<&[Constant]> {
        match self {
            Constant::List(items) => Some(items),
            _ => None,
        }
    }
}

impl From<i64> for Constant {
    fn from(value: i64) -> Constant {
        Constant::Int(Dim::constant(value))
    }
}

/// The value as an expression writes it.
impl fmt::Display for Constant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Constant::Int(dim) => write!(formatter, "{dim}"),
            Constant::Float(value) => write!(formatter, "{value:?}"),
            Constant::Bool(value) => write!(formatter, "{value}"),
            Constant::Text(text) => write!(formatter, "'{}'", text.replace('\\', r"\\").replace('\'', r"\'")),
            Constant::List(items) => {
                formatter.write_str("[")?;
                for (position, item) in items.iter().enumerate() {
                    write!(formatter, "{}{item}", if position == 0 { "" } else { ", " })?;
                }
                formatter.write_str("]")
            }
        }
    }
}
