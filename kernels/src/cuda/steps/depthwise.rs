//! Depthwise convolutions and their gradients: by strips in registers where they move by one (`depthwise_strips.cu`), else one thread for a few
//! neighbouring channels of a position (`depthwise.cu`).

use sward_ops::primitives::ConvolutionGeometry;

use super::convolution::{Sizes, WANTED_BLOCKS, pointers, types};
use super::epilogue::Epilogue;
use super::rows::sum_rows;
use super::{Binder, Operand, blocks};
use crate::cuda::device::Arguments;
use crate::cuda::source::{Bounds, Family, Kernel};

/// The largest kernel that lies in a thread's registers, along each axis.
const LARGEST_KERNEL: usize = 7;

/// Blocks of the strips' kernels: four warps, and 128 of a multiprocessor's registers for each thread.
const STRIP_BOUNDS: Bounds = Bounds { threads: 128, blocks: Some(4) };

/// Warps of them that the 132 multiprocessors of an H100 or H200 hold at once.
const WARPS_AT_ONCE: usize = 132 * 16;

/// How a convolution of stride 1 is cut into strips, each walked by one warp.
struct Strips {
    kernel: (usize, usize),
    channels: usize,
    /// Columns of a strip.
    columns: usize,
    /// Rows that one warp walks at most.
    chunk: usize,
    /// The image that is read and the one that is written, as (height, width).
    from: (usize, usize),
    to: (usize, usize),
    /// Zeros above and before the image that is read.
    padding: (usize, usize),
    images: usize,
}

impl Strips {
    /// Cuts the convolution, or with `is_turned` its gradient in the image. `None` where the kernels do not take it, or too few lanes would work.
    fn of(sizes: &Sizes, is_turned: bool) -> Option<Strips> {
        let ConvolutionGeometry { stride, padding: (rows, columns), dilation, .. } = sizes.geometry;
        let kernel = sizes.kernel;
        let channels = sizes.image[3];
        let overlaps = |kernel: usize, (before, after): (usize, usize)| before < kernel && after < kernel;
        let is_small = kernel.0 <= LARGEST_KERNEL && kernel.1 <= LARGEST_KERNEL;
        let fills_lanes = 2 * channels >= channels.next_multiple_of(32);
        let fits = stride == (1, 1) && dilation == (1, 1) && sizes.each().1 == 1 && is_small && fills_lanes;
        if !fits || !overlaps(kernel.0, rows) || !overlaps(kernel.1, columns) {
            return None;
        }
        let (image, result) = ((sizes.image[1], sizes.image[2]), (sizes.result[1], sizes.result[2]));
        let (from, to, padding) = match is_turned {
            false => (image, result, (rows.0, columns.0)),
            true => (result, image, (kernel.0 - 1 - rows.0, kernel.1 - 1 - columns.0)),
        };
        let mut strips = Strips { kernel, channels, columns: 0, chunk: to.0, from, to, padding, images: sizes.image[0] };
        // Wider strips read fewer columns twice; they have to fit into registers and not to reach far beyond the image.
        let widths: &[usize] = if sizes.taps() <= 25 { &[8, 7, 4] } else { &[7, 4] };
        let instructions = |columns: usize| {
            let row = sizes.taps() * columns + 3 * (columns + kernel.1 - 1) + 3 * columns + 20;
            to.1.div_ceil(columns) * row
        };
        strips.columns = widths.iter().copied().min_by_key(|columns| instructions(*columns)).expect("there are widths");
        // Where whole columns leave the device idle, several warps share one.
        let warps = strips.items() * strips.groups();
        let most = to.0.div_ceil(kernel.0);
        strips.chunk = to.0.div_ceil((WARPS_AT_ONCE / warps.max(1)).clamp(1, most.max(1))).max(1);
        i32::try_from(strips.items()).is_ok().then_some(strips)
    }

    /// Blocks of 32 channels.
    fn groups(&self) -> usize {
        self.channels.div_ceil(32)
    }

    /// Strips of all images.
    fn items(&self) -> usize {
        self.images * self.to.0.div_ceil(self.chunk) * self.to.1.div_ceil(self.columns)
    }

    /// Words of a `StripShape`.
    fn words(&self) -> Vec<i32> {
        let (columns, chunks) = (self.to.1.div_ceil(self.columns), self.to.0.div_ceil(self.chunk));
        let images = [self.from.0, self.from.1, self.to.0, self.to.1, self.padding.0, self.padding.1];
        let rows = [self.from.1, self.to.1].map(|width| width * self.channels);
        images.into_iter().chain(rows).chain([columns, chunks, self.chunk, self.items()]).map(|word| word as i32).collect()
    }

    /// The template's sizes.
    fn template(&self) -> [String; 4] {
        [self.kernel.0, self.kernel.1, self.columns, self.channels].map(|size| size.to_string())
    }

