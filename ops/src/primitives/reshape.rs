//! `reshape`: the same elements under other sizes.

use super::support::{expect_operands, list, no_gradients, result_gradient};
use std::any::Any;
use sward_core::program::{
    Array, BuildError, Builder, GradientCall, Primitive, RunKey, Shape, TensorType, ValueId, element_count,
};

/// The same elements in the same row-major order under other sizes: a view. Any dtype. PyTorch: `torch.reshape`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reshape {
    /// The result's sizes; their product equals the operand's.
    pub shape: Shape,
}

impl Primitive for Reshape {
    fn name(&self) -> &'static str {
        "reshape"
    }

    fn attributes(&self) -> String {
        format!("shape={}", list(&self.shape))
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        expect_operands(inputs, 1)?;
        if element_count(&self.shape) != inputs[0].elements() {
            return Err(format!("{} has other elements than the sizes {}", inputs[0], list(&self.shape)));
        }
        Ok(vec![TensorType::new(inputs[0].dtype, &self.shape)])
    }

    fn gradient(&self, builder: &mut Builder, call: &GradientCall<'_>) -> Result<Vec<Option<ValueId>>, BuildError> {
        let Some(gradient) = result_gradient(call) else {
            return Ok(no_gradients(call));
        };
        let shape = builder.type_of(call.inputs[0]).shape.clone();
        Ok(vec![Some(builder.emit_one(Reshape { shape }, &[gradient])?)])
    }

    fn reference(&self, inputs: &[&Array], _: RunKey) -> Vec<Array> {
        vec![Array::new(inputs[0].dtype, &self.shape, inputs[0].data.clone())]
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
