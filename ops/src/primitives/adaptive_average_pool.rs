//! `adaptive_average_pool` and its gradient.

use super::support::{add_at, build, expect_operands, image_shape, no_gradients, pair, result_gradient, zeros};
use std::any::Any;
use std::ops::Range;
use sward_core::program::{Array, BuildError, Builder, GradientCall, Primitive, RunKey, TensorType, ValueId};

/// Means over a grid of windows that covers the image: x `[n,h,w,c]` gives `[n,oh,ow,c]`.
/// PyTorch: `torch.nn.functional.adaptive_avg_pool2d`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AdaptiveAveragePool {
    /// Height and width of the result.
    pub output: (usize, usize),
}

/// The gradient of [`AdaptiveAveragePool`]: dy `[n,oh,ow,c]` gives dx `[n,h,w,c]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AdaptiveAveragePoolGradient {
    /// Height and width of the pooling's operand.
    pub input: (usize, usize),
}

/// Window `index` of `output` windows over `size` elements: PyTorch's bounds, which may overlap.
pub fn adaptive_window(index: usize, output: usize, size: usize) -> Range<usize> {
    index * size / output..((index + 1) * size).div_ceil(output)
}

fn check(input: (usize, usize)) -> Result<(), String> {
    if input.0 == 0 || input.1 == 0 { Err("pooling over an image without pixels".to_string()) } else { Ok(()) }
}

impl Primitive for AdaptiveAveragePool {
    fn name(&self) -> &'static str {
        "adaptive_average_pool"
    }

    fn attributes(&self) -> String {
        format!("output={}", pair(self.output))
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        expect_operands(inputs, 1)?;
        let [batch, height, width, channels] = image_shape(&inputs[0], "image")?;
        check((height, width))?;
        Ok(vec![TensorType::new(inputs[0].dtype, &[batch, self.output.0, self.output.1, channels])])
    }

    fn gradient(&self, builder: &mut Builder, call: &GradientCall<'_>) -> Result<Vec<Option<ValueId>>, BuildError> {
        let Some(gradient) = result_gradient(call) else {
            return Ok(no_gradients(call));
        };
        let shape = builder.shape(call.inputs[0]);
        let rule = AdaptiveAveragePoolGradient { input: (shape[1], shape[2]) };
        Ok(vec![Some(builder.emit_one(rule, &[gradient])?)])
    }

    fn reference(&self, inputs: &[&Array], _: RunKey) -> Vec<Array> {
        let x = inputs[0];
        let shape = [x.shape[0], self.output.0, self.output.1, x.shape[3]];
        vec![build(x.dtype, &shape, |index| {
            let rows = adaptive_window(index[1], self.output.0, x.shape[1]);
            let columns = adaptive_window(index[2], self.output.1, x.shape[2]);
            let count = rows.len() * columns.len();
            let sum: f64 = rows
                .flat_map(|row| columns.clone().map(move |column| (row, column)))
                .map(|(row, column)| x.at(&[index[0], row, column, index[3]]))
                .sum();
            sum / count as f64
        })]
    }

    fn flops(&self, inputs: &[TensorType], outputs: &[TensorType]) -> f64 {
        inputs[0].elements().max(outputs[0].elements()) as f64
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Primitive for AdaptiveAveragePoolGradient {
    fn name(&self) -> &'static str {
        "adaptive_average_pool_gradient"
    }

    fn attributes(&self) -> String {
        format!("input={}", pair(self.input))
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        expect_operands(inputs, 1)?;
        let [batch, _, _, channels] = image_shape(&inputs[0], "dy")?;
        check(self.input)?;
        Ok(vec![TensorType::new(inputs[0].dtype, &[batch, self.input.0, self.input.1, channels])])
    }

    fn gradient(&self, builder: &mut Builder, call: &GradientCall<'_>) -> Result<Vec<Option<ValueId>>, BuildError> {
        let Some(gradient) = result_gradient(call) else {
            return Ok(no_gradients(call));
        };
        let shape = builder.shape(call.inputs[0]);
        let rule = AdaptiveAveragePool { output: (shape[1], shape[2]) };
        Ok(vec![Some(builder.emit_one(rule, &[gradient])?)])
    }

    fn reference(&self, inputs: &[&Array], _: RunKey) -> Vec<Array> {
        let dy = inputs[0];
        let mut dx = zeros(dy.dtype, &[dy.shape[0], self.input.0, self.input.1, dy.shape[3]]);
        Array::for_each_index(&dy.shape, |index| {
            let rows = adaptive_window(index[1], dy.shape[1], self.input.0);
            let columns = adaptive_window(index[2], dy.shape[2], self.input.1);
            let share = dy.at(index) / (rows.len() * columns.len()) as f64;
            for row in rows {
                for column in columns.clone() {
                    add_at(&mut dx, &[index[0], row, column, index[3]], share);
                }
            }
        });
        vec![dx]
    }

    fn flops(&self, inputs: &[TensorType], outputs: &[TensorType]) -> f64 {
        inputs[0].elements().max(outputs[0].elements()) as f64
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
