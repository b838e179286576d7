//! Products within one thread, for kernels that multiply blocks of their own: the right operand packed once, the left one rows of f32.

use half::bf16;

use super::source::{Block, Source, convert};
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

/// A left operand, and the elements from one of its lines to the next.
#[derive(Clone, Copy, Debug)]
pub(in crate::cpu::kernels) enum Left {
    /// A line holds the summands of one row.
    Rows(*const f32, usize),
    /// A line holds one summand of every row.
    Summands(*const f32, usize),
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

    /// `out (+)= left * right` for `rows` rows of f32. The result's memory is padded to whole tiles: rows and columns to a multiple of 32.
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
                    tiles::pack_panel(s, block, columns, k, data.cast::<bf16>().add(first * depth));
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
        let (Left::Rows(first_of_left, left_stride) | Left::Summands(first_of_left, left_stride)) = left;
        for first in (0..n).step_by(width) {
            let columns = width.min(n - first);
            // SAFETY: the caller of `multiply` promises the elements.
            unsafe {
                let right = data.cast::<f32>().add(first * k);
                let out = out.add(first);
                let tile = float::Tile { left: first_of_left, left_stride, right, nk: k, out, out_stride, accumulate };
                match left {
                    Left::Rows(..) => float::multiply(s, tile, rows, columns),
                    Left::Summands(..) => float::multiply_turned(s, tile, rows, columns),
                }
            }
        }
    }

    /// The left operand is rounded to bf16.
    #[inline(always)]
    unsafe fn tiled<S: Simd>(self, s: S) {
        let Multiply { panels: &Panels { features, n, k, data: panels, .. }, left, rows, out, out_stride, accumulate } = self;
        let depth = k.next_multiple_of(tiles::DEPTH);
        let strip_elements = tiles::SIDE * depth;
        let products = features.bf16_products();
        // SAFETY: the caller of `multiply` promises the elements; all parts lie within their scratch.
        unsafe {
            let state = tiles::Tiles::new(products);
            let multiply = |data, strip, first: usize| {
                for column in (0..n).step_by(tiles::SIDE) {
                    state.multiply(tiles::TileProduct {
                        data,
                        strip,
                        panel: panels.cast::<bf16>().add(column * depth),
                        steps: depth / tiles::DEPTH,
                        rows: rows - first,
                        out: out.add(first * out_stride + column),
                        out_stride,
                        accumulate,
                    });
                }
            };
            match left {
                Left::Rows(left, left_stride) => {
                    let mut scratch = Scratch::words(strip_elements);
                    let rounded: *mut bf16 = scratch.pointer();
                    let packed = rounded.add(strip_elements);
                    let block = Block { data: rounded.cast_const(), i_stride: depth, k_stride: 1 };
                    let reads_in_place = tiles::reads_in_place(products, &block, depth);
                    for first in (0..rows).step_by(tiles::SIDE) {
                        let height = tiles::SIDE.min(rows - first);
                        for row in 0..height {
                            let to = rounded.add(row * depth);
                            convert(s, left.add((first + row) * left_stride), to, k);
                            std::slice::from_raw_parts_mut(to.add(k), depth - k).fill(bf16::ZERO);
                        }
                        if reads_in_place {
                            multiply(block.data, tiles::Strip::InPlace(depth), first);
                        } else {
                            tiles::pack_strips(s, block, height, k, tiles::Order::Rows, packed);
                            multiply(packed.cast_const(), tiles::Strip::Packed(tiles::Order::Rows), first);
                        }
                    }
                }
                Left::Summands(left, left_stride) => {
                    let stride = rows.next_multiple_of(LANES);
                    let mut scratch = Scratch::bytes(2 * (k * stride + rows.div_ceil(tiles::SIDE) * strip_elements));
                    let rounded: *mut bf16 = scratch.pointer();
                    let packed = rounded.add(k * stride);
                    for row in 0..k {
                        convert(s, left.add(row * left_stride), rounded.add(row * stride), rows);
                    }
                    let block = Block { data: rounded.cast_const(), i_stride: 1, k_stride: stride };
                    let order = tiles::strip_order(products, &block);
                    tiles::pack_strips(s, block, rows, k, order, packed);
                    for first in (0..rows).step_by(tiles::SIDE) {
                        multiply(packed.add(first * depth).cast_const(), tiles::Strip::Packed(order), first);
                    }
                }
            }
        }
    }
}
