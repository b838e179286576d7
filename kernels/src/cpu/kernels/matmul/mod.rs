//! Products of matrices: `out[i, j] = sum over k of left[i, k] * right[j, k]`, batched, with a fused epilogue.
//!
//! Both operands are [`Source`]s, so transposes, strides and the patches of a convolution cost nothing but their packing. Two inner loops:
//! f32 on vectors (`float`), and bf16 in tiles of pairs (`tiles`), by AMX or AVX-512 BF16; bf16 without either, and mixed operands, are converted
//! to f32 while packed.
//!
//! The result is cut into regions by the problem's shape alone. A region's sum over `k` runs in blocks of one fixed order; when there are few
//! regions and many summands, `k` is cut into a fixed number of parts that are added in order. So bits do not depend on threads.

mod cut;
mod dot;
mod finish;
mod float;
mod small;
mod source;
mod tiles;

#[cfg(test)]
mod tests;

use half::bf16;

use cut::Cut;
use finish::{AddParts, Finish};
pub(super) use small::{Left, Panels};
use source::Block;
pub use source::{Data, Patches, Source};

use crate::cpu::buffer::Buffer;
use crate::cpu::features::{Bf16Products, Features, Level};
use crate::cpu::simd::{Kernel, LANES, Simd, dispatch};
use crate::cpu::threads::{Scratch, Shared, parallel};

/// What happens to a result before it is stored.
pub trait Epilogue: Sync {
    /// Changes `rows` rows of `columns` f32 at `tile`, `stride` apart, which are the result from (`batch`, `row`, `column`) on.
    ///
    /// # Safety
    /// The tile is valid for reading and writing, and no one else touches it.
    unsafe fn apply(&self, place: Place, tile: *mut f32, stride: usize);
}

/// Where a tile lies in the result.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The matrix.
    pub batch: usize,
    /// The first row.
    pub row: usize,
    /// The number of rows.
    pub rows: usize,
    /// The first column.
    pub column: usize,
    /// The number of columns.
    pub columns: usize,
}

/// The address of a result.
#[derive(Clone, Copy, Debug)]
pub enum DataMut {
    /// f32 elements.
    F32(*mut f32),
    /// bf16 elements.
    Bf16(*mut bf16),
}

impl DataMut {
    /// The same elements, to be read.
    pub fn data(self) -> Data {
        match self {
            DataMut::F32(p) => Data::F32(p),
            DataMut::Bf16(p) => Data::Bf16(p),
        }
    }
}

// SAFETY: regions write disjoint elements.
unsafe impl Send for DataMut {}
// SAFETY: as above.
unsafe impl Sync for DataMut {}

/// One operand of every matrix in the batch.
pub type SourceOf<'a> = &'a (dyn Fn(usize) -> Source + Sync);

/// A batched product.
pub struct Product<'a> {
    /// What the machine has.
    pub features: Features,
    /// Number of matrices.
    pub batch: usize,
    /// Rows of the result.
    pub m: usize,
    /// Columns of the result.
    pub n: usize,
    /// Summands.
    pub k: usize,
    /// The operand whose `i` is the result's row.
    pub left: SourceOf<'a>,
    /// The operand whose `i` is the result's column.
    pub right: SourceOf<'a>,
    /// Whether all matrices of the batch have the same right operand.
    pub right_shared: bool,
    /// The right operand packed ahead by [`Packed::new`] (only where it is shared).
    pub packed: Option<&'a Packed>,
    /// The first element of the result.
    pub out: DataMut,
    /// Elements from one matrix of the result to the next.
    pub out_batch_stride: usize,
    /// Elements from one row of the result to the next.
    pub out_row_stride: usize,
    /// Add to what the result holds (before the epilogue).
    pub accumulate: bool,
    /// What is done to the result before it is stored.
    pub epilogue: Option<&'a dyn Epilogue>,
}

/// A right operand in the inner loop's order, to be used by any number of products of the same sizes.
#[derive(Debug)]
pub struct Packed {
    buffer: Buffer,
    cut: Cut,
    n: usize,
    k: usize,
}

impl Packed {
    /// Packs the right operand of `product`.
    ///
    /// # Safety
    /// As [`multiply`].
    pub unsafe fn new(product: &Product<'_>) -> Packed {
        let cut = product.cut();
        let bytes = cut.packed_elements(product.n, product.k) * cut.element_bytes();
        let packed = Packed { buffer: Buffer::new(bytes), cut, n: product.n, k: product.k };
        // SAFETY: the buffer is as long as the cut says; the caller promises the operand.
        unsafe { product.pack_right(cut, 0, packed.buffer.pointer()) };
        packed
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.buffer.bytes()
    }
}

