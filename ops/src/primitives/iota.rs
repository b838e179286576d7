//! `iota`: counting.

use super::support::{build, expect_operands, no_gradients};
use std::any::Any;
use sward_core::program::{Array, BuildError, Builder, DType, GradientCall, Primitive, RunKey, TensorType, ValueId};

/// 0, 1, 2, ...: no operands, result `i64 [length]`. PyTorch: `torch.arange(length)`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Iota {
    /// Number of elements.
    pub length: usize,
}

impl Primitive for Iota {
    fn name(&self) -> &'static str {
        "iota"
    }

    fn attributes(&self) -> String {
        format!("length={}", self.length)
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        expect_operands(inputs, 0)?;
        Ok(vec![TensorType::new(DType::I64, &[self.length])])
    }

    fn gradient(&self, _: &mut Builder, call: &GradientCall<'_>) -> Result<Vec<Option<ValueId>>, BuildError> {
        Ok(no_gradients(call))
    }

    fn reference(&self, _: &[&Array], _: RunKey) -> Vec<Array> {
        vec![build(DType::I64, &[self.length], |index| index[0] as f64)]
    }

    fn flops(&self, _: &[TensorType], _: &[TensorType]) -> f64 {
        0.0
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
