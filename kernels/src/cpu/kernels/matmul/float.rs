//! The f32 product of blocks: the right operand packed in panels of up to three vectors, the left read by broadcasts.

use super::source::Block;
use crate::cpu::features::Level;
use crate::cpu::simd::{LANES, Simd, prefetch};

/// Rows and vectors that one inner loop keeps in registers.
pub(super) fn shape(level: Level) -> (usize, usize) {
    match level {
        Level::Avx512 => (8, 3),
        // Two registers a vector, sixteen registers.
        Level::Avx2 => (6, 1),
        Level::Portable => (4, 1),
    }
}

/// Packs columns `0..n` of a block as `[k][LANES * vectors]`, zeros beyond `n`.
///
/// # Safety
/// The block has `n` columns and `nk` summands; `to` holds the packed panel.
#[inline(always)]
pub(super) unsafe fn pack_panel<S: Simd>(s: S, block: Block<f32>, n: usize, nk: usize, vectors: usize, to: *mut f32) {
    // SAFETY: reads stay within `n` by `nk` elements of the block, writes within the panel.
    unsafe {
        let step = vectors * LANES;
        let columns_of = |v: usize| n.saturating_sub(v * LANES).min(LANES);
        if block.i_stride == 1 {
            for k in 0..nk {
                for v in 0..vectors {
                    prefetch(block.data.wrapping_add((k + AHEAD) * block.k_stride + v * LANES));
                }
                for v in 0..vectors {
                    let vector = s.load_part(block.data.add(k * block.k_stride + v * LANES), columns_of(v));
                    s.store(to.add(k * step + v * LANES), vector);
                }
            }
        } else {
            for v in 0..vectors {
                let columns = columns_of(v);
                let from = block.data.add(v * LANES * block.i_stride);
                let to = to.add(v * LANES);
                let mut k = 0;
                while k < nk {
                    let part = LANES.min(nk - k);
                    let mut rows = [s.zero(); LANES];
                    for column in 0..columns {
                        rows[column] = s.load_part(from.add(column * block.i_stride + k), part);
                    }
                    let rows = s.transpose(rows);
                    for i in 0..part {
                        s.store(to.add((k + i) * step), rows[i]);
                    }
                    k += part;
                }
            }
        }
    }
}

/// Elements from one tile that [`pack_rows`] makes to the next: a vector more than it holds, so that tiles of deep blocks do not all fall on the
/// same lines of the cache.
pub(super) fn tile_stride(tile_rows: usize, nk: usize) -> usize {
    tile_rows * nk + LANES
}

/// Packs a block in tiles of the inner loop's rows, `[k][row]`; rows beyond `ni` are not written.
///
/// # Safety
/// The block has `ni` rows, contiguous along `i`; `to` holds [`tile_stride`] elements for each tile.
#[inline(always)]
pub(super) unsafe fn pack_rows<S: Simd>(block: Block<f32>, ni: usize, nk: usize, to: *mut f32) {
    // SAFETY: the caller's promise.
    unsafe {
        match S::LEVEL {
            Level::Avx512 => pack_rows_of::<8>(block, ni, nk, to),
            Level::Avx2 => pack_rows_of::<6>(block, ni, nk, to),
            Level::Portable => pack_rows_of::<4>(block, ni, nk, to),
        }
    }
}

/// Summands whose rows are asked for ahead: memory answers later than the copies of so many take.
const AHEAD: usize = 8;

#[inline(always)]
unsafe fn pack_rows_of<const ROWS: usize>(block: Block<f32>, ni: usize, nk: usize, to: *mut f32) {
    let stride = tile_stride(ROWS, nk);
    let (whole, rest) = (ni / ROWS, ni % ROWS);
    for k in 0..nk {
        // SAFETY: reads stay within the block, writes within the tiles.
        unsafe {
            let (from, to) = (block.data.add(k * block.k_stride), to.add(k * ROWS));
            for line in (0..ni).step_by(LANES) {
                prefetch(from.wrapping_add(AHEAD * block.k_stride + line));
            }
            for tile in 0..whole {
                std::ptr::copy_nonoverlapping(from.add(tile * ROWS), to.add(tile * stride), ROWS);
            }
            for row in 0..rest {
                *to.add(whole * stride + row) = *from.add(whole * ROWS + row);
            }
        }
    }
}

/// The left operand's rows and the result's place.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    pub left: *const f32,
    pub left_stride: usize,
    pub right: *const f32,
    pub nk: usize,
    pub out: *mut f32,
    pub out_stride: usize,
    /// Add to what `out` holds.
    pub accumulate: bool,
}

/// Rows that lie `left_stride` apart, summands that are neighbours.
struct Rows;
/// Rows that are neighbours, summands that lie `left_stride` apart.
struct Summands;

/// How the left operand of an inner loop lies in memory.
trait Layout {
    /// Elements from row to row, and from summand to summand.
    fn strides(left_stride: usize) -> (usize, usize);
}

