//! The fields of a node by name, as rules for types and lowerings read them.

use super::{FieldValue, Fields, FormulaText, Schema};
use crate::dim::{Dim, Sizes};
use crate::program::DType;

/// A node's fields with defaults filled in. Getters take the names of the op's own schema and panic on others: that is a bug in the op,
/// found by the catalogue's tests.
#[derive(Clone, Copy, Debug)]
pub struct FieldView<'a> {
    schema: &'static Schema,
    fields: &'a Fields,
    /// The sizes, once they are known: whole numbers are then evaluated, and before that have a value only where they are constant.
    sizes: Option<&'a Sizes>,
}

impl<'a> FieldView<'a> {
    /// The fields of a node while sizes are symbols.
    pub fn symbolic(schema: &'static Schema, fields: &'a Fields) -> FieldView<'a> {
        FieldView { schema, fields, sizes: None }
    }

    /// The fields of a node at these sizes.
    pub fn at(schema: &'static Schema, fields: &'a Fields, sizes: &'a Sizes) -> FieldView<'a> {
        FieldView { schema, fields, sizes: Some(sizes) }
    }

    /// The op's schema.
    pub fn schema(&self) -> &'static Schema {
        self.schema
    }

    /// All fields, with their places.
    pub fn fields(&self) -> &'a Fields {
        self.fields
    }

    /// A field as it is.
    pub fn value(&self, field: &str) -> &'a FieldValue {
        self.fields.get(self.schema, field).unwrap_or_else(|| panic!("{} has no field `{field}`", self.schema.name))
    }

    /// A size's value, where it has one.
    fn whole(&self, dim: &Dim) -> Option<i64> {
        match self.sizes {
            None => dim.as_constant(),
            // The checker has evaluated every dim of the graph at these sizes before lowering starts.
            Some(sizes) => Some(dim.evaluate(sizes).unwrap_or_else(|error| panic!("{}: {error}", self.schema.name))),
        }
    }

    fn number(&self, value: &FieldValue) -> Option<f64> {
        match value {
            FieldValue::Float(value) => Some(*value),
            FieldValue::Dim(dim) => self.whole(dim).map(|value| value as f64),
            _ => None,
        }
    }

    /// A field of the kind `Int`, or at the time of lowering `Dim`.
    pub fn int(&self, field: &str) -> i64 {
        self.optional_int(field).unwrap_or_else(|| panic!("{}.{field} is absent or not known yet", self.schema.name))
    }

    /// A field of the kind `Int`, or at the time of lowering `Dim`, that may be absent.
    pub fn optional_int(&self, field: &str) -> Option<i64> {
        match self.value(field) {
            FieldValue::Dim(dim) => self.whole(dim),
            _ => None,
        }
    }

    /// A field of the kind `Float`.
    pub fn float(&self, field: &str) -> f64 {
        self.optional_float(field).unwrap_or_else(|| panic!("{}.{field} is absent", self.schema.name))
    }

    /// A field of the kind `Float` that may be absent.
    pub fn optional_float(&self, field: &str) -> Option<f64> {
        self.number(self.value(field))
    }

    /// A field of the kind `Flag`.
    pub fn flag(&self, field: &str) -> bool {
        matches!(self.value(field), FieldValue::Flag(true))
    }

    /// A field of the kind `Choice`.
    pub fn choice(&self, field: &str) -> &'static str {
        match self.value(field) {
            FieldValue::Choice(word) => word,
            other => panic!("{}.{field} is {other:?}, not a choice", self.schema.name),
        }
    }

    /// A field of the kind `Text`.
    pub fn text(&self, field: &str) -> &'a str {
        match self.value(field) {
            FieldValue::Text(text) => text,
            other => panic!("{}.{field} is {other:?}, not a text", self.schema.name),
        }
    }

    /// A field of the kind `Formula`.
    pub fn formula(&self, field: &str) -> &'a FormulaText {
        match self.value(field) {
            FieldValue::Formula(formula) => formula,
            other => panic!("{}.{field} is {other:?}, not a formula", self.schema.name),
        }
    }

    /// A field of the kind `DType`.
    pub fn dtype(&self, field: &str) -> Option<DType> {
        match self.value(field) {
            FieldValue::DType(dtype) => Some(*dtype),
            _ => None,
        }
    }

    /// A field of the kind `Ints`, or at the time of lowering `Dims`, `Pair` or `Padding`; `None` where absent (or `Same`).
    pub fn ints(&self, field: &str) -> Option<Vec<i64>> {
        list(self.value(field), |item| match item {
            FieldValue::Dim(dim) => self.whole(dim),
            _ => None,
        })
    }

    /// A field of the kind `Floats`; `None` where absent.
    pub fn floats(&self, field: &str) -> Option<Vec<f64>> {
        list(self.value(field), |item| self.number(item))
    }
}

/// The items of a list; `None` for other values, and where an item has no value.
pub(super) fn list<T>(value: &FieldValue, item: impl Fn(&FieldValue) -> Option<T>) -> Option<Vec<T>> {
    match value {
        FieldValue::List(items) => items.iter().map(item).collect(),
        _ => None,
    }
}
