//! `layer_norm`: normalization over the last axis, with or without centring.

use super::layer_norm_gradient::LayerNormGradient;
use super::support::{build, expect_float, expect_float_shape, expect_operands, no_gradients, with_axis, zeros};
use std::any::Any;
use sward_core::program::{Array, BuildError, Builder, DType, GradientCall, Primitive, RunKey, TensorType, ValueId};

/// Normalization over the last axis: x `[..., c]`, weight? `[c]`, bias? `[c]` give y `[..., c]` of x's dtype, mean
/// `f32 [..., 1]` and rstd `f32 [..., 1]`, with `y = (x - mean) rstd weight + bias`, `rstd = 1 / sqrt(variance + epsilon)`.
/// PyTorch: `torch.nn.functional.layer_norm`, and `rms_norm` where not centred (mean 0, variance the mean of the squares).
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct LayerNorm {
    /// Added to the variance.
    pub epsilon: f64,
    /// Whether the mean is taken off; `false` is RMS norm.
    pub centered: bool,
    /// Whether there is a weight operand.
    pub weight: bool,
    /// Whether there is a bias operand (after the weight, if that is there).
    pub bias: bool,
}

impl Primitive for LayerNorm {
    fn name(&self) -> &'static str {
        "layer_norm"
    }

    fn attributes(&self) -> String {
        format!("epsilon={:?}, centered={}, weight={}, bias={}", self.epsilon, self.centered, self.weight, self.bias)
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        expect_operands(inputs, 1 + usize::from(self.weight) + usize::from(self.bias))?;
        let x = &inputs[0];
        expect_float(x, "x")?;
        let width = *x.shape.last().ok_or("a tensor of rank 0 has no last axis")?;
        for operand in &inputs[1..] {
            expect_float_shape(operand, &[width], "weight or bias")?;
        }
        let statistics = TensorType { dtype: DType::F32, shape: with_axis(&x.shape, x.rank() - 1, 1) };
        Ok(vec![x.clone(), statistics.clone(), statistics])
    }

    fn gradient(&self, builder: &mut Builder, call: &GradientCall<'_>) -> Result<Vec<Option<ValueId>>, BuildError> {
        if call.gradients[1].is_some() || call.gradients[2].is_some() {
            return Err(builder.no_gradient(self.name(), "mean and rstd are there for the backward pass alone"));
        }
        let mut results = no_gradients(call);
        let Some(gradient) = call.gradients[0] else {
            return Ok(results);
        };
        let bias_position = 1 + usize::from(self.weight);
        let rule = LayerNormGradient {
            centered: self.centered,
            weight: self.weight,
            weight_gradient: self.weight && call.wanted[1],
            bias_gradient: self.bias && call.wanted[bias_position],
        };
        let mut operands = vec![gradient, call.inputs[0]];
        if self.weight {
            operands.push(call.inputs[1]);
        }
        operands.extend([call.outputs[1], call.outputs[2]]);
        let mut gradients = builder.emit(rule, &operands)?.into_iter();
        results[0] = gradients.next();
        if rule.weight_gradient {
            results[1] = gradients.next();
        }
        if rule.bias_gradient {
            results[bias_position] = gradients.next();
        }
        Ok(results)
    }

    fn reference(&self, inputs: &[&Array], _: RunKey) -> Vec<Array> {
        let x = inputs[0];
        let last = x.shape.len() - 1;
        let width = x.shape[last];
        let weight = self.weight.then(|| inputs[1]);
        let bias = self.bias.then(|| inputs[inputs.len() - 1]);
        let statistics = with_axis(&x.shape, last, 1);
        let (mut mean, mut rstd) = (zeros(DType::F32, &statistics), zeros(DType::F32, &statistics));
        for row in 0..mean.data.len() {
            let values = &x.data[row * width..(row + 1) * width];
            if self.centered {
                mean.data[row] = values.iter().sum::<f64>() / width as f64;
            }
            let squares: f64 = values.iter().map(|value| (value - mean.data[row]).powi(2)).sum();
            rstd.data[row] = 1.0 / (squares / width as f64 + self.epsilon).sqrt();
        }
        let y = build(x.dtype, &x.shape, |index| {
            let row = with_axis(index, last, 0);
            let normal = (x.at(index) - mean.at(&row)) * rstd.at(&row);
            let column = index[last];
            normal * weight.map_or(1.0, |weight| weight.data[column]) + bias.map_or(0.0, |bias| bias.data[column])
        });
        vec![y, mean, rstd]
    }

    fn flops(&self, inputs: &[TensorType], _: &[TensorType]) -> f64 {
        // Mean, difference, square and its sum, scaling; the affine part's two.
        let each = 5 + usize::from(self.weight) + usize::from(self.bias);
        inputs[0].elements() as f64 * each as f64
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
