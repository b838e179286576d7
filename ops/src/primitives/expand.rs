//! `expand`: axes of size 1 repeated.

use super::reduce::{Reduce, ReduceKind};
use super::support::{build, expect_operands, list, no_gradients, result_gradient};
use smallvec::SmallVec;
use std::any::Any;
use sward_core::program::{Array, BuildError, Builder, GradientCall, Primitive, RunKey, Shape, TensorType, ValueId};

/// Axes of size 1 repeated; the rank stays. Any dtype. PyTorch: `Tensor.expand` (with the result stored).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expand {
    /// The result's sizes: equal to the operand's where that is not 1.
    pub shape: Shape,
}

impl Primitive for Expand {
    fn name(&self) -> &'static str {
        "expand"
    }

    fn attributes(&self) -> String {
        format!("shape={}", list(&self.shape))
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        expect_operands(inputs, 1)?;
        let fits = inputs[0].rank() == self.shape.len()
            && inputs[0].shape.iter().zip(&self.shape).all(|(from, to)| from == to || *from == 1);
        if !fits {
            return Err(format!("{} does not expand to {}", inputs[0], list(&self.shape)));
        }
        Ok(vec![TensorType::new(inputs[0].dtype, &self.shape)])
    }

    fn gradient(&self, builder: &mut Builder, call: &GradientCall<'_>) -> Result<Vec<Option<ValueId>>, BuildError> {
        let Some(gradient) = result_gradient(call) else {
            return Ok(no_gradients(call));
        };
        let gradient = sum_to_shape(builder, gradient, call.inputs[0])?;
        Ok(vec![Some(gradient)])
    }

    fn reference(&self, inputs: &[&Array], _: RunKey) -> Vec<Array> {
        let strides = inputs[0].broadcast_strides(&self.shape);
        vec![build(inputs[0].dtype, &self.shape, |index| {
            let offset: usize = index.iter().zip(&strides).map(|(position, stride)| position * stride).sum();
            inputs[0].data[offset]
        })]
    }

    fn flops(&self, _: &[TensorType], _: &[TensorType]) -> f64 {
        0.0
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Sums a gradient over the axes along which `operand` (size 1) was repeated; the gradient itself where there are none.
/// The sum has the gradient's dtype.
pub(crate) fn sum_to_shape(builder: &mut Builder, gradient: ValueId, operand: ValueId) -> Result<ValueId, BuildError> {
    let axes: SmallVec<[usize; 6]> = (0..builder.shape(gradient).len())
        .filter(|axis| builder.shape(operand)[*axis] == 1 && builder.shape(gradient)[*axis] != 1)
        .collect();
    if axes.is_empty() {
        return Ok(gradient);
    }
    let dtype = builder.type_of(gradient).dtype;
    builder.emit_one(Reduce { kind: ReduceKind::Sum, axes, dtype }, &[gradient])
}