    /// The convolution, or with `is_turned` its gradient in the image.
    fn convolve(
        &self,
        [x, weight]: [&Operand; 2],
        bias: Option<&Operand>,
        out: &Operand,
        is_turned: bool,
        binder: &mut Binder<'_>,
    ) {
        let bias_type = bias.map_or("float", Operand::c_type);
        let flags = [is_turned, bias.is_some()].map(|flag| u8::from(flag).to_string());
        let template: Vec<String> = [x.c_type(), weight.c_type(), bias_type, out.c_type()]
            .into_iter()
            .map(str::to_string)
            .chain(self.template())
            .chain(flags)
            .collect();
        let [first, second, result] = pointers([x, weight], out);
        let parameters = [&*first, &*second, &*format!("const {bias_type}*"), &*result, "StripShape"];
        let kernel = Kernel::bounded_instance(Family::Depthwise, "depthwise_strips", &template, &parameters, STRIP_BOUNDS);
        let arguments = Arguments::new()
            .address(x.address)
            .address(weight.address)
            .address(bias.map_or(0, |bias| bias.address))
            .address(out.address)
            .ints(&self.words());
        binder.label("depthwise by strips");
        let grid = [blocks(self.items().div_ceil(4) * self.groups(), 1), 1, 1];
        binder.launch(kernel, grid, [STRIP_BOUNDS.threads, 1, 1], 0, arguments);
    }

    fn weight_gradient(&self, x: &Operand, dy: &Operand, dweight: &Operand, binder: &mut Binder<'_>) {
        // As many blocks as run at once, with as many strips each.
        let rounds = (self.items() * self.groups()).div_ceil(WARPS_AT_ONCE).max(1);
        let parts = self.items().div_ceil(4 * rounds).max(1);
        let target = if parts > 1 { binder.workspace(parts * dweight.bytes()) } else { dweight.address };
        let template: Vec<String> = [dy.c_type(), x.c_type()].into_iter().map(str::to_string).chain(self.template()).collect();
        let [first, second, _] = pointers([dy, x], dweight);
        let parameters = [&*first, &*second, "float*", "StripShape"];
        let function = "depthwise_strips_weight_gradient";
        let kernel = Kernel::bounded_instance(Family::Depthwise, function, &template, &parameters, STRIP_BOUNDS);
        let arguments = Arguments::new().address(dy.address).address(x.address).address(target).ints(&self.words());
        binder.label("depthwise by strips");
        binder.launch(kernel, [blocks(parts * self.groups(), 1), 1, 1], [STRIP_BOUNDS.threads, 1, 1], 0, arguments);
        if parts > 1 {
            let elements = dweight.elements();
            sum_rows(target, dweight.address, parts, elements, elements, binder);
        }
    }
}

/// The convolution, and its epilogue where that is a bias: whether it did.
pub(super) fn forward(
    sizes: &Sizes,
    [x, weight]: [&Operand; 2],
    epilogue: Option<Epilogue<'_>>,
    out: &Operand,
    binder: &mut Binder<'_>,
) -> bool {
    let Some(strips) = Strips::of(sizes, false) else {
        positions("depthwise", sizes, [x, weight], out, binder);
        return false;
    };
    let is_bias = |epilogue: &Epilogue<'_>| epilogue.whole.is_none() && epilogue.activation.is_none();
    let bias = epilogue.filter(is_bias).and_then(|epilogue| epilogue.bias);
    strips.convolve([x, weight], bias, out, false, binder);
    bias.is_some()
}

/// The gradient in the image.
pub(super) fn input_gradient(sizes: &Sizes, [dy, weight]: [&Operand; 2], dx: &Operand, binder: &mut Binder<'_>) {
    match Strips::of(sizes, true) {
        Some(strips) => strips.convolve([dy, weight], None, dx, true, binder),
        None => positions("depthwise_input_gradient", sizes, [dy, weight], dx, binder),
    }
}

/// The gradient in the weight.
pub(super) fn weight_gradient(sizes: &Sizes, x: &Operand, dy: &Operand, dweight: &Operand, binder: &mut Binder<'_>) {
    match Strips::of(sizes, false) {
        Some(strips) => strips.weight_gradient(x, dy, dweight, binder),
        None => weight_gradient_of_positions(sizes, x, dy, dweight, binder),
    }
}

/// Neighbouring channels that one thread of a depthwise kernel takes.
fn pack(sizes: &Sizes, operands: [&Operand; 2]) -> usize {
    let has_halves = operands.iter().any(|operand| operand.dtype().bytes() == 2);
    let channels = sizes.image[3];
    match () {
        () if sizes.each().1 != 1 => 1,
        () if has_halves && channels.is_multiple_of(8) => 8,
        () if channels.is_multiple_of(4) => 4,
        () => 1,
    }
}

/// A depthwise kernel over the elements of `out`.
fn positions(function: &str, sizes: &Sizes, operands: [&Operand; 2], out: &Operand, binder: &mut Binder<'_>) {
    let pack = pack(sizes, [operands[0], out]);
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

fn weight_gradient_of_positions(sizes: &Sizes, x: &Operand, dy: &Operand, dweight: &Operand, binder: &mut Binder<'_>) {
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