/// Computes the product.
///
/// # Safety
/// Every element that the sources and the output name must be readable or writable, the output must not overlap the operands.
pub unsafe fn multiply(product: &Product<'_>) {
    // SAFETY: the caller's promise.
    unsafe { product.run() }
}

impl Product<'_> {
    fn cut(&self) -> Cut {
        let tiled = self.features.bf16_products() != Bf16Products::Converted
            && self.batch > 0
            && (self.left)(0).is_bf16()
            && (self.right)(0).is_bf16();
        // What depends on the number of matrices would make a packed operand useless for another batch; only regions do.
        Cut::new(self.features, tiled, self.batch, self.m, self.n, self.k)
    }

    unsafe fn run(&self) {
        if self.batch == 0 || self.m == 0 || self.n == 0 {
            return;
        }
        let cut = self.cut();
        let usable = self.packed.filter(|packed| {
            self.right_shared
                && packed.n == self.n
                && packed.k == self.k
                && packed.cut.tiled == cut.tiled
                && packed.cut.depth == cut.depth
        });
        // SAFETY: the caller's promise; buffers are as long as the cut says.
        unsafe {
            if let Some(packed) = usable {
                self.run_packed(cut, 0..self.batch, Some(packed.buffer.pointer()));
            } else if self.m <= cut.rows {
                // Each region packs its own columns: nobody else needs them.
                self.run_packed(cut, 0..self.batch, None);
            } else {
                let bytes = cut.packed_elements(self.n, self.k) * cut.element_bytes();
                let mut buffer = Scratch::bytes(bytes);
                if self.right_shared {
                    self.pack_right(cut, 0, buffer.pointer());
                    self.run_packed(cut, 0..self.batch, Some(buffer.pointer()));
                } else {
                    for batch in 0..self.batch {
                        self.pack_right(cut, batch, buffer.pointer());
                        self.run_packed(cut, batch..batch + 1, Some(buffer.pointer()));
                    }
                }
            }
        }
    }

    /// Packs the whole right operand, block by block of `k`, panel by panel.
    unsafe fn pack_right(&self, cut: Cut, batch: usize, to: *mut u8) {
        let source = (self.right)(batch);
        let width = cut.packed_at_once();
        let parts = self.n.div_ceil(width);
        let blocks = self.k.div_ceil(cut.depth);
        let padded = cut.padded(self.n);
        let to = Shared::from_pointer(to);
        parallel(parts * blocks, |part| {
            let (block, part) = (part / parts, part % parts);
            let k0 = block * cut.depth;
            let nk = cut.depth.min(self.k - k0);
            let first = part * width;
            let columns = width.min(self.n - first);
            let at = padded * k0 + first * cut.packed_depth(nk);
            let pack =
                PackPanels { cut, source, first, columns, k0, nk, to: to.pointer().wrapping_add(at * cut.element_bytes()) };
            dispatch(self.features.level(), pack);
        });
    }

    unsafe fn run_packed(&self, cut: Cut, batches: std::ops::Range<usize>, packed: Option<*mut u8>) {
        let (row_regions, column_regions) = (self.m.div_ceil(cut.rows), self.n.div_ceil(cut.columns));
        let regions = row_regions * column_regions;
        let packed = packed.map(Shared::from_pointer);
        let region = |part: usize| {
            let (batch, rest) = (batches.start + part / regions, part % regions);
            let (row_region, column_region) = (rest % row_regions, rest / row_regions);
            let (row, column) = (row_region * cut.rows, column_region * cut.columns);
            Place { batch, row, rows: cut.rows.min(self.m - row), column, columns: cut.columns.min(self.n - column) }
        };
        let parts = regions * batches.len();
        if cut.splits == 1 {
            parallel(parts, |part| {
                let work = Region { product: self, cut, place: region(part), k: 0..self.k, packed, partial: None };
                dispatch(self.features.level(), work);
            });
            return;
        }
        // Part `s` of region `r` sums its share of `k` into its own partial result; then the parts are added in order.
        let blocks = self.k.div_ceil(cut.depth);
        let share = blocks.div_ceil(cut.splits) * cut.depth;
        let splits = self.k.div_ceil(share);
        let elements = cut.rows * cut.columns;
        let mut partials = Scratch::words(parts * splits * elements);
        let partials = Shared::<f32>::from_pointer(partials.pointer());
        parallel(parts * splits, |part| {
            let (index, split) = (part / splits, part % splits);
            let k = split * share..self.k.min((split + 1) * share);
            let partial = Some(Shared::from_pointer(partials.pointer().wrapping_add(part * elements)));
            dispatch(self.features.level(), Region { product: self, cut, place: region(index), k, packed, partial });
        });
        parallel(parts, |index| {
            let sum = partials.pointer().wrapping_add(index * splits * elements);
            let place = region(index);
            dispatch(self.features.level(), AddParts { sum, splits, elements });
            let finish = Finish { product: self, place, tile: sum, stride: cut.columns, in_place: false };
            dispatch(self.features.level(), finish);
        });
    }
}

