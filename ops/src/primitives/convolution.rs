//! `convolution` and what its gradients share: two-dimensional cross-correlation of channels-last images.

use super::convolution_gradient::{ConvolutionInputGradient, ConvolutionWeightGradient};
use super::epilogue::{apply_epilogue, check_epilogue, epilogue_flops, epilogue_gradient, epilogue_text};
use super::support::{ImageShape, build, expect_float_dtype, image_shape, no_gradients, pair, result_gradient};
use std::any::Any;
use sward_core::program::{Array, BuildError, Builder, DType, GradientCall, Primitive, RunKey, TensorType, ValueId};
use sward_core::scalar::ScalarFunction;

/// How the kernel moves over the image; every pair is (height, width).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConvolutionGeometry {
    /// The distance between two positions of the kernel; at least 1.
    pub stride: (usize, usize),
    /// Zeros around the image: ((top, bottom), (left, right)).
    pub padding: ((usize, usize), (usize, usize)),
    /// The distance between two elements of the kernel; at least 1.
    pub dilation: (usize, usize),
    /// Groups of channels that do not see each other; divides the channels of image and result.
    pub groups: usize,
}

impl Default for ConvolutionGeometry {
    fn default() -> ConvolutionGeometry {
        ConvolutionGeometry { stride: (1, 1), padding: ((0, 0), (0, 0)), dilation: (1, 1), groups: 1 }
    }
}

fn output_size(size: usize, kernel: usize, stride: usize, padding: (usize, usize), dilation: usize) -> Result<usize, String> {
    if kernel == 0 || stride == 0 || dilation == 0 {
        return Err("kernel, stride and dilation are at least 1".to_string());
    }
    let extent = dilation * (kernel - 1) + 1;
    let padded = size + padding.0 + padding.1;
    match padded.checked_sub(extent) {
        Some(rest) => Ok(rest / stride + 1),
        None => Err(format!("a kernel that covers {extent} does not fit the padded size {padded}")),
    }
}

impl ConvolutionGeometry {
    /// Height and width of the result from those of image and kernel.
    ///
    /// # Errors
    /// Where the kernel does not fit into the padded image.
    pub fn output_size(&self, image: (usize, usize), kernel: (usize, usize)) -> Result<(usize, usize), String> {
        Ok((
            output_size(image.0, kernel.0, self.stride.0, self.padding.0, self.dilation.0)?,
            output_size(image.1, kernel.1, self.stride.1, self.padding.1, self.dilation.1)?,
        ))
    }

    /// The image's (row, column) that kernel element `tap` reads at the result's `position`; `None` in the padding.
    pub fn source(&self, position: (usize, usize), tap: (usize, usize), image: (usize, usize)) -> Option<(usize, usize)> {
        let row = (position.0 * self.stride.0 + tap.0 * self.dilation.0).checked_sub(self.padding.0.0)?;
        let column = (position.1 * self.stride.1 + tap.1 * self.dilation.1).checked_sub(self.padding.1.0)?;
        (row < image.0 && column < image.1).then_some((row, column))
    }

    pub(crate) fn text(&self) -> String {
        let ((top, bottom), (left, right)) = self.padding;
        format!(
            "stride={}, padding=[{top},{bottom},{left},{right}], dilation={}, groups={}",
            pair(self.stride),
            pair(self.dilation),
            self.groups
        )
    }

    /// Sizes of the result, from those of image `[n,h,w,c]` and weight `[o,kh,kw,c/groups]`.
    pub(crate) fn result_shape(&self, x: ImageShape, weight: ImageShape) -> Result<ImageShape, String> {
        let [batch, height, width, channels] = x;
        let [out_channels, kernel_height, kernel_width, group_channels] = weight;
        if self.groups == 0 || !out_channels.is_multiple_of(self.groups) || group_channels * self.groups != channels {
            return Err(format!(
                "{channels} channels, weight for {group_channels} in each of {} groups and {out_channels} out",
                self.groups
            ));
        }
        let (out_height, out_width) = self.output_size((height, width), (kernel_height, kernel_width))?;
        Ok([batch, out_height, out_width, out_channels])
    }

