//! `permute`: axes in another order.

use super::support::{build, expect_operands, list, no_gradients, result_gradient};
use smallvec::SmallVec;
use std::any::Any;
use sward_core::program::{Array, BuildError, Builder, GradientCall, Primitive, RunKey, Shape, TensorType, ValueId};

/// Axes in another order: axis `i` of the result is axis `axes[i]` of the operand. Any dtype. PyTorch: `torch.permute`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Permute {
    /// The operand's axes in the order of the result's; each once.
    pub axes: SmallVec<[usize; 6]>,
}

impl Permute {
    /// The permutation that undoes this one.
    pub fn inverse(&self) -> Permute {
        let mut axes: SmallVec<[usize; 6]> = SmallVec::from_elem(0, self.axes.len());
        for (position, axis) in self.axes.iter().enumerate() {
            axes[*axis] = position;
        }
        Permute { axes }
    }
}

impl Primitive for Permute {
    fn name(&self) -> &'static str {
        "permute"
    }

    fn attributes(&self) -> String {
        format!("axes={}", list(&self.axes))
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        expect_operands(inputs, 1)?;
        let mut sorted = self.axes.clone();
        sorted.sort_unstable();
        if !sorted.iter().copied().eq(0..inputs[0].rank()) {
            return Err(format!("{} does not name every axis of {} once", list(&self.axes), inputs[0]));
        }
        let shape: Shape = self.axes.iter().map(|axis| inputs[0].shape[*axis]).collect();
        Ok(vec![TensorType { dtype: inputs[0].dtype, shape }])
    }

    fn gradient(&self, builder: &mut Builder, call: &GradientCall<'_>) -> Result<Vec<Option<ValueId>>, BuildError> {
        let Some(gradient) = result_gradient(call) else {
            return Ok(no_gradients(call));
        };
        Ok(vec![Some(builder.emit_one(self.inverse(), &[gradient])?)])
    }

    fn reference(&self, inputs: &[&Array], _: RunKey) -> Vec<Array> {
        let x = inputs[0];
        let shape: Shape = self.axes.iter().map(|axis| x.shape[*axis]).collect();
        let mut source = vec![0; x.shape.len()];
        vec![build(x.dtype, &shape, |index| {
            for (position, axis) in self.axes.iter().enumerate() {
                source[*axis] = index[position];
            }
            x.at(&source)
        })]
    }

    fn flops(&self, _: &[TensorType], _: &[TensorType]) -> f64 {
        0.0
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
