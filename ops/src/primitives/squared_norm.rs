//! `squared_norm`: the sum of all squares of many tensors.

use super::emit::EmitExt;
use super::support::{expect_float, no_gradients, result_gradient};
use std::any::Any;
use sward_core::program::{Array, BuildError, Builder, DType, GradientCall, Primitive, RunKey, TensorType, ValueId};

/// The sum of all squares of one or more float tensors of any sizes, as `f32 []`, for clipping by the global norm.
/// PyTorch: the square of `torch.nn.utils.get_total_norm`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SquaredNorm;

impl Primitive for SquaredNorm {
    fn name(&self) -> &'static str {
        "squared_norm"
    }

    fn attributes(&self) -> String {
        String::new()
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        if inputs.is_empty() {
            return Err("the norm of nothing".to_string());
        }
        inputs.iter().try_for_each(|operand| expect_float(operand, "an operand"))?;
        Ok(vec![TensorType::f32(&[])])
    }

    fn gradient(&self, builder: &mut Builder, call: &GradientCall<'_>) -> Result<Vec<Option<ValueId>>, BuildError> {
        let mut results = no_gradients(call);
        let Some(gradient) = result_gradient(call) else {
            return Ok(results);
        };
        let doubled = builder.scale(gradient, 2.0)?;
        for (position, input) in call.inputs.iter().enumerate() {
            if call.wanted[position] {
                results[position] = Some(builder.mul(*input, doubled)?);
            }
        }
        Ok(results)
    }

    fn reference(&self, inputs: &[&Array], _: RunKey) -> Vec<Array> {
        let total = inputs.iter().flat_map(|operand| &operand.data).map(|value| value * value).sum();
        vec![Array::new(DType::F32, &[], vec![total])]
    }

    fn flops(&self, inputs: &[TensorType], _: &[TensorType]) -> f64 {
        inputs.iter().map(|operand| 2.0 * operand.elements() as f64).sum()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
