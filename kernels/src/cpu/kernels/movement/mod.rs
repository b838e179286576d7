//! Moving elements without computing: strided copies (permute, expand, slice, concat, constant padding), and rows taken by index.
//!
//! Elements are moved as bits, so one loop serves every dtype of a size.

use smallvec::SmallVec;

use crate::cpu::features::Level;
use crate::cpu::simd::dispatch;
use crate::cpu::simd::stream::outgrows_caches;
use crate::cpu::threads::{Shared, parallel_ranges};

#[cfg(test)]
mod tests;
mod transpose;

use transpose::{Plane, Transposition};

/// Elements that one part of a parallel loop moves.
const GRAIN: usize = 1 << 14;

/// A strided copy: element `i` of `shape` goes from `from + sum(i * from_strides)` to `to + sum(i * to_strides)`.
#[derive(Clone, Debug)]
pub struct StridedCopy {
    shape: SmallVec<[usize; 6]>,
    from_strides: SmallVec<[isize; 6]>,
    to_strides: SmallVec<[isize; 6]>,
    bytes: usize,
}

impl StridedCopy {
    /// A copy of elements of `bytes` bytes; strides are in elements.
    pub fn new(shape: &[usize], from_strides: &[isize], to_strides: &[isize], bytes: usize) -> StridedCopy {
        let mut copy = StridedCopy { shape: SmallVec::new(), from_strides: SmallVec::new(), to_strides: SmallVec::new(), bytes };
        // Axes of one element go; neighbours that are one run on both sides are joined.
        for axis in 0..shape.len() {
            if shape[axis] == 1 {
                continue;
            }
            let size = shape[axis] as isize;
            let joins = copy.shape.last().is_some()
                && copy.from_strides.last() == Some(&(from_strides[axis] * size))
                && copy.to_strides.last() == Some(&(to_strides[axis] * size));
            if joins {
                let last = copy.shape.len() - 1;
                copy.shape[last] *= shape[axis];
                copy.from_strides[last] = from_strides[axis];
                copy.to_strides[last] = to_strides[axis];
            } else {
                copy.shape.push(shape[axis]);
                copy.from_strides.push(from_strides[axis]);
                copy.to_strides.push(to_strides[axis]);
            }
        }
        if copy.shape.is_empty() {
            copy.shape.push(1);
            copy.from_strides.push(1);
            copy.to_strides.push(1);
        }
        copy
    }

    /// Copies.
    ///
    /// # Safety
    /// All elements that the strides name are readable and writable; the two sides do not overlap.
    pub unsafe fn run(&self, level: Level, from: *const u8, to: *mut u8) {
        let streams = outgrows_caches(self.shape.iter().product::<usize>() * self.bytes);
        // SAFETY: the caller's promise.
        unsafe { self.run_with(level, from, to, streams) }
    }

    /// As [`StridedCopy::run`]; transposed planes go past the caches where `streams`.
    unsafe fn run_with(&self, level: Level, from: *const u8, to: *mut u8, streams: bool) {
        let sides = (Shared::from_pointer(from.cast_mut()), Shared::from_pointer(to));
        let StridedCopy { shape, from_strides, to_strides, bytes } = self;
        let last = shape.len() - 1;
        if shape.contains(&0) {
            return;
        }
        // Two inner axes make a plane; a transposed plane is copied in blocks of tiles.
        if last > 0 && from_strides[last] != 1 && from_strides[last - 1] == 1 && to_strides[last] == 1 {
            let plane = Plane {
                rows: shape[last - 1],
                columns: shape[last],
                from_stride: from_strides[last],
                to_stride: to_strides[last - 1],
                bytes: *bytes,
            };
            let outer: usize = shape[..last - 1].iter().product();
            let blocks = plane.blocks();
            parallel_ranges(outer * blocks.count(), (GRAIN / blocks.elements()).max(1), |range| {
                dispatch(level, Transposition { copy: self, plane, blocks, outer, sides, range, streams });
            });
            return;
        }
        let outer: usize = shape[..last].iter().product();
        let pieces = shape[last].div_ceil(GRAIN);
        let per_piece = shape[last] / pieces;
        parallel_ranges(outer * pieces, (GRAIN / per_piece.max(1)).max(1), |range| {
            let part = Rows { copy: self, sides, range, pieces };
            match bytes {
                1 => part.run_as::<u8>(),
                2 => part.run_as::<u16>(),
                8 => part.run_as::<u64>(),
                _ => part.run_as::<u32>(),
            }
        });
    }

