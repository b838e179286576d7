//! `pad` by reflection or replication, and its gradient: every position along an axis shows one position of the operand, so a position of the
//! operand sums those that show it.

use half::bf16;
use sward_core::program::DType;
use sward_ops::primitives::{Pad, PadGradient};

use super::{Operand, Step};
use crate::cpu::threads::parallel_ranges;

/// Elements of one part of a parallel loop, roughly.
const GRAIN: usize = 1 << 13;

/// For every axis and position of the padded tensor, the operand's position.
fn sources(op: &Pad, inner: &[usize]) -> Option<Vec<Vec<usize>>> {
    let along = |axis: usize| {
        let padded = op.low[axis] + inner[axis] + op.high[axis];
        (0..padded).map(|index| op.mode.source(index, op.low[axis], inner[axis])).collect::<Option<Vec<usize>>>()
    };
    (0..inner.len()).map(along).collect()
}

/// Row-major strides in elements.
fn strides(shape: &[usize]) -> Vec<usize> {
    (0..shape.len()).map(|axis| shape[axis + 1..].iter().product()).collect()
}

/// The position along each axis but the last of row `row`.
fn position(mut row: usize, shape: &[usize]) -> Vec<usize> {
    let mut position = vec![0; shape.len() - 1];
    for axis in (0..position.len()).rev() {
        position[axis] = row % shape[axis];
        row /= shape[axis];
    }
    position
}

/// Runs `body` for every row (run of the last axis) of a tensor.
fn each_row(shape: &[usize], body: impl Fn(usize) + Sync) {
    let (rows, width) = (shape[..shape.len() - 1].iter().product(), shape[shape.len() - 1]);
    parallel_ranges(rows, (GRAIN / width.max(1)).max(1), |range| range.for_each(&body));
}

/// `None` for rank 0 and for the constant mode, which has no source in the padding.
pub(super) fn pad(op: &Pad, inputs: &[Operand], outputs: &[Operand]) -> Option<Step> {
    let (x, y) = (inputs[0].clone(), outputs[0].clone());
    let maps = sources(op, x.shape())?;
    let last = x.shape().len().checked_sub(1)?;
    let (x_strides, bytes) = (strides(x.shape()), x.dtype().bytes());
    Some(Step::new("pad", move |_| {
        let width = y.shape()[last];
        each_row(y.shape(), |row| {
            let position = position(row, y.shape());
            let from: usize = (0..last).map(|axis| maps[axis][position[axis]] * x_strides[axis]).sum();
            for (column, source) in maps[last].iter().enumerate() {
                // SAFETY: maps name positions of the operand; rows of the result are this part's own.
                unsafe {
                    let to = y.address().add((row * width + column) * bytes);
                    std::ptr::copy_nonoverlapping(x.address().add((from + source) * bytes), to, bytes);
                }
            }
        });
    }))
}

/// As [`pad`].
pub(super) fn pad_gradient(op: &PadGradient, inputs: &[Operand], outputs: &[Operand]) -> Option<Step> {
    let (dy, dx) = (inputs[0].clone(), outputs[0].clone());
    let last = dx.shape().len().checked_sub(1)?;
    let mut shown: Vec<Vec<Vec<usize>>> = dx.shape().iter().map(|size| vec![Vec::new(); *size]).collect();
    for (shown, map) in shown.iter_mut().zip(sources(&op.pad, dx.shape())?) {
        for (index, source) in map.into_iter().enumerate() {
            shown[source].push(index);
        }
    }
    let dy_strides = strides(dy.shape());
    Some(Step::new("pad", move |_| {
        let width = dx.shape()[last];
        each_row(dx.shape(), |row| {
            let position = position(row, dx.shape());
            // Rows of the gradient that show this one, in rising order.
            let mut rows = vec![0];
            for axis in 0..last {
                let of_axis = &shown[axis][position[axis]];
                rows = rows
                    .iter()
                    .flat_map(|row| of_axis.iter().map(move |index| (row, index)))
                    .map(|(row, index)| row + index * dy_strides[axis])
                    .collect();
            }
            for column in 0..width {
                let columns = &shown[last][column];
                // SAFETY: shown positions lie in the gradient; rows of the result are this part's own.
                unsafe {
                    let at = row * width + column;
                    match dx.dtype() {
                        DType::BF16 => {
                            let from: *const bf16 = dy.address().cast();
                            let sum: f32 = rows
                                .iter()
                                .flat_map(|row| columns.iter().map(move |column| (*from.add(row + column)).to_f32()))
                                .sum();
                            *dx.address().cast::<bf16>().add(at) = bf16::from_f32(sum);
                        }
                        _ => {
                            let from: *const f32 = dy.address().cast();
                            let sum: f32 =
                                rows.iter().flat_map(|row| columns.iter().map(move |column| *from.add(row + column))).sum();
                            *dx.address().cast::<f32>().add(at) = sum;
                        }
                    }
                }
            }
        });
    }))
}
