//! `top_k`: the extremes of every row, sorted.

use super::support::{expect_operands, no_gradients, with_axis, zeros};
use super::take_along::TakeAlongGradient;
use std::any::Any;
use std::cmp::Ordering;
use sward_core::program::{Array, BuildError, Builder, DType, GradientCall, Primitive, RunKey, TensorType, ValueId};

/// The k largest or smallest elements of every row, sorted, best first, equal ones by position: x `[..., n]` gives values `[..., k]` of x's dtype
/// and their positions `i64 [..., k]`. NaN counts as the largest. PyTorch: `torch.topk` (where the order of equal values is open).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TopK {
    /// How many; at most n.
    pub k: usize,
    /// Whether the largest are taken.
    pub largest: bool,
}

/// Numbers by size with NaN above all.
fn by_size(left: f64, right: f64) -> Ordering {
    left.partial_cmp(&right).unwrap_or_else(|| left.is_nan().cmp(&right.is_nan()))
}

impl Primitive for TopK {
    fn name(&self) -> &'static str {
        "top_k"
    }

    fn attributes(&self) -> String {
        format!("k={}, largest={}", self.k, self.largest)
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        expect_operands(inputs, 1)?;
        let x = &inputs[0];
        match x.shape.last() {
            Some(size) if self.k <= *size => {}
            _ => return Err(format!("{} elements of the last axis of {x}", self.k)),
        }
        let shape = with_axis(&x.shape, x.rank() - 1, self.k);
        Ok(vec![TensorType { dtype: x.dtype, shape: shape.clone() }, TensorType { dtype: DType::I64, shape }])
    }

    fn gradient(&self, builder: &mut Builder, call: &GradientCall<'_>) -> Result<Vec<Option<ValueId>>, BuildError> {
        let Some(gradient) = call.gradients[0] else {
            return Ok(no_gradients(call));
        };
        let shape = builder.shape(call.inputs[0]);
        let axis = shape.len() - 1;
        let rule = TakeAlongGradient { axis, size: shape[axis] };
        Ok(vec![Some(builder.emit_one(rule, &[gradient, call.outputs[1]])?)])
    }

    fn reference(&self, inputs: &[&Array], _: RunKey) -> Vec<Array> {
        let x = inputs[0];
        let last = x.shape.len() - 1;
        let shape = with_axis(&x.shape, last, self.k);
        let (mut values, mut positions) = (zeros(x.dtype, &shape), zeros(DType::I64, &shape));
        for (row, elements) in x.data.chunks_exact(x.shape[last].max(1)).enumerate() {
            let mut order: Vec<usize> = (0..elements.len()).collect();
            order.sort_by(|left, right| {
                let rising = by_size(elements[*left], elements[*right]);
                if self.largest { rising.reverse() } else { rising }
            });
            for (rank, position) in order.into_iter().take(self.k).enumerate() {
                values.data[row * self.k + rank] = elements[position];
                positions.data[row * self.k + rank] = position as f64;
            }
        }
        vec![values, positions]
    }

    fn flops(&self, inputs: &[TensorType], _: &[TensorType]) -> f64 {
        inputs[0].elements() as f64
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
