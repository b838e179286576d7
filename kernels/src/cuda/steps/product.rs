//! How `product.cu` and `product_warpgroups.cu` compute: their ways, tiles, bounds and grids.

use sward_core::program::DType;

use super::{Limits, blocks};
use crate::cuda::source::{Bounds, Family};

/// The most blocks along y and z of a grid.
pub(super) const MOST_BLOCKS: usize = 65_535;

/// Dynamic shared memory of the kernels on tensor cores: `CORE_BYTES` of `product.cu`.
pub(super) const CORE_BYTES: usize = 2 * 3 * 128 * 40 * 2;

/// What reports call convolutions by warpgroup products.
const IMPLICIT_BY_WARPGROUPS: &str = "implicit product by warpgroups";

/// How `product.cu` and `product_warpgroups.cu` compute.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    /// In f32.
    Plain,
    /// On tensor cores; which operands are read in packs of 8.
    Cores { wide_a: bool, wide_b: bool },
    /// By Hopper's warpgroup products, so many columns in a block.
    Warpgroups { columns: usize },
}

/// Columns of a block by warpgroup products, with what a column of a block costs beside one of the widest: narrow ones read their left factor
/// more often.
pub(in crate::cuda) const WARPGROUP_COLUMNS: [(usize, f64); 3] = [(256, 1.0), (128, 1.1), (64, 1.6)];
/// Fewer results are left to the other kernels.
const LEAST_COLUMNS: usize = 40;

impl Way {
    pub(super) fn of(a: DType, b: DType, wide_a: bool, wide_b: bool) -> Way {
        if a == DType::BF16 && b == DType::BF16 { Way::Cores { wide_a, wide_b } } else { Way::Plain }
    }

    /// Whether warpgroup products take a convolution's product of so many rows, columns and summands: both operands are read in packs.
    fn is_by_warpgroups(self, [rows, columns]: [usize; 2], depth: usize, limits: Limits) -> bool {
        let is_wide = self == Way::Cores { wide_a: true, wide_b: true };
        limits.warpgroups && is_wide && columns >= LEAST_COLUMNS && rows > 64 && depth >= 64 && i32::try_from(depth).is_ok()
    }

    /// By warpgroup products where they take it, the columns of a block by what all blocks of these many tiles of rows cost.
    fn by_cheapest(self, columns: usize, limits: Limits, turns: impl Fn(usize) -> f64) -> Way {
        if let Some(columns) = limits.warpgroup_columns {
            return Way::Warpgroups { columns };
        }
        let cost = |(width, column): (usize, f64)| (width, turns(columns.div_ceil(width)) * width as f64 * column);
        let costs = WARPGROUP_COLUMNS.map(cost);
        let (columns, _) = costs.into_iter().min_by(|a, b| a.1.total_cmp(&b.1)).expect("there are some");
        Way::Warpgroups { columns }
    }

    /// The same for a convolution's products of `batch` matrices.
    pub(super) fn of_convolution(self, [rows, columns, batch]: [usize; 3], depth: usize, limits: Limits) -> Way {
        if !self.is_by_warpgroups([rows, columns], depth, limits) {
            return self;
        }
        let blocks = rows.div_ceil(128) * batch;
        self.by_cheapest(columns, limits, |tiles| (blocks * tiles).div_ceil(limits.multiprocessors) as f64)
    }

    /// The same for one whose summands are split over as many blocks as the device has room for.
    pub(super) fn of_split_convolution(self, shape: [usize; 2], depth: usize, limits: Limits) -> Way {
        if !self.is_by_warpgroups(shape, depth, limits) {
            return self;
        }
        self.by_cheapest(shape[1], limits, |tiles| tiles as f64)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Way::Warpgroups { columns: 64 } => "WARPGROUPS_64",
            Way::Warpgroups { columns: 128 } => "WARPGROUPS_128",
            Way::Warpgroups { .. } => "WARPGROUPS_256",
            Way::Plain => "PLAIN",
            Way::Cores { wide_a: false, wide_b: false } => "CORES",
            Way::Cores { wide_a: true, wide_b: false } => "CORES_WIDE_A",
            Way::Cores { wide_a: false, wide_b: true } => "CORES_WIDE_B",
            Way::Cores { wide_a: true, wide_b: true } => "CORES_WIDE",
        }
    }

    /// Rows and columns of what one block makes.
    pub(super) fn tile(self) -> [usize; 2] {
        match self {
            Way::Plain => [64, 64],
            Way::Cores { .. } => [128, 128],
            Way::Warpgroups { columns } => [128, columns],
        }
    }

    /// Dynamic shared memory; by warpgroup products stages of both tiles, aligned to 1,024 bytes.
    pub(super) fn shared(self) -> usize {
        match self {
            Way::Plain => 0,
            Way::Cores { .. } => CORE_BYTES,
            Way::Warpgroups { columns } => 1024 + if columns == 128 { 3 } else { 4 } * (128 + columns) * 64 * 2,
        }
    }

    /// Threads of a block, and its blocks on a multiprocessor.
    pub(super) fn bounds(self) -> Bounds {
        let blocks = match self {
            Way::Plain | Way::Cores { .. } => None,
            Way::Warpgroups { columns: 256 } => Some(1),
            Way::Warpgroups { .. } => Some(2),
        };
        Bounds { threads: 256, blocks }
    }

    pub(super) fn is_warpgroups(self) -> bool {
        matches!(self, Way::Warpgroups { .. })
    }

    pub(super) fn family(self) -> Family {
        if self.is_warpgroups() { Family::ProductWarpgroups } else { Family::Product }
    }

    /// What reports call convolutions that are computed so.
    pub(super) fn label(self) -> &'static str {
        if self.is_warpgroups() { IMPLICIT_BY_WARPGROUPS } else { "implicit product" }
    }

    /// The grid for a result of so many rows and columns.
    ///
    /// # Errors
    /// Where it is too large for the device.
    pub(super) fn grid(self, rows: usize, columns: usize, batch: usize) -> Result<[u32; 3], String> {
        let [own_rows, own_columns] = self.tile();
        let columns = columns.div_ceil(own_columns);
        if columns > MOST_BLOCKS || batch > MOST_BLOCKS {
            return Err(format!("a product of {batch} matrices with {columns} tiles of columns; 65,535 at most"));
        }
        Ok([blocks(rows, own_rows), columns as u32, batch as u32])
    }
}
