//! The bf16 product of blocks: 32 x 32 results from strips of two left tiles and panels of two right tiles, by AMX here or by dot products of
//! pairs in `dot`.
//!
//! Both operands are packed in tiles of sixteen rows of sixty-four bytes. A left tile holds sixteen rows of thirty-two summands, or sixteen pairs
//! of summands for sixteen rows; a right tile holds sixteen pairs of summands for sixteen columns. A strip or panel is, for every thirty-two
//! summands, two tiles.

use half::bf16;

use super::dot;
use super::source::Block;
use crate::cpu::features::Bf16Products;
use crate::cpu::simd::{Element, LANES, Simd, prefetch};

/// Rows of a strip and columns of a panel.
pub(super) const SIDE: usize = 32;
/// Summands of a tile.
pub(super) const DEPTH: usize = 32;
/// Elements of a tile.
pub(super) const TILE: usize = 512;

/// How a tile holds pairs of summands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Order {
    /// Sixteen rows of sixteen pairs, as AMX wants its left operand.
    Rows,
    /// Sixteen pairs of sixteen rows or columns, as AMX wants its right operand.
    Pairs,
}

/// Where the rows of a strip are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Strip {
    /// In two tiles for each step; AMX takes tiles of rows alone.
    Packed(Order),
    /// Where the operand has them, so many elements apart, with summands that are neighbours.
    InPlace(usize),
}

/// Packs a tile that lacks nothing without a branch, so that it stays in registers. Lines are rows, or summands, `stride` apart; the tile holds them
/// as they are or turned.
///
/// # Safety
/// `from` has sixteen rows of thirty-two or thirty-two summands of sixteen; `to` holds a tile.
#[inline(always)]
unsafe fn whole_tile<S: Simd, const ROWS: bool, const TURNED: bool>(s: S, from: *const bf16, stride: usize, to: *mut f32) {
    // One f32 lane stands for a pair of summands; its bits are only moved.
    let mut lanes = [s.zero(); LANES];
    // SAFETY: the caller's promise.
    unsafe {
        for i in 0..LANES {
            lanes[i] = if ROWS {
                s.load(from.add(i * stride).cast())
            } else {
                let low = from.add(2 * i * stride);
                s.interleave_bf16(s.load_bf16(low), s.load_bf16(low.add(stride)))
            };
        }
        if TURNED {
            lanes = s.transpose(lanes);
        }
        for i in 0..LANES {
            s.store(to.add(i * LANES), lanes[i]);
        }
    }
}

/// Packs the tile of sixteen `i` from `i0` on and thirty-two summands from `k` on; what lies beyond `ni` and `nk` is zero.
///
/// # Safety
/// The block has `ni` of `i` and `nk` summands; `to` holds [`TILE`].
#[inline(always)]
unsafe fn pack_tile<S: Simd>(
    s: S,
    block: Block<bf16>,
    (i0, ni): (usize, usize),
    (k, nk): (usize, usize),
    order: Order,
    to: *mut bf16,
) {
    let rows = ni.saturating_sub(i0).min(LANES);
    let depth = DEPTH.min(nk - k);
    // SAFETY: reads stay within the block (lanes beyond are not read), writes within the tile.
    unsafe {
        let from = block.data.add(if rows == 0 { 0 } else { i0 * block.i_stride });
        let to = to.cast::<f32>();
        let own = if block.k_stride == 1 { Order::Rows } else { Order::Pairs };
        if rows == LANES && depth == DEPTH {
            let from = from.add(k * block.k_stride);
            match (own, order) {
                (Order::Rows, Order::Rows) => whole_tile::<S, true, false>(s, from, block.i_stride, to),
                (Order::Rows, Order::Pairs) => whole_tile::<S, true, true>(s, from, block.i_stride, to),
                (Order::Pairs, Order::Pairs) => whole_tile::<S, false, false>(s, from, block.k_stride, to),
                (Order::Pairs, Order::Rows) => whole_tile::<S, false, true>(s, from, block.k_stride, to),
            }
            return;
        }
        let mut lanes = [s.zero(); LANES];
        match own {
            Order::Rows => {
                for i in 0..rows {
                    let mut part = [bf16::ZERO; DEPTH];
                    std::ptr::copy_nonoverlapping(from.add(i * block.i_stride + k), part.as_mut_ptr(), depth);
                    lanes[i] = s.load(part.as_ptr().cast());
                }
            }
            Order::Pairs => {
                for pair in 0..depth.div_ceil(2) {
                    let low = from.add((k + 2 * pair) * block.k_stride);
                    let high = if 2 * pair + 1 < depth { bf16::load_part(s, low.add(block.k_stride), rows) } else { s.zero() };
                    lanes[pair] = s.interleave_bf16(bf16::load_part(s, low, rows), high);
                }
            }
        }
        if own != order {
            lanes = s.transpose(lanes);
        }
        for i in 0..LANES {
            s.store(to.add(i * LANES), lanes[i]);
        }
    }
}

