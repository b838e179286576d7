//! The gradients of `convolution`; the one in the image is the transposed convolution.

use super::convolution::{Convolution, ConvolutionGeometry, product_flops, shape4};
use super::support::{ImageShape, expect_float_dtype, expect_operands, image_shape, no_gradients, pair, result_gradient, zeros};
use std::any::Any;
use sward_core::program::{Array, BuildError, Builder, DType, GradientCall, Primitive, RunKey, TensorType, ValueId};

/// The transpose of `convolution` in its image: dy `[n,h',w',o]`, weight `[o,kh,kw,c/groups]` give `[n,h,w,c]`.
/// PyTorch: `torch.nn.grad.conv2d_input`, and `conv_transpose2d` with `input` naming the size its `output_padding` chooses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConvolutionInputGradient {
    /// The convolution's geometry.
    pub geometry: ConvolutionGeometry,
    /// Height and width of the convolution's image, that is of this result.
    pub input: (usize, usize),
    /// The result's float dtype.
    pub dtype: DType,
}

/// The gradient of `convolution` in its weight: x `[n,h,w,c]`, dy `[n,h',w',o]` give `f32 [o,kh,kw,c/groups]`.
/// PyTorch: `torch.nn.grad.conv2d_weight`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConvolutionWeightGradient {
    /// The convolution's geometry.
    pub geometry: ConvolutionGeometry,
    /// Height and width of the kernel.
    pub kernel: (usize, usize),
}

impl ConvolutionInputGradient {
    fn result_shape(&self, dy: ImageShape, weight: ImageShape) -> Result<ImageShape, String> {
        let x = [dy[0], self.input.0, self.input.1, weight[3] * self.geometry.groups];
        match self.geometry.result_shape(x, weight)? {
            expected if expected == dy => Ok(x),
            expected => Err(format!("dy has the sizes {dy:?}, the convolution gives {expected:?}")),
        }
    }
}

impl ConvolutionWeightGradient {
    fn result_shape(&self, x: ImageShape, dy: ImageShape) -> Result<ImageShape, String> {
        let groups = self.geometry.groups;
        if groups == 0 || !x[3].is_multiple_of(groups) {
            return Err(format!("{} channels in {groups} groups", x[3]));
        }
        let weight = [dy[3], self.kernel.0, self.kernel.1, x[3] / groups];
        match self.geometry.result_shape(x, weight)? {
            expected if expected == dy => Ok(weight),
            expected => Err(format!("dy has the sizes {dy:?}, the convolution gives {expected:?}")),
        }
    }
}

impl Primitive for ConvolutionInputGradient {
    fn name(&self) -> &'static str {
        "convolution_input_gradient"
    }

    fn attributes(&self) -> String {
        format!("{}, input={}, dtype={}", self.geometry.text(), pair(self.input), self.dtype)
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        expect_operands(inputs, 2)?;
        expect_float_dtype(self.dtype)?;
        let shape = self.result_shape(image_shape(&inputs[0], "dy")?, image_shape(&inputs[1], "weight")?)?;
        Ok(vec![TensorType::new(self.dtype, &shape)])
    }

    fn gradient(&self, builder: &mut Builder, call: &GradientCall<'_>) -> Result<Vec<Option<ValueId>>, BuildError> {
        let Some(gradient) = result_gradient(call) else {
            return Ok(no_gradients(call));
        };
        let mut results = no_gradients(call);
        if call.wanted[0] {
            let dtype = builder.type_of(call.inputs[0]).dtype;
            let rule = Convolution { geometry: self.geometry, dtype, epilogue: None };
            results[0] = Some(builder.emit_one(rule, &[gradient, call.inputs[1]])?);
        }
        if call.wanted[1] {
            let weight = builder.shape(call.inputs[1]);
            let rule = ConvolutionWeightGradient { geometry: self.geometry, kernel: (weight[1], weight[2]) };
            results[1] = Some(builder.emit_one(rule, &[gradient, call.inputs[0]])?);
        }
        Ok(results)
    }

    fn reference(&self, inputs: &[&Array], _: RunKey) -> Vec<Array> {
        let (dy, weight) = (inputs[0], inputs[1]);
        let shape = self.result_shape(shape4(dy), shape4(weight)).expect("checked operands");
        let mut dx = zeros(self.dtype, &shape);
        self.geometry.for_each_product(shape, shape4(weight), shape4(dy), |x_index, weight_index, out| {
            let offset = dx.offset(x_index);
            dx.data[offset] += dy.at(out) * weight.at(weight_index);
        });
        vec![dx]
    }

    fn flops(&self, inputs: &[TensorType], _: &[TensorType]) -> f64 {
        product_flops(&inputs[0], &inputs[1])
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Primitive for ConvolutionWeightGradient {
    fn name(&self) -> &'static str {
        "convolution_weight_gradient"
    }

    fn attributes(&self) -> String {
        format!("{}, kernel={}", self.geometry.text(), pair(self.kernel))
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        expect_operands(inputs, 2)?;
        let shape = self.result_shape(image_shape(&inputs[0], "image")?, image_shape(&inputs[1], "dy")?)?;
        Ok(vec![TensorType::f32(&shape)])
    }

    fn gradient(&self, builder: &mut Builder, call: &GradientCall<'_>) -> Result<Vec<Option<ValueId>>, BuildError> {
        let Some(gradient) = result_gradient(call) else {
            return Ok(no_gradients(call));
        };
        let mut results = no_gradients(call);
        if call.wanted[0] {
            let x = builder.type_of(call.inputs[0]);
            let (input, dtype) = ((x.shape[1], x.shape[2]), x.dtype);
            let rule = ConvolutionInputGradient { geometry: self.geometry, input, dtype };
            results[0] = Some(builder.emit_one(rule, &[call.inputs[1], gradient])?);
        }
        if call.wanted[1] {
            let dtype = builder.type_of(call.inputs[1]).dtype;
            let rule = Convolution { geometry: self.geometry, dtype, epilogue: None };
            results[1] = Some(builder.emit_one(rule, &[call.inputs[0], gradient])?);
        }
        Ok(results)
    }

    fn reference(&self, inputs: &[&Array], _: RunKey) -> Vec<Array> {
        let (x, dy) = (inputs[0], inputs[1]);
        let shape = self.result_shape(shape4(x), shape4(dy)).expect("checked operands");
        let mut dweight = zeros(DType::F32, &shape);
        self.geometry.for_each_product(shape4(x), shape, shape4(dy), |x_index, weight_index, out| {
            let offset = dweight.offset(weight_index);
            dweight.data[offset] += dy.at(out) * x.at(x_index);
        });
        vec![dweight]
    }

    fn flops(&self, inputs: &[TensorType], outputs: &[TensorType]) -> f64 {
        product_flops(&inputs[1], &outputs[0])
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
