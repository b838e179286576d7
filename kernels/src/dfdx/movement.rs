//! What moves elements without changing them: one gather each.

use dfdx::prelude::{Cpu, Tape};
use sward_core::program::{Array, DType, Primitive, RunKey, TensorType, element_count};
use sward_ops::primitives::{Pad, PadMode};

use super::recorder::{Recorder, Value};

/// Row-major strides.
pub(super) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

/// `x` of the sizes `from` read with the sizes `to`: axes of size 1 repeat.
pub(super) fn broadcast<T: Tape<f64, Cpu>>(recorder: &mut Recorder<T>, x: &Value, from: &[usize], to: &[usize]) -> Value {
    if from == to {
        return x.clone();
    }
    let own = strides(from);
    let mut positions = Vec::with_capacity(element_count(to));
    Array::for_each_index(to, |index| {
        positions.push((0..to.len()).map(|axis| if from[axis] == 1 { 0 } else { index[axis] * own[axis] }).sum());
    });
    recorder.gather(x, positions)
}

/// The axes of `x` in another order.
pub(super) fn permute<T: Tape<f64, Cpu>>(recorder: &mut Recorder<T>, x: &Value, shape: &[usize], axes: &[usize]) -> Value {
    let own = strides(shape);
    let moved: Vec<usize> = axes.iter().map(|axis| shape[*axis]).collect();
    let mut positions = Vec::with_capacity(x.len());
    Array::for_each_index(&moved, |index| positions.push(index.iter().zip(axes).map(|(at, axis)| at * own[*axis]).sum()));
    recorder.gather(x, positions)
}

/// A primitive whose results are elements of its operands, or one number where none stands: the primitive's own definition says where each comes from, when it is given
/// positions for elements.
pub(super) fn moved<T: Tape<f64, Cpu>>(
    recorder: &mut Recorder<T>,
    op: &dyn Primitive,
    operands: &[(&Value, &TensorType)],
) -> Result<Value, String> {
    // `Pad` with its number taken for "none".
    let padding = op.downcast::<Pad>();
    let otherwise = match padding {
        Some(Pad { mode: PadMode::Constant(number), .. }) => *number,
        _ => 0.0,
    };
    let plain = padding.map(|pad| match pad.mode {
        PadMode::Constant(_) => Pad { mode: PadMode::Constant(0.0), ..pad.clone() },
        _ => pad.clone(),
    });
    let indices_from = usize::from(matches!(op.name(), "take" | "take_along"));
    let mut arrays = Vec::new();
    let mut parts = Vec::new();
    let mut first = 1;
    for (position, (value, tensor_type)) in operands.iter().enumerate() {
        if indices_from > 0 && position >= indices_from {
            arrays.push(Array::new(DType::I64, &tensor_type.shape, value.numbers()));
            continue;
        }
        let numbers = (first..first + value.len()).map(|position| position as f64).collect();
        first += value.len();
        arrays.push(Array::new(tensor_type.dtype, &tensor_type.shape, numbers));
        parts.push(*value);
    }
    let arrays: Vec<&Array> = arrays.iter().collect();
    let results = match &plain {
        Some(pad) => pad.reference(&arrays, RunKey::default()),
        None => op.reference(&arrays, RunKey::default()),
    };
    let sources = results[0].data.iter().map(|position| (*position as usize).checked_sub(1)).collect();
    let joined = recorder.join(&parts);
    Ok(recorder.gather_or(&joined, sources, otherwise))
}

/// Refuses indices outside of their axis.
pub(super) fn check_indices(indices: &Value, size: usize) -> Result<(), String> {
    match indices.numbers().into_iter().find(|index| *index < 0.0 || *index >= size as f64) {
        Some(index) => Err(format!("the index {index} lies outside of 0..{size}")),
        None => Ok(()),
    }
}
