//! `matmul`.

use sward_ops::primitives::MatMul;

use super::map::MapEpilogue;
use super::{Operand, Step, at};
use crate::cpu::features::Features;
use crate::cpu::kernels::matmul::{DataMut, Epilogue, Packed, Product, Source, multiply};

/// The matrix that batch position `index` reads, for an operand whose batch sizes are 1 where it repeats.
fn broadcast_offsets(batch: &[usize], own: &[usize]) -> Vec<usize> {
    let count: usize = batch.iter().product();
    let matrix: usize = own[own.len() - 2..].iter().product();
    (0..count)
        .map(|index| {
            let (mut rest, mut offset, mut stride) = (index, 0, matrix);
            for axis in (0..batch.len()).rev() {
                let position = rest % batch[axis];
                rest /= batch[axis];
                if own[axis] != 1 {
                    offset += position * stride;
                }
                stride *= own[axis];
            }
            offset
        })
        .collect()
}

pub(super) fn matmul(op: &MatMul, inputs: Vec<Operand>, outputs: Vec<Operand>, features: Features) -> Result<Step, String> {
    let (a, b, out) = (inputs[0].clone(), inputs[1].clone(), outputs[0].clone());
    let sizes = op.sizes(a.shape(), b.shape())?;
    let (mut batch, mut m, k, n) = (sizes.batch.iter().product::<usize>(), sizes.m, sizes.k, sizes.n);
    let mut a_offsets = broadcast_offsets(&sizes.batch, a.shape());
    let mut b_offsets = broadcast_offsets(&sizes.batch, b.shape());
    let is_shared = b_offsets.iter().all(|offset| *offset == 0);
    // Rows of one dense left operand over a shared right one are one long matrix.
    if is_shared && !op.transpose_a && a_offsets.iter().enumerate().all(|(index, offset)| *offset == index * m * k) {
        m *= batch;
        batch = batch.min(1);
        a_offsets.truncate(1);
        b_offsets.truncate(1);
    }
    let (a_i, a_k) = if op.transpose_a { (1, m) } else { (k, 1) };
    let (b_i, b_k) = if op.transpose_b { (k, 1) } else { (1, n) };
    let keeps = b.is_static && is_shared;
    let mut kept: Option<(u64, Packed)> = None;
    let (a_data, b_data) = (a.data(), b.data());
    let epilogue = op.epilogue.as_ref().map(|epilogue| MapEpilogue::new(epilogue, &out, &inputs[2..], m * n, n, features));
    Ok(Step::new("matmul", move |run| {
        let left = |index: usize| Source::Matrix { data: at(a_data, a_offsets[index]), i_stride: a_i, k_stride: a_k };
        let right = |index: usize| Source::Matrix { data: at(b_data, b_offsets[index]), i_stride: b_i, k_stride: b_k };
        let out: DataMut = out.data_mut();
        let product = Product {
            features,
            batch,
            m,
            n,
            k,
            left: &left,
            right: &right,
            right_shared: is_shared,
            packed: None,
            out,
            out_batch_stride: m * n,
            out_row_stride: n,
            accumulate: false,
            epilogue: epilogue.as_ref().map(|epilogue| epilogue as &dyn Epilogue),
        };
        // SAFETY: operands and result are dense tensors of these sizes in the plan's memory; the planner keeps them apart.
        unsafe {
            if keeps && batch > 0 && kept.as_ref().is_none_or(|(version, _)| *version != run.version) {
                kept = Some((run.version, Packed::new(&product)));
            }
            multiply(&Product { packed: kept.as_ref().map(|(_, packed)| packed), ..product });
        }
    }))
}
