//! The bf16 product of blocks by AVX-512 BF16, on the tiles of `tiles`: a lane adds the products of one pair.
//!
//! Some rows of a strip times both tiles of a panel stay in registers over all summands; a left pair is broadcast, a right vector holds one
//! pair of sixteen columns.

use super::tiles::TileProduct;
#[cfg(target_arch = "x86_64")]
use super::tiles::{Order, TILE};

/// Pairs of a tile, and its rows.
#[cfg(target_arch = "x86_64")]
const PAIRS: usize = 16;

/// Summands of a block: a panel of that depth takes half of the nearest cache.
pub(super) const DEPTH: usize = 256;

/// As [`Tiles::multiply`](super::tiles::Tiles::multiply).
///
/// # Safety
/// The product's memory is as it says, and the machine has AVX-512 F and AVX-512 BF16.
#[cfg(target_arch = "x86_64")]
pub(super) unsafe fn multiply(product: TileProduct) {
    // SAFETY: the caller's promise.
    unsafe {
        match product.order {
            Order::Rows => multiply_ordered::<1, PAIRS>(product),
            Order::Pairs => multiply_ordered::<PAIRS, 1>(product),
        }
    }
}

/// Left pairs lie `PAIR` and their rows `LINE` apart.
///
/// # Safety
/// As [`multiply`].
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn multiply_ordered<const PAIR: usize, const LINE: usize>(product: TileProduct) {
    // SAFETY: the caller's promise.
    unsafe {
        multiply_rows::<0, 11, PAIR, LINE>(product);
        if product.rows > 11 {
            multiply_rows::<11, 11, PAIR, LINE>(product);
        }
        if product.rows > 22 {
            multiply_rows::<22, 10, PAIR, LINE>(product);
        }
    }
}

/// There are no dot products here.
#[cfg(not(target_arch = "x86_64"))]
pub(super) unsafe fn multiply(_: TileProduct) {
    unreachable!("`Features` grants AVX-512 BF16 on x86-64 only")
}

/// Rows `FIRST..FIRST + ROWS` of the result.
///
/// # Safety
/// As [`multiply`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn multiply_rows<const FIRST: usize, const ROWS: usize, const PAIR: usize, const LINE: usize>(product: TileProduct) {
    use std::arch::x86_64::*;
    let TileProduct { mut strip, mut panel, steps, out, out_stride, accumulate, .. } = product;
    // SAFETY: pairs of row `r` lie in tile `r / 16` of the strip; the caller promises the memory.
    unsafe {
        let mut sums = [[_mm512_setzero_ps(); 2]; ROWS];
        if accumulate {
            for row in 0..ROWS {
                let out = out.add((FIRST + row) * out_stride);
                sums[row] = [_mm512_loadu_ps(out), _mm512_loadu_ps(out.add(16))];
            }
        }
        for _ in 0..steps {
            let pairs = strip.cast::<i32>();
            for pair in 0..PAIRS {
                let right: [__m512bh; 2] = [0, TILE].map(|tile| {
                    let vector = _mm512_loadu_si512(panel.add(tile + pair * 2 * PAIRS).cast());
                    std::mem::transmute::<__m512i, __m512bh>(vector)
                });
                for row in 0..ROWS {
                    let (tile, line) = ((FIRST + row) / 16, (FIRST + row) % 16);
                    let left = _mm512_set1_epi32(pairs.add(tile * TILE / 2 + line * LINE + pair * PAIR).read());
                    let left = std::mem::transmute::<__m512i, __m512bh>(left);
                    for tile in 0..2 {
                        sums[row][tile] = _mm512_dpbf16_ps(sums[row][tile], left, right[tile]);
                    }
                }
            }
            strip = strip.add(2 * TILE);
            panel = panel.add(2 * TILE);
        }
        for row in 0..ROWS {
            let out = out.add((FIRST + row) * out_stride);
            _mm512_storeu_ps(out, sums[row][0]);
            _mm512_storeu_ps(out.add(16), sums[row][1]);
        }
    }
}
