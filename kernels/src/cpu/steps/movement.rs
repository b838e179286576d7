//! Primitives that move elements: `permute`, `expand`, `slice`, `concat`, `pad` with a constant, `take`, `iota` and `constant`.

use half::bf16;
use smallvec::SmallVec;
use sward_core::program::DType;
use sward_ops::primitives as op;

use super::{Operand, Step};
use crate::cpu::features::Features;
use crate::cpu::kernels::movement::{self, StridedCopy};
use crate::cpu::threads::{Shared, parallel_ranges};
use crate::tensor::Tensor;

type Strides = SmallVec<[isize; 6]>;

/// Row-major strides in elements.
fn dense(shape: &[usize]) -> Strides {
    (0..shape.len()).map(|axis| shape[axis + 1..].iter().product::<usize>() as isize).collect()
}

/// A copy of `shape` from `from_offset` in the operand to `to_offset` in the result, in elements.
struct Move {
    copy: StridedCopy,
    from: Shared<u8>,
    to: Shared<u8>,
}

impl Move {
    fn new(shape: &[usize], from: (&Operand, isize, &[isize]), to: (&Operand, isize, &[isize])) -> Move {
        let bytes = from.0.dtype().bytes();
        let address =
            |operand: &Operand, offset: isize| Shared::from_pointer(operand.pointer.wrapping_offset(offset * bytes as isize));
        Move { copy: StridedCopy::new(shape, from.2, to.2, bytes), from: address(from.0, from.1), to: address(to.0, to.1) }
    }

    fn run(&self, features: Features) {
        // SAFETY: the primitives' rules give the sizes that strides and offsets come from; the planner keeps operands and results apart.
        unsafe { self.copy.run(features.level(), self.from.pointer(), self.to.pointer()) }
    }
}

fn single(kernel: &'static str, part: Move, features: Features) -> Step {
    Step::new(kernel, move |_| part.run(features))
}

pub(super) fn permute(op: &op::Permute, inputs: &[Operand], outputs: &[Operand], features: Features) -> Step {
    let own = dense(inputs[0].shape());
    let from: Strides = op.axes.iter().map(|axis| own[*axis]).collect();
    let to = dense(outputs[0].shape());
    single("permute", Move::new(outputs[0].shape(), (&inputs[0], 0, &from), (&outputs[0], 0, &to)), features)
}

pub(super) fn expand(inputs: &[Operand], outputs: &[Operand], features: Features) -> Step {
    let (own, shape) = (dense(inputs[0].shape()), outputs[0].shape());
    let from: Strides = (0..shape.len()).map(|axis| if inputs[0].shape()[axis] == 1 { 0 } else { own[axis] }).collect();
    single("expand", Move::new(shape, (&inputs[0], 0, &from), (&outputs[0], 0, &dense(shape))), features)
}

pub(super) fn slice(op: &op::Slice, inputs: &[Operand], outputs: &[Operand], features: Features) -> Step {
    let mut from = dense(inputs[0].shape());
    let offset = op.start as isize * from[op.axis];
    from[op.axis] *= op.step;
    let shape = outputs[0].shape();
    single("slice", Move::new(shape, (&inputs[0], offset, &from), (&outputs[0], 0, &dense(shape))), features)
}

/// Zeros a result.
fn clear(operand: &Operand) {
    // SAFETY: the result's memory has so many bytes, and no one reads it meanwhile.
    unsafe { movement::fill(operand.pointer, operand.tensor_type.bytes(), 0u8) }
}

pub(super) fn slice_gradient(op: &op::SliceGradient, inputs: &[Operand], outputs: &[Operand], features: Features) -> Step {
    let mut to = dense(outputs[0].shape());
    let offset = op.start as isize * to[op.axis];
    to[op.axis] *= op.step;
    let shape = inputs[0].shape();
    let part = Move::new(shape, (&inputs[0], 0, &dense(shape)), (&outputs[0], offset, &to));
    let out = outputs[0].clone();
    Step::new("slice", move |_| {
        clear(&out);
        part.run(features);
    })
}

pub(super) fn concat(op: &op::Concat, inputs: &[Operand], outputs: &[Operand], features: Features) -> Step {
    let to = dense(outputs[0].shape());
    let mut start = 0;
    let parts: Vec<Move> = inputs
        .iter()
        .map(|input| {
            let offset = start * to[op.axis];
            start += input.shape()[op.axis] as isize;
            Move::new(input.shape(), (input, 0, &dense(input.shape())), (&outputs[0], offset, &to))
        })
        .collect();
    Step::new("concat", move |_| parts.iter().for_each(|part| part.run(features)))
}

/// Padding with a constant; the other modes read every element by its rule.
pub(super) fn pad(op: &op::Pad, inputs: &[Operand], outputs: &[Operand], features: Features) -> Option<Step> {
    let op::PadMode::Constant(value) = op.mode else { return None };
    let to = dense(outputs[0].shape());
    let offset: isize = (0..to.len()).map(|axis| op.low[axis] as isize * to[axis]).sum();
    let part = Move::new(inputs[0].shape(), (&inputs[0], 0, &dense(inputs[0].shape())), (&outputs[0], offset, &to));
    let out = outputs[0].clone();
    Some(Step::new("pad", move |_| {
        let n = out.elements();
        // SAFETY: the result's memory has so many elements, and no one reads it meanwhile.
        unsafe {
            match out.dtype() {
                DType::F32 => movement::fill(out.pointer.cast(), n, value as f32),
                DType::BF16 => movement::fill(out.pointer.cast(), n, bf16::from_f32(value as f32)),
                DType::I64 => movement::fill(out.pointer.cast(), n, value as i64),
                DType::Bool => movement::fill(out.pointer, n, u8::from(value != 0.0)),
            }
        }
        part.run(features);
    }))
}

