//! `convolution` and its gradients: 1 x 1 and patches as products of the library, depthwise by direct kernels, the rest as implicit products.

use sward_core::program::Primitive;
use sward_core::scalar::ScalarFunction;
use sward_ops::primitives::{self as op, ConvolutionGeometry};

use super::epilogue::Epilogue;
use super::matmul::Factor;
use super::patches::Patches;
use super::{Binder, Operand, depthwise, implicit, map};

/// A convolution's sizes, as every kernel takes them.
pub(super) struct Sizes {
    pub image: [usize; 4],
    pub result: [usize; 4],
    pub kernel: (usize, usize),
    pub geometry: ConvolutionGeometry,
}

impl Sizes {
    fn new(image: &Operand, result: &Operand, kernel: (usize, usize), geometry: ConvolutionGeometry) -> Sizes {
        Sizes { image: image.four(), result: result.four(), kernel, geometry }
    }

    /// Words of a `ConvolutionShape` or `DepthwiseShape`.
    pub(super) fn words(&self) -> Vec<i32> {
        let ConvolutionGeometry { stride, padding, dilation, groups } = self.geometry;
        let ([batch, height, width, channels], [_, out_height, out_width, outputs]) = (self.image, self.result);
        let words = [
            height,
            width,
            channels,
            out_height,
            out_width,
            outputs,
            self.kernel.0,
            self.kernel.1,
            stride.0,
            stride.1,
            padding.0.0,
            padding.1.0,
            dilation.0,
            dilation.1,
            groups,
            batch,
        ];
        words.map(|word| word as i32).to_vec()
    }

    /// The same convolution of an image whose channels are filled up with zeros to packs of 8. `None` where they come in packs as they are, or are
    /// several groups'.
    pub(super) fn filled(&self) -> Option<Sizes> {
        let [images, height, width, channels] = self.image;
        let is_filled = self.geometry.groups != 1 || channels.is_multiple_of(8);
        let image = [images, height, width, channels.next_multiple_of(8)];
        (!is_filled).then_some(Sizes { image, ..*self })
    }

    /// Channels and results of one group.
    pub(super) fn each(&self) -> (usize, usize) {
        let groups = self.geometry.groups.max(1);
        (self.image[3] / groups, self.result[3] / groups)
    }

    pub(super) fn taps(&self) -> usize {
        self.kernel.0 * self.kernel.1
    }

    fn is_depthwise(&self) -> bool {
        self.each().0 == 1 && self.geometry.groups > 1
    }

    /// Pixels of the image and of the result.
    pub(super) fn pixels(&self) -> (usize, usize) {
        (self.image[..3].iter().product(), self.result[..3].iter().product())
    }

    /// Whether channels and results of every group are read in packs of 8.
    pub(super) fn is_wide(&self) -> (bool, bool) {
        let wide = |each: usize, all: usize| each.is_multiple_of(8) && all.is_multiple_of(8);
        (wide(self.each().0, self.image[3]), wide(self.each().1, self.result[3]))
    }
}

/// Binds a convolution or one of its gradients.
pub(super) fn bind(
    primitive: &dyn Primitive,
    inputs: &[Operand],
    outputs: &[Operand],
    binder: &mut Binder<'_>,
) -> Result<bool, String> {
    let out = &outputs[0];
    if let Some(op) = primitive.downcast::<op::Convolution>() {
        let weight = inputs[1].four();
        let sizes = Sizes::new(&inputs[0], out, (weight[1], weight[2]), op.geometry);
        forward(&sizes, op.epilogue.as_ref(), inputs, out, binder)?;
    } else if let Some(op) = primitive.downcast::<op::ConvolutionInputGradient>() {
        let weight = inputs[1].four();
        let sizes = Sizes::new(out, &inputs[0], (weight[1], weight[2]), op.geometry);
        input_gradient(&sizes, &inputs[0], &inputs[1], out, binder)?;
    } else if let Some(op) = primitive.downcast::<op::ConvolutionWeightGradient>() {
        let sizes = Sizes::new(&inputs[0], &inputs[1], op.kernel, op.geometry);
        weight_gradient(&sizes, &inputs[0], &inputs[1], out, binder)?;
    } else {
        return Ok(false);
    }
    Ok(true)
}

pub(super) fn factor(operand: &Operand, transposed: bool) -> Factor {
    Factor { address: operand.address, dtype: operand.dtype(), transposed, stride: 0 }
}

pub(super) fn pointers(operands: [&Operand; 2], out: &Operand) -> [String; 3] {
    [format!("const {}*", operands[0].c_type()), format!("const {}*", operands[1].c_type()), format!("{}*", out.c_type())]
}

pub(super) fn types(operands: [&Operand; 3]) -> [String; 3] {
    operands.map(|operand| operand.c_type().to_string())
}

fn forward(
    sizes: &Sizes,
    epilogue: Option<&ScalarFunction>,
    inputs: &[Operand],
    out: &Operand,
    binder: &mut Binder<'_>,
) -> Result<(), String> {
    if out.elements() == 0 {
        return Ok(());
    }
    let (x, weight) = (&inputs[0], &inputs[1]);
    let joined = epilogue.and_then(|epilogue| Epilogue::of(epilogue, out, &inputs[2..]));
    let product = match Patches::of(sizes) {
        Some(patches) => patches.forward([x, weight], joined, out, binder)?,
        None => None,
    };
    let is_finished = if let Some(is_finished) = product {
        is_finished
    } else if sizes.is_depthwise() {
        depthwise::forward(sizes, [x, weight], joined, out, binder)
    } else {
        implicit::forward(sizes, [x, weight], out, binder)?;
        false
    };
    if let Some(epilogue) = epilogue.filter(|_| !is_finished) {
        map::epilogue(epilogue, out, &inputs[2..], binder);
    }
    Ok(())
}

fn input_gradient(sizes: &Sizes, dy: &Operand, weight: &Operand, dx: &Operand, binder: &mut Binder<'_>) -> Result<(), String> {
    if dx.elements() == 0 {
        return Ok(());
    }
    if let Some(patches) = Patches::of(sizes)
        && patches.input_gradient([dy, weight], dx, binder)?
    {
        return Ok(());
    }
    if sizes.is_depthwise() {
        depthwise::input_gradient(sizes, [dy, weight], dx, binder);
        return Ok(());
    }
    implicit::input_gradient(sizes, dy, weight, dx, binder)
}

/// Blocks that fill a large GPU a few times over.
pub(super) const WANTED_BLOCKS: usize = 512;

fn weight_gradient(sizes: &Sizes, x: &Operand, dy: &Operand, dweight: &Operand, binder: &mut Binder<'_>) -> Result<(), String> {
    if dweight.elements() == 0 {
        return Ok(());
    }
    if let Some(patches) = Patches::of(sizes)
        && patches.weight_gradient([x, dy], dweight, binder)?
    {
        return Ok(());
    }
    if sizes.is_depthwise() {
        depthwise::weight_gradient(sizes, x, dy, dweight, binder);
        return Ok(());
    }
    implicit::weight_gradient(sizes, x, dy, dweight, binder)
}