    /// Offsets of a position of the first `axes` axes, on both sides.
    #[inline(always)]
    fn offsets(&self, mut position: usize, axes: usize) -> (isize, isize) {
        let (mut from, mut to) = (0, 0);
        for axis in (0..axes).rev() {
            let at = (position % self.shape[axis]) as isize;
            position /= self.shape[axis];
            from += at * self.from_strides[axis];
            to += at * self.to_strides[axis];
        }
        (from, to)
    }
}

/// Rows of the innermost axis, in pieces.
struct Rows<'a> {
    copy: &'a StridedCopy,
    sides: (Shared<u8>, Shared<u8>),
    range: std::ops::Range<usize>,
    pieces: usize,
}

impl Rows<'_> {
    fn run_as<T: Copy>(self) {
        let StridedCopy { shape, from_strides, to_strides, .. } = self.copy;
        let last = shape.len() - 1;
        let (from, to) = (self.sides.0.pointer().cast::<T>(), self.sides.1.pointer().cast::<T>());
        for unit in self.range.clone() {
            let (outer, piece) = (unit / self.pieces, unit % self.pieces);
            let (from_at, to_at) = self.copy.offsets(outer, last);
            // SAFETY: the caller of `run` promises the elements.
            unsafe {
                let (from, to) = (from.offset(from_at), to.offset(to_at));
                let first = piece * shape[last].div_ceil(self.pieces);
                let n = shape[last].div_ceil(self.pieces).min(shape[last].saturating_sub(first));
                let (from, to) = (from.offset(first as isize * from_strides[last]), to.offset(first as isize * to_strides[last]));
                match (from_strides[last], to_strides[last]) {
                    (1, 1) => std::ptr::copy_nonoverlapping(from, to, n),
                    (0, 1) => std::slice::from_raw_parts_mut(to, n).fill(*from),
                    (from_stride, to_stride) => {
                        for i in 0..n as isize {
                            *to.offset(i * to_stride) = *from.offset(i * from_stride);
                        }
                    }
                }
            }
        }
    }
}

/// Fills `bytes` bytes with a repeated element.
///
/// # Safety
/// `to` is writable for `n` elements.
pub unsafe fn fill<T: Copy + Send + Sync>(to: *mut T, n: usize, value: T) {
    let to = Shared::from_pointer(to);
    // SAFETY: ranges are disjoint parts of the caller's elements.
    parallel_ranges(n, GRAIN, |range| unsafe { to.slice(range) }.fill(value));
}

/// Takes rows: `to[o, i] = from[o, indices[i]]`, where a row is `row_bytes` bytes, `from` has `size` of them for each of `outer` positions.
///
/// # Errors
/// The first index outside `0..size`.
///
/// # Safety
/// All memory has these sizes and does not overlap.
pub unsafe fn take(
    from: *const u8,
    indices: &[i64],
    to: *mut u8,
    outer: usize,
    size: usize,
    row_bytes: usize,
) -> Result<(), i64> {
    check_indices(indices, size)?;
    let (from, to) = (Shared::from_pointer(from.cast_mut()), Shared::from_pointer(to));
    let n = indices.len();
    parallel_ranges(outer * n, (4 * GRAIN / row_bytes.max(1)).max(1), |range| {
        for unit in range {
            let (o, i) = (unit / n, unit % n);
            // SAFETY: the index was checked.
            unsafe {
                let from = from.pointer().add((o * size + indices[i] as usize) * row_bytes);
                std::ptr::copy_nonoverlapping(from, to.pointer().add(unit * row_bytes), row_bytes);
            }
        }
    });
    Ok(())
}

/// Whether all indices lie in `0..size`.
///
/// # Errors
/// The first that does not.
pub fn check_indices(indices: &[i64], size: usize) -> Result<(), i64> {
    match indices.iter().find(|index| **index < 0 || **index >= size as i64) {
        Some(index) => Err(*index),
        None => Ok(()),
    }
}
