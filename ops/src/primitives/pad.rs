//! `pad` and its gradient.

use super::support::{add_at, build, expect_operands, list, no_gradients, result_gradient, zeros};
use std::any::Any;
use sward_core::program::{Array, BuildError, Builder, GradientCall, Primitive, RunKey, Shape, TensorType, ValueId};

/// What stands in the padding.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum PadMode {
    /// One number.
    Constant(f64),
    /// The tensor mirrored at its border without repeating the border element.
    Reflect,
    /// The border element.
    Replicate,
}

impl PadMode {
    fn text(self) -> String {
        match self {
            PadMode::Constant(value) => format!("constant({value:?})"),
            PadMode::Reflect => "reflect".to_string(),
            PadMode::Replicate => "replicate".to_string(),
        }
    }

    /// The operand's position that position `index` of the padded axis shows; `None` where the constant stands.
    pub fn source(self, index: usize, low: usize, size: usize) -> Option<usize> {
        let position = index as isize - low as isize;
        let last = size as isize - 1;
        if (0..=last).contains(&position) {
            return Some(position as usize);
        }
        match self {
            PadMode::Constant(_) => None,
            PadMode::Reflect if position < 0 => Some(-position as usize),
            PadMode::Reflect => Some((2 * last - position) as usize),
            PadMode::Replicate => Some(position.clamp(0, last) as usize),
        }
    }
}

/// A larger tensor around the operand. Any dtype. PyTorch: `torch.nn.functional.pad` (sizes here are given axis by axis, outermost
/// first).
#[derive(Clone, PartialEq, Debug)]
pub struct Pad {
    /// What is added before every axis.
    pub low: Shape,
    /// What is added after every axis.
    pub high: Shape,
    /// What stands there.
    pub mode: PadMode,
}

/// The gradient of [`Pad`]: every element of the gradient is added where its source lies.
#[derive(Clone, PartialEq, Debug)]
pub struct PadGradient {
    /// The padding that is undone.
    pub pad: Pad,
}

impl Pad {
    fn padded(&self, shape: &[usize]) -> Result<Shape, String> {
        if shape.len() != self.low.len() || shape.len() != self.high.len() {
            return Err(format!("padding {} and {} for rank {}", list(&self.low), list(&self.high), shape.len()));
        }
        for axis in 0..shape.len() {
            let most = self.low[axis].max(self.high[axis]);
            let fits = match self.mode {
                PadMode::Constant(_) => true,
                PadMode::Reflect => most == 0 || most < shape[axis],
                PadMode::Replicate => most == 0 || shape[axis] > 0,
            };
            if !fits {
                return Err(format!("{} padding of {most} on axis {axis} of size {}", self.mode.text(), shape[axis]));
            }
        }
        Ok((0..shape.len()).map(|axis| self.low[axis] + shape[axis] + self.high[axis]).collect())
    }

    fn unpadded(&self, shape: &[usize]) -> Result<Shape, String> {
        let inner: Option<Shape> = (0..shape.len().min(self.low.len()).min(self.high.len()))
            .map(|axis| shape[axis].checked_sub(self.low[axis] + self.high[axis]))
            .collect();
        let inner = inner.ok_or_else(|| format!("sizes {} are less than the padding", list(shape)))?;
        match self.padded(&inner)?.as_slice() == shape {
            true => Ok(inner),
            false => Err(format!("padding {} and {} for rank {}", list(&self.low), list(&self.high), shape.len())),
        }
    }

    fn source(&self, index: &[usize], inner: &[usize]) -> Option<Vec<usize>> {
        (0..index.len()).map(|axis| self.mode.source(index[axis], self.low[axis], inner[axis])).collect()
    }
}

impl Primitive for Pad {
    fn name(&self) -> &'static str {
        "pad"
    }

    fn attributes(&self) -> String {
        format!("low={}, high={}, mode={}", list(&self.low), list(&self.high), self.mode.text())
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        expect_operands(inputs, 1)?;
        Ok(vec![TensorType { dtype: inputs[0].dtype, shape: self.padded(&inputs[0].shape)? }])
    }

    fn gradient(&self, builder: &mut Builder, call: &GradientCall<'_>) -> Result<Vec<Option<ValueId>>, BuildError> {
        let Some(gradient) = result_gradient(call) else {
            return Ok(no_gradients(call));
        };
        Ok(vec![Some(builder.emit_one(PadGradient { pad: self.clone() }, &[gradient])?)])
    }

    fn reference(&self, inputs: &[&Array], _: RunKey) -> Vec<Array> {
        let x = inputs[0];
        let shape = self.padded(&x.shape).expect("checked operands");
        let fill = if let PadMode::Constant(value) = self.mode { value } else { 0.0 };
        vec![build(x.dtype, &shape, |index| self.source(index, &x.shape).map_or(fill, |source| x.at(&source)))]
    }

    fn flops(&self, _: &[TensorType], _: &[TensorType]) -> f64 {
        0.0
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Primitive for PadGradient {
    fn name(&self) -> &'static str {
        "pad_gradient"
    }

    fn attributes(&self) -> String {
        self.pad.attributes()
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        expect_operands(inputs, 1)?;
        Ok(vec![TensorType { dtype: inputs[0].dtype, shape: self.pad.unpadded(&inputs[0].shape)? }])
    }

    fn gradient(&self, builder: &mut Builder, call: &GradientCall<'_>) -> Result<Vec<Option<ValueId>>, BuildError> {
        let Some(gradient) = result_gradient(call) else {
            return Ok(no_gradients(call));
        };
        let mode = match self.pad.mode {
            PadMode::Constant(_) => PadMode::Constant(0.0),
            mode => mode,
        };
        let forward = Pad { mode, ..self.pad.clone() };
        Ok(vec![Some(builder.emit_one(forward, &[gradient])?)])
    }

    fn reference(&self, inputs: &[&Array], _: RunKey) -> Vec<Array> {
        let dy = inputs[0];
        let inner = self.pad.unpadded(&dy.shape).expect("checked operands");
        let mut dx = zeros(dy.dtype, &inner);
        Array::for_each_index(&dy.shape, |index| {
            if let Some(source) = self.pad.source(index, &inner) {
                add_at(&mut dx, &source, dy.at(index));
            }
        });
        vec![dx]
    }

    fn flops(&self, inputs: &[TensorType], outputs: &[TensorType]) -> f64 {
        // Only what was padded is added to something; a constant border is dropped.
        match self.pad.mode {
            PadMode::Constant(_) => 0.0,
            _ => (inputs[0].elements() - outputs[0].elements()) as f64,
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
