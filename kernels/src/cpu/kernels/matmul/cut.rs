//! How a product is cut into regions, blocks and parts.

use super::{dot, float, tiles};
use crate::cpu::features::{Bf16Products, Features};
use crate::cpu::simd::LANES;

/// How the problem is cut: a function of its shape and the inner loop only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// Both operands stay bf16, packed in tiles of pairs.
    pub tiled: bool,
    /// Rows and columns of the inner loop's tile.
    pub tile_rows: usize,
    pub tile_columns: usize,
    /// Rows and columns of a region.
    pub rows: usize,
    pub columns: usize,
    /// Summands of a block.
    pub depth: usize,
    /// Parts of `k`, each a whole number of blocks.
    pub splits: usize,
}

impl Cut {
    pub fn new(features: Features, tiled: bool, batch: usize, m: usize, n: usize, k: usize) -> Cut {
        let (tile_rows, tile_columns) = if tiled {
            (tiles::SIDE, tiles::SIDE)
        } else {
            let (rows, vectors) = float::shape(features.level());
            (rows, vectors * LANES)
        };
        let (target, unit) = match (tiled, features.bf16_products()) {
            (true, Bf16Products::Tiles) => (1024, tiles::DEPTH),
            // A panel of that depth stays in the nearest cache while a strip's rows go by in turns.
            (true, _) => (dot::DEPTH, tiles::DEPTH),
            (false, _) => (512, 1),
        };
        let blocks = k.div_ceil(target).max(1);
        let depth = k.div_ceil(blocks).next_multiple_of(unit).max(unit);
        // Regions of equal columns, 480 at most.
        let mut columns = n.max(1).div_ceil(n.div_ceil(480).max(1)).next_multiple_of(tile_columns);
        // What a region sums stays in the second cache, a quarter of a megabyte at most, beside the operands that pass by. Tall regions of few
        // columns read long runs of a transposed operand. AMX adds into a result once for a thousand summands, and a shallow product once at
        // all; dot products read most left operands in place, so that many small regions cost nothing and end together.
        let elements = match (tiled, features.bf16_products()) {
            _ if k <= 128 => 122_880,
            (true, Bf16Products::Tiles) => 122_880,
            (true, _) => 24_576,
            (false, _) => 49_152,
        };
        let most_rows = (elements / columns).clamp(32, 512).next_multiple_of(tile_rows);
        let mut rows = most_rows.min(m.max(1).next_multiple_of(tile_rows));
        let regions = |rows: usize, columns: usize| batch * m.div_ceil(rows) * n.div_ceil(columns);
        // Small problems are not worth cutting; the others get enough regions to keep many threads at work.
        // Where `k` is long, its parts are that work: narrow regions would read few neighbours of each row of a transposed operand.
        let parts = |rows: usize, columns: usize| regions(rows, columns) * (k.div_ceil(depth) / 2).max(1);
        if m * n * k * batch > 1 << 20 {
            while parts(rows, columns) < 16 {
                if rows >= columns && rows >= 2 * tile_rows.max(32) {
                    rows = (rows / 2).next_multiple_of(tile_rows);
                } else if columns >= 2 * tile_columns.max(64) {
                    columns = (columns / 2).next_multiple_of(tile_columns);
                } else if rows >= 2 * tile_rows.max(32) {
                    rows = (rows / 2).next_multiple_of(tile_rows);
                } else {
                    break;
                }
            }
        }
        let blocks = k.div_ceil(depth).max(1);
        let splits =
            if m * n * k * batch > 1 << 22 { 16usize.div_ceil(regions(rows, columns)).min(blocks / 2).max(1) } else { 1 };
        Cut { tiled, tile_rows, tile_columns, rows, columns, depth, splits }
    }

    /// Elements of a packed right operand.
    pub fn packed_elements(&self, n: usize, k: usize) -> usize {
        self.padded(n) * self.packed_depth(k)
    }

    /// Columns whose panels are packed side by side: neighbours in memory are read while they are near.
    pub fn packed_at_once(&self) -> usize {
        if self.tiled { 4 * tiles::SIDE } else { self.tile_columns }
    }

    /// Columns as packed.
    pub fn padded(&self, columns: usize) -> usize {
        columns.next_multiple_of(if self.tiled { tiles::SIDE } else { LANES })
    }

    /// Summands of a block as packed.
    pub fn packed_depth(&self, nk: usize) -> usize {
        if self.tiled { nk.next_multiple_of(tiles::DEPTH) } else { nk }
    }

    pub fn element_bytes(&self) -> usize {
        if self.tiled { 2 } else { 4 }
    }
}
