//! Products within one thread, for kernels that multiply blocks of their own: the right operand packed once, the left one rows of f32.

use half::bf16;

use super::source::{Block, Data, Source};
use super::{float, tiles};
use crate::cpu::features::{Features, Level};
use crate::cpu::simd::{Kernel, LANES, Simd, dispatch};
use crate::cpu::threads::Scratch;

/// A packed right operand of `n` columns and `k` summands.
#[derive(Clone, Copy, Debug)]
pub(in crate::cpu::kernels) struct Panels {
    features: Features,
    /// bf16 tiles, else f32 panels.
    tiled: bool,
    n: usize,
    k: usize,
    data: *mut u8,
}

/// A left operand of the panels' dtype, and the elements from one of its lines to the next.
#[derive(Clone, Copy, Debug)]
pub(in crate::cpu::kernels) enum Left {
    /// A line holds the summands of one row.
    Rows(Data, usize),
    /// As `Rows`, where zeros follow the summands up to a multiple of [`Left::WHOLE`], and lines of anything the rows.
    WholeRows(Data, usize),
    /// A line holds one summand of every row.
    Summands(Data, usize),
}

impl Left {
    /// What rows and summands of [`Left::WholeRows`] are whole multiples of.
    pub const WHOLE: usize = tiles::SIDE;
}

impl Panels {
    /// Bytes that a packed operand takes.
    pub fn bytes(n: usize, k: usize) -> usize {
        // Enough for either packing, in whole lines.
        n.next_multiple_of(tiles::SIDE) * k.next_multiple_of(tiles::DEPTH) * 4
    }

    /// Packs columns `0..n` and summands `0..k` of a source into `data`.
    ///
    /// # Safety
    /// The source has these elements, `data` [`Panels::bytes`].
    pub unsafe fn pack(features: Features, tiled: bool, source: Source, n: usize, k: usize, data: *mut u8) -> Panels {
        let panels = Panels { features, tiled, n, k, data };
        dispatch(features.level(), Pack { panels, source });
        panels
    }

    /// `out (+)= left * right` for `rows` rows. The result's memory is padded to whole tiles: rows and columns to a multiple of 32.
    ///
    /// # Safety
    /// `left` has `rows` rows of `k`, `out` the padded rows and columns, `out_stride` apart.
    pub unsafe fn multiply(&self, left: Left, rows: usize, out: *mut f32, out_stride: usize, accumulate: bool) {
        dispatch(self.features.level(), Multiply { panels: self, left, rows, out, out_stride, accumulate });
    }
}

struct Pack {
    panels: Panels,
    source: Source,
}

impl Kernel for Pack {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Pack { panels: Panels { tiled, n, k, data, .. }, source } = self;
        let width = if tiled { tiles::SIDE } else { float::shape(S::LEVEL).1 * LANES };
        let depth = if tiled { k.next_multiple_of(tiles::DEPTH) } else { k };
        let mut scratch = Scratch::words(Source::scratch(width, k));
        for first in (0..n).step_by(width) {
            let columns = width.min(n - first);
            // SAFETY: the caller of `pack` promises the elements and the memory.
            unsafe {
                if S::LEVEL == Level::Avx512 && tiled {
                    let block = source.block::<S, bf16>(s, (first, columns), (0, k), scratch.pointer());
                    tiles::pack_strips(s, block, columns, k, tiles::Order::Pairs, data.cast::<bf16>().add(first * depth));
                } else {
                    let block = source.block::<S, f32>(s, (first, columns), (0, k), scratch.pointer());
                    float::pack_panel(s, block, columns, k, columns.div_ceil(LANES), data.cast::<f32>().add(first * depth));
                }
            }
        }
    }
}

struct Multiply<'a> {
    panels: &'a Panels,
    left: Left,
    rows: usize,
    out: *mut f32,
    out_stride: usize,
    accumulate: bool,
}

impl Kernel for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        // SAFETY: the caller of `multiply` promises the elements.
        unsafe {
            if S::LEVEL == Level::Avx512 && self.panels.tiled {
                self.tiled(s);
            } else {
                self.float(s);
            }
        }
    }
}

impl Multiply<'_> {
    #[inline(always)]
    unsafe fn float<S: Simd>(self, s: S) {
        let Multiply { panels: &Panels { n, k, data, .. }, left, rows, out, out_stride, accumulate } = self;
        let width = float::shape(S::LEVEL).1 * LANES;
        let (Left::Rows(first_of_left, left_stride)
        | Left::WholeRows(first_of_left, left_stride)
        | Left::Summands(first_of_left, left_stride)) = left;
        let Data::F32(first_of_left) = first_of_left else { unreachable!("the operands of panels of f32 are f32") };
        for first in (0..n).step_by(width) {
            let columns = width.min(n - first);
            // SAFETY: the caller of `multiply` promises the elements.
            unsafe {
                let right = data.cast::<f32>().add(first * k);
                let out = out.add(first);
                let tile = float::Tile { left: first_of_left, left_stride, right, nk: k, out, out_stride, accumulate };
                match left {
                    Left::Rows(..) | Left::WholeRows(..) => float::multiply(s, tile, rows, columns),
                    Left::Summands(..) => float::multiply_turned(s, tile, rows, columns),
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn tiled<S: Simd>(self, s: S) {
        let Multiply { panels: &Panels { features, n, k, data: panels, .. }, left, rows, out, out_stride, accumulate } = self;
        let products = features.bf16_products();
        let (first_of_left, i_stride, k_stride, whole) = match left {
            Left::Rows(data, stride) => (data, stride, 1, false),
            Left::WholeRows(data, stride) => (data, stride, 1, true),
            Left::Summands(data, stride) => (data, 1, stride, false),
        };
        let Data::Bf16(first_of_left) = first_of_left else { unreachable!("the operands of panels of bf16 are bf16") };
        let block = Block { data: first_of_left, i_stride, k_stride };
        let depth = k.next_multiple_of(tiles::DEPTH);
        // Rows from here on are packed: all, those of a strip that lacks some, or none.
        let packed_from = match tiles::reads_in_place(products, &block, if whole { depth } else { k }) {
            true if whole => rows,
            true => rows / tiles::SIDE * tiles::SIDE,
            false => 0,
        };
        let order = tiles::strip_order(products, &block);
        let mut scratch = Scratch::bytes(2 * (rows - packed_from).next_multiple_of(tiles::SIDE) * depth);
        let packed: *mut bf16 = scratch.pointer();
        // SAFETY: the caller of `multiply` promises the elements; strips lie within the scratch.
        unsafe {
            let state = tiles::Tiles::new(products);
            let rest = Block { data: block.data.wrapping_add(packed_from * i_stride), ..block };
            tiles::pack_strips(s, rest, rows - packed_from, k, order, packed);
            for first in (0..rows).step_by(tiles::SIDE) {
                let (strip, data) = if first < packed_from {
                    (tiles::Strip::InPlace(i_stride), block.data.add(first * i_stride))
                } else {
                    (tiles::Strip::Packed(order), packed.add((first - packed_from) * depth).cast_const())
                };
                for column in (0..n).step_by(tiles::SIDE) {
                    state.multiply(tiles::TileProduct {
                        data,
                        strip,
                        panel: panels.cast::<bf16>().add(column * depth),
                        depth: k,
                        rows: rows - first,
                        out: out.add(first * out_stride + column),
                        out_stride,
                        accumulate,
                    });
                }
            }
        }
    }
}
