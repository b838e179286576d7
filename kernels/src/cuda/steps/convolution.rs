//! `convolution` and its gradients: 1 x 1 and patches as products of the library, depthwise by direct kernels, the rest as implicit products.

use sward_core::program::DType;
use sward_core::program::Primitive;
use sward_core::scalar::ScalarFunction;
use sward_ops::primitives::{self as op, ConvolutionGeometry};

use super::epilogue::Epilogue;
use super::matmul::{Factor, Way};
use super::movement::StridedCopy;
use super::patches::Patches;
use super::rows::sum_rows;
use super::{Binder, Operand, depthwise, map};
use crate::cuda::device::Arguments;
use crate::cuda::source::Kernel;

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
    fn filled(&self) -> Option<Sizes> {
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
    fn is_wide(&self) -> (bool, bool) {
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

/// Copies between rows of the last axis and rows that are filled up to another length: all of the shorter ones' elements.
fn copy_rows(from: &Operand, to: &Operand, binder: &mut Binder<'_>) -> Result<(), String> {
    let last = |operand: &Operand| *operand.shape().last().expect("an operand of four axes");
    let (source, target) = (last(from), last(to));
    let sizes = vec![from.elements() / source.max(1), source.min(target)];
    let (from_strides, to_strides) = (vec![source as i64, 1], vec![target as i64, 1]);
    let copy =
        StridedCopy { dtype: from.dtype(), sizes, from: from_strides, to: to_strides, source: from.address, target: to.address };
    copy.launch(binder)
}

/// An operand in workspace with so many channels, the further ones 0.
fn filled(operand: &Operand, channels: usize, binder: &mut Binder<'_>) -> Result<Operand, String> {
    let mut tensor_type = operand.tensor_type.clone();
    *tensor_type.shape.last_mut().expect("an operand of four axes") = channels;
    let address = binder.workspace(tensor_type.bytes());
    binder.zero(address, tensor_type.bytes());
    let target = Operand { address, tensor_type };
    copy_rows(operand, &target, binder)?;
    Ok(target)
}

/// An implicit product whose result has so many rows and columns in each of `batch` matrices.
fn implicit(
    function: &str,
    way: Way,
    sizes: &Sizes,
    operands: [&Operand; 2],
    out: &Operand,
    [rows, columns, batch]: [usize; 3],
    binder: &mut Binder<'_>,
) -> Result<(), String> {
    let template: Vec<String> = std::iter::once(way.name().to_string()).chain(types([operands[0], operands[1], out])).collect();
    let [first, second, result] = pointers(operands, out);
    let parameters = [&*first, &*second, &*result, "ConvolutionShape"];
    let function = if way.is_warpgroups() { format!("{function}_warpgroups") } else { function.to_string() };
    let kernel = Kernel::bounded_instance(way.family(), &function, &template, &parameters, way.bounds());
    let arguments =
        Arguments::new().address(operands[0].address).address(operands[1].address).address(out.address).ints(&sizes.words());
    binder.label(way.label());
    binder.launch(kernel, way.grid(rows, columns, batch)?, [256, 1, 1], way.shared(), arguments);
    Ok(())
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
        implicit_forward(sizes, [x, weight], out, binder)?;
        false
    };
    if let Some(epilogue) = epilogue.filter(|_| !is_finished) {
        map::epilogue(epilogue, out, &inputs[2..], binder);
    }
    Ok(())
}

fn implicit_forward(sizes: &Sizes, [x, weight]: [&Operand; 2], out: &Operand, binder: &mut Binder<'_>) -> Result<(), String> {
    if let (Some(wide), DType::BF16, DType::BF16) = (sizes.filled(), x.dtype(), weight.dtype()) {
        let [x, weight] = [filled(x, wide.image[3], binder)?, filled(weight, wide.image[3], binder)?];
        return implicit_forward(&wide, [&x, &weight], out, binder);
    }
    let (depth, shape) = (sizes.taps() * sizes.each().0, [sizes.pixels().1, sizes.each().1, sizes.geometry.groups]);
    let way = Way::of(x.dtype(), weight.dtype(), sizes.is_wide().0, depth.is_multiple_of(8));
    let way = if sizes.is_wide().1 { way.of_convolution(shape, depth, binder.limits) } else { way };
    implicit("convolution", way, sizes, [x, weight], out, shape, binder)
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
    let (wide_channels, wide_results) = sizes.is_wide();
    // Positions of each phase by the strides meet taps of their own, and are products of their own.
    let ([images, height, width, _], (rows, columns)) = (sizes.image, sizes.geometry.stride);
    let pixels = images * height.div_ceil(rows) * width.div_ceil(columns);
    let shape = [pixels, sizes.each().0, sizes.geometry.groups * rows * columns];
    let depth = (sizes.taps() / (rows * columns)).max(1) * sizes.each().1;
    let way = Way::of(dy.dtype(), weight.dtype(), wide_results, wide_channels).of_convolution(shape, depth, binder.limits);
    if !way.is_warpgroups() {
        return implicit("convolution_input_gradient", way, sizes, [dy, weight], dx, shape, binder);
    }
    // Outputs side by side, as the gradient sums over them.
    let turned = Operand { address: binder.workspace(weight.bytes()), tensor_type: weight.tensor_type.clone() };
    let (groups, taps, (each, results)) = (sizes.geometry.groups, sizes.taps(), sizes.each());
    let signed = |strides: [usize; 4]| strides.map(|stride| stride as i64).to_vec();
    let from = signed([results * taps * each, taps * each, each, 1]);
    let to = signed([each * taps * results, 1, results, taps * results]);
    let copy_sizes = vec![groups, results, taps, each];
    let (dtype, source, target) = (weight.dtype(), weight.address, turned.address);
    StridedCopy { dtype, sizes: copy_sizes, from, to, source, target }.launch(binder)?;
    implicit("convolution_input_gradient", way, sizes, [dy, &turned], dx, shape, binder)
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
    implicit_weight_gradient(sizes, x, dy, dweight, binder)
}

fn implicit_weight_gradient(
    sizes: &Sizes,
    x: &Operand,
    dy: &Operand,
    dweight: &Operand,
    binder: &mut Binder<'_>,
) -> Result<(), String> {
    let (wide_channels, wide_results) = sizes.is_wide();
    if let (Some(wide), true, DType::BF16, DType::BF16) = (sizes.filled(), wide_results, x.dtype(), dy.dtype()) {
        let x = filled(x, wide.image[3], binder)?;
        let mut tensor_type = dweight.tensor_type.clone();
        tensor_type.shape[3] = wide.image[3];
        let own = Operand { address: binder.workspace(tensor_type.bytes()), tensor_type };
        implicit_weight_gradient(&wide, &x, dy, &own, binder)?;
        return copy_rows(&own, dweight, binder);
    }
    let pixels = sizes.pixels().1;
    let way = Way::of(dy.dtype(), x.dtype(), wide_results, wide_channels);
    let (channels, results) = sizes.each();
    let (weights, groups) = (sizes.taps() * channels, sizes.geometry.groups);
    // By warpgroup products rows and columns change places: blocks have few rows and as many columns as there are.
    let exchanged = way.of_split_convolution([weights, results], pixels, binder.limits);
    let (way, [rows, columns], function, wanted) = match exchanged.bounds().blocks {
        Some(blocks) => {
            let wanted = binder.limits.multiprocessors * blocks as usize;
            (exchanged, [weights, results], "convolution_weight_gradient_warpgroups", wanted)
        }
        None => (way, [results, weights], "convolution_weight_gradient", WANTED_BLOCKS),
    };
    let [tile_rows, tile_columns] = way.tile();
    let tiles = rows.div_ceil(tile_rows) * columns.div_ceil(tile_columns) * groups;
    let most = (wanted / tiles).clamp(1, 64);
    let splits = pixels.div_ceil(256).clamp(1, most);
    let chunk = pixels.div_ceil(splits).next_multiple_of(64).max(64);
    let splits = pixels.div_ceil(chunk).max(1);
    let target = if splits > 1 { binder.workspace(splits * dweight.bytes()) } else { dweight.address };
    let template = [way.name().to_string(), dy.c_type().to_string(), x.c_type().to_string()];
    let [first, second, result] = pointers([dy, x], dweight);
    let parameters = [&*first, &*second, &*result, "ConvolutionShape", "i64"];
    let kernel = Kernel::bounded_instance(way.family(), function, &template, &parameters, way.bounds());
    let arguments = Arguments::new().address(dy.address).address(x.address).address(target).ints(&sizes.words()).long(chunk);
    binder.label(way.label());
    binder.launch(kernel, way.grid(rows, columns, groups * splits)?, [256, 1, 1], way.shared(), arguments);
    if splits > 1 {
        let elements = dweight.elements();
        sum_rows(target, dweight.address, splits, elements, elements, binder);
    }
    Ok(())
}
