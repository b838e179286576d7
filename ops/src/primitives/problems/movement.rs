//! Problems that move elements and leave them as they are.

use super::{Draw, Family, Problem};
use crate::primitives::{
    Concat, Constant, Detach, Expand, Iota, Pad, PadGradient, PadMode, Permute, Reshape, Slice, SliceGradient,
};
use sward_core::program::{Array, DType, Shape};

pub(super) const FAMILIES: &[Family] = &[
    Family::new("constant", constant),
    Family::new("iota", iota),
    Family::new("reshape", reshape),
    Family::new("detach", detach),
    Family::new("permute", permute),
    Family::new("expand", expand),
    Family::new("slice", slice),
    Family::new("slice_gradient", slice_gradient),
    Family::new("pad", pad),
    Family::new("pad_gradient", pad_gradient),
    Family::new("concat", concat),
];

/// A problem of any dtype: gradients are asked for where it is a float.
fn moved(op: impl sward_core::program::Primitive, inputs: Vec<Array>) -> Problem {
    if inputs[0].dtype.is_float() { Problem::new(op, inputs) } else { Problem::fixed(op, inputs) }
}

fn rank_and_shape(draw: &mut Draw) -> Vec<usize> {
    let rank = draw.between(1, 4);
    draw.shape(rank)
}

fn constant(draw: &mut Draw) -> Problem {
    let rank = draw.between(0, 3);
    let shape = draw.shape(rank);
    let literal = draw.any(&shape);
    Problem::fixed(Constant::new(literal.dtype, &shape, literal.data), Vec::new())
}

fn iota(draw: &mut Draw) -> Problem {
    Problem::fixed(Iota { length: draw.long_size() }, Vec::new())
}

fn reshape(draw: &mut Draw) -> Problem {
    let shape = rank_and_shape(draw);
    let mut target = shape.clone();
    match draw.below(3) {
        0 => target.reverse(),
        1 => target = vec![1, shape.iter().product()],
        _ => target.insert(draw.below(shape.len() + 1), 1),
    }
    let x = draw.any(&shape);
    moved(Reshape { shape: Shape::from_vec(target) }, vec![x])
}

fn detach(draw: &mut Draw) -> Problem {
    let shape = rank_and_shape(draw);
    let x = draw.any(&shape);
    Problem::fixed(Detach, vec![x])
}

fn permute(draw: &mut Draw) -> Problem {
    let shape = rank_and_shape(draw);
    let mut axes: Vec<usize> = (0..shape.len()).collect();
    for end in (1..axes.len()).rev() {
        axes.swap(end, draw.below(end + 1));
    }
    let x = draw.any(&shape);
    moved(Permute { axes: axes.into() }, vec![x])
}

fn expand(draw: &mut Draw) -> Problem {
    let shape = rank_and_shape(draw);
    let narrow = draw.narrowed(&shape);
    let x = draw.any(&narrow);
    moved(Expand { shape: shape.into() }, vec![x])
}

/// (start, length, step) of positions in an axis of a size.
fn positions(draw: &mut Draw, size: usize) -> (usize, usize, isize) {
    let step = draw.choose(&[1, 1, 2, 3, -1, -2]);
    if size == 0 {
        return (0, 0, step);
    }
    let start = draw.below(size);
    let reach = if step > 0 { size - 1 - start } else { start };
    (start, draw.between(0, reach / step.unsigned_abs() + 1), step)
}

fn slice(draw: &mut Draw) -> Problem {
    let shape = rank_and_shape(draw);
    let axis = draw.below(shape.len());
    let (start, length, step) = positions(draw, shape[axis]);
    let x = draw.any(&shape);
    moved(Slice { axis, start, length, step }, vec![x])
}

fn slice_gradient(draw: &mut Draw) -> Problem {
    let mut shape = rank_and_shape(draw);
    let axis = draw.below(shape.len());
    let size = shape[axis];
    let (start, length, step) = positions(draw, size);
    shape[axis] = length;
    let dy = draw.floats(&shape);
    Problem::new(SliceGradient { axis, start, step, size }, vec![dy])
}

fn padding(draw: &mut Draw, shape: &[usize]) -> Pad {
    let mode = match draw.below(4) {
        0 => PadMode::Reflect,
        1 => PadMode::Replicate,
        _ => PadMode::Constant(draw.choose(&[0.0, 1.0, -0.5])),
    };
    let mut amounts = || -> Shape {
        (shape.iter())
            .map(|size| match mode {
                PadMode::Constant(_) => draw.between(0, 3),
                PadMode::Reflect => draw.below((*size).min(4)),
                PadMode::Replicate => draw.below(if *size == 0 { 1 } else { 4 }),
            })
            .collect()
    };
    Pad { low: amounts(), high: amounts(), mode }
}

fn pad(draw: &mut Draw) -> Problem {
    let shape = rank_and_shape(draw);
    let op = padding(draw, &shape);
    let x = if matches!(op.mode, PadMode::Constant(value) if value != 0.0) { draw.floats(&shape) } else { draw.any(&shape) };
    moved(op, vec![x])
}

fn pad_gradient(draw: &mut Draw) -> Problem {
    let shape = rank_and_shape(draw);
    let pad = padding(draw, &shape);
    let padded: Vec<usize> = (0..shape.len()).map(|axis| pad.low[axis] + shape[axis] + pad.high[axis]).collect();
    let dy = draw.floats(&padded);
    Problem::new(PadGradient { pad }, vec![dy])
}

fn concat(draw: &mut Draw) -> Problem {
    let shape = rank_and_shape(draw);
    let axis = draw.below(shape.len());
    let dtype = draw.choose(&[draw.float(), draw.float(), DType::I64, DType::Bool]);
    let parts = draw.between(1, 4);
    let inputs = (0..parts)
        .map(|_| {
            let mut part = shape.clone();
            part[axis] = draw.size();
            match dtype {
                DType::I64 => draw.indices(&part, 9),
                DType::Bool => draw.flags(&part),
                _ => draw.floats(&part),
            }
        })
        .collect();
    moved(Concat { axis }, inputs)
}
