//! Layer and RMS normalization over the last axis, one row at a time in the nearest cache: statistics in two passes (mean, then squared
//! deviations), forward and backward.

use super::matmul::{Data, DataMut};
use super::rows::{first_lanes, load, read, room, save, sum_lanes, write};
use crate::cpu::features::Level;
use crate::cpu::simd::{Kernel, LANES, Simd, dispatch};
use crate::cpu::threads::{Scratch, Shared, parallel};

/// Elements that one part of a parallel loop normalizes.
const GRAIN: usize = 1 << 14;
/// The most parts that sums over rows are cut into.
const PARTS: usize = 64;

/// What is normalized: `rows` rows of `width`.
#[derive(Clone, Copy, Debug)]
pub struct LayerNorm {
    /// Rows.
    pub rows: usize,
    /// Elements of a row.
    pub width: usize,
    /// Added to the variance.
    pub epsilon: f32,
    /// Whether the mean is taken off; RMS normalization does not.
    pub centered: bool,
}

/// Operands and results of the forward pass.
#[derive(Clone, Copy, Debug)]
pub struct Forward {
    /// `[rows, width]`.
    pub x: Data,
    /// `[width]`.
    pub weight: Option<Data>,
    /// `[width]`.
    pub bias: Option<Data>,
    /// `[rows, width]`, which may be the memory of an `x` of the same dtype.
    pub y: DataMut,
    /// `[rows]`.
    pub mean: Shared<f32>,
    /// `[rows]`.
    pub rstd: Shared<f32>,
}

/// Operands and results of the backward pass.
#[derive(Clone, Copy, Debug)]
pub struct Backward {
    /// `[rows, width]`.
    pub dy: Data,
    /// `[rows, width]`.
    pub x: Data,
    /// `[width]`.
    pub weight: Option<Data>,
    /// `[rows]`.
    pub mean: *const f32,
    /// `[rows]`.
    pub rstd: *const f32,
    /// `[rows, width]`.
    pub dx: DataMut,
    /// `[width]`, f32.
    pub dweight: Option<*mut f32>,
    /// `[width]`, f32.
    pub dbias: Option<*mut f32>,
}

// SAFETY: operands are only read, results written by disjoint rows.
unsafe impl Send for Backward {}
// SAFETY: as above.
unsafe impl Sync for Backward {}

/// Rows of a part.
fn rows_of_part(rows: usize, width: usize, most_parts: usize) -> usize {
    (GRAIN / width.max(1)).max(1).max(rows.div_ceil(most_parts))
}

/// Normalizes all rows.
///
/// # Safety
/// Operands and results have the sizes of the problem; only `y` may overlap an operand, and then be `x` itself.
pub unsafe fn forward(level: Level, norm: LayerNorm, tensors: &Forward) {
    let rows = rows_of_part(norm.rows, norm.width, usize::MAX);
    parallel(norm.rows.div_ceil(rows), |part| {
        let first = part * rows;
        dispatch(level, ForwardRows { norm, tensors, first, last: (first + rows).min(norm.rows) });
    });
}

struct ForwardRows<'a> {
    norm: LayerNorm,
    tensors: &'a Forward,
    first: usize,
    last: usize,
}

impl Kernel for ForwardRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let ForwardRows { norm: LayerNorm { width, epsilon, centered, .. }, tensors, first, last } = self;
        let mut scratch = Scratch::words(4 * width);
        let scratch = scratch.pointer::<f32>();
        let scale = 1.0 / width as f32;
        // SAFETY: rows and columns lie within the tensors; the scratch holds four rows.
        unsafe {
            let weight = tensors.weight.map(|weight| read(s, weight, 0, width, scratch.add(width)));
            let bias = tensors.bias.map(|bias| read(s, bias, 0, width, scratch.add(2 * width)));
            for row in first..last {
                let x = read(s, tensors.x, row * width, width, scratch);
                let mean = if centered { sum_lanes!(s, width, |i, n| load(s, x.add(i), n)) * scale } else { 0.0 };
                let means = s.splat(mean);
                let squares = sum_lanes!(s, width, |i, n| {
                    // Lanes beyond the row must not deviate.
                    let d = s.sub(load(s, x.add(i), n), means);
                    let d = if n == LANES { d } else { first_lanes(s, d, n) };
                    s.mul(d, d)
                });
                let rstd = 1.0 / (squares * scale + epsilon).sqrt();
                *tensors.mean.pointer().add(row) = mean;
                *tensors.rstd.pointer().add(row) = rstd;
                let y = room(tensors.y, row * width, scratch.add(3 * width));
                let scales = s.splat(rstd);
                for i in (0..width).step_by(LANES) {
                    let n = LANES.min(width - i);
                    let mut value = s.mul(s.sub(load(s, x.add(i), n), means), scales);
                    if let Some(weight) = weight {
                        value = s.mul(value, load(s, weight.add(i), n));
                    }
                    if let Some(bias) = bias {
                        value = s.add(value, load(s, bias.add(i), n));
                    }
                    save(s, y.add(i), n, value);
                }
                write(s, tensors.y, row * width, width, y);
            }
        }
    }
}

