//! `average_pool` and its gradient.

use super::pool::PoolAxis;
use super::support::{
    ImageShape, add_at, build, expect_operands, expect_type, image_shape, no_gradients, pair, result_gradient, zeros,
};
use std::any::Any;
use sward_core::program::{Array, BuildError, Builder, GradientCall, Primitive, RunKey, TensorType, ValueId};

/// The mean of every window: x `[n,h,w,c]` gives `[n,h',w',c]`. PyTorch: `torch.nn.functional.avg_pool2d`. Pairs are (height, width).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AveragePool {
    /// Elements of a window.
    pub kernel: (usize, usize),
    /// The distance between two windows.
    pub stride: (usize, usize),
    /// Zeros on either side.
    pub padding: (usize, usize),
    /// Whether a last window that does not fit whole is kept.
    pub ceil_mode: bool,
    /// Whether the padding's zeros count in the mean.
    pub count_include_pad: bool,
}

/// The gradient of [`AveragePool`]: dy `[n,h',w',c]` gives dx `[n,h,w,c]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AveragePoolGradient {
    /// The pooling.
    pub pool: AveragePool,
    /// Height and width of the pooling's operand.
    pub input: (usize, usize),
}

impl AveragePool {
    /// The pooling along the height and along the width.
    pub fn axes(&self) -> (PoolAxis, PoolAxis) {
        let AveragePool { kernel, stride, padding, ceil_mode, .. } = *self;
        (
            PoolAxis { kernel: kernel.0, stride: stride.0, padding: padding.0, dilation: 1, ceil_mode },
            PoolAxis { kernel: kernel.1, stride: stride.1, padding: padding.1, dilation: 1, ceil_mode },
        )
    }

    fn result_shape(&self, [batch, height, width, channels]: ImageShape) -> Result<ImageShape, String> {
        let (rows, columns) = self.axes();
        Ok([batch, rows.output_size(height)?, columns.output_size(width)?, channels])
    }

    /// What the sum of the window at `position` is divided by, over an operand of `input` (height, width).
    pub fn divisor(&self, position: (usize, usize), input: (usize, usize)) -> usize {
        let (rows, columns) = self.axes();
        if self.count_include_pad {
            rows.padded_length(position.0, input.0) * columns.padded_length(position.1, input.1)
        } else {
            rows.window(position.0, input.0).count() * columns.window(position.1, input.1).count()
        }
    }

    /// Calls `visit` with every position of the operand in the window at an index of the result.
    fn for_each_source(&self, index: &[usize], input: (usize, usize), mut visit: impl FnMut([usize; 4])) {
        let (rows, columns) = self.axes();
        for row in rows.window(index[1], input.0) {
            for column in columns.window(index[2], input.1) {
                visit([index[0], row, column, index[3]]);
            }
        }
    }
}

impl Primitive for AveragePool {
    fn name(&self) -> &'static str {
        "average_pool"
    }

    fn attributes(&self) -> String {
        format!(
            "kernel={}, stride={}, padding={}, ceil_mode={}, count_include_pad={}",
            pair(self.kernel),
            pair(self.stride),
            pair(self.padding),
            self.ceil_mode,
            self.count_include_pad
        )
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        expect_operands(inputs, 1)?;
        let shape = self.result_shape(image_shape(&inputs[0], "image")?)?;
        Ok(vec![TensorType::new(inputs[0].dtype, &shape)])
    }

    fn gradient(&self, builder: &mut Builder, call: &GradientCall<'_>) -> Result<Vec<Option<ValueId>>, BuildError> {
        let Some(gradient) = result_gradient(call) else {
            return Ok(no_gradients(call));
        };
        let shape = builder.shape(call.inputs[0]);
        let rule = AveragePoolGradient { pool: *self, input: (shape[1], shape[2]) };
        Ok(vec![Some(builder.emit_one(rule, &[gradient])?)])
    }

    fn reference(&self, inputs: &[&Array], _: RunKey) -> Vec<Array> {
        let x = inputs[0];
        let input = (x.shape[1], x.shape[2]);
        let types = self.infer(&[x.tensor_type()]).expect("checked operands");
        vec![build(x.dtype, &types[0].shape, |index| {
            let mut sum = 0.0;
            self.for_each_source(index, input, |position| sum += x.at(&position));
            sum / self.divisor((index[1], index[2]), input) as f64
        })]
    }

    fn flops(&self, _: &[TensorType], outputs: &[TensorType]) -> f64 {
        (outputs[0].elements() * self.kernel.0 * self.kernel.1) as f64
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Primitive for AveragePoolGradient {
    fn name(&self) -> &'static str {
        "average_pool_gradient"
    }

    fn attributes(&self) -> String {
        format!("{}, input={}", self.pool.attributes(), pair(self.input))
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        expect_operands(inputs, 1)?;
        let dy = image_shape(&inputs[0], "dy")?;
        let x = [dy[0], self.input.0, self.input.1, dy[3]];
        expect_type(&inputs[0], inputs[0].dtype, &self.pool.result_shape(x)?, "dy")?;
        Ok(vec![TensorType::new(inputs[0].dtype, &x)])
    }

    fn gradient(&self, builder: &mut Builder, call: &GradientCall<'_>) -> Result<Vec<Option<ValueId>>, BuildError> {
        let Some(gradient) = result_gradient(call) else {
            return Ok(no_gradients(call));
        };
        Ok(vec![Some(builder.emit_one(self.pool, &[gradient])?)])
    }

    fn reference(&self, inputs: &[&Array], _: RunKey) -> Vec<Array> {
        let dy = inputs[0];
        let mut dx = zeros(dy.dtype, &[dy.shape[0], self.input.0, self.input.1, dy.shape[3]]);
        Array::for_each_index(&dy.shape, |index| {
            let share = dy.at(index) / self.pool.divisor((index[1], index[2]), self.input) as f64;
            self.pool.for_each_source(index, self.input, |position| add_at(&mut dx, &position, share));
        });
        vec![dx]
    }

    fn flops(&self, inputs: &[TensorType], _: &[TensorType]) -> f64 {
        (inputs[0].elements() * self.pool.kernel.0 * self.pool.kernel.1) as f64
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
