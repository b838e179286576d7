//! The bf16 product of blocks by AVX-512 BF16, on the tiles of `tiles`: a lane adds the products of one pair.
//!
//! Some rows of a strip times both tiles of a panel stay in registers over all summands; a left pair is broadcast, a right vector holds one
//! pair of sixteen columns.

use super::tiles::TileProduct;
#[cfg(target_arch = "x86_64")]
use super::tiles::{Order, Strip, TILE};

/// Pairs of a tile, and its rows.
#[cfg(target_arch = "x86_64")]
const PAIRS: usize = 16;

/// Summands of a block: a panel of that depth takes three quarters of the nearest cache.
pub(super) const DEPTH: usize = 384;

/// As [`Tiles::multiply`](super::tiles::Tiles::multiply).
///
/// # Safety
/// The product's memory is as it says, and the machine has AVX-512 F and AVX-512 BF16.
#[cfg(target_arch = "x86_64")]
pub(super) unsafe fn multiply(product: TileProduct) {
    // SAFETY: the caller's promise.
    unsafe {
        match product.strip {
            Strip::Packed(Order::Rows) => multiply_from(product, InTiles::<1, PAIRS>),
            Strip::Packed(Order::Pairs) => multiply_from(product, InTiles::<PAIRS, 1>),
            Strip::InPlace(stride) => multiply_from(product, InPlace { stride }),
        }
    }
}

/// Where the left operand's pairs lie.
#[cfg(target_arch = "x86_64")]
trait Left: Copy {
    /// Elements from one step to the next.
    const STEP: usize;
    /// Elements from a step's first to a pair of a row.
    fn offset(self, row: usize, pair: usize) -> usize;
}

/// In two tiles: pairs lie `PAIR` and their rows `LINE` pairs apart.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
struct InTiles<const PAIR: usize, const LINE: usize>;

#[cfg(target_arch = "x86_64")]
impl<const PAIR: usize, const LINE: usize> Left for InTiles<PAIR, LINE> {
    const STEP: usize = 2 * TILE;
    #[inline(always)]
    fn offset(self, row: usize, pair: usize) -> usize {
        row / 16 * TILE + 2 * (row % 16 * LINE + pair * PAIR)
    }
}

/// In rows, `stride` apart.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
struct InPlace {
    stride: usize,
}

#[cfg(target_arch = "x86_64")]
impl Left for InPlace {
    const STEP: usize = 2 * PAIRS;
    #[inline(always)]
    fn offset(self, row: usize, pair: usize) -> usize {
        row * self.stride + 2 * pair
    }
}

/// # Safety
/// As [`multiply`].
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn multiply_from<L: Left>(product: TileProduct, left: L) {
    // SAFETY: the caller's promise.
    unsafe {
        multiply_rows::<0, 11, L>(product, left);
        if product.rows > 11 {
            multiply_rows::<11, 11, L>(product, left);
        }
        if product.rows > 22 {
            multiply_rows::<22, 10, L>(product, left);
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
unsafe fn multiply_rows<const FIRST: usize, const ROWS: usize, L: Left>(product: TileProduct, lines: L) {
    use std::arch::x86_64::*;
    let TileProduct { mut data, mut panel, depth, out, out_stride, accumulate, .. } = product;
    let pairs = depth.div_ceil(2);
    // SAFETY: pairs lie where `lines` says; the caller promises the memory.
    unsafe {
        let mut sums = [[_mm512_setzero_ps(); 2]; ROWS];
        if accumulate {
            for row in 0..ROWS {
                let out = out.add((FIRST + row) * out_stride);
                sums[row] = [_mm512_loadu_ps(out), _mm512_loadu_ps(out.add(16))];
            }
        }
        let mut add = |data: *const half::bf16, panel: *const half::bf16, pair: usize| {
            let right: [__m512bh; 2] = [0, TILE].map(|tile| {
                let vector = _mm512_loadu_si512(panel.add(tile + pair * 2 * PAIRS).cast());
                std::mem::transmute::<__m512i, __m512bh>(vector)
            });
            for row in 0..ROWS {
                let left = data.add(lines.offset(FIRST + row, pair)).cast::<i32>();
                let left = _mm512_set1_epi32(left.read_unaligned());
                let left = std::mem::transmute::<__m512i, __m512bh>(left);
                for tile in 0..2 {
                    sums[row][tile] = _mm512_dpbf16_ps(sums[row][tile], left, right[tile]);
                }
            }
        };
        for _ in 0..pairs / PAIRS {
            for pair in 0..PAIRS {
                add(data, panel, pair);
            }
            data = data.add(L::STEP);
            panel = panel.add(2 * TILE);
        }
        for pair in 0..pairs % PAIRS {
            add(data, panel, pair);
        }
        for row in 0..ROWS {
            let out = out.add((FIRST + row) * out_stride);
            _mm512_storeu_ps(out, sums[row][0]);
            _mm512_storeu_ps(out.add(16), sums[row][1]);
        }
    }
}
