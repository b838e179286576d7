//! Primitives without a kernel of their own run by their definition, in f64. `--profile` names such steps `reference`.

use std::sync::Arc;

use half::bf16;
use sward_core::program::{Array, DType, Primitive};

use super::{Operand, Step};

pub(super) fn reference(primitive: Arc<dyn Primitive>, inputs: Vec<Operand>, outputs: Vec<Operand>) -> Step {
    Step::new("reference", move |run| {
        let arrays: Vec<Array> = inputs.iter().map(read).collect();
        let results = primitive.reference(&arrays.iter().collect::<Vec<_>>(), run.key);
        for (output, result) in outputs.iter().zip(&results) {
            write(output, result);
        }
    })
}

fn read(operand: &Operand) -> Array {
    let n = operand.elements();
    // SAFETY: the operand's memory holds its type's elements, written before.
    let data = unsafe {
        match operand.dtype() {
            DType::F32 => slice::<f32>(operand, n).iter().map(|x| f64::from(*x)).collect(),
            DType::BF16 => slice::<bf16>(operand, n).iter().map(|x| f64::from(x.to_f32())).collect(),
            DType::I64 => slice::<i64>(operand, n).iter().map(|x| *x as f64).collect(),
            DType::Bool => slice::<u8>(operand, n).iter().map(|x| f64::from(*x)).collect(),
        }
    };
    Array::new(operand.dtype(), operand.shape(), data)
}

unsafe fn slice<'a, T>(operand: &Operand, n: usize) -> &'a [T] {
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(operand.pointer.cast(), n) }
}

unsafe fn slice_mut<'a, T>(operand: &Operand, n: usize) -> &'a mut [T] {
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts_mut(operand.pointer.cast(), n) }
}

fn write(operand: &Operand, array: &Array) {
    let n = operand.elements();
    let from = array.data.iter();
    // SAFETY: the result's memory holds its type's elements, and nobody reads it meanwhile.
    unsafe {
        match operand.dtype() {
            DType::F32 => slice_mut::<f32>(operand, n).iter_mut().zip(from).for_each(|(to, x)| *to = *x as f32),
            DType::BF16 => slice_mut::<bf16>(operand, n).iter_mut().zip(from).for_each(|(to, x)| *to = bf16::from_f32(*x as f32)),
            DType::I64 => slice_mut::<i64>(operand, n).iter_mut().zip(from).for_each(|(to, x)| *to = *x as i64),
            DType::Bool => slice_mut::<u8>(operand, n).iter_mut().zip(from).for_each(|(to, x)| *to = u8::from(*x != 0.0)),
        }
    }
}
