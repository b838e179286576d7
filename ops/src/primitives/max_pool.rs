//! `max_pool` and its gradient.

use super::pool::PoolAxis;
use super::support::{
    ImageShape, add_at, build, expect_operands, expect_type, image_shape, no_gradients, pair, result_gradient, zeros,
};
use std::any::Any;
use sward_core::program::{Array, BuildError, Builder, GradientCall, Primitive, RunKey, TensorType, ValueId};

/// The largest element of every window: x `[n,h,w,c]` gives `[n,h',w',c]`. Padding counts as -inf; NaN wins.
/// PyTorch: `torch.nn.functional.max_pool2d`. Pairs are (height, width).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MaxPool {
    /// Elements of a window.
    pub kernel: (usize, usize),
    /// The distance between two windows.
    pub stride: (usize, usize),
    /// Padding on either side.
    pub padding: (usize, usize),
    /// The distance between two elements of a window.
    pub dilation: (usize, usize),
    /// Whether a last window that does not fit whole is kept.
    pub ceil_mode: bool,
}

/// The gradient of [`MaxPool`]: dy `[n,h',w',c]`, x `[n,h,w,c]` give dx `[n,h,w,c]` of dy's dtype; each dy goes to the first maximum (row by
/// row) of its window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MaxPoolGradient {
    /// The pooling.
    pub pool: MaxPool,
}

impl MaxPool {
    /// The pooling along the height and along the width.
    pub fn axes(&self) -> (PoolAxis, PoolAxis) {
        let MaxPool { kernel, stride, padding, dilation, ceil_mode } = *self;
        (
            PoolAxis { kernel: kernel.0, stride: stride.0, padding: padding.0, dilation: dilation.0, ceil_mode },
            PoolAxis { kernel: kernel.1, stride: stride.1, padding: padding.1, dilation: dilation.1, ceil_mode },
        )
    }

    fn result_shape(&self, [batch, height, width, channels]: ImageShape) -> Result<ImageShape, String> {
        let (rows, columns) = self.axes();
        Ok([batch, rows.output_size(height)?, columns.output_size(width)?, channels])
    }

    /// The position of the first maximum of the window at an index of the result; `None` where the window holds padding alone.
    fn first_maximum(&self, x: &Array, index: &[usize]) -> Option<[usize; 4]> {
        let (rows, columns) = self.axes();
        let mut best: Option<[usize; 4]> = None;
        for row in rows.window(index[1], x.shape[1]) {
            for column in columns.window(index[2], x.shape[2]) {
                let candidate = [index[0], row, column, index[3]];
                let value = x.at(&candidate);
                if best.is_none_or(|best| value > x.at(&best) || (value.is_nan() && !x.at(&best).is_nan())) {
                    best = Some(candidate);
                }
            }
        }
        best
    }
}

impl Primitive for MaxPool {
    fn name(&self) -> &'static str {
        "max_pool"
    }

    fn attributes(&self) -> String {
        format!(
            "kernel={}, stride={}, padding={}, dilation={}, ceil_mode={}",
            pair(self.kernel),
            pair(self.stride),
            pair(self.padding),
            pair(self.dilation),
            self.ceil_mode
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
        Ok(vec![Some(builder.emit_one(MaxPoolGradient { pool: *self }, &[gradient, call.inputs[0]])?)])
    }

    fn reference(&self, inputs: &[&Array], _: RunKey) -> Vec<Array> {
        let x = inputs[0];
        let types = self.infer(&[x.tensor_type()]).expect("checked operands");
        vec![build(x.dtype, &types[0].shape, |index| {
            self.first_maximum(x, index).map_or(f64::NEG_INFINITY, |position| x.at(&position))
        })]
    }

    fn flops(&self, _: &[TensorType], outputs: &[TensorType]) -> f64 {
        (outputs[0].elements() * self.kernel.0 * self.kernel.1) as f64
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Primitive for MaxPoolGradient {
    fn name(&self) -> &'static str {
        "max_pool_gradient"
    }

    fn attributes(&self) -> String {
        self.pool.attributes()
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        expect_operands(inputs, 2)?;
        image_shape(&inputs[0], "dy")?;
        let x = image_shape(&inputs[1], "image")?;
        let expected = self.pool.result_shape(x)?;
        expect_type(&inputs[0], inputs[0].dtype, &expected, "dy")?;
        Ok(vec![TensorType::new(inputs[0].dtype, &x)])
    }

    fn gradient(&self, builder: &mut Builder, _: &GradientCall<'_>) -> Result<Vec<Option<ValueId>>, BuildError> {
        Err(builder.no_gradient(self.name(), "second derivatives of a pooling are not there"))
    }

    fn reference(&self, inputs: &[&Array], _: RunKey) -> Vec<Array> {
        let (dy, x) = (inputs[0], inputs[1]);
        let mut dx = zeros(dy.dtype, &x.shape);
        Array::for_each_index(&dy.shape, |index| {
            if let Some(position) = self.pool.first_maximum(x, index) {
                add_at(&mut dx, &position, dy.at(index));
            }
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