/// Packs columns of one block that are packed at once.
struct PackPanels {
    cut: Cut,
    source: Source,
    first: usize,
    columns: usize,
    k0: usize,
    nk: usize,
    to: *mut u8,
}

impl Kernel for PackPanels {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let PackPanels { cut, source, first, columns, k0, nk, to } = self;
        let mut scratch = Scratch::bytes(Source::scratch(columns, nk) * cut.element_bytes());
        // SAFETY: the panel lies within the operand, the buffers are as long as the cut says.
        unsafe {
            if S::LEVEL == Level::Avx512 && cut.tiled {
                let block = source.block::<S, bf16>(s, (first, columns), (k0, nk), scratch.pointer());
                tiles::pack_strips(s, block, columns, nk, tiles::Order::Pairs, to.cast());
            } else {
                let block = source.block::<S, f32>(s, (first, columns), (k0, nk), scratch.pointer());
                float::pack_panel(s, block, columns, nk, columns.div_ceil(LANES), to.cast());
            }
        }
    }
}

/// Columns that are finished at once: whole panels of every inner loop, rows long enough for epilogues.
const FINISHED: usize = 192;

/// Computes one region of one matrix for a range of `k`.
struct Region<'a, 'b> {
    product: &'a Product<'b>,
    cut: Cut,
    place: Place,
    k: std::ops::Range<usize>,
    packed: Option<Shared<u8>>,
    /// Where the sum goes when `k` is split; the region then is not finished here.
    partial: Option<Shared<f32>>,
}

impl Kernel for Region<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Region { product, cut, place, .. } = self;
        // Whole tiles are stored, so the region must be padded unless it fits.
        let whole = !cut.tiled || (place.rows % tiles::SIDE == 0 && place.columns % tiles::SIDE == 0);
        if let Some(partial) = self.partial {
            // SAFETY: the partial result is a whole region of the cut.
            unsafe { self.sum(s, partial.pointer(), cut.columns, false, |_, _| {}) };
            return;
        }
        let finish = |tile: *mut f32, stride, in_place| {
            move |first: usize, columns| {
                let place = Place { column: place.column + first, columns, ..place };
                let tile = tile.wrapping_add(first);
                dispatch(product.features.level(), Finish { product, place, tile, stride, in_place });
            }
        };
        match product.out {
            DataMut::F32(out) if whole => {
                let at = place.batch * product.out_batch_stride + place.row * product.out_row_stride + place.column;
                // SAFETY: the region lies within the output.
                unsafe {
                    let out = out.add(at);
                    self.sum(s, out, product.out_row_stride, product.accumulate, finish(out, product.out_row_stride, true));
                }
            }
            _ => {
                let (rows, columns) =
                    (place.rows.next_multiple_of(cut.tile_rows), place.columns.next_multiple_of(cut.tile_columns));
                let mut tile = Scratch::words(rows * columns);
                let tile = tile.pointer();
                // SAFETY: the tile holds the padded region.
                unsafe { self.sum(s, tile, columns, false, finish(tile, columns, false)) };
            }
        }
    }
}