/// The gradient of padding with a constant: the inner part.
pub(super) fn pad_gradient(op: &op::PadGradient, inputs: &[Operand], outputs: &[Operand], features: Features) -> Option<Step> {
    let op::PadMode::Constant(_) = op.pad.mode else { return None };
    let from = dense(inputs[0].shape());
    let offset: isize = (0..from.len()).map(|axis| op.pad.low[axis] as isize * from[axis]).sum();
    let shape = outputs[0].shape();
    Some(single("pad", Move::new(shape, (&inputs[0], offset, &from), (&outputs[0], 0, &dense(shape))), features))
}

/// The positions before an axis, its size, and the elements of one of its positions.
fn around(shape: &[usize], axis: usize) -> (usize, usize, usize) {
    (shape[..axis].iter().product(), shape[axis], shape[axis + 1..].iter().product())
}

fn indices(operand: &Operand) -> &[i64] {
    // SAFETY: the operand's memory holds its elements, written before.
    unsafe { std::slice::from_raw_parts(operand.pointer.cast(), operand.elements()) }
}

fn outside(index: i64, size: usize) -> String {
    format!("index {index} is outside the axis of size {size}")
}

pub(super) fn take(op: &op::Take, inputs: Vec<Operand>, outputs: Vec<Operand>) -> Step {
    let (outer, size, inner) = around(inputs[0].shape(), op.axis);
    let row_bytes = inner * inputs[0].dtype().bytes();
    Step::fallible("take", move |_| {
        // SAFETY: the primitive's rule gives these sizes; the planner keeps operands and result apart.
        let taken = unsafe { movement::take(inputs[0].pointer, indices(&inputs[1]), outputs[0].pointer, outer, size, row_bytes) };
        taken.map_err(|index| outside(index, size))
    })
}

/// Elements of a row that one part of [`take_gradient`] sums.
const COLUMNS: usize = 256;

pub(super) fn take_gradient(op: &op::TakeGradient, inputs: Vec<Operand>, outputs: Vec<Operand>) -> Step {
    let (outer, size, inner) = around(outputs[0].shape(), op.axis);
    Step::fallible("take", move |_| {
        let indices = indices(&inputs[1]);
        movement::check_indices(indices, size).map_err(|index| outside(index, size))?;
        let (dy, dx) = (&inputs[0], &outputs[0]);
        let pieces = inner.div_ceil(COLUMNS);
        // Every part owns some columns of all rows, and adds in the order of the indices.
        parallel_ranges(outer * pieces, 1, |range| {
            for part in range {
                let (o, first) = (part / pieces, part % pieces * COLUMNS);
                let n = COLUMNS.min(inner - first);
                // SAFETY: indices were checked; columns are this part's own.
                unsafe {
                    let dx = dx.pointer.cast::<f32>().add(o * size * inner + first);
                    for row in 0..size {
                        std::slice::from_raw_parts_mut(dx.add(row * inner), n).fill(0.0);
                    }
                    for (i, index) in indices.iter().enumerate() {
                        let to = std::slice::from_raw_parts_mut(dx.add(*index as usize * inner), n);
                        let at = (o * indices.len() + i) * inner + first;
                        match dy.dtype() {
                            DType::BF16 => {
                                let from = std::slice::from_raw_parts(dy.pointer.cast::<bf16>().add(at), n);
                                to.iter_mut().zip(from).for_each(|(to, x)| *to += x.to_f32());
                            }
                            _ => {
                                let from = std::slice::from_raw_parts(dy.pointer.cast::<f32>().add(at), n);
                                to.iter_mut().zip(from).for_each(|(to, x)| *to += x);
                            }
                        }
                    }
                }
            }
        });
        Ok(())
    })
}

pub(super) fn iota(outputs: Vec<Operand>) -> Step {
    Step::new("iota", move |_| {
        // SAFETY: the result's memory has so many elements, and no one reads it meanwhile.
        let out = unsafe { std::slice::from_raw_parts_mut(outputs[0].pointer.cast::<i64>(), outputs[0].elements()) };
        out.iter_mut().enumerate().for_each(|(i, out)| *out = i as i64);
    })
}

pub(super) fn constant(op: &op::Constant, outputs: Vec<Operand>) -> Step {
    let array = sward_core::program::Array::new(op.dtype, &op.shape, op.data.to_vec());
    let tensor = Tensor::from_array(&array);
    Step::new("constant", move |_| {
        // SAFETY: the result has the constant's type, and no one reads it meanwhile.
        unsafe { std::ptr::copy_nonoverlapping(tensor.bytes().as_ptr(), outputs[0].pointer, tensor.bytes().len()) }
    })
}