    /// Calls `visit(x index, weight index, result index)` for every multiplication of the convolution.
    pub(crate) fn for_each_product(
        &self,
        x: ImageShape,
        weight: ImageShape,
        result: ImageShape,
        mut visit: impl FnMut(&[usize], &[usize], &[usize]),
    ) {
        let group_outputs = (weight[0] / self.groups).max(1);
        Array::for_each_index(&result, |out| {
            let group = out[3] / group_outputs;
            Array::for_each_index(&weight[1..], |tap| {
                let source = self.source((out[1], out[2]), (tap[0], tap[1]), (x[1], x[2]));
                if let Some((row, column)) = source {
                    let channel = group * weight[3] + tap[2];
                    visit(&[out[0], row, column, channel], &[out[3], tap[0], tap[1], tap[2]], out);
                }
            });
        });
    }
}

/// Cross-correlation: x `[n,h,w,c]`, weight `[o,kh,kw,c/groups]` and the epilogue's extras give `[n,h',w',o]` with
/// `h' = (h + top + bottom - dilation (kh - 1) - 1) / stride + 1`, rounded down.
/// PyTorch: `torch.nn.functional.conv2d` (without bias, channels last).
#[derive(Clone, PartialEq, Debug)]
pub struct Convolution {
    /// How the kernel moves.
    pub geometry: ConvolutionGeometry,
    /// The result's float dtype.
    pub dtype: DType,
    /// What is computed from each product and the extras before it is stored: a function of (product, extras).
    pub epilogue: Option<ScalarFunction>,
}

impl Primitive for Convolution {
    fn name(&self) -> &'static str {
        "convolution"
    }

    fn attributes(&self) -> String {
        format!("{}, dtype={}{}", self.geometry.text(), self.dtype, epilogue_text(self.epilogue.as_ref()))
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        if inputs.len() < 2 {
            return Err(format!("image and weight expected, {} operands given", inputs.len()));
        }
        expect_float_dtype(self.dtype)?;
        let shape = self.geometry.result_shape(image_shape(&inputs[0], "image")?, image_shape(&inputs[1], "weight")?)?;
        check_epilogue(self.epilogue.as_ref(), &shape, &inputs[2..])?;
        Ok(vec![TensorType::new(self.dtype, &shape)])
    }

    fn gradient(&self, builder: &mut Builder, call: &GradientCall<'_>) -> Result<Vec<Option<ValueId>>, BuildError> {
        let Some(gradient) = result_gradient(call) else {
            return Ok(no_gradients(call));
        };
        if let Some(epilogue) = &self.epilogue {
            let plain = Convolution { epilogue: None, ..self.clone() };
            return epilogue_gradient(builder, call, plain, epilogue, self.dtype);
        }
        let (x, weight) = (builder.type_of(call.inputs[0]).clone(), builder.type_of(call.inputs[1]).clone());
        let mut results = no_gradients(call);
        if call.wanted[0] {
            let input = (x.shape[1], x.shape[2]);
            let rule = ConvolutionInputGradient { geometry: self.geometry, input, dtype: x.dtype };
            results[0] = Some(builder.emit_one(rule, &[gradient, call.inputs[1]])?);
        }
        if call.wanted[1] {
            let kernel = (weight.shape[1], weight.shape[2]);
            let rule = ConvolutionWeightGradient { geometry: self.geometry, kernel };
            results[1] = Some(builder.emit_one(rule, &[call.inputs[0], gradient])?);
        }
        Ok(results)
    }

    fn reference(&self, inputs: &[&Array], key: RunKey) -> Vec<Array> {
        let (x, weight) = (inputs[0], inputs[1]);
        let (x_shape, weight_shape) = (shape4(x), shape4(weight));
        let shape = self.geometry.result_shape(x_shape, weight_shape).expect("checked operands");
        let mut result = build(self.dtype, &shape, |_| 0.0);
        self.geometry.for_each_product(x_shape, weight_shape, shape, |x_index, weight_index, out| {
            let offset = result.offset(out);
            result.data[offset] += x.at(x_index) * weight.at(weight_index);
        });
        vec![apply_epilogue(self.epilogue.as_ref(), result, &inputs[2..], key)]
    }

    fn flops(&self, inputs: &[TensorType], outputs: &[TensorType]) -> f64 {
        let extra = epilogue_flops(self.epilogue.as_ref(), outputs[0].elements());
        product_flops(&outputs[0], &inputs[1]) + extra
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A multiply-add for every element of the result and of its filter, as the field counts (padding included).
pub(crate) fn product_flops(result: &TensorType, weight: &TensorType) -> f64 {
    let filter: f64 = weight.shape[1..].iter().map(|size| *size as f64).product();
    2.0 * result.elements() as f64 * filter
}

pub(crate) fn shape4(array: &Array) -> ImageShape {
    <ImageShape>::try_from(array.shape.as_slice()).expect("checked operands")
}
