//! `convolution` and its gradients: 1 x 1 as a product of the library, depthwise by direct kernels, the rest as implicit products.

use sward_core::program::Primitive;
use sward_core::scalar::ScalarFunction;
use sward_ops::primitives::{self as op, ConvolutionGeometry};

use super::matmul::{Factor, Way, library_product};
use super::rows::sum_rows;
use super::{Binder, Operand, blocks, map};
use crate::cuda::device::Arguments;
use crate::cuda::source::{Family, Kernel};

/// A convolution's sizes, as every kernel takes them.
struct Sizes {
    image: [usize; 4],
    result: [usize; 4],
    kernel: (usize, usize),
    geometry: ConvolutionGeometry,
}

impl Sizes {
    fn new(image: &Operand, result: &Operand, kernel: (usize, usize), geometry: ConvolutionGeometry) -> Sizes {
        Sizes { image: image.four(), result: result.four(), kernel, geometry }
    }

    /// Words of a `ConvolutionShape` or `DepthwiseShape`.
    fn words(&self) -> Vec<i32> {
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

    /// Channels and results of one group.
    fn each(&self) -> (usize, usize) {
        let groups = self.geometry.groups.max(1);
        (self.image[3] / groups, self.result[3] / groups)
    }

    fn taps(&self) -> usize {
        self.kernel.0 * self.kernel.1
    }

    fn is_depthwise(&self) -> bool {
        self.each().0 == 1 && self.geometry.groups > 1
    }

    /// Whether it is a product of pixels and channels.
    fn is_pointwise(&self) -> bool {
        let ConvolutionGeometry { stride, padding, groups, .. } = self.geometry;
        self.kernel == (1, 1) && stride == (1, 1) && padding == ((0, 0), (0, 0)) && groups == 1
    }

    /// Pixels of the image and of the result.
    fn pixels(&self) -> (usize, usize) {
        (self.image[..3].iter().product(), self.result[..3].iter().product())
    }

    /// Whether channels and results of every group are read in packs of 8.
    fn is_wide(&self) -> (bool, bool) {
        let wide = |each: usize, all: usize| each.is_multiple_of(8) && all.is_multiple_of(8);
        (wide(self.each().0, self.image[3]), wide(self.each().1, self.result[3]))
    }

    /// Neighbouring channels that one thread of a depthwise kernel takes.
    fn pack(&self, operands: [&Operand; 2]) -> usize {
        let has_halves = operands.iter().any(|operand| operand.dtype().bytes() == 2);
        let channels = self.image[3];
        match () {
            () if self.each().1 != 1 => 1,
            () if has_halves && channels.is_multiple_of(8) => 8,
            () if channels.is_multiple_of(4) => 4,
            () => 1,
        }
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

fn factor(operand: &Operand, transposed: bool) -> Factor {
    Factor { address: operand.address, dtype: operand.dtype(), transposed, stride: 0 }
}

fn pointers(operands: [&Operand; 2], out: &Operand) -> [String; 3] {
    [format!("const {}*", operands[0].c_type()), format!("const {}*", operands[1].c_type()), format!("{}*", out.c_type())]
}

fn types(operands: [&Operand; 3]) -> [String; 3] {
    operands.map(|operand| operand.c_type().to_string())
}

/// A depthwise kernel over the elements of `out`.
fn depthwise(function: &str, sizes: &Sizes, operands: [&Operand; 2], out: &Operand, binder: &mut Binder<'_>) {
    let pack = sizes.pack([operands[0], out]);
    let template: Vec<String> = types([operands[0], operands[1], out]).into_iter().chain([pack.to_string()]).collect();
    let [first, second, result] = pointers(operands, out);
    let parameters = [&*first, &*second, &*result, "DepthwiseShape", "i64"];
    let kernel = Kernel::instance(Family::Depthwise, function, &template, &parameters, 256);
    let packs = out.elements() / pack;
    let arguments = Arguments::new()
        .address(operands[0].address)
        .address(operands[1].address)
        .address(out.address)
        .ints(&sizes.words())
        .long(packs);
    binder.label("depthwise");
    binder.launch_each(kernel, packs, arguments);
}

/// An implicit product whose result has so many rows and columns in each group.
fn implicit(
    function: &str,
    way: Way,
    sizes: &Sizes,
    operands: [&Operand; 2],
    out: &Operand,
    [rows, columns]: [usize; 2],
    binder: &mut Binder<'_>,
) -> Result<(), String> {
    let template: Vec<String> = std::iter::once(way.name().to_string()).chain(types([operands[0], operands[1], out])).collect();
    let [first, second, result] = pointers(operands, out);
    let parameters = [&*first, &*second, &*result, "ConvolutionShape"];
    let kernel = Kernel::instance(Family::Product, function, &template, &parameters, 256);
    let arguments =
        Arguments::new().address(operands[0].address).address(operands[1].address).address(out.address).ints(&sizes.words());
    binder.label("implicit product");
    binder.launch(kernel, way.grid(rows, columns, sizes.geometry.groups)?, [256, 1, 1], way.shared(), arguments);
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
    let pixels = sizes.pixels().1;
    let library = sizes
        .is_pointwise()
        .then(|| {
            let shape = [pixels, sizes.image[3], sizes.result[3]];
            library_product(factor(x, false), factor(weight, true), (out.address, out.dtype()), shape, 1)
        })
        .flatten();
    if let Some(product) = library {
        binder.label("cublasLt");
        binder.product(product);
    } else if sizes.is_depthwise() {
        depthwise("depthwise", sizes, [x, weight], out, binder);
    } else {
        let depth = sizes.taps() * sizes.each().0;
        let way = Way::of(x.dtype(), weight.dtype(), sizes.is_wide().0, depth.is_multiple_of(8));
        implicit("convolution", way, sizes, [x, weight], out, [pixels, sizes.each().1], binder)?;
    }
    if let Some(epilogue) = epilogue {
        map::epilogue(epilogue, out, &inputs[2..], binder);
    }
    Ok(())
}

fn input_gradient(sizes: &Sizes, dy: &Operand, weight: &Operand, dx: &Operand, binder: &mut Binder<'_>) -> Result<(), String> {
    if dx.elements() == 0 {
        return Ok(());
    }
    let pixels = sizes.pixels().0;
    let library = sizes
        .is_pointwise()
        .then(|| {
            let shape = [pixels, sizes.result[3], sizes.image[3]];
            library_product(factor(dy, false), factor(weight, false), (dx.address, dx.dtype()), shape, 1)
        })
        .flatten();
    if let Some(product) = library {
        binder.label("cublasLt");
        binder.product(product);
        return Ok(());
    }
    if sizes.is_depthwise() {
        depthwise("depthwise_input_gradient", sizes, [dy, weight], dx, binder);
        return Ok(());
    }
    let (wide_channels, wide_results) = sizes.is_wide();
    let way = Way::of(dy.dtype(), weight.dtype(), wide_results, wide_channels);
    implicit("convolution_input_gradient", way, sizes, [dy, weight], dx, [pixels, sizes.each().0], binder)
}

/// Blocks that fill a large GPU a few times over.
const WANTED_BLOCKS: usize = 512;

fn weight_gradient(sizes: &Sizes, x: &Operand, dy: &Operand, dweight: &Operand, binder: &mut Binder<'_>) -> Result<(), String> {
    if dweight.elements() == 0 {
        return Ok(());
    }
    let pixels = sizes.pixels().1;
    if sizes.is_pointwise() {
        let shape = [sizes.result[3], pixels, sizes.image[3]];
        let product = library_product(factor(dy, true), factor(x, false), (dweight.address, dweight.dtype()), shape, 1);
        if let Some(product) = product {
            binder.label("cublasLt");
            binder.product(product);
            return Ok(());
        }
    }
    if sizes.is_depthwise() {
        depthwise_weight_gradient(sizes, x, dy, dweight, binder);
        return Ok(());
    }
    let (wide_channels, wide_results) = sizes.is_wide();
    let way = Way::of(dy.dtype(), x.dtype(), wide_results, wide_channels);
    let (channels, results) = sizes.each();
    let columns = sizes.taps() * channels;
    let groups = sizes.geometry.groups;
    let tiles = results.div_ceil(way.tile()) * columns.div_ceil(way.tile()) * groups;
    let most = (WANTED_BLOCKS / tiles).clamp(1, 64);
    let splits = pixels.div_ceil(256).clamp(1, most);
    let chunk = pixels.div_ceil(splits).next_multiple_of(32).max(32);
    let splits = pixels.div_ceil(chunk).max(1);
    let target = if splits > 1 { binder.workspace(splits * dweight.bytes()) } else { dweight.address };
    let template = [way.name().to_string(), dy.c_type().to_string(), x.c_type().to_string()];
    let [first, second, result] = pointers([dy, x], dweight);
    let parameters = [&*first, &*second, &*result, "ConvolutionShape", "i64"];
    let kernel = Kernel::instance(Family::Product, "convolution_weight_gradient", &template, &parameters, 256);
    let arguments = Arguments::new().address(dy.address).address(x.address).address(target).ints(&sizes.words()).long(chunk);
    binder.label("implicit product");
    binder.launch(kernel, way.grid(results, columns, groups * splits)?, [256, 1, 1], way.shared(), arguments);
    if splits > 1 {
        let elements = dweight.elements();
        sum_rows(target, dweight.address, splits, elements, elements, binder);
    }
    Ok(())
}

fn depthwise_weight_gradient(sizes: &Sizes, x: &Operand, dy: &Operand, dweight: &Operand, binder: &mut Binder<'_>) {
    let rows = sizes.result[0] * sizes.result[1];
    let tiles = sizes.result[3].div_ceil(32) * sizes.kernel.0;
    let chunks = rows.clamp(1, (2 * WANTED_BLOCKS / tiles).clamp(1, 256));
    let chunk = rows.div_ceil(chunks).max(1);
    let chunks = rows.div_ceil(chunk).max(1);
    let target = if chunks > 1 { binder.workspace(chunks * dweight.bytes()) } else { dweight.address };
    let width = sizes.kernel.1.min(8);
    let template = [dy.c_type().to_string(), x.c_type().to_string(), width.to_string()];
    let [first, second, result] = pointers([dy, x], dweight);
    let parameters = [&*first, &*second, &*result, "DepthwiseShape", "int"];
    let kernel = Kernel::instance(Family::Depthwise, "depthwise_weight_gradient", &template, &parameters, 256);
    let arguments = Arguments::new().address(dy.address).address(x.address).address(target).ints(&sizes.words()).int(chunk);
    binder.label("depthwise");
    let grid = [blocks(sizes.result[3], 32), sizes.kernel.0 as u32, chunks as u32];
    binder.launch(kernel, grid, [32, 8, 1], 0, arguments);
    if chunks > 1 {
        let elements = dweight.elements();
        sum_rows(target, dweight.address, chunks, elements, elements, binder);
    }
}
