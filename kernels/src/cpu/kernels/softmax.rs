//! Softmax and its logarithm over the last axis, forward and backward.

use super::matmul::{Data, DataMut};
use super::rows::{load, read, room, save, sum_lanes, write};
use crate::cpu::features::Level;
use crate::cpu::simd::{Kernel, LANES, Simd, dispatch, math};
use crate::cpu::threads::{Scratch, parallel_ranges};

/// Elements that one part of a parallel loop computes.
const GRAIN: usize = 1 << 14;

/// The softmax of `rows` rows of `width`, or its logarithm.
///
/// # Safety
/// `x` and `y` have that many elements; `y` may be the memory of an `x` of the same dtype.
pub unsafe fn forward(level: Level, rows: usize, width: usize, log: bool, x: Data, y: DataMut) {
    parallel_ranges(rows, GRAIN / width.max(1), |rows| dispatch(level, ForwardRows { rows, width, log, x, y }));
}

/// The gradient: from dy and y to dx.
///
/// # Safety
/// All have `rows` rows of `width`; `dx` may be the memory of `dy` or `y` of the same dtype.
pub unsafe fn backward(level: Level, rows: usize, width: usize, log: bool, dy: Data, y: Data, dx: DataMut) {
    parallel_ranges(rows, GRAIN / width.max(1), |rows| dispatch(level, BackwardRows { rows, width, log, dy, y, dx }));
}

struct ForwardRows {
    rows: std::ops::Range<usize>,
    width: usize,
    log: bool,
    x: Data,
    y: DataMut,
}

impl Kernel for ForwardRows {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let ForwardRows { rows, width, log, x, y } = self;
        let mut scratch = Scratch::words(2 * width);
        let scratch = scratch.pointer::<f32>();
        for row in rows {
            // SAFETY: the row lies within the tensors, the scratch holds two.
            unsafe {
                let x = read(s, x, row * width, width, scratch);
                let mut largest = s.splat(f32::NEG_INFINITY);
                let mut i = 0;
                while i + LANES <= width {
                    largest = s.max_nan(largest, s.load(x.add(i)));
                    i += LANES;
                }
                let mut most = s.max_lane(largest);
                while i < width {
                    let value = *x.add(i);
                    most = if most.is_nan() || most > value { most } else { value };
                    i += 1;
                }
                let shift = s.splat(most);
                let out = room(y, row * width, scratch.add(width));
                if log {
                    let total = sum_lanes!(s, width, |i, n| {
                        let e = math::exp(s, s.sub(load(s, x.add(i), n), shift));
                        if n == LANES { e } else { first_lanes(s, e, n) }
                    });
                    let total = s.splat(total.ln());
                    for i in (0..width).step_by(LANES) {
                        let n = LANES.min(width - i);
                        save(s, out.add(i), n, s.sub(s.sub(load(s, x.add(i), n), shift), total));
                    }
                } else {
                    let total = sum_lanes!(s, width, |i, n| {
                        let e = math::exp(s, s.sub(load(s, x.add(i), n), shift));
                        save(s, out.add(i), n, e);
                        if n == LANES { e } else { first_lanes(s, e, n) }
                    });
                    let scale = s.splat(1.0 / total);
                    for i in (0..width).step_by(LANES) {
                        let n = LANES.min(width - i);
                        save(s, out.add(i), n, s.mul(load(s, out.add(i), n), scale));
                    }
                }
                write(s, y, row * width, width, out);
            }
        }
    }
}

/// The first `n` lanes, zeros beyond.
#[inline(always)]
fn first_lanes<S: Simd>(s: S, x: S::V, n: usize) -> S::V {
    let mut lanes = s.to_array(x);
    lanes[n..].fill(0.0);
    s.from_array(lanes)
}

struct BackwardRows {
    rows: std::ops::Range<usize>,
    width: usize,
    log: bool,
    dy: Data,
    y: Data,
    dx: DataMut,
}

impl Kernel for BackwardRows {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let BackwardRows { rows, width, log, dy, y, dx } = self;
        let mut scratch = Scratch::words(3 * width);
        let scratch = scratch.pointer::<f32>();
        for row in rows {
            // SAFETY: the row lies within the tensors, the scratch holds three.
            unsafe {
                let dy = read(s, dy, row * width, width, scratch);
                let y = read(s, y, row * width, width, scratch.add(width));
                let out = room(dx, row * width, scratch.add(2 * width));
                let sum = if log {
                    sum_lanes!(s, width, |i, n| load(s, dy.add(i), n))
                } else {
                    sum_lanes!(s, width, |i, n| s.mul(load(s, dy.add(i), n), load(s, y.add(i), n)))
                };
                let sum = s.splat(sum);
                for i in (0..width).step_by(LANES) {
                    let n = LANES.min(width - i);
                    let (dy, y) = (load(s, dy.add(i), n), load(s, y.add(i), n));
                    let value = if log { s.sub(dy, s.mul(math::exp(s, y), sum)) } else { s.mul(y, s.sub(dy, sum)) };
                    save(s, out.add(i), n, value);
                }
                write(s, dx, row * width, width, out);
            }
        }
    }
}
