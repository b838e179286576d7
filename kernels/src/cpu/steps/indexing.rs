//! Primitives along one axis that choose or accumulate: `arg_reduce`, `top_k`, `cumulative_sum`, `take_along`; and `squared_norm`.

use std::cmp::Ordering;

use half::bf16;
use sward_core::program::{DType, Primitive};
use sward_ops::primitives as op;

use super::map::inputs_of;
use super::{Operand, Step};
use crate::cpu::features::Features;
use crate::cpu::kernels::map::{Elements, MapProgram};
use crate::cpu::kernels::movement::check_indices;
use crate::cpu::kernels::reduce::{Reduce, Reduction};
use crate::cpu::threads::{Scratch, parallel_ranges};
use sward_core::scalar::{ScalarFunction, ScalarKind};

/// Elements of one part of a parallel loop, roughly.
const GRAIN: usize = 1 << 13;

/// The lines of a tensor along an axis: `outer * inner` of them, `size` elements each, `inner` apart.
#[derive(Clone, Copy, Debug)]
struct Lines {
    outer: usize,
    size: usize,
    inner: usize,
}

impl Lines {
    fn new(shape: &[usize], axis: usize) -> Lines {
        Lines { outer: shape[..axis].iter().product(), size: shape[axis], inner: shape[axis + 1..].iter().product() }
    }

    /// Runs `body` with every line's (outer, inner) position.
    fn each(&self, body: impl Fn(usize, usize) + Sync) {
        let Lines { outer, size, inner } = *self;
        parallel_ranges(outer * inner, (GRAIN / size.max(1)).max(1), |range| {
            range.for_each(|line| body(line / inner, line % inner));
        });
    }

    fn at(&self, outer: usize, position: usize, inner: usize) -> usize {
        (outer * self.size + position) * self.inner + inner
    }
}

/// An element as a number that compares as the element does. An i64 beyond 2^53 is rounded.
fn read(operand: &Operand, at: usize) -> f64 {
    // SAFETY: callers name an element of the operand.
    unsafe {
        match operand.dtype() {
            DType::F32 => f64::from(*operand.pointer.cast::<f32>().add(at)),
            DType::BF16 => f64::from((*operand.pointer.cast::<bf16>().add(at)).to_f32()),
            DType::I64 => *operand.pointer.cast::<i64>().add(at) as f64,
            DType::Bool => f64::from(*operand.pointer.add(at)),
        }
    }
}

/// Copies one element.
fn copy(from: &Operand, from_at: usize, to: &Operand, to_at: usize) {
    let bytes = from.dtype().bytes();
    // SAFETY: callers name elements of both, of one dtype, and own the one written.
    unsafe { std::ptr::copy_nonoverlapping(from.pointer.add(from_at * bytes), to.pointer.add(to_at * bytes), bytes) }
}

fn write_index(operand: &Operand, at: usize, index: usize) {
    // SAFETY: callers name an element of an i64 result and own it.
    unsafe { *operand.pointer.cast::<i64>().add(at) = index as i64 }
}

fn write_float(operand: &Operand, at: usize, value: f32) {
    // SAFETY: callers name an element of a float result and own it.
    unsafe {
        match operand.dtype() {
            DType::BF16 => *operand.pointer.cast::<bf16>().add(at) = bf16::from_f32(value),
            _ => *operand.pointer.cast::<f32>().add(at) = value,
        }
    }
}

fn arg_reduce(op: &op::ArgReduce, inputs: Vec<Operand>, outputs: Vec<Operand>) -> Step {
    let (lines, kind) = (Lines::new(inputs[0].shape(), op.axis), op.kind);
    Step::new("arg_reduce", move |_| {
        lines.each(|outer, inner| {
            let mut best = (read(&inputs[0], lines.at(outer, 0, inner)), 0);
            for position in 1..lines.size {
                let value = read(&inputs[0], lines.at(outer, position, inner));
                let is_better = match kind {
                    op::ArgReduceKind::Max => value > best.0,
                    op::ArgReduceKind::Min => value < best.0,
                };
                if !best.0.is_nan() && (is_better || value.is_nan()) {
                    best = (value, position);
                }
            }
            write_index(&outputs[0], outer * lines.inner + inner, best.1);
        });
    })
}

/// Rising, NaN above all.
fn by_size(left: f64, right: f64) -> Ordering {
    left.partial_cmp(&right).unwrap_or_else(|| left.is_nan().cmp(&right.is_nan()))
}

fn top_k(op: &op::TopK, inputs: Vec<Operand>, outputs: Vec<Operand>) -> Step {
    let (op::TopK { k, largest }, lines) = (*op, Lines::new(inputs[0].shape(), inputs[0].shape().len() - 1));
    Step::new("top_k", move |_| {
        lines.each(|outer, _| {
            let value = |position: usize| read(&inputs[0], lines.at(outer, position, 0));
            let mut order: Vec<(f64, usize)> = (0..lines.size).map(|position| (value(position), position)).collect();
            let compare = |left: &(f64, usize), right: &(f64, usize)| {
                let rising = by_size(left.0, right.0);
                // Positions decide between equals, so that the unstable selection has one result.
                (if largest { rising.reverse() } else { rising }).then(left.1.cmp(&right.1))
            };
            if k < order.len() && k > 0 {
                order.select_nth_unstable_by(k - 1, compare);
            }
            order.truncate(k);
            order.sort_unstable_by(compare);
            for (rank, (_, position)) in order.into_iter().enumerate() {
                copy(&inputs[0], lines.at(outer, position, 0), &outputs[0], outer * k + rank);
                write_index(&outputs[1], outer * k + rank, position);
            }
        });
    })
}

