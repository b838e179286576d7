//! Elementwise arithmetic from texts, in rules for types and in lowerings.

use crate::catalogue::prelude::*;
use crate::primitives::Map;
use std::sync::Arc;
use sward_core::expr::{Constant, ExprError, parse};
use sward_core::program::Shape;
use sward_core::scalar::{FormulaScope, Operand, ScalarFunction, ScalarGraph, ScalarKind, from_expr};

/// The names of a formula that the catalogue wrote: inputs in order, then numbers.
struct OwnNames<'n> {
    inputs: &'n [(&'n str, ScalarKind)],
    numbers: &'n [(&'n str, f64)],
}

impl FormulaScope for OwnNames<'_> {
    fn lookup(&self, name: &str) -> Option<Operand> {
        let input = self.inputs.iter().position(|(own, _)| *own == name);
        if let Some(index) = input {
            return Some(Operand::Input { index: index as u32, kind: self.inputs[index].1 });
        }
        self.numbers.iter().find(|(own, _)| *own == name).map(|(_, value)| Operand::Constant(Constant::Float(*value)))
    }

    fn names(&self) -> Vec<String> {
        self.inputs
            .iter()
            .map(|(name, _)| name)
            .chain(self.numbers.iter().map(|(name, _)| name))
            .map(|name| (*name).into())
            .collect()
    }
}

/// What kind of scalar an element is.
pub(crate) fn scalar_kind(dtype: DType) -> ScalarKind {
    if dtype == DType::Bool { ScalarKind::Bool } else { ScalarKind::Number }
}

/// A formula that the catalogue wrote, as a function of its inputs.
///
/// # Panics
/// When the text is not a formula over these names, which the catalogue's tests rule out.
pub(crate) fn own_formula(text: &str, inputs: &[(&str, ScalarKind)], numbers: &[(&str, f64)]) -> ScalarFunction {
    let read =
        |graph: &mut ScalarGraph| -> Result<_, ExprError> { from_expr(&parse(text)?, graph, &OwnNames { inputs, numbers }) };
    let mut graph = ScalarGraph::new();
    let root = read(&mut graph).unwrap_or_else(|error| panic!("`{text}`: {error}"));
    let kinds: Vec<ScalarKind> = inputs.iter().map(|(_, kind)| *kind).collect();
    ScalarFunction::new(&graph, root, &kinds)
}

/// Emits a formula over values, whose axes are aligned at the last and broadcast; the result is `F32`.
pub(crate) fn emit(
    builder: &mut Builder,
    text: &str,
    operands: &[(&str, ValueId)],
    numbers: &[(&str, f64)],
) -> Result<ValueId, BuildError> {
    emit_as(builder, text, operands, numbers, DType::F32)
}

/// As [`emit`], with a result of another dtype.
pub(crate) fn emit_as(
    builder: &mut Builder,
    text: &str,
    operands: &[(&str, ValueId)],
    numbers: &[(&str, f64)],
    dtype: DType,
) -> Result<ValueId, BuildError> {
    let inputs: Vec<(&str, ScalarKind)> =
        operands.iter().map(|(name, value)| (*name, scalar_kind(builder.type_of(*value).dtype))).collect();
    let function = own_formula(text, &inputs, numbers);
    let values: Vec<ValueId> = operands.iter().map(|(_, value)| *value).collect();
    emit_function(builder, &function, &values, dtype, None)
}

/// Emits a scalar function over values; `shape` is the result's where the values do not span it.
pub(crate) fn emit_function(
    builder: &mut Builder,
    function: &ScalarFunction,
    values: &[ValueId],
    dtype: DType,
    shape: Option<&[usize]>,
) -> Result<ValueId, BuildError> {
    let ranks = values.iter().map(|value| builder.shape(*value).len()).chain(shape.map(<[usize]>::len));
    let rank = ranks.max().unwrap_or(0);
    let aligned: Vec<ValueId> = values.iter().map(|value| builder.align(*value, rank)).collect::<Result<_, BuildError>>()?;
    let map = Map {
        scalars: Arc::new(function.graph().clone()),
        roots: smallvec![function.root()],
        dtypes: smallvec![dtype],
        shape: shape.map(Shape::from_slice),
    };
    builder.emit_one(map, &aligned)
}
