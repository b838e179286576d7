//! `constant`: a literal tensor.

use super::support::{expect_operands, list, no_gradients};
use std::any::Any;
use std::sync::Arc;
use sward_core::program::{
    Array, BuildError, Builder, DType, GradientCall, Primitive, RunKey, Shape, TensorType, ValueId, element_count,
};

/// A literal tensor of any dtype. No operands; the result is `[shape]`. PyTorch: `torch.tensor`.
#[derive(Clone, PartialEq, Debug)]
pub struct Constant {
    /// The result's dtype.
    pub dtype: DType,
    /// The result's sizes.
    pub shape: Shape,
    /// The elements, row-major (`Bool` as 0 and 1); engines round them to `dtype`.
    pub data: Arc<[f64]>,
}

impl Constant {
    /// A constant from its parts; as many elements as the sizes' product.
    pub fn new(dtype: DType, shape: &[usize], data: Vec<f64>) -> Constant {
        Constant { dtype, shape: Shape::from_slice(shape), data: data.into() }
    }
}

/// How many elements are printed before the digest takes over.
const PRINTED: usize = 8;

impl Primitive for Constant {
    fn name(&self) -> &'static str {
        "constant"
    }

    fn attributes(&self) -> String {
        let head: Vec<String> = self.data.iter().take(PRINTED).map(|value| format!("{value:?}")).collect();
        let data = if self.data.len() <= PRINTED {
            list(&head)
        } else {
            let mut hasher = blake3::Hasher::new();
            for value in self.data.iter() {
                hasher.update(&value.to_bits().to_le_bytes());
            }
            format!("[{},...]#{}", head.join(","), &hasher.finalize().to_hex()[..32])
        };
        format!("dtype={}, shape={}, data={data}", self.dtype, list(&self.shape))
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        expect_operands(inputs, 0)?;
        if self.data.len() != element_count(&self.shape) {
            return Err(format!("{} elements for the sizes {}", self.data.len(), list(&self.shape)));
        }
        Ok(vec![TensorType::new(self.dtype, &self.shape)])
    }

    fn gradient(&self, _: &mut Builder, call: &GradientCall<'_>) -> Result<Vec<Option<ValueId>>, BuildError> {
        Ok(no_gradients(call))
    }

    fn reference(&self, _: &[&Array], _: RunKey) -> Vec<Array> {
        vec![Array::new(self.dtype, &self.shape, self.data.to_vec())]
    }

    fn flops(&self, _: &[TensorType], _: &[TensorType]) -> f64 {
        0.0
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
