//! Softmax and its logarithm over the last axis, forward and backward.

use super::matmul::{Data, DataMut};
use super::rows::{first_lanes, load, read, room, save, sum_lanes, write};
use crate::cpu::features::Level;
use crate::cpu::simd::{Kernel, LANES, Simd, dispatch, math};
use crate::cpu::threads::{Scratch, parallel_ranges};

/// Elements that one part of a parallel loop computes.
const GRAIN: usize = 1 << 14;
/// The most rows that are worked on together, and their elements: these stay in the first cache.
const ROWS: usize = 8;
const GROUP: usize = 4096;

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
        let group = (GROUP / width.max(1)).clamp(1, ROWS);
        let mut scratch = Scratch::words(2 * group * width);
        let scratch = scratch.pointer::<f32>();
        // SAFETY: rows lie within the tensors, the scratch holds two groups of them.
        unsafe {
            for first in rows.clone().step_by(group) {
                // What waits for a row's last element is done for the whole group, so that the rows wait together.
                let rows = group.min(rows.end - first);
                let x = read(s, x, first * width, rows * width, scratch);
                let results = room(y, first * width, scratch.add(group * width));
                let mut largest = [0.0; ROWS];
                for row in 0..rows {
                    largest[row] = most(s, x.add(row * width), width);
                }
                let mut totals = [0.0; ROWS];
                // A row is finished while the next one's exponentials are computed.
                for row in 0..=rows {
                    if row < rows {
                        let (x, out, shift) = (x.add(row * width), results.add(row * width), s.splat(largest[row]));
                        totals[row] = sum_lanes!(s, width, |i, n| {
                            let e = math::exp(s, s.sub(load(s, x.add(i), n), shift));
                            if !log {
                                save(s, out.add(i), n, e);
                            }
                            if n == LANES { e } else { first_lanes(s, e, n) }
                        });
                    }
                    let Some(row) = row.checked_sub(1) else { continue };
                    let (x, out) = (x.add(row * width), results.add(row * width));
                    let (shift, scale) = (s.splat(largest[row]), s.splat(if log { totals[row].ln() } else { 1.0 / totals[row] }));
                    for i in (0..width).step_by(LANES) {
                        let n = LANES.min(width - i);
                        let value = if log {
                            s.sub(s.sub(load(s, x.add(i), n), shift), scale)
                        } else {
                            s.mul(load(s, out.add(i), n), scale)
                        };
                        save(s, out.add(i), n, value);
                    }
                }
                write(s, y, first * width, rows * width, results);
            }
        }
    }
}

/// The greatest of `n` numbers. One that is NaN may be passed over: it makes the sum of the exponentials NaN, and so the whole row.
///
/// # Safety
/// They are readable.
#[inline(always)]
unsafe fn most<S: Simd>(s: S, x: *const f32, n: usize) -> f32 {
    // SAFETY: the caller's promise.
    unsafe {
        if n < LANES {
            return (0..n).fold(f32::NEG_INFINITY, |most, i| most.max(*x.add(i)));
        }
        let mut most = s.splat(f32::NEG_INFINITY);
        for i in (0..n / LANES * LANES).step_by(LANES) {
            // The second operand wins against NaN.
            most = s.max(s.load(x.add(i)), most);
        }
        // The last vector may cover some numbers again.
        s.max_lane(s.max(s.load(x.add(n - LANES)), most))
    }
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

#[cfg(test)]
mod tests {
    use super::super::rows::tests::levels;
    use super::*;

    #[test]
    fn rows_with_infinities_or_without_numbers_stay_to_themselves() {
        // Widths below and above a vector, and rows of one group.
        for (level, width) in levels().into_iter().flat_map(|level| [1, 5, 16, 37].map(|width| (level, width))) {
            let mut x = vec![0.5; 5 * width];
            x[width..2 * width].fill(f32::NEG_INFINITY);
            x[3 * width - 1] = f32::NAN;
            x[3 * width] = f32::INFINITY;
            let mut y = vec![7.0; 5 * width];
            // SAFETY: both have five rows.
            unsafe { forward(level, 5, width, false, Data::F32(x.as_ptr()), DataMut::F32(y.as_mut_ptr())) };
            for (row, y) in y.chunks(width).enumerate() {
                let fits = |y: &f32| if row % 4 == 0 { (y * width as f32 - 1.0).abs() < 1e-5 } else { y.is_nan() };
                // Beside an infinity, all others are nothing.
                let fits = |y: &f32| fits(y) || (row == 3 && *y == 0.0);
                assert!(y.iter().all(fits), "row {row} of {width} at {level:?}: {y:?}");
            }
        }
    }
}
