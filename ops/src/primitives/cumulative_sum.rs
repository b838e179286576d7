//! `cumulative_sum`: running sums along an axis.

use super::support::{build, expect_axis, expect_operands, no_gradients, result_gradient, with_axis};
use std::any::Any;
use sward_core::program::{Array, BuildError, Builder, DType, GradientCall, Primitive, RunKey, TensorType, ValueId};

/// Running sums along an axis, each including its own element: x gives the same sizes and dtype (not `bool`).
/// PyTorch: `torch.cumsum`; reversed, `torch.flip` of the sums of the flipped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CumulativeSum {
    /// The axis.
    pub axis: usize,
    /// Whether the sums run from the end.
    pub reverse: bool,
}

impl Primitive for CumulativeSum {
    fn name(&self) -> &'static str {
        "cumulative_sum"
    }

    fn attributes(&self) -> String {
        format!("axis={}, reverse={}", self.axis, self.reverse)
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        expect_operands(inputs, 1)?;
        expect_axis(self.axis, inputs[0].rank())?;
        if inputs[0].dtype == DType::Bool {
            return Err("running sums of bool; cast it first".to_string());
        }
        Ok(vec![inputs[0].clone()])
    }

    fn gradient(&self, builder: &mut Builder, call: &GradientCall<'_>) -> Result<Vec<Option<ValueId>>, BuildError> {
        let Some(gradient) = result_gradient(call) else {
            return Ok(no_gradients(call));
        };
        let rule = CumulativeSum { reverse: !self.reverse, ..*self };
        Ok(vec![Some(builder.emit_one(rule, &[gradient])?)])
    }

    fn reference(&self, inputs: &[&Array], _: RunKey) -> Vec<Array> {
        let x = inputs[0];
        vec![build(x.dtype, &x.shape, |index| {
            let own = index[self.axis];
            let summed = if self.reverse { own..x.shape[self.axis] } else { 0..own + 1 };
            summed.map(|position| x.at(&with_axis(index, self.axis, position))).sum()
        })]
    }

    fn flops(&self, inputs: &[TensorType], _: &[TensorType]) -> f64 {
        inputs[0].elements() as f64
    }

    fn in_place(&self) -> &[(usize, usize)] {
        &[(0, 0)]
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
