//! `arg_reduce`: where the extreme of an axis stands.

use super::support::{build, expect_axis, expect_operands, no_gradients, with_axis};
use std::any::Any;
use sward_core::program::{Array, BuildError, Builder, DType, GradientCall, Primitive, RunKey, TensorType, ValueId};

/// Which extreme.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ArgReduceKind {
    /// The largest element.
    Max,
    /// The smallest element.
    Min,
}

/// The first position of an axis' extreme, as `i64` with the axis of size 1. NaN counts as the extreme. Any dtype.
/// PyTorch: `torch.argmax(dim, keepdim=True)`, `torch.argmin`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ArgReduce {
    /// Which extreme.
    pub kind: ArgReduceKind,
    /// The axis; not of size 0 unless another one is.
    pub axis: usize,
}

impl Primitive for ArgReduce {
    fn name(&self) -> &'static str {
        "arg_reduce"
    }

    fn attributes(&self) -> String {
        let kind = match self.kind {
            ArgReduceKind::Max => "max",
            ArgReduceKind::Min => "min",
        };
        format!("kind={kind}, axis={}", self.axis)
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        expect_operands(inputs, 1)?;
        expect_axis(self.axis, inputs[0].rank())?;
        let result = TensorType { dtype: DType::I64, shape: with_axis(&inputs[0].shape, self.axis, 1) };
        if inputs[0].shape[self.axis] == 0 && result.elements() > 0 {
            return Err(format!("axis {} of {} has no elements", self.axis, inputs[0]));
        }
        Ok(vec![result])
    }

    fn gradient(&self, _: &mut Builder, call: &GradientCall<'_>) -> Result<Vec<Option<ValueId>>, BuildError> {
        Ok(no_gradients(call))
    }

    fn reference(&self, inputs: &[&Array], _: RunKey) -> Vec<Array> {
        let x = inputs[0];
        let shape = with_axis(&x.shape, self.axis, 1);
        vec![build(DType::I64, &shape, |index| {
            let mut source = index.to_vec();
            let mut best = x.at(&source);
            let mut best_position = 0;
            for position in 1..x.shape[self.axis] {
                source[self.axis] = position;
                let value = x.at(&source);
                let is_better = match self.kind {
                    ArgReduceKind::Max => value > best,
                    ArgReduceKind::Min => value < best,
                };
                if !best.is_nan() && (is_better || value.is_nan()) {
                    (best, best_position) = (value, position);
                }
            }
            best_position as f64
        })]
    }

    fn flops(&self, inputs: &[TensorType], _: &[TensorType]) -> f64 {
        inputs[0].elements() as f64
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
