//! Poolings and resizing: means and interpolations are linear along height and width, a maximum is a gather.

use dfdx::prelude::{Cpu, Tape};
use sward_core::program::Array;
use sward_ops::primitives::{AveragePool, MaxPool, PoolAxis, Resize, adaptive_window};

use super::recorder::{Recorder, Value};
use super::reductions::along_axis;

/// A matrix of `results` rows over `size` columns from what each row weighs.
fn matrix(results: usize, size: usize, mut row: impl FnMut(usize, &mut [f64])) -> Vec<f64> {
    let mut matrix = vec![0.0; results * size];
    for (index, weights) in matrix.chunks_exact_mut(size.max(1)).enumerate().take(results) {
        row(index, weights);
    }
    matrix
}

/// Linear along height and width: x `[n,h,w,c]`, and for each of the two axes the result's size and its matrix.
fn separable<T: Tape<f64, Cpu>>(
    recorder: &mut Recorder<T>,
    x: &Value,
    shape: &[usize],
    (height, rows): (usize, &[f64]),
    (width, columns): (usize, &[f64]),
) -> Value {
    let tall = along_axis(recorder, x, shape, 1, rows, height);
    let shape = [shape[0], height, shape[2], shape[3]];
    along_axis(recorder, &tall, &shape, 2, columns, width)
}

/// `average_pool`.
pub(super) fn average_pool<T: Tape<f64, Cpu>>(
    recorder: &mut Recorder<T>,
    op: &AveragePool,
    x: &Value,
    shape: &[usize],
    result: &[usize],
) -> Value {
    let means = |axis: PoolAxis, size: usize, results: usize| {
        matrix(results, size, |index, weights| {
            let count = if op.count_include_pad { axis.padded_length(index, size) } else { axis.window(index, size).count() };
            axis.window(index, size).for_each(|position| weights[position] = 1.0 / count as f64);
        })
    };
    let (rows, columns) = op.axes();
    let (rows, columns) = (means(rows, shape[1], result[1]), means(columns, shape[2], result[2]));
    separable(recorder, x, shape, (result[1], &rows), (result[2], &columns))
}

/// `adaptive_average_pool`.
pub(super) fn adaptive_average_pool<T: Tape<f64, Cpu>>(
    recorder: &mut Recorder<T>,
    x: &Value,
    shape: &[usize],
    output: (usize, usize),
) -> Value {
    let means = |size: usize, results: usize| {
        matrix(results, size, |index, weights| {
            let window = adaptive_window(index, results, size);
            let share = 1.0 / window.len() as f64;
            weights[window].fill(share);
        })
    };
    let (rows, columns) = (means(shape[1], output.0), means(shape[2], output.1));
    separable(recorder, x, shape, (output.0, &rows), (output.1, &columns))
}

/// `resize`.
pub(super) fn resize<T: Tape<f64, Cpu>>(recorder: &mut Recorder<T>, op: &Resize, x: &Value, shape: &[usize]) -> Value {
    let taps = |size: usize, results: usize| {
        let taps = op.taps(size, results);
        matrix(results, size, |index, weights| {
            for (offset, weight) in taps[index].weights.iter().enumerate() {
                weights[taps[index].start + offset] += weight;
            }
        })
    };
    let (rows, columns) = (taps(shape[1], op.output.0), taps(shape[2], op.output.1));
    separable(recorder, x, shape, (op.output.0, &rows), (op.output.1, &columns))
}

/// `max_pool`: the first maximum of every window is gathered, NaN before numbers.
pub(super) fn max_pool<T: Tape<f64, Cpu>>(
    recorder: &mut Recorder<T>,
    op: &MaxPool,
    x: &Value,
    shape: &[usize],
    result: &[usize],
) -> Value {
    let numbers = x.numbers();
    let (rows, columns) = op.axes();
    let mut sources = Vec::with_capacity(result.iter().product());
    Array::for_each_index(result, |index| {
        let mut best: Option<usize> = None;
        for row in rows.window(index[1], shape[1]) {
            for column in columns.window(index[2], shape[2]) {
                let position = ((index[0] * shape[1] + row) * shape[2] + column) * shape[3] + index[3];
                let is_better = best.is_none_or(|best| {
                    numbers[position] > numbers[best] || numbers[position].is_nan() && !numbers[best].is_nan()
                });
                if is_better {
                    best = Some(position);
                }
            }
        }
        sources.push(best);
    });
    recorder.gather_or(x, sources, f64::NEG_INFINITY)
}
