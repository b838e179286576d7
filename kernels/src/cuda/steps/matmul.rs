//! `matmul`: cuBLASLt where it takes the operands, else the kernels of `product.cu`.

use sward_core::program::DType;
use sward_ops::primitives as op;

use super::epilogue::Epilogue;
use super::loops::{Loop, broadcast_strides};
use super::{Binder, Limits, Operand, blocks, map};
use crate::cuda::device::{Address, Arguments, BlasMatrix, BlasType, Product};
use crate::cuda::source::{Bounds, Family, Kernel, c_type};

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

/// A row-major factor of a library's product.
#[derive(Clone, Copy, Debug)]
pub(super) struct Factor {
    pub address: Address,
    pub dtype: DType,
    /// Whether its two axes are exchanged.
    pub transposed: bool,
    /// Elements from one matrix of the batch to the next.
    pub stride: usize,
}

fn blas_type(dtype: DType) -> BlasType {
    if dtype == DType::BF16 { BlasType::Bf16 } else { BlasType::F32 }
}

/// A row-major product `[m, k] x [k, n]` for the library, which is column-major: there it is the transposed product of the exchanged factors.
/// `None` where the library does not take it: mixed dtypes, empty sizes, rows of bf16 that do not begin at multiples of 16 bytes.
pub(super) fn library_product(
    a: Factor,
    b: Factor,
    out: (Address, DType),
    [m, k, n]: [usize; 3],
    batch: usize,
) -> Option<Product> {
    let takes_dtypes = a.dtype == b.dtype && (a.dtype == DType::BF16 || out.1 == DType::F32);
    let (a_row, b_row) = (if a.transposed { m } else { k }, if b.transposed { k } else { n });
    let is_aligned = a.dtype == DType::F32 || [a_row, b_row, n].iter().all(|row| row.is_multiple_of(8));
    if !takes_dtypes || !is_aligned || [m, k, n, batch].contains(&0) {
        return None;
    }
    let stored = |rows: usize, columns: usize, factor: Factor| BlasMatrix {
        address: factor.address,
        dtype: blas_type(factor.dtype),
        rows,
        columns,
        leading: rows,
        stride: factor.stride,
    };
    Some(Product {
        a: if b.transposed { stored(k, n, b) } else { stored(n, k, b) },
        b: if a.transposed { stored(m, k, a) } else { stored(k, m, a) },
        d: BlasMatrix { address: out.0, dtype: blas_type(out.1), rows: n, columns: m, leading: n, stride: m * n },
        transpose_a: b.transposed,
        transpose_b: a.transposed,
        batch,
        bias: None,
        addend: None,
        activation: None,
    })
}

pub(super) fn matmul(op: &op::MatMul, inputs: &[Operand], outputs: &[Operand], binder: &mut Binder<'_>) -> Result<(), String> {
    let (a, b, out) = (&inputs[0], &inputs[1], &outputs[0]);
    if out.elements() == 0 {
        return Ok(());
    }
    let sizes = op.sizes(a.shape(), b.shape())?;
    let (m, k, n) = (sizes.m, sizes.k, sizes.n);
    let batch_axes = sizes.batch.len();
    let batch: usize = sizes.batch.iter().product();
    // A matrix's own axes count in the strides of its batch axes.
    let batch_strides = |operand: &Operand| {
        let mut target = sizes.batch.to_vec();
        target.extend_from_slice(&operand.shape()[batch_axes..]);
        broadcast_strides(operand.shape(), &target)[..batch_axes].to_vec()
    };
    let walked = Loop::new(&sizes.batch, |_| false, &[batch_strides(a), batch_strides(b)]);
    let stride = |operand: usize| walked.strides[operand].last().copied().unwrap_or(0);
    let factor = |operand: &Operand, transposed: bool, stride: usize| Factor {
        address: operand.address,
        dtype: operand.dtype(),
        transposed,
        stride,
    };
    let library = (walked.sizes.len() <= 1)
        .then(|| {
            let (a, b) = (factor(a, op.transpose_a, stride(0)), factor(b, op.transpose_b, stride(1)));
            library_product(a, b, (out.address, out.dtype()), [m, k, n], batch)
        })
        .flatten();
    if let Some(mut product) = library {
        binder.label("cublasLt");
        let epilogue = op.epilogue.as_ref().and_then(|epilogue| Epilogue::of(epilogue, out, &inputs[2..]));
        if let Some(epilogue) = epilogue {
            product = epilogue.join(product, out.dtype(), binder);
        }
        binder.product(product);
        if epilogue.is_some() {
            return Ok(());
        }
    } else {
        own_product(op, [a, b, out], [m, k, n], batch, &walked, binder)?;
    }
    if let Some(epilogue) = &op.epilogue {
        map::epilogue(epilogue, out, &inputs[2..], binder);
    }
    Ok(())
}

fn own_product(
    op: &op::MatMul,
    [a, b, out]: [&Operand; 3],
    [m, k, n]: [usize; 3],
    batch: usize,
    walked: &Loop,
    binder: &mut Binder<'_>,
) -> Result<(), String> {
    if walked.sizes.len() > 3 {
        return Err(format!("a batch that repeats along {} axes in turn", walked.sizes.len()));
    }
    let (a_k_side, b_k_side) = (!op.transpose_a, op.transpose_b);
    let (a_row, b_row) = (if op.transpose_a { m } else { k }, if op.transpose_b { k } else { n });
    let way = Way::of(a.dtype(), b.dtype(), a_row.is_multiple_of(8), b_row.is_multiple_of(8));
    let flag = |value: bool| u8::from(value).to_string();
    let types = [a, b, out].map(|operand| operand.c_type().to_string());
    let template: Vec<String> =
        std::iter::once(way.name().to_string()).chain(types).chain([flag(a_k_side), flag(b_k_side)]).collect();
    let parameters = [
        &*format!("const {}*", c_type(a.dtype())),
        &*format!("const {}*", c_type(b.dtype())),
        &*format!("{}*", c_type(out.dtype())),
        "BatchShape",
    ];
    let kernel = Kernel::instance(Family::Product, "matmul", &template, &parameters, 256);
    let mut words = vec![m, n, k];
    words.extend(if a_k_side { [k, 1] } else { [1, m] });
    words.extend(if b_k_side { [k, 1] } else { [1, n] });
    for (values, rest) in [(&walked.sizes, 1), (&walked.strides[0], 0), (&walked.strides[1], 0)] {
        words.extend(std::iter::repeat_n(rest, 3 - values.len()));
        words.extend(values);
    }
    let words: Vec<i64> = words.into_iter().map(|word| word as i64).collect();
    let arguments = Arguments::new().address(a.address).address(b.address).address(out.address).longs(&words);
    binder.launch(kernel, way.grid(m, n, batch)?, [256, 1, 1], way.shared(), arguments);
    Ok(())
}