/// How strips of this block are packed for these products.
pub(super) fn strip_order(products: Bf16Products, block: &Block<bf16>) -> Order {
    // A broadcast reads a pair anywhere: rows that are neighbours in memory stay neighbours.
    if products == Bf16Products::Dot && block.k_stride != 1 { Order::Pairs } else { Order::Rows }
}

/// Whether whole strips of this block of `nk` summands need no packing for these products.
pub(super) fn reads_in_place(products: Bf16Products, block: &Block<bf16>, nk: usize) -> bool {
    // Rows that are whole pages apart would contend for the same places of the nearest cache.
    products == Bf16Products::Dot && block.k_stride == 1 && nk.is_multiple_of(2) && !block.i_stride.is_multiple_of(2048)
}

/// Packs rows in strips of [`SIDE`] or, in the order of pairs, columns in panels of [`SIDE`]: each `SIDE` elements for each of `nk` rounded up to
/// [`DEPTH`] summands long; missing rows and summands are zero.
///
/// # Safety
/// The block has `ni` rows and `nk` summands; `to` holds the strips.
#[inline(always)]
pub(super) unsafe fn pack_strips<S: Simd>(s: S, block: Block<bf16>, ni: usize, nk: usize, order: Order, to: *mut bf16) {
    let (strips, steps) = (ni.div_ceil(SIDE), nk.div_ceil(DEPTH));
    // Neighbours in memory are read one after the other.
    let strips_first = block.k_stride == 1;
    let (outer, inner) = if strips_first { (strips, steps) } else { (steps, strips) };
    for first in 0..outer {
        for second in 0..inner {
            let (strip, step) = if strips_first { (first, second) } else { (second, first) };
            if !strips_first {
                // Summands lie apart: the machine does not foresee them.
                for k in (step + 1) * DEPTH..nk.min((step + 2) * DEPTH) {
                    prefetch(block.data.wrapping_add(strip * SIDE + k * block.k_stride));
                }
            }
            for half in 0..2 {
                let at = ((strip * steps + step) * 2 + half) * TILE;
                // SAFETY: the tile lies within its strip.
                unsafe { pack_tile(s, block, (strip * SIDE + half * LANES, ni), (step * DEPTH, nk), order, to.add(at)) };
            }
        }
    }
}

/// `out (+)= strip * panel`, 32 x 32 f32; rows from `rows` on may then hold anything.
#[derive(Clone, Copy)]
pub(super) struct TileProduct {
    /// The strip's first element.
    pub data: *const bf16,
    /// Where its rows are from there on.
    pub strip: Strip,
    /// Two right tiles for every [`DEPTH`] summands.
    pub panel: *const bf16,
    /// Summands; of an odd number the panel's last pair ends in zeros, and so does a strip's.
    pub depth: usize,
    pub rows: usize,
    /// Thirty-two rows of thirty-two f32, `out_stride` apart.
    pub out: *mut f32,
    pub out_stride: usize,
    /// Add to what `out` holds.
    pub accumulate: bool,
}

/// How this thread multiplies tiles, and the state it keeps for that.
pub(super) enum Tiles {
    /// By AMX.
    Amx(Amx),
    /// By AVX-512 BF16.
    Dot,
}

impl Tiles {
    /// Makes this thread ready.
    ///
    /// # Safety
    /// The machine has these products.
    pub(super) unsafe fn new(products: Bf16Products) -> Self {
        match products {
            // SAFETY: the caller's promise.
            Bf16Products::Tiles => Tiles::Amx(unsafe { Amx::configure() }),
            Bf16Products::Dot => Tiles::Dot,
            Bf16Products::Converted => unreachable!("operands that are converted are not packed in tiles"),
        }
    }

