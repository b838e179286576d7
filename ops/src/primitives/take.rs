//! `take` and its gradient: rows picked by number.

use super::support::{
    add_at, build, checked_index, expect_axis, expect_float, expect_operands, no_gradients, result_gradient, zeros,
};
use std::any::Any;
use sward_core::program::{Array, BuildError, Builder, DType, GradientCall, Primitive, RunKey, Shape, TensorType, ValueId};

/// Slices of one axis picked by number: x `[.., n, ..]` and indices `i64` of any sizes give x's sizes with the axis replaced by those of the
/// indices. An index outside `0..n` is an error of the run. PyTorch: `torch.embedding`, `torch.index_select`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Take {
    /// The axis.
    pub axis: usize,
}

/// The gradient of [`Take`]: dy and indices give dx `f32 [.., size, ..]`, summed in the order of the indices.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TakeGradient {
    /// The axis.
    pub axis: usize,
    /// The size of the axis.
    pub size: usize,
}

fn expect_indices(indices: &TensorType) -> Result<(), String> {
    if indices.dtype == DType::I64 { Ok(()) } else { Err(format!("indices are {indices}, i64 is expected")) }
}

fn taken_shape(x: &[usize], axis: usize, indices: &[usize]) -> Shape {
    x[..axis].iter().chain(indices).chain(&x[axis + 1..]).copied().collect()
}

/// The index into x for an index of the result.
fn source(index: &[usize], axis: usize, indices: &Array, size: usize) -> Vec<usize> {
    let rank = indices.shape.len();
    let row = checked_index(indices.at(&index[axis..axis + rank]), size);
    let mut source = index[..axis].to_vec();
    source.push(row);
    source.extend_from_slice(&index[axis + rank..]);
    source
}

impl Primitive for Take {
    fn name(&self) -> &'static str {
        "take"
    }

    fn attributes(&self) -> String {
        format!("axis={}", self.axis)
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        expect_operands(inputs, 2)?;
        expect_axis(self.axis, inputs[0].rank())?;
        expect_indices(&inputs[1])?;
        let shape = taken_shape(&inputs[0].shape, self.axis, &inputs[1].shape);
        Ok(vec![TensorType { dtype: inputs[0].dtype, shape }])
    }

    fn gradient(&self, builder: &mut Builder, call: &GradientCall<'_>) -> Result<Vec<Option<ValueId>>, BuildError> {
        let Some(gradient) = result_gradient(call) else {
            return Ok(no_gradients(call));
        };
        let rule = TakeGradient { axis: self.axis, size: builder.shape(call.inputs[0])[self.axis] };
        Ok(vec![Some(builder.emit_one(rule, &[gradient, call.inputs[1]])?), None])
    }

    fn reference(&self, inputs: &[&Array], _: RunKey) -> Vec<Array> {
        let (x, indices) = (inputs[0], inputs[1]);
        let shape = taken_shape(&x.shape, self.axis, &indices.shape);
        vec![build(x.dtype, &shape, |index| x.at(&source(index, self.axis, indices, x.shape[self.axis])))]
    }

    fn flops(&self, _: &[TensorType], _: &[TensorType]) -> f64 {
        0.0
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl TakeGradient {
    fn result_shape(&self, dy: &[usize], indices: &[usize]) -> Result<Shape, String> {
        let end = self.axis + indices.len();
        if dy.get(self.axis..end) != Some(indices) {
            return Err(format!("axes {}..{end} of dy are not those of the indices", self.axis));
        }
        Ok(dy[..self.axis].iter().chain(&[self.size]).chain(&dy[end..]).copied().collect())
    }
}

impl Primitive for TakeGradient {
    fn name(&self) -> &'static str {
        "take_gradient"
    }

    fn attributes(&self) -> String {
        format!("axis={}, size={}", self.axis, self.size)
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        expect_operands(inputs, 2)?;
        expect_float(&inputs[0], "dy")?;
        expect_indices(&inputs[1])?;
        Ok(vec![TensorType::f32(&self.result_shape(&inputs[0].shape, &inputs[1].shape)?)])
    }

    fn gradient(&self, builder: &mut Builder, call: &GradientCall<'_>) -> Result<Vec<Option<ValueId>>, BuildError> {
        let Some(gradient) = result_gradient(call) else {
            return Ok(no_gradients(call));
        };
        Ok(vec![Some(builder.emit_one(Take { axis: self.axis }, &[gradient, call.inputs[1]])?), None])
    }

    fn reference(&self, inputs: &[&Array], _: RunKey) -> Vec<Array> {
        let (dy, indices) = (inputs[0], inputs[1]);
        let shape = self.result_shape(&dy.shape, &indices.shape).expect("checked operands");
        let mut dx = zeros(DType::F32, &shape);
        Array::for_each_index(&dy.shape, |index| {
            add_at(&mut dx, &source(index, self.axis, indices, self.size), dy.at(index));
        });
        vec![dx]
    }

    fn flops(&self, inputs: &[TensorType], _: &[TensorType]) -> f64 {
        inputs[0].elements() as f64
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
