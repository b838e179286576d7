//! Between the engines' tensors and tensors in safetensors files.

use crate::weights::{Dtype, TensorOut, TensorView, WeightError};
use std::borrow::Cow;
use sward_core::program::{DType, TensorType};
use sward_kernels::{Data, Tensor};

/// Reads a stored tensor as a program wants it: floats of any width become f32.
///
/// # Errors
/// A dtype that does not convert, or a value that is not finite.
pub fn from_view(view: &TensorView<'_>, wanted: &TensorType) -> Result<Tensor, WeightError> {
    Ok(match wanted.dtype {
        DType::F32 | DType::BF16 => Tensor::f32(&wanted.shape, view.to_f32()?.into_owned()),
        DType::I64 => Tensor::new(&wanted.shape, Data::I64(view.to_i64()?)),
        DType::Bool => Tensor::new(&wanted.shape, Data::Bool(view.to_bool()?.into_iter().map(u8::from).collect())),
    })
}

/// A tensor for a file.
pub fn to_out<'a>(name: &'a str, tensor: &'a Tensor) -> TensorOut<'a> {
    let dtype = match tensor.data() {
        Data::F32(_) => Dtype::F32,
        Data::BF16(_) => Dtype::BF16,
        Data::I64(_) => Dtype::I64,
        Data::Bool(_) => Dtype::Bool,
    };
    TensorOut { name: Cow::Borrowed(name), dtype, shape: Cow::Borrowed(tensor.shape()), bytes: Cow::Borrowed(tensor.bytes()) }
}
