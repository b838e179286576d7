//! What an op's lowering sees of its node: the same fields with sizes, and program values instead of types.

use super::{FieldValue, Fields, FormulaText, Schema};
use crate::dim::{Dim, Sizes};
use crate::program::{BuildError, Builder, DType, TensorType, ValueId};
use smallvec::SmallVec;

/// A node at the time of lowering. Getters take the names of the op's own schema and panic on others.
#[derive(Debug)]
pub struct LowerCall<'a> {
    schema: &'static Schema,
    fields: &'a Fields,
    sizes: &'a Sizes,
    inputs: &'a [SmallVec<[ValueId; 1]>],
    parameters: &'a [(&'static str, ValueId)],
    outputs: &'a [TensorType],
    training: bool,
}

impl<'a> LowerCall<'a> {
    /// A call from its parts; `outputs` are the types that the rule for types gives at these sizes.
    pub fn new(
        schema: &'static Schema,
        fields: &'a Fields,
        sizes: &'a Sizes,
        inputs: &'a [SmallVec<[ValueId; 1]>],
        parameters: &'a [(&'static str, ValueId)],
        outputs: &'a [TensorType],
        training: bool,
    ) -> LowerCall<'a> {
        LowerCall { schema, fields, sizes, inputs, parameters, outputs, training }
    }

    /// Whether the program is for training: dropout drops, batch norm uses and updates batch statistics.
    pub fn training(&self) -> bool {
        self.training
    }

    /// The type of an output, from the rule for types at these sizes.
    pub fn output(&self, index: usize) -> &'a TensorType {
        &self.outputs[index]
    }

    /// The types of all outputs.
    pub fn outputs(&self) -> &'a [TensorType] {
        self.outputs
    }

    fn port(&self, name: &str) -> &'a [ValueId] {
        let index = self.schema.ports.iter().position(|port| port.name == name);
        &self.inputs[index.unwrap_or_else(|| panic!("{} has no port `{name}`", self.schema.name))]
    }

    /// The value at a port of the kind `One`.
    pub fn input(&self, port: &str) -> ValueId {
        self.port(port)[0]
    }

    /// The value at a port of the kind `Optional`, if there is one.
    pub fn optional(&self, port: &str) -> Option<ValueId> {
        self.port(port).first().copied()
    }

    /// All values at a port.
    pub fn inputs(&self, port: &str) -> &'a [ValueId] {
        self.port(port)
    }

    /// A parameter or buffer that the op declared.
    pub fn parameter(&self, name: &str) -> ValueId {
        self.optional_parameter(name).unwrap_or_else(|| panic!("{} declared no parameter `{name}`", self.schema.name))
    }

    /// A parameter or buffer that the op may have declared.
    pub fn optional_parameter(&self, name: &str) -> Option<ValueId> {
        self.parameters.iter().find(|(own, _)| *own == name).map(|(_, value)| *value)
    }

    fn value(&self, field: &str) -> &'a FieldValue {
        self.fields.get(self.schema, field).unwrap_or_else(|| panic!("{} has no field `{field}`", self.schema.name))
    }

    fn whole(&self, dim: &Dim) -> i64 {
        // The checker has evaluated every dim of the graph at these sizes before lowering starts.
        dim.evaluate(self.sizes).unwrap_or_else(|error| panic!("{}: {error}", self.schema.name))
    }

    /// A field of the kind `Dim` or `Int`.
    pub fn int(&self, field: &str) -> i64 {
        self.optional_int(field).unwrap_or_else(|| panic!("{}.{field} is absent", self.schema.name))
    }

    /// A field of the kind `Dim` or `Int` that may be absent.
    pub fn optional_int(&self, field: &str) -> Option<i64> {
        match self.value(field) {
            FieldValue::Dim(dim) => Some(self.whole(dim)),
            _ => None,
        }
    }

    /// A field of the kind `Dim` that is a size.
    pub fn size(&self, field: &str) -> usize {
        usize::try_from(self.int(field)).unwrap_or_else(|_| panic!("{}.{field} is negative", self.schema.name))
    }

    /// A field of the kind `Float`.
    pub fn float(&self, field: &str) -> f64 {
        self.optional_float(field).unwrap_or_else(|| panic!("{}.{field} is absent", self.schema.name))
    }

    /// A field of the kind `Float` that may be absent.
    pub fn optional_float(&self, field: &str) -> Option<f64> {
        match self.value(field) {
            FieldValue::Float(value) => Some(*value),
            FieldValue::Dim(dim) => Some(self.whole(dim) as f64),
            _ => None,
        }
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

    /// The value of a size at the time of lowering.
    pub fn evaluate(&self, dim: &Dim) -> i64 {
        self.whole(dim)
    }

    /// A field of the kind `DType`.
    pub fn dtype(&self, field: &str) -> Option<DType> {
        match self.value(field) {
            FieldValue::DType(dtype) => Some(*dtype),
            _ => None,
        }
    }

    /// A field of the kind `Dims`, `Ints`, `Pair` or `Padding`; `None` where absent (or `Same`).
    pub fn ints(&self, field: &str) -> Option<Vec<i64>> {
        match self.value(field) {
            FieldValue::List(items) => items
                .iter()
                .map(|item| match item {
                    FieldValue::Dim(dim) => Some(self.whole(dim)),
                    _ => None,
                })
                .collect(),
            _ => None,
        }
    }

    /// A field of the kind `Pair`: sizes for height and width.
    pub fn pair(&self, field: &str) -> [usize; 2] {
        let ints = self.ints(field).unwrap_or_else(|| panic!("{}.{field} is absent", self.schema.name));
        [ints[0] as usize, ints[1] as usize]
    }

    /// A field of the kind `Floats`; `None` where absent.
    pub fn floats(&self, field: &str) -> Option<Vec<f64>> {
        match self.value(field) {
            FieldValue::List(items) => items
                .iter()
                .map(|item| match item {
                    FieldValue::Float(value) => Some(*value),
                    FieldValue::Dim(dim) => Some(self.whole(dim) as f64),
                    _ => None,
                })
                .collect(),
            _ => None,
        }
    }

    /// An error at this node, for sizes that the lowering cannot carry.
    pub fn refuse(&self, builder: &Builder, reason: impl Into<String>) -> BuildError {
        builder.refuse(reason)
    }
}