fn cumulative_sum(op: &op::CumulativeSum, inputs: Vec<Operand>, outputs: Vec<Operand>) -> Step {
    let (lines, reverse) = (Lines::new(inputs[0].shape(), op.axis), op.reverse);
    Step::new("cumulative_sum", move |_| {
        lines.each(|outer, inner| {
            let mut sum = 0.0;
            for step in 0..lines.size {
                let at = lines.at(outer, if reverse { lines.size - 1 - step } else { step }, inner);
                sum += read(&inputs[0], at);
                write_float(&outputs[0], at, sum as f32);
            }
        });
    })
}

fn take_along(op: &op::TakeAlong, inputs: Vec<Operand>, outputs: Vec<Operand>) -> Step {
    let (from, to) = (Lines::new(inputs[0].shape(), op.axis), Lines::new(inputs[1].shape(), op.axis));
    Step::fallible("take_along", move |_| {
        let indices = indices(&inputs[1], from.size)?;
        to.each(|outer, inner| {
            for position in 0..to.size {
                let at = to.at(outer, position, inner);
                copy(&inputs[0], from.at(outer, indices[at] as usize, inner), &outputs[0], at);
            }
        });
        Ok(())
    })
}

fn take_along_gradient(op: &op::TakeAlongGradient, inputs: Vec<Operand>, outputs: Vec<Operand>) -> Step {
    let (from, to) = (Lines::new(inputs[1].shape(), op.axis), Lines::new(outputs[0].shape(), op.axis));
    Step::fallible("take_along", move |_| {
        let indices = indices(&inputs[1], to.size)?;
        let out: *mut f32 = outputs[0].pointer.cast();
        let out = crate::cpu::threads::Shared::from_pointer(out);
        from.each(|outer, inner| {
            // SAFETY: indices were checked; every line of the result has one line of indices.
            unsafe {
                for position in 0..to.size {
                    *out.pointer().add(to.at(outer, position, inner)) = 0.0;
                }
                for position in 0..from.size {
                    let at = from.at(outer, position, inner);
                    *out.pointer().add(to.at(outer, indices[at] as usize, inner)) += read(&inputs[0], at) as f32;
                }
            }
        });
        Ok(())
    })
}

/// The checked indices of an operand.
fn indices(operand: &Operand, size: usize) -> Result<&[i64], String> {
    // SAFETY: the operand's memory holds its elements, written before.
    let indices = unsafe { std::slice::from_raw_parts(operand.pointer.cast::<i64>(), operand.elements()) };
    check_indices(indices, size).map_err(|index| format!("index {index} is outside the axis of size {size}"))?;
    Ok(indices)
}

fn squared_norm(inputs: Vec<Operand>, outputs: Vec<Operand>, features: Features) -> Step {
    let square = ScalarFunction::build(&[ScalarKind::Number], |graph, inputs| graph.square(inputs[0])).linearize();
    let parts: Vec<(MapProgram, Reduce)> = inputs
        .iter()
        .map(|input| {
            let shape = [input.elements()];
            let flat = Operand { tensor_type: sward_core::program::TensorType::new(input.dtype(), &shape), ..input.clone() };
            (MapProgram::new(&square, &shape, inputs_of(&[flat], &shape)), Reduce::new(Reduction::Sum, &shape, &[0]))
        })
        .collect();
    Step::new("squared_norm", move |run| {
        let mut total = 0.0f64;
        let mut sum = Scratch::words(1);
        for (program, reduce) in &parts {
            // SAFETY: the operands are whole tensors; the sum lies in our scratch.
            unsafe {
                reduce.run(features.level(), program, run.key, Elements::F32(sum.pointer()));
                total += f64::from(*sum.pointer::<f32>());
            }
        }
        write_float(&outputs[0], 0, total as f32);
    })
}

/// Binds one of these primitives.
pub(super) fn prepare(primitive: &dyn Primitive, inputs: &[Operand], outputs: &[Operand], features: Features) -> Option<Step> {
    let (inputs, outputs) = (inputs.to_vec(), outputs.to_vec());
    if let Some(op) = primitive.downcast::<op::ArgReduce>() {
        return Some(arg_reduce(op, inputs, outputs));
    }
    if let Some(op) = primitive.downcast::<op::TopK>() {
        return Some(top_k(op, inputs, outputs));
    }
    if let Some(op) = primitive.downcast::<op::CumulativeSum>() {
        let is_float = inputs[0].dtype().is_float() && outputs[0].dtype().is_float();
        return is_float.then(|| cumulative_sum(op, inputs, outputs));
    }
    if let Some(op) = primitive.downcast::<op::TakeAlong>() {
        return Some(take_along(op, inputs, outputs));
    }
    if let Some(op) = primitive.downcast::<op::TakeAlongGradient>() {
        return Some(take_along_gradient(op, inputs, outputs));
    }
    primitive.downcast::<op::SquaredNorm>()?;
    Some(squared_norm(inputs, outputs, features))
}