/// The gradients of all rows, and of weight and bias as sums over rows (in parts of fixed rows, added in order).
///
/// # Safety
/// Operands and results have the sizes of the problem and do not overlap.
pub unsafe fn backward(level: Level, norm: LayerNorm, tensors: &Backward) {
    let LayerNorm { rows, width, .. } = norm;
    let each = rows_of_part(rows, width, PARTS);
    let parts = rows.div_ceil(each);
    let has_sums = tensors.dweight.is_some() || tensors.dbias.is_some();
    let mut sums = Scratch::words(if has_sums { 2 * parts.max(1) * width } else { 0 });
    let sums = Shared::<f32>::from_pointer(sums.pointer());
    parallel(parts, |part| {
        let own = has_sums.then(|| sums.pointer().wrapping_add(2 * part * width)).map(Shared::from_pointer);
        dispatch(level, BackwardRows { norm, tensors, first: part * each, last: ((part + 1) * each).min(rows), sums: own });
    });
    if has_sums {
        dispatch(level, AddSums { width, parts, sums: sums.pointer(), tensors });
    }
}

struct BackwardRows<'a> {
    norm: LayerNorm,
    tensors: &'a Backward,
    first: usize,
    last: usize,
    /// Two rows: the weight's and the bias' sums of this part.
    sums: Option<Shared<f32>>,
}

impl Kernel for BackwardRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let BackwardRows { norm: LayerNorm { width, centered, .. }, tensors, first, last, sums } = self;
        let mut scratch = Scratch::words(4 * width);
        let scratch = scratch.pointer::<f32>();
        let scale = 1.0 / width as f32;
        // SAFETY: rows and columns lie within the tensors; the scratch holds four rows, the sums two.
        unsafe {
            let weight = tensors.weight.map(|weight| read(s, weight, 0, width, scratch.add(2 * width)));
            let sums = sums.map(|sums| sums.pointer());
            if let Some(sums) = sums {
                std::slice::from_raw_parts_mut(sums, 2 * width).fill(0.0);
            }
            for row in first..last {
                let x = read(s, tensors.x, row * width, width, scratch);
                let dy = read(s, tensors.dy, row * width, width, scratch.add(width));
                let (mean, rstd) = (s.splat(*tensors.mean.add(row)), s.splat(*tensors.rstd.add(row)));
                // The means of g and of g times the normal value, with g = dy weight.
                let (mut mean_g, mut mean_product) = (s.zero(), s.zero());
                for i in (0..width).step_by(LANES) {
                    let n = LANES.min(width - i);
                    let incoming = load(s, dy.add(i), n);
                    let normal = s.mul(s.sub(load(s, x.add(i), n), mean), rstd);
                    let product = s.mul(incoming, normal);
                    if let Some(sums) = sums {
                        save(s, sums.add(i), n, s.add(load(s, sums.add(i), n), product));
                        let bias = sums.add(width + i);
                        save(s, bias, n, s.add(load(s, bias, n), incoming));
                    }
                    let (g, product) = match weight {
                        Some(weight) => {
                            let weight = load(s, weight.add(i), n);
                            (s.mul(incoming, weight), s.mul(product, weight))
                        }
                        None => (incoming, product),
                    };
                    mean_g = s.add(mean_g, g);
                    mean_product = s.add(mean_product, product);
                }
                let shift = s.splat(if centered { s.sum(mean_g) * scale } else { 0.0 });
                let mean_product = s.splat(s.sum(mean_product) * scale);
                let dx = room(tensors.dx, row * width, scratch.add(3 * width));
                for i in (0..width).step_by(LANES) {
                    let n = LANES.min(width - i);
                    let incoming = load(s, dy.add(i), n);
                    let g = match weight {
                        Some(weight) => s.mul(incoming, load(s, weight.add(i), n)),
                        None => incoming,
                    };
                    let normal = s.mul(s.sub(load(s, x.add(i), n), mean), rstd);
                    let value = s.sub(s.sub(g, shift), s.mul(normal, mean_product));
                    save(s, dx.add(i), n, s.mul(value, rstd));
                }
                write(s, tensors.dx, row * width, width, dx);
            }
        }
    }
}

/// Adds the parts' sums in order.
struct AddSums<'a> {
    width: usize,
    parts: usize,
    sums: *const f32,
    tensors: &'a Backward,
}

impl Kernel for AddSums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let AddSums { width, parts, sums, tensors } = self;
        for (which, to) in [tensors.dweight, tensors.dbias].into_iter().enumerate() {
            let Some(to) = to else { continue };
            for i in (0..width).step_by(LANES) {
                let n = LANES.min(width - i);
                // SAFETY: each part has two rows of sums, the result one.
                unsafe {
                    let mut sum = s.zero();
                    for part in 0..parts {
                        sum = s.add(sum, load(s, sums.add((2 * part + which) * width + i), n));
                    }
                    save(s, to.add(i), n, sum);
                }
            }
        }
    }
}
