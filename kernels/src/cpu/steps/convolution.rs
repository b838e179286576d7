//! `convolution` and its gradients: depthwise directly, all others as products over patches that are read in place.

use sward_core::scalar::{ScalarFunction, ScalarOp, StepOp};
use sward_ops::primitives::{Convolution, ConvolutionGeometry, ConvolutionInputGradient, ConvolutionWeightGradient};

use super::map::{MapEpilogue, elements, epilogue_program, inputs_of};
use super::{Operand, Step, at};
use crate::cpu::features::Features;
use crate::cpu::kernels::depthwise::{self, Depthwise};
use crate::cpu::kernels::fold::fold;
use crate::cpu::kernels::map::{Elements, MapProgram, map};
use crate::cpu::kernels::matmul::{Data, DataMut, Epilogue, Packed, Patches, Product, Source, multiply};
use crate::cpu::threads::Scratch;

/// Bytes of columns that are held at once while an image's gradient is folded.
const COLUMN_BYTES: usize = 16 << 20;

/// The sizes of one convolution, seen from the forward pass.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    geometry: ConvolutionGeometry,
    batch: usize,
    input: (usize, usize),
    channels: usize,
    kernel: (usize, usize),
    output: (usize, usize),
    results: usize,
}

impl Sizes {
    fn new(geometry: ConvolutionGeometry, x: &[usize], weight: &[usize], y: &[usize]) -> Sizes {
        Sizes {
            geometry,
            batch: x[0],
            input: (x[1], x[2]),
            channels: x[3],
            kernel: (weight[1], weight[2]),
            output: (y[1], y[2]),
            results: weight[0],
        }
    }

    fn groups(&self) -> usize {
        self.geometry.groups
    }

    /// Channels, results and taps of a group.
    fn group(&self) -> (usize, usize, usize) {
        (self.channels / self.groups(), self.results / self.groups(), self.kernel.0 * self.kernel.1)
    }

    fn pixels(&self) -> usize {
        self.batch * self.output.0 * self.output.1
    }

    fn is_depthwise(&self) -> bool {
        self.groups() > 1 && self.groups() == self.channels && self.groups() == self.results
    }

    fn padding(&self) -> (isize, isize) {
        (self.geometry.padding.0.0 as isize, self.geometry.padding.1.0 as isize)
    }

    /// A kernel of one tap that stands on every pixel.
    fn is_pointwise(&self) -> bool {
        self.kernel == (1, 1) && self.geometry.stride == (1, 1) && self.padding() == (0, 0) && self.input == self.output
    }

    fn patches(&self, data: Data, group: usize) -> Patches {
        Patches {
            data,
            size: self.input,
            all_channels: self.channels,
            channels: self.group().0,
            first_channel: group * self.group().0,
            output: self.output,
            kernel: self.kernel,
            stride: self.geometry.stride,
            padding: self.padding(),
            dilation: self.geometry.dilation,
        }
    }

    fn depthwise(&self) -> Depthwise {
        Depthwise {
            batch: self.batch,
            channels: self.channels,
            input: self.input,
            output: self.output,
            kernel: self.kernel,
            stride: self.geometry.stride,
            padding: self.padding(),
            dilation: self.geometry.dilation,
            spread: (1, 1),
        }
    }

    /// The gradient in the image as a correlation of the gradient of the result with the reversed filters.
    fn depthwise_transposed(&self) -> Depthwise {
        let reach = |taps: usize, dilation: usize| (dilation * (taps - 1)) as isize;
        Depthwise {
            input: self.output,
            output: self.input,
            stride: (1, 1),
            padding: (
                reach(self.kernel.0, self.geometry.dilation.0) - self.padding().0,
                reach(self.kernel.1, self.geometry.dilation.1) - self.padding().1,
            ),
            spread: self.geometry.stride,
            ..self.depthwise()
        }
    }
}

/// What a depthwise convolution does after its sums.
enum DepthwiseEpilogue {
    /// Adds one number a channel, from which the sums start.
    Bias(Data),
    /// Runs over the stored result.
    Map(MapProgram, Elements),
}