    /// Computes a product.
    ///
    /// # Safety
    /// The product's memory is as it says.
    #[inline(always)]
    pub(super) unsafe fn multiply(&self, product: TileProduct) {
        // SAFETY: the caller's promise; `self` proves the instructions.
        unsafe {
            match self {
                Tiles::Amx(amx) => amx.multiply(product),
                Tiles::Dot => dot::multiply(product),
            }
        }
    }
}

/// The state of this thread's AMX tiles while it multiplies; releases them when dropped.
pub(super) struct Amx(());

impl Amx {
    /// Configures eight tiles of sixteen rows of sixty-four bytes.
    ///
    /// # Safety
    /// The machine has AMX and the process may use it.
    #[cfg(target_arch = "x86_64")]
    unsafe fn configure() -> Self {
        #[repr(C, align(64))]
        struct Configuration {
            palette: u8,
            start_row: u8,
            reserved: [u8; 14],
            row_bytes: [u16; 16],
            rows: [u8; 16],
        }
        let mut configuration = Configuration { palette: 1, start_row: 0, reserved: [0; 14], row_bytes: [0; 16], rows: [0; 16] };
        configuration.row_bytes[..8].fill(64);
        configuration.rows[..8].fill(16);
        // SAFETY: the configuration is sixty-four readable bytes.
        unsafe { std::arch::asm!("ldtilecfg [{}]", in(reg) &configuration, options(nostack, readonly)) };
        Amx(())
    }

    /// As [`Tiles::multiply`].
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn multiply(&self, product: TileProduct) {
        let TileProduct { data, panel, depth, out, out_stride, accumulate, .. } = product;
        let out_bytes = out_stride * 4;
        // SAFETY: the caller's promise; the tiles are configured while `self` lives.
        unsafe {
            if accumulate {
                std::arch::asm!(
                    "tileloadd tmm0, [{c} + {stride}*1]",
                    "tileloadd tmm1, [{c} + {stride}*1 + 64]",
                    "tileloadd tmm2, [{d} + {stride}*1]",
                    "tileloadd tmm3, [{d} + {stride}*1 + 64]",
                    c = in(reg) out,
                    d = in(reg) out.add(16 * out_stride),
                    stride = in(reg) out_bytes,
                    options(nostack, readonly),
                );
            } else {
                std::arch::asm!("tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3", options(nostack, nomem));
            }
            std::arch::asm!(
                "test {steps}, {steps}",
                "jz 3f",
                "2:",
                "tileloadd tmm4, [{a} + {row}*1]",
                "tileloadd tmm6, [{b} + {row}*1]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tileloadd tmm7, [{b} + {row}*1 + 1024]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tileloadd tmm5, [{a} + {row}*1 + 1024]",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "add {a}, 2048",
                "add {b}, 2048",
                "dec {steps}",
                "jnz 2b",
                "3:",
                "tilestored [{c} + {stride}*1], tmm0",
                "tilestored [{c} + {stride}*1 + 64], tmm1",
                "tilestored [{d} + {stride}*1], tmm2",
                "tilestored [{d} + {stride}*1 + 64], tmm3",
                a = inout(reg) data => _,
                b = inout(reg) panel => _,
                steps = inout(reg) depth.div_ceil(DEPTH) => _,
                c = in(reg) out,
                d = in(reg) out.add(16 * out_stride),
                stride = in(reg) out_bytes,
                row = in(reg) 64u64,
                options(nostack),
            );
        }
    }

    /// There are no tiles here.
    #[cfg(not(target_arch = "x86_64"))]
    unsafe fn configure() -> Self {
        unreachable!("`Features` grants AMX on x86-64 only")
    }

    /// There are no tiles here.
    #[cfg(not(target_arch = "x86_64"))]
    unsafe fn multiply(&self, _: TileProduct) {
        unreachable!("`Features` grants AMX on x86-64 only")
    }
}

impl Drop for Amx {
    fn drop(&mut self) {
        // SAFETY: the tiles were configured; releasing them returns the thread to its initial state.
        #[cfg(target_arch = "x86_64")]
        unsafe {
            std::arch::asm!("tilerelease", options(nostack, nomem))
        };
    }
}
