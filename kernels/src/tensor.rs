//! Tensors in the machine's own memory: what goes into a plan and comes out of it.

use half::bf16;
use sward_core::program::{Array, DType, Shape, TensorType};

/// A dense row-major tensor.
#[derive(Clone, PartialEq, Debug)]
pub struct Tensor {
    shape: Shape,
    data: Data,
}

/// The elements of a [`Tensor`], row-major.
#[derive(Clone, PartialEq, Debug)]
pub enum Data {
    /// f32 elements.
    F32(Vec<f32>),
    /// bf16 elements.
    BF16(Vec<bf16>),
    /// i64 elements.
    I64(Vec<i64>),
    /// Bools as bytes 0 and 1.
    Bool(Vec<u8>),
}

impl Data {
    /// The dtype of the elements.
    pub fn dtype(&self) -> DType {
        match self {
            Data::F32(_) => DType::F32,
            Data::BF16(_) => DType::BF16,
            Data::I64(_) => DType::I64,
            Data::Bool(_) => DType::Bool,
        }
    }

    fn len(&self) -> usize {
        match self {
            Data::F32(x) => x.len(),
            Data::BF16(x) => x.len(),
            Data::I64(x) => x.len(),
            Data::Bool(x) => x.len(),
        }
    }
}

impl Tensor {
    /// A tensor from its sizes and elements.
    ///
    /// # Panics
    /// When the number of elements is not the product of the sizes.
    pub fn new(shape: &[usize], data: Data) -> Tensor {
        assert_eq!(data.len(), shape.iter().product::<usize>(), "elements of shape {shape:?}");
        Tensor { shape: Shape::from_slice(shape), data }
    }

    /// An f32 tensor.
    ///
    /// # Panics
    /// As [`Tensor::new`].
    pub fn f32(shape: &[usize], data: Vec<f32>) -> Tensor {
        Tensor::new(shape, Data::F32(data))
    }

    /// Zeros of a type.
    pub fn zeros(tensor_type: &TensorType) -> Tensor {
        let n = tensor_type.elements();
        let data = match tensor_type.dtype {
            DType::F32 => Data::F32(vec![0.0; n]),
            DType::BF16 => Data::BF16(vec![bf16::ZERO; n]),
            DType::I64 => Data::I64(vec![0; n]),
            DType::Bool => Data::Bool(vec![0; n]),
        };
        Tensor { shape: tensor_type.shape.clone(), data }
    }

    /// The array of the reference semantics, rounded to the dtype it stands for (integers truncate, bools are `value != 0`).
    pub fn from_array(array: &Array) -> Tensor {
        let x = &array.data;
        let data = match array.dtype {
            DType::F32 => Data::F32(x.iter().map(|x| *x as f32).collect()),
            DType::BF16 => Data::BF16(x.iter().map(|x| bf16::from_f32(*x as f32)).collect()),
            DType::I64 => Data::I64(x.iter().map(|x| *x as i64).collect()),
            DType::Bool => Data::Bool(x.iter().map(|x| u8::from(*x != 0.0)).collect()),
        };
        Tensor { shape: array.shape.clone(), data }
    }

    /// The same as an array of the reference semantics.
    pub fn to_array(&self) -> Array {
        let data = match &self.data {
            Data::F32(x) => x.iter().map(|x| f64::from(*x)).collect(),
            Data::BF16(x) => x.iter().map(|x| f64::from(x.to_f32())).collect(),
            Data::I64(x) => x.iter().map(|x| *x as f64).collect(),
            Data::Bool(x) => x.iter().map(|x| f64::from(*x)).collect(),
        };
        Array::new(self.data.dtype(), &self.shape, data)
    }

    /// The sizes, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The elements.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// The tensor's type.
    pub fn tensor_type(&self) -> TensorType {
        TensorType { dtype: self.data.dtype(), shape: self.shape.clone() }
    }

    /// The elements as f32; `None` for another dtype.
    pub fn as_f32(&self) -> Option<&[f32]> {
        match &self.data {
            Data::F32(x) => Some(x),
            _ => None,
        }
    }

    /// The elements in memory.
    pub fn bytes(&self) -> &[u8] {
        match &self.data {
            Data::F32(x) => bytemuck::cast_slice(x),
            Data::BF16(x) => bytemuck::cast_slice(x),
            Data::I64(x) => bytemuck::cast_slice(x),
            Data::Bool(x) => x,
        }
    }

    /// The elements in memory, to be written. A bool must stay 0 or 1.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        match &mut self.data {
            Data::F32(x) => bytemuck::cast_slice_mut(x),
            Data::BF16(x) => bytemuck::cast_slice_mut(x),
            Data::I64(x) => bytemuck::cast_slice_mut(x),
            Data::Bool(x) => x,
        }
    }
}
