//! Linear layers as passes find them: a product of rows with a weight, and perhaps a bias added to it.

use super::rewrite::{Rewrite, Uses};
use crate::primitives::{EmitExt, Map, MatMul};
use sward_core::program::{BuildError, Builder, ValueId};
use sward_core::scalar::{ScalarNode, ScalarOp};

/// A linear layer of rows.
#[derive(Clone, Copy)]
pub(super) struct Projection {
    /// `[rows, c]`
    pub tokens: ValueId,
    /// `[columns, c]`
    pub weight: ValueId,
    /// `[1, columns]`
    pub bias: Option<ValueId>,
}

impl Projection {
    /// Reads a layer off its result `[rows, columns]`; nothing else reads what lies between its steps.
    pub fn of(rewrite: &mut Rewrite, uses: &Uses, result: ValueId) -> Option<Projection> {
        let &[_, columns] = rewrite.builder.shape(result) else { return None };
        let mut source = result;
        let mut producer = rewrite.producer(source)?;
        let mut bias = None;
        if let Some(map) = producer.op.downcast::<Map>() {
            let [root] = map.roots.as_slice() else { return None };
            let ScalarNode::Apply { op: ScalarOp::Add, operands } = *map.scalars.node(*root) else { return None };
            let input = |position: usize| match map.scalars.node(operands[position]) {
                ScalarNode::Input { index, .. } => Some(producer.inputs[*index as usize]),
                _ => None,
            };
            let (left, right) = (input(0)?, input(1)?);
            let is_row = |value: ValueId| rewrite.builder.shape(value) == [1, columns];
            let (product, row) = if is_row(right) { (left, right) } else { (right, left) };
            if !is_row(row) || rewrite.builder.type_of(product) != rewrite.builder.type_of(source) {
                return None;
            }
            bias = Some(row);
            source = product;
            producer = if uses.count(source) == 1 { rewrite.producer(source)? } else { return None };
        }
        let matmul = producer.op.downcast::<MatMul>()?;
        let is_linear = matmul.transpose_b && !matmul.transpose_a && matmul.epilogue.is_none();
        is_linear.then(|| Projection { tokens: producer.inputs[0], weight: producer.inputs[1], bias })
    }
}

/// A product with a bias added, in the product's dtype whatever the bias has.
pub(super) fn with_bias(builder: &mut Builder, product: ValueId, bias: ValueId) -> Result<ValueId, BuildError> {
    let dtype = builder.type_of(product).dtype;
    builder.map_as(dtype, &[product, bias], |graph, operands| graph.add(operands[0], operands[1]))
}
