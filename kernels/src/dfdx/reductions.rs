//! Sums, extremes, running sums, norms and softmax.

use dfdx::prelude::{Cpu, Tape};
use sward_core::program::{TensorType, element_count};
use sward_ops::primitives::{CumulativeSum, LayerNorm, LayerNormGradient, Reduce, ReduceKind, SoftmaxGradient};

use super::movement::{broadcast, permute};
use super::recorder::{Recorder, Value};

/// `reduce`: the reduced axes are moved to the end, then rows are reduced.
pub(super) fn reduce<T: Tape<f64, Cpu>>(recorder: &mut Recorder<T>, op: &Reduce, x: &Value, tensor_type: &TensorType) -> Value {
    let shape = &tensor_type.shape;
    let kept: Vec<usize> = (0..shape.len()).filter(|axis| !op.axes.contains(axis)).collect();
    let order: Vec<usize> = kept.iter().chain(&op.axes).copied().collect();
    let rows = kept.iter().map(|axis| shape[*axis]).product();
    let width = op.count(shape);
    let moved = permute(recorder, x, shape, &order);
    match op.kind {
        _ if width == 0 => recorder.fill(
            rows,
            match op.kind {
                ReduceKind::Sum => 0.0,
                ReduceKind::Mean => f64::NAN,
                ReduceKind::Max => f64::NEG_INFINITY,
                ReduceKind::Min => f64::INFINITY,
            },
        ),
        ReduceKind::Sum => recorder.row_sums(&moved, rows, width),
        ReduceKind::Mean => {
            let sums = recorder.row_sums(&moved, rows, width);
            recorder.scale(&sums, 1.0 / width as f64)
        }
        ReduceKind::Max | ReduceKind::Min => extremes(recorder, op.kind, &moved, rows, width),
    }
}

/// The mean of the elements that equal the extreme of their row, so that they share its gradient.
fn extremes<T: Tape<f64, Cpu>>(recorder: &mut Recorder<T>, kind: ReduceKind, x: &Value, rows: usize, width: usize) -> Value {
    let numbers = x.numbers();
    let mut is_extreme = vec![0.0; numbers.len()];
    let mut counts = Vec::with_capacity(rows);
    for row in 0..rows {
        let own = &numbers[row * width..(row + 1) * width];
        let best = own.iter().fold(own[0], |best, number| match kind {
            _ if best.is_nan() || number.is_nan() => f64::NAN,
            ReduceKind::Max => best.max(*number),
            _ => best.min(*number),
        });
        let mut count = 0.0;
        for (column, number) in own.iter().enumerate() {
            if *number == best || number.is_nan() {
                is_extreme[row * width + column] = 1.0;
                count += 1.0;
            }
        }
        counts.push(count);
    }
    let (mask, zero, counts) = (recorder.constant(is_extreme), recorder.fill(x.len(), 0.0), recorder.constant(counts));
    let kept = recorder.choose(&mask, x, &zero);
    let sums = recorder.row_sums(&kept, rows, width);
    recorder.divide(&sums, &counts)
}

/// A linear function of every line along an axis: `matrix` is `[results, size]`, row-major.
pub(super) fn along_axis<T: Tape<f64, Cpu>>(
    recorder: &mut Recorder<T>,
    x: &Value,
    shape: &[usize],
    axis: usize,
    matrix: &[f64],
    results: usize,
) -> Value {
    let size = shape[axis];
    let last = shape.len() - 1;
    let order: Vec<usize> = (0..=last).filter(|other| *other != axis).chain([axis]).collect();
    let rows = element_count(shape) / size.max(1);
    let lines = permute(recorder, x, shape, &order);
    let transposed = (0..size * results).map(|position| matrix[position % results * size + position / results]).collect();
    let transposed = recorder.constant(transposed);
    let products = recorder.matmul(&lines, &transposed, [1, rows, size, results]);
    let mut moved: Vec<usize> = order.iter().map(|axis| shape[*axis]).collect();
    moved[last] = results;
    let back: Vec<usize> =
        (0..=last).map(|target| order.iter().position(|axis| *axis == target).expect("every axis is there")).collect();
    permute(recorder, &products, &moved, &back)
}

/// `cumulative_sum`: a triangle of ones.
pub(super) fn cumulative_sum<T: Tape<f64, Cpu>>(
    recorder: &mut Recorder<T>,
    op: &CumulativeSum,
    x: &Value,
    shape: &[usize],
) -> Value {
    if x.len() == 0 {
        return x.clone();
    }
    let size = shape[op.axis];
    let is_summed = |row: usize, column: usize| if op.reverse { column >= row } else { column <= row };
    let triangle: Vec<f64> =
        (0..size * size).map(|position| f64::from(u8::from(is_summed(position / size, position % size)))).collect();
    along_axis(recorder, x, shape, op.axis, &triangle, size)
}

/// Rows and their width.
pub(super) fn rows(tensor_type: &TensorType) -> [usize; 2] {
    let width = tensor_type.shape.last().copied().unwrap_or(1);
    [tensor_type.elements() / width.max(1), width]
}

