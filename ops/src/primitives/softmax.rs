//! `softmax` and its gradient, over the last axis.

use super::support::{
    build, expect_float, expect_float_dtype, expect_float_shape, expect_operands, no_gradients, result_gradient,
};
use std::any::Any;
use sward_core::program::{Array, BuildError, Builder, DType, GradientCall, Primitive, RunKey, TensorType, ValueId};

/// Softmax over the last axis, or its logarithm: x `[..., c]` gives the same sizes. A row of -inf alone gives NaN, as in PyTorch.
/// PyTorch: `torch.softmax(x, -1)`, `torch.log_softmax(x, -1)`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Softmax {
    /// Whether the logarithm is returned.
    pub log: bool,
    /// The result's float dtype.
    pub dtype: DType,
}

/// The gradient of [`Softmax`]: dy and y `[..., c]` give dx `[..., c]` of dy's dtype.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SoftmaxGradient {
    /// Whether the logarithm was returned.
    pub log: bool,
}

fn infer_rows(x: &TensorType) -> Result<(), String> {
    expect_float(x, "x")?;
    if x.rank() == 0 { Err("a tensor of rank 0 has no last axis".to_string()) } else { Ok(()) }
}

/// The rows of an array along its last axis.
fn rows(x: &Array) -> impl Iterator<Item = &[f64]> {
    let width = *x.shape.last().expect("checked operands");
    x.data.chunks_exact(width.max(1))
}

impl Primitive for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn attributes(&self) -> String {
        format!("log={}, dtype={}", self.log, self.dtype)
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        expect_operands(inputs, 1)?;
        infer_rows(&inputs[0])?;
        expect_float_dtype(self.dtype)?;
        Ok(vec![TensorType::new(self.dtype, &inputs[0].shape)])
    }

    fn gradient(&self, builder: &mut Builder, call: &GradientCall<'_>) -> Result<Vec<Option<ValueId>>, BuildError> {
        let Some(gradient) = result_gradient(call) else {
            return Ok(no_gradients(call));
        };
        Ok(vec![Some(builder.emit_one(SoftmaxGradient { log: self.log }, &[gradient, call.outputs[0]])?)])
    }

    fn reference(&self, inputs: &[&Array], _: RunKey) -> Vec<Array> {
        let mut data = Vec::with_capacity(inputs[0].data.len());
        for row in rows(inputs[0]) {
            let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let total: f64 = row.iter().map(|value| (value - largest).exp()).sum();
            data.extend(row.iter().map(|value| match self.log {
                true => value - largest - total.ln(),
                false => (value - largest).exp() / total,
            }));
        }
        vec![Array::new(self.dtype, &inputs[0].shape, data)]
    }

    fn flops(&self, inputs: &[TensorType], _: &[TensorType]) -> f64 {
        // Largest, difference, exponential, sum, quotient.
        5.0 * inputs[0].elements() as f64
    }

    fn in_place(&self) -> &[(usize, usize)] {
        &[(0, 0)]
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Primitive for SoftmaxGradient {
    fn name(&self) -> &'static str {
        "softmax_gradient"
    }

    fn attributes(&self) -> String {
        format!("log={}", self.log)
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        expect_operands(inputs, 2)?;
        infer_rows(&inputs[0])?;
        expect_float_shape(&inputs[1], &inputs[0].shape, "y")?;
        Ok(vec![inputs[0].clone()])
    }

    fn gradient(&self, builder: &mut Builder, _: &GradientCall<'_>) -> Result<Vec<Option<ValueId>>, BuildError> {
        Err(builder.no_gradient(self.name(), "second derivatives of a softmax are not there"))
    }

    fn reference(&self, inputs: &[&Array], _: RunKey) -> Vec<Array> {
        let (dy, y) = (inputs[0], inputs[1]);
        let last = dy.shape.len() - 1;
        vec![build(dy.dtype, &dy.shape, |index| {
            let mut other = index.to_vec();
            let sum: f64 = (0..dy.shape[last])
                .map(|column| {
                    other[last] = column;
                    if self.log { dy.at(&other) } else { dy.at(&other) * y.at(&other) }
                })
                .sum();
            match self.log {
                true => dy.at(index) - y.at(index).exp() * sum,
                false => y.at(index) * (dy.at(index) - sum),
            }
        })]
    }

    fn flops(&self, inputs: &[TensorType], _: &[TensorType]) -> f64 {
        4.0 * inputs[0].elements() as f64
    }

    fn in_place(&self) -> &[(usize, usize)] {
        &[(0, 0), (1, 0)]
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
