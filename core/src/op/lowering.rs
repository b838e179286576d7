//! What an op's lowering sees of its node: the same fields with sizes, and program values instead of types.

use super::{FieldView, Fields, Schema};
use crate::dim::{Dim, Sizes};
use crate::program::{BuildError, Builder, TensorType, ValueId};
use smallvec::SmallVec;
use std::ops::Deref;

/// A node at the time of lowering: its fields (those of [`FieldView`]) at the sizes, and program values.
#[derive(Debug)]
pub struct LowerCall<'a> {
    view: FieldView<'a>,
    sizes: &'a Sizes,
    inputs: &'a [SmallVec<[ValueId; 1]>],
    parameters: &'a [(&'static str, ValueId)],
    outputs: &'a [TensorType],
    mode: Mode,
}

/// What a program is lowered for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Mode {
    /// Batch norm uses and updates batch statistics.
    pub training: bool,
    /// Dropout drops.
    pub drops: bool,
}

impl<'a> Deref for LowerCall<'a> {
    type Target = FieldView<'a>;

    fn deref(&self) -> &FieldView<'a> {
        &self.view
    }
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
        mode: Mode,
    ) -> LowerCall<'a> {
        LowerCall { view: FieldView::at(schema, fields, sizes), sizes, inputs, parameters, outputs, mode }
    }

    /// Whether the program is for training: batch norm uses and updates batch statistics.
    pub fn training(&self) -> bool {
        self.mode.training
    }

    /// Whether dropout drops: in training, and where samples of a trained graph are drawn.
    pub fn drops(&self) -> bool {
        self.mode.drops
    }

    /// The type of an output, from the rule for types at these sizes.
    pub fn output(&self, index: usize) -> &'a TensorType {
        &self.outputs[index]
    }

    /// Whether this output is asked for: those on request are where a node or an output of the graph reads them.
    pub fn is_read(&self, index: usize) -> bool {
        index < self.outputs.len()
    }

    /// The types of all outputs that are asked for.
    pub fn outputs(&self) -> &'a [TensorType] {
        self.outputs
    }

    fn port(&self, name: &str) -> &'a [ValueId] {
        let index = self.schema().ports.iter().position(|port| port.name == name);
        &self.inputs[index.unwrap_or_else(|| panic!("{} has no port `{name}`", self.schema().name))]
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
        self.optional_parameter(name).unwrap_or_else(|| panic!("{} declared no parameter `{name}`", self.schema().name))
    }

    /// A parameter or buffer that the op may have declared.
    pub fn optional_parameter(&self, name: &str) -> Option<ValueId> {
        self.parameters.iter().find(|(own, _)| *own == name).map(|(_, value)| *value)
    }

    /// A field of the kind `Dim` that is a size.
    pub fn size(&self, field: &str) -> usize {
        usize::try_from(self.int(field)).unwrap_or_else(|_| panic!("{}.{field} is negative", self.schema().name))
    }

    /// The value of a size at the time of lowering.
    pub fn evaluate(&self, dim: &Dim) -> i64 {
        // The checker has evaluated every dim of the graph at these sizes before lowering starts.
        dim.evaluate(self.sizes).unwrap_or_else(|error| panic!("{}: {error}", self.schema().name))
    }

    /// A field of the kind `Pair`: sizes for height and width.
    pub fn pair(&self, field: &str) -> [usize; 2] {
        let ints = self.ints(field).unwrap_or_else(|| panic!("{}.{field} is absent", self.schema().name));
        [ints[0] as usize, ints[1] as usize]
    }

    /// An error at this node, for sizes that the lowering cannot carry.
    pub fn refuse(&self, builder: &Builder, reason: impl Into<String>) -> BuildError {
        builder.refuse(reason)
    }
}
