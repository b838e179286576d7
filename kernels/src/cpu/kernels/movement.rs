//! Moving elements without computing: strided copies (permute, expand, slice, concat, constant padding), and rows taken by index.
//!
//! Elements are moved as bits, so one loop serves every dtype of a size.

use smallvec::SmallVec;

use crate::cpu::features::Level;
use crate::cpu::simd::{Kernel, LANES, Simd, dispatch, prefetch};
use crate::cpu::threads::{Shared, parallel_ranges};

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
        let from = Shared::from_pointer(from.cast_mut());
        let to = Shared::from_pointer(to);
        let last = self.shape.len() - 1;
        // Two inner axes make a plane; a transposed plane is copied in square tiles.
        let transposed =
            last > 0 && self.from_strides[last] != 1 && self.from_strides[last - 1] == 1 && self.to_strides[last] == 1;
        let inner = if transposed { self.shape[last] * self.shape[last - 1] } else { self.shape[last] };
        let outer_axes = if transposed { last - 1 } else { last };
        let outer: usize = self.shape[..outer_axes].iter().product();
        if inner == 0 || outer == 0 {
            return;
        }
        let pieces = if transposed { self.shape[last - 1].div_ceil(LANES) } else { inner.div_ceil(GRAIN) };
        let per_piece = inner / pieces;
        parallel_ranges(outer * pieces, (GRAIN / per_piece.max(1)).max(1), |range| {
            let part = CopyPart { copy: self, from, to, range, pieces, outer_axes, transposed };
            match self.bytes {
                1 => part.run_as::<u8>(),
                2 => part.run_as::<u16>(),
                8 => part.run_as::<u64>(),
                _ if transposed => dispatch(level, part),
                _ => part.run_as::<u32>(),
            }
        });
    }
}

struct CopyPart<'a> {
    copy: &'a StridedCopy,
    from: Shared<u8>,
    to: Shared<u8>,
    range: std::ops::Range<usize>,
    pieces: usize,
    outer_axes: usize,
    transposed: bool,
}

impl CopyPart<'_> {
    /// Offsets of an outer position.
    #[inline(always)]
    fn offsets(&self, mut outer: usize) -> (isize, isize) {
        let (mut from, mut to) = (0, 0);
        for axis in (0..self.outer_axes).rev() {
            let at = (outer % self.copy.shape[axis]) as isize;
            outer /= self.copy.shape[axis];
            from += at * self.copy.from_strides[axis];
            to += at * self.copy.to_strides[axis];
        }
        (from, to)
    }

    fn run_as<T: Copy>(self) {
        let StridedCopy { shape, from_strides, to_strides, .. } = self.copy;
        let last = shape.len() - 1;
        let (from, to) = (self.from.pointer().cast::<T>(), self.to.pointer().cast::<T>());
        for unit in self.range.clone() {
            let (outer, piece) = (unit / self.pieces, unit % self.pieces);
            let (from_at, to_at) = self.offsets(outer);
            // SAFETY: the caller of `run` promises the elements.
            unsafe {
                let (from, to) = (from.offset(from_at), to.offset(to_at));
                if self.transposed {
                    // Columns of the source plane are rows of the result's.
                    for row in piece * LANES..((piece + 1) * LANES).min(shape[last - 1]) {
                        let (from, to) = (from.add(row), to.offset(row as isize * to_strides[last - 1]));
                        for i in 0..shape[last] {
                            *to.add(i) = *from.offset(i as isize * from_strides[last]);
                        }
                    }
                    continue;
                }
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

/// Planes of elements of four bytes, transposed in tiles of sixteen by sixteen.
impl Kernel for CopyPart<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let StridedCopy { shape, from_strides, to_strides, .. } = self.copy;
        let last = shape.len() - 1;
        let (rows, columns) = (shape[last - 1], shape[last]);
        for unit in self.range.clone() {
            let (outer, piece) = (unit / self.pieces, unit % self.pieces);
            let (from_at, to_at) = self.offsets(outer);
            let first = piece * LANES;
            let height = LANES.min(rows - first);
            // SAFETY: the caller of `run` promises the elements; lanes beyond a tile are neither read nor written.
            unsafe {
                let from = self.from.pointer().cast::<f32>().offset(from_at).add(first);
                let to = self.to.pointer().cast::<f32>().offset(to_at + first as isize * to_strides[last - 1]);
                for column in (0..columns).step_by(LANES) {
                    let width = LANES.min(columns - column);
                    // The machine does not foresee lines that lie apart, on either side.
                    for i in 0..LANES as isize {
                        prefetch(
                            from.wrapping_offset((column + 2 * LANES) as isize * from_strides[last] + i * from_strides[last]),
                        );
                        prefetch(to.wrapping_offset(i * to_strides[last - 1]).wrapping_add(column + 2 * LANES));
                    }
                    let mut tile = [s.zero(); LANES];
                    if width == LANES && height == LANES {
                        for i in 0..LANES {
                            tile[i] = s.load(from.offset((column + i) as isize * from_strides[last]));
                        }
                        let tile = s.transpose(tile);
                        for i in 0..LANES {
                            s.store(to.offset(i as isize * to_strides[last - 1]).add(column), tile[i]);
                        }
                        continue;
                    }
                    for i in 0..width {
                        tile[i] = s.load_part(from.offset((column + i) as isize * from_strides[last]), height);
                    }
                    let tile = s.transpose(tile);
                    for i in 0..height {
                        s.store_part(to.offset(i as isize * to_strides[last - 1]).add(column), width, tile[i]);
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