/// The means of the rows.
fn means<T: Tape<f64, Cpu>>(recorder: &mut Recorder<T>, x: &Value, [rows, width]: [usize; 2]) -> Value {
    let sums = recorder.row_sums(x, rows, width);
    recorder.scale(&sums, 1.0 / width as f64)
}

/// `layer_norm`: y, mean and rstd.
pub(super) fn layer_norm<T: Tape<f64, Cpu>>(
    recorder: &mut Recorder<T>,
    op: &LayerNorm,
    operands: &[(&Value, &TensorType)],
) -> Vec<Value> {
    let (x, tensor_type) = operands[0];
    let [count, width] = match rows(tensor_type) {
        // Rows without elements are still rows.
        [_, 0] => [element_count(&tensor_type.shape[..tensor_type.rank() - 1]), 0],
        some => some,
    };
    let mean = if op.centered { means(recorder, x, [count, width]) } else { recorder.fill(count, 0.0) };
    let repeated = recorder.repeat_rows(&mean, width);
    let centered = recorder.subtract(x, &repeated);
    let squares = recorder.multiply(&centered, &centered);
    let variance = means(recorder, &squares, [count, width]);
    let rstd = recorder.unary(&variance, |variance| (variance + op.epsilon).sqrt().recip());
    let repeated = recorder.repeat_rows(&rstd, width);
    let mut y = recorder.multiply(&centered, &repeated);
    let mut parameters = operands[1..].iter();
    for is_weight in [true, false] {
        let is_there = if is_weight { op.weight } else { op.bias };
        if is_there && let Some((parameter, _)) = parameters.next() {
            let repeated = broadcast(recorder, parameter, &[1, width], &[count, width]);
            y = if is_weight { recorder.multiply(&y, &repeated) } else { recorder.add(&y, &repeated) };
        }
    }
    vec![y, mean, rstd]
}

/// `layer_norm_gradient`, from the saved statistics: dx and, where asked for, dweight and dbias.
pub(super) fn layer_norm_gradient<T: Tape<f64, Cpu>>(
    recorder: &mut Recorder<T>,
    op: &LayerNormGradient,
    operands: &[(&Value, &TensorType)],
) -> Vec<Value> {
    let ((dy, _), (x, tensor_type)) = (operands[0], operands[1]);
    let [count, width] = rows(tensor_type);
    let (mean, rstd) = (operands[operands.len() - 2].0, operands[operands.len() - 1].0);
    if x.len() == 0 {
        let sums = usize::from(op.weight_gradient) + usize::from(op.bias_gradient);
        let mut results = vec![x.clone()];
        results.extend((0..sums).map(|_| recorder.fill(width, 0.0)));
        return results;
    }
    let rstd = recorder.repeat_rows(rstd, width);
    let mean = recorder.repeat_rows(mean, width);
    let centered = recorder.subtract(x, &mean);
    let normal = recorder.multiply(&centered, &rstd);
    let scaled = if op.weight {
        let weight = broadcast(recorder, operands[2].0, &[1, width], &[count, width]);
        recorder.multiply(dy, &weight)
    } else {
        dy.clone()
    };
    let against = recorder.multiply(&scaled, &normal);
    let against = means(recorder, &against, [count, width]);
    let against = recorder.repeat_rows(&against, width);
    let along = recorder.multiply(&normal, &against);
    let mut inner = recorder.subtract(&scaled, &along);
    if op.centered {
        let offset = means(recorder, &scaled, [count, width]);
        let offset = recorder.repeat_rows(&offset, width);
        inner = recorder.subtract(&inner, &offset);
    }
    let mut results = vec![recorder.multiply(&inner, &rstd)];
    let column_sums = |recorder: &mut Recorder<T>, value: &Value| {
        let columns = permute(recorder, value, &[count, width], &[1, 0]);
        recorder.row_sums(&columns, width, count)
    };
    if op.weight_gradient {
        let product = recorder.multiply(dy, &normal);
        results.push(column_sums(recorder, &product));
    }
    if op.bias_gradient {
        results.push(column_sums(recorder, dy));
    }
    results
}

/// `softmax_gradient`, from the saved result.
pub(super) fn softmax_gradient<T: Tape<f64, Cpu>>(
    recorder: &mut Recorder<T>,
    op: &SoftmaxGradient,
    dy: &Value,
    y: &Value,
    [count, width]: [usize; 2],
) -> Value {
    if dy.len() == 0 {
        return dy.clone();
    }
    if op.log {
        let sums = recorder.row_sums(dy, count, width);
        let sums = recorder.repeat_rows(&sums, width);
        let share = recorder.unary(y, |y| y.exp());
        let taken = recorder.multiply(&share, &sums);
        return recorder.subtract(dy, &taken);
    }
    let product = recorder.multiply(dy, y);
    let sums = recorder.row_sums(&product, count, width);
    let sums = recorder.repeat_rows(&sums, width);
    let rest = recorder.subtract(dy, &sums);
    recorder.multiply(y, &rest)
}
