//! The values of an op's fields, after expressions are evaluated.

use super::{Default, Initializer, Schema};
use crate::dim::Dim;
use crate::expr::Expr;
use crate::program::DType;
use crate::source::Span;
use smallvec::SmallVec;
use std::fmt::Write;
use std::sync::Arc;

/// The value of one field. Kinds `Int` and `Dim` are both [`FieldValue::Dim`]; an `Int` is constant.
#[derive(Clone, PartialEq, Debug)]
pub enum FieldValue {
    /// Not written and without default.
    Absent,
    /// A whole number or a symbolic size.
    Dim(Dim),
    /// A number.
    Float(f64),
    /// A switch.
    Flag(bool),
    /// A word of a choice.
    Choice(&'static str),
    /// A text.
    Text(Arc<str>),
    /// `Dims`, `Ints`, `Floats`, `Pair` and `Padding`, in the normal form of their kind: a pair has two items, padding four.
    List(Arc<[FieldValue]>),
    /// `padding: Same`.
    Same,
    /// A parameter's start.
    Initial(Initializer),
    /// A dtype.
    DType(DType),
    /// A formula with its names resolved.
    Formula(Arc<FormulaText>),
}

/// An elementwise expression whose names are resolved.
#[derive(Clone, PartialEq, Debug)]
pub struct FormulaText {
    /// The expression.
    pub expression: Arc<Expr>,
    /// The text it was parsed from.
    pub text: Arc<str>,
    /// Every name in it, and what it stands for.
    pub names: Vec<(String, FormulaName)>,
    /// The text with its names by their positions: what is the same in `a * 2 + 1` and `b * 2 + 1`.
    pattern: String,
}

impl FormulaText {
    /// A formula from its parts; `names` has every name in it once, `text` is what the expression was parsed from.
    pub fn new(expression: Arc<Expr>, text: Arc<str>, names: Vec<(String, FormulaName)>) -> FormulaText {
        let mut pattern = String::with_capacity(text.len() + 8);
        let mut after = 0;
        expression.for_each_name(&mut |name, range| {
            let position = names.iter().position(|(own, _)| own == name);
            // A formula cannot hold the character 0, so that no text looks like a position.
            let _ = write!(pattern, "{}\0{} ", &text[after..range.start], position.unwrap_or(names.len()));
            after = range.end;
        });
        pattern.push_str(&text[after..]);
        FormulaText { expression, text, names, pattern }
    }

    /// What the formula computes, whatever its tensors are called: formulas for which this is equal are the same function.
    pub fn function(&self) -> (&str, impl Iterator<Item = &FormulaName> + Clone) {
        (&self.pattern, self.names.iter().map(|(_, name)| name))
    }
}

/// What a name in a formula stands for.
#[derive(Clone, PartialEq, Debug)]
pub enum FormulaName {
    /// The tensor at this position of the op's `Named` port.
    Input(usize),
    /// A number: the value of a param.
    Number(f64),
    /// A whole number or size that is known when the graph is lowered.
    Size(Dim),
}

impl From<Default> for FieldValue {
    fn from(default: Default) -> FieldValue {
        match default {
            Default::Required | Default::Absent => FieldValue::Absent,
            Default::Int(value) => FieldValue::Dim(Dim::constant(value)),
            Default::Float(value) => FieldValue::Float(value),
            Default::Flag(value) => FieldValue::Flag(value),
            Default::Choice(value) => FieldValue::Choice(value),
            Default::Text(value) => FieldValue::Text(value.into()),
            Default::Ints(values) => {
                FieldValue::List(values.iter().map(|value| FieldValue::Dim(Dim::constant(*value))).collect())
            }
            Default::DType(value) => FieldValue::DType(value),
            Default::Initial(value) => FieldValue::Initial(value),
        }
    }
}

/// The values of all fields of a schema, in its order, with the places of those that were written.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Fields {
    /// One value a field of the schema.
    pub values: SmallVec<[FieldValue; 4]>,
    /// Where each was written; `None` for defaults.
    pub spans: SmallVec<[Option<Span>; 4]>,
}

impl Fields {
    /// The defaults of a schema.
    pub fn defaults(schema: &Schema) -> Fields {
        Fields {
            values: schema.fields.iter().map(|field| FieldValue::from(field.default)).collect(),
            spans: schema.fields.iter().map(|_| None).collect(),
        }
    }

    /// The value of the field with that name, if the schema has it.
    pub fn get(&self, schema: &Schema, name: &str) -> Option<&FieldValue> {
        schema.field_index(name).map(|index| &self.values[index])
    }

    /// Where the field with that name was written.
    pub fn span(&self, schema: &Schema, name: &str) -> Option<Span> {
        schema.field_index(name).and_then(|index| self.spans[index])
    }
}
