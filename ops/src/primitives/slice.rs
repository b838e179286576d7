//! `slice` and its gradient: part of one axis.

use super::support::{build, expect_axis, expect_operands, no_gradients, result_gradient, with_axis, zeros};
use std::any::Any;
use sward_core::program::{Array, BuildError, Builder, GradientCall, Primitive, RunKey, TensorType, ValueId};

/// Positions `start, start + step, ...` of one axis, `length` of them. Any dtype. PyTorch: `x[start:stop:step]`; unlike there, the
/// step may be negative.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slice {
    /// The axis.
    pub axis: usize,
    /// The first position taken.
    pub start: usize,
    /// How many positions are taken.
    pub length: usize,
    /// The distance from one position to the next; not 0.
    pub step: isize,
}

/// Zeros with the operand put back where [`Slice`] took it from: `[.., length, ..]` gives `[.., size, ..]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SliceGradient {
    /// The axis.
    pub axis: usize,
    /// The position that the operand's first goes to.
    pub start: usize,
    /// The distance from one position to the next; not 0.
    pub step: isize,
    /// The result's size along the axis.
    pub size: usize,
}

fn position(start: usize, step: isize, index: usize) -> usize {
    (start as isize + step * index as isize) as usize
}

fn check_positions(start: usize, length: usize, step: isize, size: usize) -> Result<(), String> {
    if step == 0 {
        return Err("a step of 0".to_string());
    }
    if length == 0 {
        return Ok(());
    }
    let last = (length as i128 - 1) * step as i128 + start as i128;
    if start >= size || last < 0 || last >= size as i128 {
        return Err(format!("positions {start} to {last} of an axis of size {size}"));
    }
    Ok(())
}

impl Primitive for Slice {
    fn name(&self) -> &'static str {
        "slice"
    }

    fn attributes(&self) -> String {
        format!("axis={}, start={}, length={}, step={}", self.axis, self.start, self.length, self.step)
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        expect_operands(inputs, 1)?;
        expect_axis(self.axis, inputs[0].rank())?;
        check_positions(self.start, self.length, self.step, inputs[0].shape[self.axis])?;
        let shape = with_axis(&inputs[0].shape, self.axis, self.length);
        Ok(vec![TensorType { dtype: inputs[0].dtype, shape }])
    }

    fn gradient(&self, builder: &mut Builder, call: &GradientCall<'_>) -> Result<Vec<Option<ValueId>>, BuildError> {
        let Some(gradient) = result_gradient(call) else {
            return Ok(no_gradients(call));
        };
        let size = builder.shape(call.inputs[0])[self.axis];
        let back = SliceGradient { axis: self.axis, start: self.start, step: self.step, size };
        Ok(vec![Some(builder.emit_one(back, &[gradient])?)])
    }

    fn reference(&self, inputs: &[&Array], _: RunKey) -> Vec<Array> {
        let shape = with_axis(&inputs[0].shape, self.axis, self.length);
        vec![build(inputs[0].dtype, &shape, |index| {
            let mut source = index.to_vec();
            source[self.axis] = position(self.start, self.step, index[self.axis]);
            inputs[0].at(&source)
        })]
    }

    fn flops(&self, _: &[TensorType], _: &[TensorType]) -> f64 {
        0.0
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Primitive for SliceGradient {
    fn name(&self) -> &'static str {
        "slice_gradient"
    }

    fn attributes(&self) -> String {
        format!("axis={}, start={}, step={}, size={}", self.axis, self.start, self.step, self.size)
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        expect_operands(inputs, 1)?;
        expect_axis(self.axis, inputs[0].rank())?;
        check_positions(self.start, inputs[0].shape[self.axis], self.step, self.size)?;
        let shape = with_axis(&inputs[0].shape, self.axis, self.size);
        Ok(vec![TensorType { dtype: inputs[0].dtype, shape }])
    }

    fn gradient(&self, builder: &mut Builder, call: &GradientCall<'_>) -> Result<Vec<Option<ValueId>>, BuildError> {
        let Some(gradient) = result_gradient(call) else {
            return Ok(no_gradients(call));
        };
        let length = builder.shape(call.inputs[0])[self.axis];
        let forward = Slice { axis: self.axis, start: self.start, length, step: self.step };
        Ok(vec![Some(builder.emit_one(forward, &[gradient])?)])
    }

    fn reference(&self, inputs: &[&Array], _: RunKey) -> Vec<Array> {
        let mut result = zeros(inputs[0].dtype, &with_axis(&inputs[0].shape, self.axis, self.size));
        Array::for_each_index(&inputs[0].shape, |index| {
            let mut target = index.to_vec();
            target[self.axis] = position(self.start, self.step, index[self.axis]);
            let offset = result.offset(&target);
            result.data[offset] = inputs[0].at(index);
        });
        vec![result]
    }

    fn flops(&self, _: &[TensorType], _: &[TensorType]) -> f64 {
        0.0
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
