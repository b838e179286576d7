//! `reduce`: sums, means and extremes over axes.

use super::emit::EmitExt;
use super::support::{build, expect_axis, expect_operands, list, no_gradients, result_gradient};
use smallvec::SmallVec;
use std::any::Any;
use sward_core::program::{Array, BuildError, Builder, DType, GradientCall, Primitive, RunKey, Shape, TensorType, ValueId};
use sward_core::scalar::ScalarOp;

/// What a reduction computes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReduceKind {
    /// The sum; 0 of nothing.
    Sum,
    /// The mean; NaN of nothing.
    Mean,
    /// The largest; -inf of nothing, NaN where there is one.
    Max,
    /// The smallest; +inf of nothing, NaN where there is one.
    Min,
}

impl ReduceKind {
    pub(crate) fn text(self) -> &'static str {
        match self {
            ReduceKind::Sum => "sum",
            ReduceKind::Mean => "mean",
            ReduceKind::Max => "max",
            ReduceKind::Min => "min",
        }
    }

    /// What the running value starts from.
    pub(crate) fn start(self) -> f64 {
        match self {
            ReduceKind::Sum | ReduceKind::Mean => 0.0,
            ReduceKind::Max => f64::NEG_INFINITY,
            ReduceKind::Min => f64::INFINITY,
        }
    }

    /// The running value with one more element.
    pub(crate) fn join(self, running: f64, value: f64) -> f64 {
        match self {
            ReduceKind::Sum | ReduceKind::Mean => running + value,
            _ if running.is_nan() || value.is_nan() => f64::NAN,
            ReduceKind::Max => running.max(value),
            ReduceKind::Min => running.min(value),
        }
    }
}

/// Sums, means or extremes over axes, which stay with size 1. `Sum` of any dtype in the declared one, `Mean` in a float, `Max` and `Min` in the
/// operand's. PyTorch: `torch.sum(dim, keepdim=True)`, `mean`, `amax`, `amin`; the gradient of an extreme is shared evenly by equal ones,
/// as there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reduce {
    /// What is computed.
    pub kind: ReduceKind,
    /// The axes, rising.
    pub axes: SmallVec<[usize; 6]>,
    /// The result's dtype.
    pub dtype: DType,
}

impl Reduce {
    /// The sizes of the result.
    pub fn result_shape(&self, shape: &[usize]) -> Shape {
        (0..shape.len()).map(|axis| if self.axes.contains(&axis) { 1 } else { shape[axis] }).collect()
    }

    /// How many elements one result stands for.
    pub fn count(&self, shape: &[usize]) -> usize {
        self.axes.iter().map(|axis| shape[*axis]).product()
    }

    /// The rule for types, from the operand's; shared with `map_reduce`.
    pub(crate) fn infer_from(&self, x: &TensorType) -> Result<TensorType, String> {
        for (position, axis) in self.axes.iter().enumerate() {
            expect_axis(*axis, x.rank())?;
            if position > 0 && self.axes[position - 1] >= *axis {
                return Err(format!("axes {} do not rise", list(&self.axes)));
            }
        }
        let dtype_fits = match self.kind {
            ReduceKind::Sum => self.dtype.is_float() || self.dtype == DType::I64 && !x.dtype.is_float(),
            ReduceKind::Mean => self.dtype.is_float(),
            ReduceKind::Max | ReduceKind::Min => self.dtype == x.dtype || self.dtype == DType::F32 && x.dtype.is_float(),
        };
        if !dtype_fits {
            return Err(format!("{} of {x} as {}", self.kind.text(), self.dtype));
        }
        let result = TensorType { dtype: self.dtype, shape: self.result_shape(&x.shape) };
        let is_extreme = matches!(self.kind, ReduceKind::Max | ReduceKind::Min);
        if is_extreme && !self.dtype.is_float() && self.count(&x.shape) == 0 && result.elements() > 0 {
            return Err(format!("no {} of no {} elements", self.kind.text(), self.dtype));
        }
        Ok(result)
    }

    pub(crate) fn text(&self) -> String {
        format!("kind={}, axes={}, dtype={}", self.kind.text(), list(&self.axes), self.dtype)
    }

    /// The reduction of an array.
    pub(crate) fn apply(&self, x: &Array) -> Array {
        let mut result = build(self.dtype, &self.result_shape(&x.shape), |_| self.kind.start());
        Array::for_each_index(&x.shape, |index| {
            let target: Vec<usize> =
                (0..index.len()).map(|axis| if self.axes.contains(&axis) { 0 } else { index[axis] }).collect();
            let offset = result.offset(&target);
            result.data[offset] = self.kind.join(result.data[offset], x.at(index));
        });
        if self.kind == ReduceKind::Mean {
            let count = self.count(&x.shape) as f64;
            result.data.iter_mut().for_each(|value| *value /= count);
        }
        result
    }
}

impl Primitive for Reduce {
    fn name(&self) -> &'static str {
        "reduce"
    }

    fn attributes(&self) -> String {
        self.text()
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        expect_operands(inputs, 1)?;
        Ok(vec![self.infer_from(&inputs[0])?])
    }

    fn gradient(&self, builder: &mut Builder, call: &GradientCall<'_>) -> Result<Vec<Option<ValueId>>, BuildError> {
        let Some(gradient) = result_gradient(call) else {
            return Ok(no_gradients(call));
        };
        let x = call.inputs[0];
        let x_type = builder.type_of(x).clone();
        Ok(vec![Some(match self.kind {
            ReduceKind::Sum => builder.expand(gradient, &x_type.shape)?,
            ReduceKind::Mean => {
                let share = builder.scale(gradient, 1.0 / self.count(&x_type.shape) as f64)?;
                builder.expand(share, &x_type.shape)?
            }
            ReduceKind::Max | ReduceKind::Min => {
                // Equal extremes share the gradient evenly.
                let y = call.outputs[0];
                let is_extreme = builder.apply(ScalarOp::Equal, &[x, y])?;
                let dtype = DType::F32;
                let count = builder.emit_one(Reduce { kind: ReduceKind::Sum, axes: self.axes.clone(), dtype }, &[is_extreme])?;
                builder.map_as(x_type.dtype, &[is_extreme, gradient, count], |graph, inputs| {
                    let share = graph.divide(inputs[1], inputs[2]);
                    let zero = graph.number(0.0);
                    graph.select(inputs[0], share, zero)
                })?
            }
        })])
    }

    fn reference(&self, inputs: &[&Array], _: RunKey) -> Vec<Array> {
        vec![self.apply(inputs[0])]
    }

    fn flops(&self, inputs: &[TensorType], _: &[TensorType]) -> f64 {
        inputs[0].elements() as f64
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
