//! Pooling and resizing: taps are worked out once, from the primitives' own definitions.

use sward_core::program::Primitive;
use sward_ops::primitives as op;

use super::{Operand, Step};
use crate::cpu::features::Features;
use crate::cpu::kernels::max_pool::{self, Windows};
use crate::cpu::kernels::resample::{Taps, resample};

type Size = (usize, usize);

/// Batch, sizes and channels of an image.
fn image(operand: &Operand) -> (usize, Size, usize) {
    let shape = operand.shape();
    (shape[0], (shape[1], shape[2]), shape[3])
}

fn resize_taps(op: &op::Resize, input: Size) -> (Taps, Taps) {
    let along = |size: usize, output: usize| {
        let taps = op.taps(size, output).into_iter();
        Taps::new(taps.map(|taps| taps.weights.iter().enumerate().map(|(i, weight)| (taps.start + i, *weight)).collect()))
    };
    (along(input.0, op.output.0), along(input.1, op.output.1))
}

fn average_taps(op: &op::AveragePool, input: Size, output: Size) -> (Taps, Taps) {
    let along = |axis: op::PoolAxis, size: usize, output: usize| {
        Taps::new((0..output).map(|index| {
            let window: Vec<usize> = axis.window(index, size).collect();
            let divisor = if op.count_include_pad { axis.padded_length(index, size) } else { window.len() };
            window.into_iter().map(|position| (position, 1.0 / divisor as f64)).collect()
        }))
    };
    let (rows, columns) = op.axes();
    (along(rows, input.0, output.0), along(columns, input.1, output.1))
}

fn adaptive_taps(input: Size, output: Size) -> (Taps, Taps) {
    let along = |size: usize, output: usize| {
        Taps::new((0..output).map(|index| {
            let window = op::adaptive_window(index, output, size);
            let weight = 1.0 / window.len() as f64;
            window.map(|position| (position, weight)).collect()
        }))
    };
    (along(input.0, output.0), along(input.1, output.1))
}

fn forward(kernel: &'static str, taps: (Taps, Taps), input: &Operand, output: &Operand, features: Features) -> Step {
    let ((batch, size, channels), from, to) = (image(input), input.data(), output.data_mut());
    // SAFETY: the primitives' rules give these sizes; the planner keeps operand and result apart.
    Step::new(kernel, move |_| unsafe { resample(features.level(), batch, size, channels, (&taps.0, &taps.1), from, to) })
}

/// The gradient sums by the transposed taps, from the gradient of the result to that of the operand.
fn backward(kernel: &'static str, taps: (Taps, Taps), input: Size, dy: &Operand, dx: &Operand, features: Features) -> Step {
    forward(kernel, (taps.0.transposed(input.0), taps.1.transposed(input.1)), dy, dx, features)
}

fn windows(op: &op::MaxPool, input: Size, output: Size) -> Windows {
    let (rows, columns) = op.axes();
    let along =
        |axis: op::PoolAxis, size: usize, output: usize| (0..output).map(|index| axis.window(index, size).collect()).collect();
    Windows { rows: along(rows, input.0, output.0), columns: along(columns, input.1, output.1) }
}

/// Binds a pooling, a resizing or a gradient of one.
pub(super) fn prepare(primitive: &dyn Primitive, inputs: &[Operand], outputs: &[Operand], features: Features) -> Option<Step> {
    let sizes = |operand: &Operand| (operand.shape()[1], operand.shape()[2]);
    if let Some(op) = primitive.downcast::<op::Resize>() {
        return Some(forward("resize", resize_taps(op, sizes(&inputs[0])), &inputs[0], &outputs[0], features));
    }
    if let Some(op) = primitive.downcast::<op::ResizeGradient>() {
        return Some(backward("resize", resize_taps(&op.resize, op.input), op.input, &inputs[0], &outputs[0], features));
    }
    if let Some(op) = primitive.downcast::<op::AveragePool>() {
        let taps = average_taps(op, sizes(&inputs[0]), sizes(&outputs[0]));
        return Some(forward("average_pool", taps, &inputs[0], &outputs[0], features));
    }
    if let Some(op) = primitive.downcast::<op::AveragePoolGradient>() {
        let taps = average_taps(&op.pool, op.input, sizes(&inputs[0]));
        return Some(backward("average_pool", taps, op.input, &inputs[0], &outputs[0], features));
    }
    if primitive.downcast::<op::AdaptiveAveragePool>().is_some() {
        let taps = adaptive_taps(sizes(&inputs[0]), sizes(&outputs[0]));
        return Some(forward("average_pool", taps, &inputs[0], &outputs[0], features));
    }
    if let Some(op) = primitive.downcast::<op::AdaptiveAveragePoolGradient>() {
        let taps = adaptive_taps(op.input, sizes(&inputs[0]));
        return Some(backward("average_pool", taps, op.input, &inputs[0], &outputs[0], features));
    }
    if let Some(op) = primitive.downcast::<op::MaxPool>() {
        let windows = windows(op, sizes(&inputs[0]), sizes(&outputs[0]));
        let ((batch, size, channels), x, y) = (image(&inputs[0]), inputs[0].data(), outputs[0].data_mut());
        // SAFETY: as for `forward`.
        return Some(Step::new("max_pool", move |_| unsafe {
            max_pool::forward(features.level(), batch, size, channels, &windows, x, y);
        }));
    }
    let op = primitive.downcast::<op::MaxPoolGradient>()?;
    let windows = windows(&op.pool, sizes(&inputs[1]), sizes(&inputs[0]));
    let ((batch, size, channels), dy, x, dx) = (image(&inputs[1]), inputs[0].data(), inputs[1].data(), outputs[0].data_mut());
    // SAFETY: as for `forward`.
    Some(Step::new("max_pool", move |_| unsafe {
        max_pool::backward(features.level(), batch, size, channels, &windows, dy, x, dx);
    }))
}