impl Region<'_, '_> {
    /// Sums the region into `out`; calls `finish` with the first and the number of the columns that are complete while these are still in a near
    /// cache.
    #[inline(always)]
    unsafe fn sum<S: Simd>(&self, s: S, out: *mut f32, stride: usize, accumulate: bool, finish: impl Fn(usize, usize)) {
        let Region { product, cut, place, ref k, packed, .. } = *self;
        if k.is_empty() {
            if !accumulate {
                for row in 0..place.rows {
                    // SAFETY: the row lies within the region.
                    unsafe { std::slice::from_raw_parts_mut(out.add(row * stride), place.columns) }.fill(0.0);
                }
            }
            finish(0, place.columns);
            return;
        }
        let left = (product.left)(place.batch);
        let right = (product.right)(place.batch);
        let bytes = cut.element_bytes();
        let depth = cut.packed_depth(cut.depth.min(k.len()));
        let padded_columns = cut.padded(product.n);
        let rows = place.rows.next_multiple_of(cut.tile_rows);
        let own = if packed.is_some() { 0 } else { cut.padded(place.columns) * depth };
        // The packed left operand, a copied block of it, and own panels of the right one.
        let left_elements =
            if cut.tiled { rows * depth } else { rows / cut.tile_rows * float::tile_stride(cut.tile_rows, depth) };
        let sizes = [left_elements, rows * depth, own].map(|n| (n * bytes).next_multiple_of(64));
        let mut scratch = Scratch::bytes(sizes.iter().sum());
        let scratch: *mut u8 = scratch.pointer();
        // SAFETY: all parts lie within the scratch, the region within the operands and the output.
        unsafe {
            let left_packed = scratch;
            let left_copy = scratch.add(sizes[0]);
            let own_panels = left_copy.add(sizes[1]);
            let tiles = (S::LEVEL == Level::Avx512 && cut.tiled).then(|| tiles::Tiles::new(product.features.bf16_products()));
            for k0 in k.clone().step_by(cut.depth) {
                let nk = cut.depth.min(k.end - k0);
                let nk_packed = cut.packed_depth(nk);
                let accumulate = accumulate || k0 != k.start;
                let finish_up_to = |columns: usize| {
                    let columns = columns.min(place.columns);
                    if k0 + nk == k.end && (columns == place.columns || columns % FINISHED == 0) {
                        let first = (columns - 1) / FINISHED * FINISHED;
                        finish(first, columns - first);
                    }
                };
                let panels = match packed {
                    Some(packed) => packed.pointer().add((padded_columns * k0 + place.column * nk_packed) * bytes),
                    None => {
                        for first in (0..place.columns).step_by(cut.packed_at_once()) {
                            let columns = cut.packed_at_once().min(place.columns - first);
                            let to = own_panels.add(first * nk_packed * bytes);
                            let panel = PackPanels { cut, source: right, first: place.column + first, columns, k0, nk, to };
                            dispatch(product.features.level(), panel);
                        }
                        own_panels
                    }
                };
                if S::LEVEL == Level::Avx512
                    && let Some(tiles) = &tiles
                {
                    let block = left.block::<S, bf16>(s, (place.row, place.rows), (k0, nk), left_copy.cast());
                    let strip_elements = tiles::SIDE * nk_packed;
                    let strips = place.rows.div_ceil(tiles::SIDE);
                    let order = tiles::strip_order(product.features.bf16_products(), &block);
                    let reads_in_place = tiles::reads_in_place(product.features.bf16_products(), &block, nk);
                    // Strips from here on are packed: all, or one that has missing rows.
                    let packed_from = if reads_in_place { place.rows / tiles::SIDE } else { 0 };
                    let first = packed_from * tiles::SIDE;
                    let rest = Block { data: block.data.wrapping_add(first * block.i_stride), ..block };
                    tiles::pack_strips(s, rest, place.rows - first, nk, order, left_packed.cast());
                    for first in (0..place.columns).step_by(tiles::SIDE) {
                        let panel = panels.cast::<bf16>().add(first * nk_packed);
                        for strip in 0..strips {
                            let (place_of_rows, data) = if strip < packed_from {
                                let rows = block.data.add(strip * tiles::SIDE * block.i_stride);
                                (tiles::Strip::InPlace(block.i_stride), rows)
                            } else {
                                let tiles = left_packed.cast::<bf16>().add((strip - packed_from) * strip_elements);
                                (tiles::Strip::Packed(order), tiles.cast_const())
                            };
                            tiles.multiply(tiles::TileProduct {
                                data,
                                strip: place_of_rows,
                                panel,
                                depth: nk,
                                rows: place.rows - strip * tiles::SIDE,
                                out: out.add(strip * tiles::SIDE * stride + first),
                                out_stride: stride,
                                accumulate,
                            });
                        }
                        finish_up_to(first + tiles::SIDE);
                    }
                } else {
                    let block = left.block::<S, f32>(s, (place.row, place.rows), (k0, nk), left_copy.cast());
                    let is_packed = block.k_stride != 1;
                    if is_packed {
                        float::pack_rows::<S>(block, place.rows, nk, left_packed.cast());
                    }
                    for first in (0..place.columns).step_by(cut.tile_columns) {
                        let right = panels.cast::<f32>().add(first * nk);
                        let columns = cut.tile_columns.min(place.columns - first);
                        let (left, left_stride) =
                            if is_packed { (left_packed.cast_const().cast(), 0) } else { (block.data, block.i_stride) };
                        let tile =
                            float::Tile { left, left_stride, right, nk, out: out.add(first), out_stride: stride, accumulate };
                        if is_packed {
                            float::multiply_packed(s, tile, place.rows, columns);
                        } else {
                            float::multiply(s, tile, place.rows, columns);
                        }
                        finish_up_to(first + columns);
                    }
                }
            }
        }
    }
}