impl Layout for Rows {
    #[inline(always)]
    fn strides(left_stride: usize) -> (usize, usize) {
        (left_stride, 1)
    }
}

impl Layout for Summands {
    #[inline(always)]
    fn strides(left_stride: usize) -> (usize, usize) {
        (1, left_stride)
    }
}

/// As [`multiply`], for rows that [`pack_rows`] packed.
///
/// # Safety
/// As [`multiply`].
#[inline(always)]
pub(super) unsafe fn multiply_packed<S: Simd>(s: S, mut tile: Tile, rows: usize, columns: usize) {
    let (tile_rows, _) = shape(S::LEVEL);
    tile.left_stride = tile_rows;
    for first in (0..rows).step_by(tile_rows) {
        // SAFETY: the caller's promise, for the rows of one packed tile.
        unsafe {
            multiply_as::<S, Summands>(s, tile, tile_rows.min(rows - first), columns);
            tile.left = tile.left.add(tile_stride(tile_rows, tile.nk));
            tile.out = tile.out.add(tile_rows * tile.out_stride);
        }
    }
}

/// `out (+)= left * panel` for `rows` rows and `columns` columns of one panel.
///
/// # Safety
/// All of the tile's rows and columns lie within their matrices.
#[inline(always)]
pub(super) unsafe fn multiply<S: Simd>(s: S, tile: Tile, rows: usize, columns: usize) {
    // SAFETY: the caller's promise.
    unsafe { multiply_as::<S, Rows>(s, tile, rows, columns) }
}

/// As [`multiply`] for a left operand whose rows are neighbours and whose summands lie `left_stride` apart.
///
/// # Safety
/// As [`multiply`].
#[inline(always)]
pub(super) unsafe fn multiply_turned<S: Simd>(s: S, tile: Tile, rows: usize, columns: usize) {
    // SAFETY: the caller's promise.
    unsafe { multiply_as::<S, Summands>(s, tile, rows, columns) }
}

#[inline(always)]
unsafe fn multiply_as<S: Simd, L: Layout>(s: S, mut tile: Tile, mut rows: usize, columns: usize) {
    macro_rules! take {
        ($rows:literal) => {
            while rows >= $rows {
                // SAFETY: the caller's promise, for the first rows of those left.
                unsafe {
                    if S::LEVEL != Level::Avx512 || columns <= LANES {
                        micro::<S, L, $rows, 1>(s, tile, columns);
                    } else if columns <= 2 * LANES {
                        micro::<S, L, $rows, 2>(s, tile, columns);
                    } else {
                        micro::<S, L, $rows, 3>(s, tile, columns);
                    }
                    tile.left = tile.left.add($rows * L::strides(tile.left_stride).0);
                    tile.out = tile.out.add($rows * tile.out_stride);
                }
                rows -= $rows;
            }
        };
    }
    if S::LEVEL == Level::Avx512 {
        take!(8);
    }
    if S::LEVEL == Level::Avx2 {
        take!(6);
    }
    take!(4);
    take!(2);
    take!(1);
}

#[inline(always)]
unsafe fn micro<S: Simd, L: Layout, const ROWS: usize, const VECTORS: usize>(s: S, tile: Tile, columns: usize) {
    let Tile { left, left_stride, right, nk, out, out_stride, accumulate } = tile;
    let (row_stride, k_stride) = L::strides(left_stride);
    let mut sums = [[s.zero(); VECTORS]; ROWS];
    let last = columns - (VECTORS - 1) * LANES;
    // SAFETY: the caller's promise.
    unsafe {
        let (mut left, mut right) = (left, right);
        for _ in 0..nk {
            let mut b = [s.zero(); VECTORS];
            for v in 0..VECTORS {
                b[v] = s.load(right.add(v * LANES));
            }
            right = right.add(VECTORS * LANES);
            for r in 0..ROWS {
                let a = s.splat(*left.add(r * row_stride));
                for v in 0..VECTORS {
                    sums[r][v] = s.fma(a, b[v], sums[r][v]);
                }
            }
            left = left.add(k_stride);
        }
        // Two small loops, not one with both branches: the compiler unrolls them, which keeps the sums in registers.
        if accumulate {
            for r in 0..ROWS {
                for v in 0..VECTORS {
                    let out = out.add(r * out_stride + v * LANES);
                    let old = if v + 1 < VECTORS { s.load(out) } else { s.load_part(out, last) };
                    sums[r][v] = s.add(old, sums[r][v]);
                }
            }
        }
        for r in 0..ROWS {
            for v in 0..VECTORS {
                let out = out.add(r * out_stride + v * LANES);
                if v + 1 < VECTORS {
                    s.store(out, sums[r][v]);
                } else {
                    s.store_part(out, last, sums[r][v]);
                }
            }
        }
    }
}