impl DepthwiseEpilogue {
    fn new(epilogue: &ScalarFunction, out: &Operand, extras: &[Operand], features: Features) -> DepthwiseEpilogue {
        let _ = features;
        let is_sum = epilogue.linearize().steps.iter().filter(|step| matches!(step.op, StepOp::Apply(_))).count() == 1
            && epilogue.linearize().steps.iter().any(|step| step.op == StepOp::Apply(ScalarOp::Add));
        let shape = out.shape();
        let is_channel = |extra: &Operand| extra.shape() == [1, 1, 1, shape[3]] && extra.dtype().is_float();
        if let ([bias], true, true) = (extras, is_sum, epilogue.uses(0) && epilogue.uses(1))
            && is_channel(bias)
        {
            return DepthwiseEpilogue::Bias(bias.data());
        }
        let operands: Vec<Operand> = std::iter::once(out.clone()).chain(extras.iter().cloned()).collect();
        let program = MapProgram::new(&epilogue_program(epilogue), shape, inputs_of(&operands, shape));
        DepthwiseEpilogue::Map(program, elements(out))
    }
}

pub(super) fn convolution(op: &Convolution, inputs: Vec<Operand>, outputs: Vec<Operand>, features: Features) -> Step {
    let sizes = Sizes::new(op.geometry, inputs[0].shape(), inputs[1].shape(), outputs[0].shape());
    let (x, weight, out) = (inputs[0].data(), inputs[1].data(), outputs[0].data_mut());
    if sizes.is_depthwise() {
        let after = op.epilogue.as_ref().map(|epilogue| DepthwiseEpilogue::new(epilogue, &outputs[0], &inputs[2..], features));
        let bias = match &after {
            Some(DepthwiseEpilogue::Bias(bias)) => Some(*bias),
            _ => None,
        };
        // SAFETY: the primitive's rule gives these sizes; the planner keeps operands and results apart.
        return Step::new("depthwise", move |run| unsafe {
            depthwise::forward(features.level(), &sizes.depthwise(), x, weight, false, bias, out);
            if let Some(DepthwiseEpilogue::Map(program, elements)) = &after {
                map(features.level(), program, run.key, &[*elements]);
            }
        });
    }
    let (channels, results, taps) = sizes.group();
    let epilogue = op
        .epilogue
        .as_ref()
        .map(|epilogue| MapEpilogue::new(epilogue, &outputs[0], &inputs[2..], results, sizes.results, features));
    let keeps = inputs[1].is_static && sizes.groups() == 1;
    let mut kept: Option<(u64, Packed)> = None;
    Step::new(if sizes.is_pointwise() { "pointwise" } else { "convolution" }, move |run| {
        let left = |group: usize| match sizes.is_pointwise() {
            true => Source::Matrix { data: at(x, group * channels), i_stride: sizes.channels, k_stride: 1 },
            false => Source::Patches(sizes.patches(x, group)),
        };
        let right = |group: usize| Source::Matrix {
            data: at(weight, group * results * taps * channels),
            i_stride: taps * channels,
            k_stride: 1,
        };
        let product = Product {
            features,
            batch: sizes.groups(),
            m: sizes.pixels(),
            n: results,
            k: taps * channels,
            left: &left,
            right: &right,
            right_shared: sizes.groups() == 1,
            packed: None,
            out,
            out_batch_stride: results,
            out_row_stride: sizes.results,
            accumulate: false,
            epilogue: epilogue.as_ref().map(|epilogue| epilogue as &dyn Epilogue),
        };
        // SAFETY: as above.
        unsafe {
            if keeps && kept.as_ref().is_none_or(|(version, _)| *version != run.version) {
                kept = Some((run.version, Packed::new(&product)));
            }
            multiply(&Product { packed: kept.as_ref().map(|(_, packed)| packed), ..product });
        }
    })
}

