//! `matmul`: cuBLASLt where it takes the operands, else the kernels of `product.cu`.

use sward_core::program::DType;
use sward_ops::primitives as op;

use super::epilogue::Epilogue;
use super::loops::{Loop, broadcast_strides};
use super::product::Way;
use super::{Binder, Operand, map};
use crate::cuda::device::{Address, Arguments, BlasMatrix, BlasType, Product};
use crate::cuda::source::{Family, Kernel, c_type};

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
