//! `layer_norm_gradient`.

use super::support::{expect_float, expect_float_shape, expect_operands, expect_type, with_axis, zeros};
use std::any::Any;
use sward_core::program::{Array, BuildError, Builder, DType, GradientCall, Primitive, RunKey, TensorType, ValueId};

/// The gradient of [`super::LayerNorm`]: dy `[..., c]`, x `[..., c]`, weight? `[c]`, mean and rstd `f32 [..., 1]` give dx of x's dtype
/// and, where asked for, dweight `f32 [c]` and dbias `f32 [c]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LayerNormGradient {
    /// Whether the mean was taken off.
    pub centered: bool,
    /// Whether there is a weight operand.
    pub weight: bool,
    /// Whether dweight is a result; needs `weight`.
    pub weight_gradient: bool,
    /// Whether dbias is a result.
    pub bias_gradient: bool,
}

impl Primitive for LayerNormGradient {
    fn name(&self) -> &'static str {
        "layer_norm_gradient"
    }

    fn attributes(&self) -> String {
        format!(
            "centered={}, weight={}, weight_gradient={}, bias_gradient={}",
            self.centered, self.weight, self.weight_gradient, self.bias_gradient
        )
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        expect_operands(inputs, 4 + usize::from(self.weight))?;
        if self.weight_gradient && !self.weight {
            return Err("the gradient of a weight that is not there".to_string());
        }
        let (dy, x) = (&inputs[0], &inputs[1]);
        expect_float(x, "x")?;
        expect_float_shape(dy, &x.shape, "dy")?;
        let width = *x.shape.last().ok_or("a tensor of rank 0 has no last axis")?;
        if self.weight {
            expect_float_shape(&inputs[2], &[width], "weight")?;
        }
        let statistics = with_axis(&x.shape, x.rank() - 1, 1);
        for operand in &inputs[inputs.len() - 2..] {
            expect_type(operand, DType::F32, &statistics, "mean or rstd")?;
        }
        let mut results = vec![x.clone()];
        let sums = usize::from(self.weight_gradient) + usize::from(self.bias_gradient);
        results.extend((0..sums).map(|_| TensorType::f32(&[width])));
        Ok(results)
    }

    fn gradient(&self, builder: &mut Builder, _: &GradientCall<'_>) -> Result<Vec<Option<ValueId>>, BuildError> {
        Err(builder.no_gradient(self.name(), "second derivatives of a normalization are not there"))
    }

    fn reference(&self, inputs: &[&Array], _: RunKey) -> Vec<Array> {
        let (dy, x) = (inputs[0], inputs[1]);
        let weight = self.weight.then(|| inputs[2]);
        let (mean, rstd) = (inputs[inputs.len() - 2], inputs[inputs.len() - 1]);
        let width = *x.shape.last().expect("checked operands");
        let mut dx = zeros(x.dtype, &x.shape);
        let (mut dweight, mut dbias) = (zeros(DType::F32, &[width]), zeros(DType::F32, &[width]));
        for row in 0..mean.data.len() {
            let normal = |column: usize| (x.data[row * width + column] - mean.data[row]) * rstd.data[row];
            let incoming = |column: usize| dy.data[row * width + column];
            let scaled = |column: usize| incoming(column) * weight.map_or(1.0, |weight| weight.data[column]);
            let mean_scaled = (0..width).map(scaled).sum::<f64>() / width as f64;
            let mean_product = (0..width).map(|column| scaled(column) * normal(column)).sum::<f64>() / width as f64;
            let shift = if self.centered { mean_scaled } else { 0.0 };
            for column in 0..width {
                dx.data[row * width + column] = rstd.data[row] * (scaled(column) - shift - normal(column) * mean_product);
                dweight.data[column] += incoming(column) * normal(column);
                dbias.data[column] += incoming(column);
            }
        }
        let mut results = vec![dx];
        results.extend(self.weight_gradient.then_some(dweight));
        results.extend(self.bias_gradient.then_some(dbias));
        results
    }

    fn flops(&self, inputs: &[TensorType], _: &[TensorType]) -> f64 {
        let each = 9 + usize::from(self.weight) + 2 * usize::from(self.weight_gradient) + usize::from(self.bias_gradient);
        inputs[1].elements() as f64 * each as f64
    }

    fn preferred_input(&self, input: usize, wanted: DType) -> DType {
        // Mean and rstd stay in f32.
        if input >= 2 + usize::from(self.weight) { DType::F32 } else { wanted }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