pub(super) fn weight_gradient(
    op: &ConvolutionWeightGradient,
    inputs: Vec<Operand>,
    outputs: Vec<Operand>,
    features: Features,
) -> Step {
    let sizes = Sizes::new(op.geometry, inputs[0].shape(), outputs[0].shape(), inputs[1].shape());
    let (x, dy, out) = (inputs[0].data(), inputs[1].data(), outputs[0].pointer.cast::<f32>());
    let out = crate::cpu::threads::Shared::from_pointer(out);
    if sizes.is_depthwise() {
        // SAFETY: the primitive's rule gives these sizes; the planner keeps operands and results apart.
        return Step::new("depthwise", move |_| unsafe {
            depthwise::weight_gradient(features.level(), &sizes.depthwise(), x, dy, out.pointer());
        });
    }
    let (channels, results, taps) = sizes.group();
    Step::new("convolution", move |_| {
        let left = |group: usize| Source::Matrix { data: at(dy, group * results), i_stride: 1, k_stride: sizes.results };
        let right = |group: usize| match sizes.is_pointwise() {
            true => Source::Matrix { data: at(x, group * channels), i_stride: 1, k_stride: sizes.channels },
            false => Source::PatchColumns(sizes.patches(x, group)),
        };
        let product = Product {
            features,
            batch: sizes.groups(),
            m: results,
            n: taps * channels,
            k: sizes.pixels(),
            left: &left,
            right: &right,
            right_shared: sizes.groups() == 1,
            packed: None,
            out: DataMut::F32(out.pointer()),
            out_batch_stride: results * taps * channels,
            out_row_stride: taps * channels,
            accumulate: false,
            epilogue: None,
        };
        // SAFETY: as above.
        unsafe { multiply(&product) };
    })
}

pub(super) fn input_gradient(
    op: &ConvolutionInputGradient,
    inputs: Vec<Operand>,
    outputs: Vec<Operand>,
    features: Features,
) -> Step {
    let sizes = Sizes::new(op.geometry, outputs[0].shape(), inputs[1].shape(), inputs[0].shape());
    let (dy, weight, out) = (inputs[0].data(), inputs[1].data(), outputs[0].data_mut());
    if sizes.is_depthwise() {
        // SAFETY: the primitive's rule gives these sizes; the planner keeps operands and results apart.
        return Step::new("depthwise", move |_| unsafe {
            depthwise::forward(features.level(), &sizes.depthwise_transposed(), dy, weight, true, None, out);
        });
    }
    let (channels, results, taps) = sizes.group();
    let matrix = move |group: usize| Source::Matrix {
        data: at(weight, group * results * taps * channels),
        i_stride: 1,
        k_stride: taps * channels,
    };
    if sizes.is_pointwise() {
        return Step::new("pointwise", move |_| {
            let left = |group: usize| Source::Matrix { data: at(dy, group * results), i_stride: sizes.results, k_stride: 1 };
            let product = Product {
                features,
                batch: sizes.groups(),
                m: sizes.pixels(),
                n: channels,
                k: results,
                left: &left,
                right: &matrix,
                right_shared: sizes.groups() == 1,
                packed: None,
                out,
                out_batch_stride: channels,
                out_row_stride: sizes.channels,
                accumulate: false,
                epilogue: None,
            };
            // SAFETY: as above.
            unsafe { multiply(&product) };
        });
    }
    // Columns of some images at a time: dy times the filters, then every pixel adds the columns that read it.
    Step::new("convolution", move |_| {
        let pixels = sizes.output.0 * sizes.output.1;
        let patch = taps * channels;
        let images = (COLUMN_BYTES / (4 * pixels * patch).max(1)).clamp(1, sizes.batch.max(1));
        let mut columns = Scratch::words(images * pixels * patch);
        let columns: *mut f32 = columns.pointer();
        for first in (0..sizes.batch).step_by(images) {
            let images = images.min(sizes.batch - first);
            for group in 0..sizes.groups() {
                let left = |_: usize| Source::Matrix {
                    data: at(dy, first * pixels * sizes.results + group * results),
                    i_stride: sizes.results,
                    k_stride: 1,
                };
                let right = |_: usize| matrix(group);
                let product = Product {
                    features,
                    batch: 1,
                    m: images * pixels,
                    n: patch,
                    k: results,
                    left: &left,
                    right: &right,
                    right_shared: true,
                    packed: None,
                    out: DataMut::F32(columns),
                    out_batch_stride: 0,
                    out_row_stride: patch,
                    accumulate: false,
                    epilogue: None,
                };
                // SAFETY: as above; the scratch holds the columns of these images.
                unsafe {
                    multiply(&product);
                    fold(features.level(), &sizes.patches(dy, group), columns, first, images, out);
                }
            }
        }
    })
}
