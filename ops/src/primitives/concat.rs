//! `concat`: tensors joined along an axis.

use super::slice::Slice;
use super::support::{expect_axis, no_gradients, result_gradient, with_axis, zeros};
use std::any::Any;
use sward_core::program::{Array, BuildError, Builder, GradientCall, Primitive, RunKey, TensorType, ValueId};

/// One or more tensors of one dtype joined along an axis; the other sizes are equal. PyTorch: `torch.cat`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Concat {
    /// The axis.
    pub axis: usize,
}

impl Primitive for Concat {
    fn name(&self) -> &'static str {
        "concat"
    }

    fn attributes(&self) -> String {
        format!("axis={}", self.axis)
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let first = inputs.first().ok_or("nothing to join")?;
        expect_axis(self.axis, first.rank())?;
        let mut total = 0;
        for operand in inputs {
            let fits = operand.dtype == first.dtype
                && operand.rank() == first.rank()
                && with_axis(&operand.shape, self.axis, 0) == with_axis(&first.shape, self.axis, 0);
            if !fits {
                return Err(format!("{operand} does not join {first} along axis {}", self.axis));
            }
            total += operand.shape[self.axis];
        }
        Ok(vec![TensorType { dtype: first.dtype, shape: with_axis(&first.shape, self.axis, total) }])
    }

    fn gradient(&self, builder: &mut Builder, call: &GradientCall<'_>) -> Result<Vec<Option<ValueId>>, BuildError> {
        let Some(gradient) = result_gradient(call) else {
            return Ok(no_gradients(call));
        };
        let mut results = no_gradients(call);
        let mut start = 0;
        for (position, input) in call.inputs.iter().enumerate() {
            let length = builder.shape(*input)[self.axis];
            if call.wanted[position] {
                let part = Slice { axis: self.axis, start, length, step: 1 };
                results[position] = Some(builder.emit_one(part, &[gradient])?);
            }
            start += length;
        }
        Ok(results)
    }

    fn reference(&self, inputs: &[&Array], _: RunKey) -> Vec<Array> {
        let total = inputs.iter().map(|x| x.shape[self.axis]).sum();
        let mut result = zeros(inputs[0].dtype, &with_axis(&inputs[0].shape, self.axis, total));
        let mut start = 0;
        for x in inputs {
            Array::for_each_index(&x.shape, |index| {
                let mut target = index.to_vec();
                target[self.axis] += start;
                let offset = result.offset(&target);
                result.data[offset] = x.at(index);
            });
            start += x.shape[self.axis];
        }
        vec![result]
    }

    fn flops(&self, _: &[TensorType], _: &[TensorType]) -> f64 {
        0.0
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
