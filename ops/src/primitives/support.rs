//! What the primitives' rules for types, texts and reference loops share.

use sward_core::program::{Array, DType, GradientCall, Shape, TensorType, ValueId};

/// Sizes of an image tensor: batch, height, width, channels.
pub(crate) type ImageShape = [usize; 4];

/// Checks the number of operands.
pub(crate) fn expect_operands(inputs: &[TensorType], count: usize) -> Result<(), String> {
    if inputs.len() == count { Ok(()) } else { Err(format!("{count} operands expected, {} given", inputs.len())) }
}

/// Checks that an operand is of a float dtype.
pub(crate) fn expect_float(operand: &TensorType, role: &str) -> Result<(), String> {
    if operand.dtype.is_float() { Ok(()) } else { Err(format!("{role} is {operand}, a float tensor is expected")) }
}

/// Checks that a dtype attribute is a float.
pub(crate) fn expect_float_dtype(dtype: DType) -> Result<(), String> {
    if dtype.is_float() { Ok(()) } else { Err(format!("the result's dtype is {dtype}, a float is expected")) }
}

/// Checks an operand's dtype and sizes.
pub(crate) fn expect_type(operand: &TensorType, dtype: DType, shape: &[usize], role: &str) -> Result<(), String> {
    if operand.dtype == dtype && operand.shape.as_slice() == shape {
        Ok(())
    } else {
        Err(format!("{role} is {operand}, {} is expected", TensorType::new(dtype, shape)))
    }
}

/// Checks an operand's sizes and that it is a float.
pub(crate) fn expect_float_shape(operand: &TensorType, shape: &[usize], role: &str) -> Result<(), String> {
    expect_float(operand, role)?;
    expect_type(operand, operand.dtype, shape, role)
}

/// Checks that an axis exists.
pub(crate) fn expect_axis(axis: usize, rank: usize) -> Result<(), String> {
    if axis < rank { Ok(()) } else { Err(format!("axis {axis} of a tensor of rank {rank}")) }
}

/// The sizes of a float tensor `[batch, height, width, channels]`.
pub(crate) fn image_shape(operand: &TensorType, role: &str) -> Result<ImageShape, String> {
    expect_float(operand, role)?;
    <ImageShape>::try_from(operand.shape.as_slice())
        .map_err(|_| format!("{role} is {operand}, a tensor [batch, height, width, channels] is expected"))
}

/// `[1,2,3]`, as attributes print sizes.
pub(crate) fn list<T: std::fmt::Display>(values: &[T]) -> String {
    let texts: Vec<String> = values.iter().map(T::to_string).collect();
    format!("[{}]", texts.join(","))
}

/// `[1,2]` of a pair (height, width).
pub(crate) fn pair(values: (usize, usize)) -> String {
    format!("[{},{}]", values.0, values.1)
}

/// The gradient of a primitive's only result.
pub(crate) fn result_gradient(call: &GradientCall<'_>) -> Option<ValueId> {
    call.gradients.first().copied().flatten()
}

/// "Zero everywhere" for every operand.
pub(crate) fn no_gradients(call: &GradientCall<'_>) -> Vec<Option<ValueId>> {
    vec![None; call.inputs.len()]
}

/// Sizes with one axis replaced.
pub(crate) fn with_axis(shape: &[usize], axis: usize, size: usize) -> Shape {
    let mut shape = Shape::from_slice(shape);
    shape[axis] = size;
    shape
}

/// A zero-filled array.
pub(crate) fn zeros(dtype: DType, shape: &[usize]) -> Array {
    Array::filled(&TensorType::new(dtype, shape), 0.0)
}

/// An array whose element at every index is `element(index)`.
pub(crate) fn build(dtype: DType, shape: &[usize], mut element: impl FnMut(&[usize]) -> f64) -> Array {
    let mut data = Vec::with_capacity(sward_core::program::element_count(shape));
    Array::for_each_index(shape, |index| data.push(element(index)));
    Array::new(dtype, shape, data)
}

/// Adds `value` to the element at `index`.
pub(crate) fn add_at(array: &mut Array, index: &[usize], value: f64) {
    let offset = array.offset(index);
    array.data[offset] += value;
}

/// An index that must lie in `0..size`.
///
/// # Panics
/// When it does not: an error of the run, which the reference has no other way to report.
pub(crate) fn checked_index(value: f64, size: usize) -> usize {
    assert!(value >= 0.0 && (value as usize) < size, "index {value} lies outside 0..{size}");
    value as usize
}
