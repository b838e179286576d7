//! Problems that reduce or scan axes.

use super::{Draw, Family, Problem};
use crate::primitives::{ArgReduce, ArgReduceKind, CumulativeSum, Reduce, ReduceKind, SquaredNorm};
use smallvec::SmallVec;
use sward_core::program::DType;

pub(super) const FAMILIES: &[Family] = &[
    Family::new("reduce", reduce),
    Family::new("arg_reduce", arg_reduce),
    Family::new("cumulative_sum", cumulative_sum),
    Family::new("squared_norm", squared_norm),
];

fn shape(draw: &mut Draw) -> Vec<usize> {
    let rank = draw.between(1, 4);
    draw.shape(rank)
}

pub(super) fn reduction(draw: &mut Draw, shape: &[usize]) -> Reduce {
    let kind = draw.choose(&[ReduceKind::Sum, ReduceKind::Mean, ReduceKind::Max, ReduceKind::Min]);
    let axes: SmallVec<[usize; 6]> = (0..shape.len()).filter(|_| draw.flag()).collect();
    Reduce { kind, axes, dtype: DType::F32 }
}

fn reduce(draw: &mut Draw) -> Problem {
    let shape = shape(draw);
    let mut op = reduction(draw, &shape);
    if draw.below(4) == 0 {
        let x = if draw.flag() { draw.flags(&shape) } else { draw.indices(&shape, 9) };
        op.kind = ReduceKind::Sum;
        op.dtype = draw.choose(&[DType::I64, DType::F32]);
        return Problem::fixed(op, vec![x]);
    }
    let x = draw.distinct(&shape);
    Problem::new(op, vec![x])
}

fn arg_reduce(draw: &mut Draw) -> Problem {
    let mut shape = shape(draw);
    let axis = draw.below(shape.len());
    shape[axis] = shape[axis].max(1);
    let kind = draw.choose(&[ArgReduceKind::Max, ArgReduceKind::Min]);
    // Small whole numbers tie: the first position counts.
    let x = if draw.flag() { draw.indices(&shape, 3) } else { draw.distinct(&shape) };
    Problem::fixed(ArgReduce { kind, axis }, vec![x])
}

fn cumulative_sum(draw: &mut Draw) -> Problem {
    let shape = shape(draw);
    let op = CumulativeSum { axis: draw.below(shape.len()), reverse: draw.flag() };
    if draw.below(4) == 0 {
        let x = draw.indices(&shape, 9);
        return Problem::fixed(op, vec![x]);
    }
    let x = draw.floats(&shape);
    Problem::new(op, vec![x])
}

fn squared_norm(draw: &mut Draw) -> Problem {
    let count = draw.between(1, 3);
    let inputs = (0..count)
        .map(|_| {
            let rank = draw.between(0, 3);
            let shape = draw.shape(rank);
            draw.floats(&shape)
        })
        .collect();
    Problem::new(SquaredNorm, inputs)
}
