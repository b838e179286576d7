//! `take_along` and its gradient: for every position its own pick along an axis.

use super::support::{
    add_at, build, checked_index, expect_axis, expect_float, expect_operands, expect_type, no_gradients, result_gradient,
    with_axis, zeros,
};
use std::any::Any;
use sward_core::program::{Array, BuildError, Builder, DType, GradientCall, Primitive, RunKey, TensorType, ValueId};

/// `result[.., i, ..] = x[.., indices[.., i, ..], ..]`: x and indices `i64` of one rank and equal sizes off the axis give the indices' sizes.
/// PyTorch: `torch.gather`, `torch.take_along_dim`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TakeAlong {
    /// The axis.
    pub axis: usize,
}

/// The gradient of [`TakeAlong`]: dy and indices of equal sizes give dx `f32 [.., size, ..]`. PyTorch: `torch.scatter_add` into zeros.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TakeAlongGradient {
    /// The axis.
    pub axis: usize,
    /// The size of the axis.
    pub size: usize,
}

impl Primitive for TakeAlong {
    fn name(&self) -> &'static str {
        "take_along"
    }

    fn attributes(&self) -> String {
        format!("axis={}", self.axis)
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        expect_operands(inputs, 2)?;
        let (x, indices) = (&inputs[0], &inputs[1]);
        expect_axis(self.axis, x.rank())?;
        expect_axis(self.axis, indices.rank())?;
        let expected = with_axis(&x.shape, self.axis, indices.shape[self.axis]);
        expect_type(indices, DType::I64, &expected, "the indices")?;
        Ok(vec![TensorType { dtype: x.dtype, shape: expected }])
    }

    fn gradient(&self, builder: &mut Builder, call: &GradientCall<'_>) -> Result<Vec<Option<ValueId>>, BuildError> {
        let Some(gradient) = result_gradient(call) else {
            return Ok(no_gradients(call));
        };
        let rule = TakeAlongGradient { axis: self.axis, size: builder.shape(call.inputs[0])[self.axis] };
        Ok(vec![Some(builder.emit_one(rule, &[gradient, call.inputs[1]])?), None])
    }

    fn reference(&self, inputs: &[&Array], _: RunKey) -> Vec<Array> {
        let (x, indices) = (inputs[0], inputs[1]);
        vec![build(x.dtype, &indices.shape, |index| {
            let row = checked_index(indices.at(index), x.shape[self.axis]);
            x.at(&with_axis(index, self.axis, row))
        })]
    }

    fn flops(&self, _: &[TensorType], _: &[TensorType]) -> f64 {
        0.0
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Primitive for TakeAlongGradient {
    fn name(&self) -> &'static str {
        "take_along_gradient"
    }

    fn attributes(&self) -> String {
        format!("axis={}, size={}", self.axis, self.size)
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        expect_operands(inputs, 2)?;
        let (dy, indices) = (&inputs[0], &inputs[1]);
        expect_float(dy, "dy")?;
        expect_axis(self.axis, dy.rank())?;
        expect_type(indices, DType::I64, &dy.shape, "the indices")?;
        Ok(vec![TensorType::f32(&with_axis(&dy.shape, self.axis, self.size))])
    }

    fn gradient(&self, builder: &mut Builder, call: &GradientCall<'_>) -> Result<Vec<Option<ValueId>>, BuildError> {
        let Some(gradient) = result_gradient(call) else {
            return Ok(no_gradients(call));
        };
        Ok(vec![Some(builder.emit_one(TakeAlong { axis: self.axis }, &[gradient, call.inputs[1]])?), None])
    }

    fn reference(&self, inputs: &[&Array], _: RunKey) -> Vec<Array> {
        let (dy, indices) = (inputs[0], inputs[1]);
        let mut dx = zeros(DType::F32, &with_axis(&dy.shape, self.axis, self.size));
        Array::for_each_index(&dy.shape, |index| {
            let row = checked_index(indices.at(index), self.size);
            add_at(&mut dx, &with_axis(index, self.axis, row), dy.at(index));
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
