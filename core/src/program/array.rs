//! Arrays of the reference semantics: f64 elements, whatever the dtype they stand for.

use super::types::{DType, Shape, TensorType, element_count};

/// A dense row-major array of f64 that stands for a tensor of any dtype (`Bool` as 0 and 1, `I64` as whole numbers).
///
/// The reference interpreter computes in f64 without rounding to the dtype, so that finite differences judge gradients.
#[derive(Clone, PartialEq, Debug)]
pub struct Array {
    /// The dtype that the elements stand for.
    pub dtype: DType,
    /// The sizes, outermost first.
    pub shape: Shape,
    /// The elements, row-major; as many as the product of the sizes.
    pub data: Vec<f64>,
}

impl Array {
    /// An array from its parts.
    ///
    /// # Panics
    /// When the number of elements is not the product of the sizes.
    pub fn new(dtype: DType, shape: &[usize], data: Vec<f64>) -> Array {
        assert_eq!(data.len(), element_count(shape), "elements of shape {shape:?}");
        Array { dtype, shape: Shape::from_slice(shape), data }
    }

    /// An `F32` array.
    pub fn f32(shape: &[usize], data: Vec<f64>) -> Array {
        Array::new(DType::F32, shape, data)
    }

    /// An array filled with one number.
    pub fn filled(tensor_type: &TensorType, value: f64) -> Array {
        Array::new(tensor_type.dtype, &tensor_type.shape, vec![value; tensor_type.elements()])
    }

    /// The array's type.
    pub fn tensor_type(&self) -> TensorType {
        TensorType { dtype: self.dtype, shape: self.shape.clone() }
    }

    /// Row-major strides in elements.
    pub fn strides(&self) -> Shape {
        let mut strides = Shape::from_elem(1, self.shape.len());
        for axis in (1..self.shape.len()).rev() {
            strides[axis - 1] = strides[axis] * self.shape[axis];
        }
        strides
    }

    /// Strides for reading this array as if it had the shape `target` (equal rank; size 1 repeats).
    pub fn broadcast_strides(&self, target: &[usize]) -> Shape {
        let own = self.strides();
        (0..target.len()).map(|axis| if self.shape[axis] == 1 && target[axis] != 1 { 0 } else { own[axis] }).collect()
    }
}

/// Calls `visit` with every index of `shape`, in row-major order.
pub fn for_each_index(shape: &[usize], mut visit: impl FnMut(&[usize])) {
    let mut index = vec![0; shape.len()];
    for _ in 0..element_count(shape) {
        visit(&index);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
}

impl Array {
    /// Calls `visit` with every index of `shape`, in row-major order.
    pub fn for_each_index(shape: &[usize], visit: impl FnMut(&[usize])) {
        for_each_index(shape, visit);
    }

    /// The element at a multi-dimensional index.
    pub fn at(&self, index: &[usize]) -> f64 {
        self.data[self.offset(index)]
    }

    /// The row-major position of a multi-dimensional index.
    pub fn offset(&self, index: &[usize]) -> usize {
        index.iter().zip(self.strides()).map(|(position, stride)| position * stride).sum()
    }
}
