//! The f32 product of blocks: the right operand packed in panels of up to three vectors, the left read by broadcasts.

use super::source::Block;
use crate::cpu::features::Level;
use crate::cpu::simd::{LANES, Simd};

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
        for v in 0..vectors {
            let columns = n.saturating_sub(v * LANES).min(LANES);
            let from = block.data.add(v * LANES * block.i_stride);
            let to = to.add(v * LANES);
            let step = vectors * LANES;
            if block.i_stride == 1 {
                for k in 0..nk {
                    s.store(to.add(k * step), s.load_part(from.add(k * block.k_stride), columns));
                }
            } else {
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

/// Copies a block to rows of `nk` contiguous summands.
///
/// # Safety
/// The block has `ni` rows, contiguous along `i`; `to` holds `ni * nk` elements.
#[inline(always)]
pub(super) unsafe fn pack_rows<S: Simd>(s: S, block: Block<f32>, ni: usize, nk: usize, to: *mut f32) {
    // SAFETY: reads stay within the block, writes within `to`.
    unsafe {
        let mut i = 0;
        while i < ni {
            let rows = LANES.min(ni - i);
            let mut k = 0;
            while k < nk {
                let part = LANES.min(nk - k);
                let mut lanes = [s.zero(); LANES];
                for j in 0..part {
                    lanes[j] = s.load_part(block.data.add(i + (k + j) * block.k_stride), rows);
                }
                let lanes = s.transpose(lanes);
                for j in 0..rows {
                    s.store_part(to.add((i + j) * nk + k), part, lanes[j]);
                }
                k += part;
            }
            i += rows;
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

/// `out (+)= left * panel` for `rows` rows and `columns` columns of one panel.
///
/// # Safety
/// All of the tile's rows and columns lie within their matrices.
#[inline(always)]
pub(super) unsafe fn multiply<S: Simd>(s: S, mut tile: Tile, mut rows: usize, columns: usize) {
    macro_rules! take {
        ($rows:literal) => {
            while rows >= $rows {
                // SAFETY: the caller's promise, for the first rows of those left.
                unsafe {
                    if S::LEVEL != Level::Avx512 || columns <= LANES {
                        micro::<S, $rows, 1>(s, tile, columns);
                    } else if columns <= 2 * LANES {
                        micro::<S, $rows, 2>(s, tile, columns);
                    } else {
                        micro::<S, $rows, 3>(s, tile, columns);
                    }
                    tile.left = tile.left.add($rows * tile.left_stride);
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
unsafe fn micro<S: Simd, const ROWS: usize, const VECTORS: usize>(s: S, tile: Tile, columns: usize) {
    let Tile { left, left_stride, right, nk, out, out_stride, accumulate } = tile;
    let mut sums = [[s.zero(); VECTORS]; ROWS];
    let last = columns - (VECTORS - 1) * LANES;
    // SAFETY: the caller's promise.
    unsafe {
        let mut right = right;
        for k in 0..nk {
            let mut b = [s.zero(); VECTORS];
            for v in 0..VECTORS {
                b[v] = s.load(right.add(v * LANES));
            }
            right = right.add(VECTORS * LANES);
            for r in 0..ROWS {
                let a = s.splat(*left.add(r * left_stride + k));
                for v in 0..VECTORS {
                    sums[r][v] = s.fma(a, b[v], sums[r][v]);
                }
            }
        }
        for r in 0..ROWS {
            let out = out.add(r * out_stride);
            for v in 0..VECTORS {
                let out = out.add(v * LANES);
                if v + 1 < VECTORS || last == LANES {
                    let sum = if accumulate { s.add(s.load(out), sums[r][v]) } else { sums[r][v] };
                    s.store(out, sum);
                } else {
                    let sum = if accumulate { s.add(s.load_part(out, last), sums[r][v]) } else { sums[r][v] };
                    s.store_part(out, last, sum);
                }
            }
        }
    }
}
