//! `detach`: a value through which no gradient flows.

use super::support::{expect_operands, no_gradients};
use std::any::Any;
use sward_core::program::{Array, BuildError, Builder, GradientCall, Primitive, RunKey, TensorType, ValueId};

/// The operand itself, a view, whose gradient ends here. Any dtype. PyTorch: `Tensor.detach`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Detach;

impl Primitive for Detach {
    fn name(&self) -> &'static str {
        "detach"
    }

    fn attributes(&self) -> String {
        String::new()
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        expect_operands(inputs, 1)?;
        Ok(inputs.to_vec())
    }

    fn gradient(&self, _: &mut Builder, call: &GradientCall<'_>) -> Result<Vec<Option<ValueId>>, BuildError> {
        Ok(no_gradients(call))
    }

    fn reference(&self, inputs: &[&Array], _: RunKey) -> Vec<Array> {
        vec![inputs[0].clone()]
    }

    fn flops(&self, _: &[TensorType], _: &[TensorType]) -> f64 {
        0.0
    }

    fn is_view(&self) -> bool {
        true
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
