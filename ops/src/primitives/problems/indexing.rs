//! Problems that pick by number or by size.

use super::{Draw, Family, Problem};
use crate::primitives::{Take, TakeAlong, TakeAlongGradient, TakeGradient, TopK};

pub(super) const FAMILIES: &[Family] = &[
    Family::new("take", take),
    Family::new("take_gradient", take_gradient),
    Family::new("take_along", take_along),
    Family::new("take_along_gradient", take_along_gradient),
    Family::new("top_k", top_k),
];

/// Sizes of x, the axis (not of size 0) and sizes of the indices.
fn taking(draw: &mut Draw) -> (Vec<usize>, usize, Vec<usize>) {
    let rank = draw.between(1, 3);
    let mut x = draw.shape(rank);
    let axis = draw.below(rank);
    x[axis] = x[axis].max(1);
    let index_rank = draw.below(3);
    (x, axis, (0..index_rank).map(|_| draw.choose(&[0, 1, 2, 3, 5])).collect())
}

fn take(draw: &mut Draw) -> Problem {
    let (x, axis, indices) = taking(draw);
    let indices = draw.indices(&indices, x[axis]);
    let x = draw.floats(&x);
    Problem::new(Take { axis }, vec![x, indices])
}

fn take_gradient(draw: &mut Draw) -> Problem {
    let (x, axis, indices) = taking(draw);
    let dy: Vec<usize> = x[..axis].iter().chain(&indices).chain(&x[axis + 1..]).copied().collect();
    let indices = draw.indices(&indices, x[axis]);
    let dy = draw.floats(&dy);
    Problem::new(TakeGradient { axis, size: x[axis] }, vec![dy, indices])
}

/// Sizes of x, the axis (not of size 0) and sizes of the indices.
fn taking_along(draw: &mut Draw) -> (Vec<usize>, usize, Vec<usize>) {
    let (x, axis, _) = taking(draw);
    let mut indices = x.clone();
    indices[axis] = draw.size();
    (x, axis, indices)
}

fn take_along(draw: &mut Draw) -> Problem {
    let (x, axis, indices) = taking_along(draw);
    let indices = draw.indices(&indices, x[axis]);
    let x = draw.floats(&x);
    Problem::new(TakeAlong { axis }, vec![x, indices])
}

fn take_along_gradient(draw: &mut Draw) -> Problem {
    let (x, axis, indices) = taking_along(draw);
    let dy = draw.floats(&indices);
    let indices = draw.indices(&indices, x[axis]);
    Problem::new(TakeAlongGradient { axis, size: x[axis] }, vec![dy, indices])
}

fn top_k(draw: &mut Draw) -> Problem {
    let rank = draw.below(3);
    let mut shape = draw.shape(rank);
    shape.push(draw.long_size());
    let k = draw.between(0, shape[rank]);
    let op = TopK { k, largest: draw.flag() };
    if draw.below(4) == 0 {
        // Small whole numbers tie: earlier positions come first.
        let x = draw.indices(&shape, 3);
        return Problem::fixed(op, vec![x]);
    }
    let x = draw.distinct(&shape);
    Problem::new(op, vec![x])
}
