//! `softmax`, `layer_norm` and their gradients.

use sward_core::program::{DType, Primitive};
use sward_ops::primitives as op;

use super::{Binder, Operand, blocks};
use crate::cuda::device::Arguments;
use crate::cuda::source::{Family, Kernel};

/// Threads for one row, and what each reads at once.
struct RowShape {
    width: usize,
    rows: usize,
    lanes: usize,
    pack: usize,
}

impl RowShape {
    fn of(x: &Operand, operands: &[&Operand]) -> RowShape {
        let width = *x.shape().last().expect("the primitive's rule gives a last axis");
        let rows = x.elements() / width.max(1);
        let has_halves = operands.iter().any(|operand| operand.dtype() == DType::BF16);
        let pack = match width {
            512.. if has_halves && width.is_multiple_of(8) => 8,
            128.. if width.is_multiple_of(4) => 4,
            64.. if width.is_multiple_of(2) => 2,
            _ => 1,
        };
        let lanes = match width {
            0..=1024 => 32,
            1025..=8192 => 256,
            _ => 1024,
        };
        RowShape { width, rows, lanes, pack }
    }

    fn threads(&self) -> u32 {
        if self.lanes == 32 { 128 } else { self.lanes as u32 }
    }

    /// Blocks for so many groups of lanes.
    fn blocks(&self, groups: usize) -> u32 {
        blocks(groups, if self.lanes == 32 { 4 } else { 1 })
    }

    fn template(&self, types: &[&str], flags: &[bool]) -> Vec<String> {
        let sizes = [self.width, self.lanes, self.pack].map(|size| size.to_string());
        let types = types.iter().map(|name| (*name).to_string());
        types.chain(sizes).chain(flags.iter().map(|flag| u8::from(*flag).to_string())).collect()
    }
}

/// How norms spread rows over threads; see `norms.cu`.
struct NormShape {
    width: usize,
    rows: usize,
    /// Threads of a row: a power of two up to a warp, else whole warps.
    lanes: usize,
    /// Neighbours that a thread reads at once.
    pack: usize,
    /// Rows of a thread that are on their way together.
    at_once: usize,
}

/// Multiprocessors of a large GPU, and the threads that each holds with 128 registers.
const MULTIPROCESSORS: usize = 132;
const RESIDENT_THREADS: usize = 512;

impl NormShape {
    /// For a kernel that reads these operands, the first of them as x, and `most` rows at once: as many as registers suffice for.
    fn of(operands: &[&Operand], most: usize) -> NormShape {
        let x = operands[0];
        let width = *x.shape().last().expect("the primitive's rule gives a last axis");
        let rows = x.elements() / width.max(1);
        let widest = if operands.iter().any(|operand| operand.dtype() == DType::BF16) { 8 } else { 4 };
        let pack = [8, 4, 2].into_iter().find(|pack| *pack <= widest && width.is_multiple_of(*pack)).unwrap_or(1);
        let packs = width.div_ceil(pack).max(1);
        let lanes = match packs {
            0..=32 => packs.next_power_of_two(),
            _ => packs.div_ceil(packs.div_ceil(if packs <= 1024 { 256 } else { 1024 })).next_multiple_of(32),
        };
        let elements = width.div_ceil(lanes * pack).max(1) * pack;
        let registers = elements * operands.iter().map(|operand| operand.dtype().bytes()).sum::<usize>() / 4;
        let at_once = if lanes > 256 { 1 } else { (32 / elements.max(registers)).clamp(1, most) };
        NormShape { width, rows, lanes, pack, at_once }
    }

    fn threads(&self) -> u32 {
        if self.lanes <= 32 { 128 } else { self.lanes as u32 }
    }

    /// Blocks of a multiprocessor.
    fn resident(&self) -> usize {
        (RESIDENT_THREADS / self.threads() as usize).max(1)
    }

    /// Blocks that take the rows in turns: no more than there is work for, and no more than a large GPU holds at once.
    fn blocks(&self) -> usize {
        let rows_of_block = self.threads() as usize / self.lanes * self.at_once;
        self.rows.div_ceil(rows_of_block).min(MULTIPROCESSORS * self.resident())
    }

    /// An instance whose registers let that many blocks be there at once.
    fn kernel(&self, function: &str, template: &[String], parameters: &[&str]) -> Kernel {
        let mut kernel = Kernel::instance(Family::Rows, function, template, parameters, self.threads());
        let bounds = format!("__launch_bounds__({}", self.threads());
        kernel.code = kernel.code.replacen(&bounds, &format!("{bounds}, {}", self.resident()), 1);
        kernel
    }

    fn template(&self, types: &[&str], flags: &[bool]) -> Vec<String> {
        let sizes = [self.width, self.lanes, self.pack, self.at_once].map(|size| size.to_string());
        let types = types.iter().map(|name| (*name).to_string());
        types.chain(sizes).chain(flags.iter().map(|flag| u8::from(*flag).to_string())).collect()
    }
}

/// Binds a primitive that works on rows.
pub(super) fn bind(
    primitive: &dyn Primitive,
    inputs: &[Operand],
    outputs: &[Operand],
    binder: &mut Binder<'_>,
) -> Result<bool, String> {
    if let Some(op) = primitive.downcast::<op::Softmax>() {
        softmax(op, inputs, outputs, binder);
    } else if let Some(op) = primitive.downcast::<op::SoftmaxGradient>() {
        softmax_gradient(op, inputs, outputs, binder);
    } else if let Some(op) = primitive.downcast::<op::LayerNorm>() {
        layer_norm(op, inputs, outputs, binder);
    } else if let Some(op) = primitive.downcast::<op::LayerNormGradient>() {
        layer_norm_gradient(op, inputs, outputs, binder);
    } else {
        return Ok(false);
    }
    Ok(true)
}

fn softmax(op: &op::Softmax, inputs: &[Operand], outputs: &[Operand], binder: &mut Binder<'_>) {
    let (x, y) = (&inputs[0], &outputs[0]);
    let shape = RowShape::of(x, &[x, y]);
    if shape.width == 0 {
        return;
    }
    let parameters = [&*format!("const {}*", x.c_type()), &*format!("{}*", y.c_type()), "i64"];
    let template = shape.template(&[x.c_type(), y.c_type()], &[op.log]);
    let kernel = Kernel::instance(Family::Rows, "softmax", &template, &parameters, shape.threads());
    let arguments = Arguments::new().address(x.address).address(y.address).long(shape.rows);
    binder.launch(kernel, [shape.blocks(shape.rows), 1, 1], [shape.threads(), 1, 1], 0, arguments);
}

fn softmax_gradient(op: &op::SoftmaxGradient, inputs: &[Operand], outputs: &[Operand], binder: &mut Binder<'_>) {
    let (dy, y, dx) = (&inputs[0], &inputs[1], &outputs[0]);
    let shape = RowShape::of(dy, &[dy, y]);
    if shape.width == 0 {
        return;
    }
    let (d, t) = (format!("const {}*", dy.c_type()), format!("const {}*", y.c_type()));
    let parameters = [&*d, &*t, &*format!("{}*", dx.c_type()), "i64"];
    let template = shape.template(&[dy.c_type(), y.c_type()], &[op.log]);
    let kernel = Kernel::instance(Family::Rows, "softmax_gradient", &template, &parameters, shape.threads());
    let arguments = Arguments::new().address(dy.address).address(y.address).address(dx.address).long(shape.rows);
    binder.launch(kernel, [shape.blocks(shape.rows), 1, 1], [shape.threads(), 1, 1], 0, arguments);
}

fn layer_norm(op: &op::LayerNorm, inputs: &[Operand], outputs: &[Operand], binder: &mut Binder<'_>) {
    let (x, y) = (&inputs[0], &outputs[0]);
    let weight = op.weight.then(|| &inputs[1]);
    let bias = op.bias.then(|| &inputs[inputs.len() - 1]);
    let shape = NormShape::of(&[x], 4);
    if shape.width == 0 {
        // A row without elements has a mean of nothing.
        return empty_statistics(op, outputs, binder);
    }
    let parameter = weight.map_or("float", Operand::c_type);
    let bias_type = bias.map_or("float", Operand::c_type);
    let p = format!("const {parameter}*");
    let b = format!("const {bias_type}*");
    let parameters =
        [&*format!("const {}*", x.c_type()), &*p, &*b, &*format!("{}*", y.c_type()), "float*", "float*", "float", "i64"];
    let template = shape.template(&[x.c_type(), parameter, bias_type], &[op.centered, op.weight, op.bias]);
    let kernel = shape.kernel("layer_norm", &template, &parameters);
    let address = |operand: Option<&Operand>| operand.map_or(0, |operand| operand.address);
    let arguments = Arguments::new()
        .address(x.address)
        .address(address(weight))
        .address(address(bias))
        .address(y.address)
        .address(outputs[1].address)
        .address(outputs[2].address)
        .float(op.epsilon as f32)
        .long(shape.rows);
    binder.launch(kernel, [shape.blocks() as u32, 1, 1], [shape.threads(), 1, 1], 0, arguments);
}

/// Mean and rstd of rows of no elements: NaN, as their reference has them.
fn empty_statistics(op: &op::LayerNorm, outputs: &[Operand], binder: &mut Binder<'_>) {
    let means = if op.centered { f32::NAN } else { 0.0 };
    for (output, value) in [(&outputs[1], means), (&outputs[2], f32::NAN)] {
        let bits = i64::from(value.to_bits());
        let kernel = Kernel::instance(Family::Movement, "fill", &["u32".to_string()], &["u32*", "i64", "i64"], 256);
        let arguments = Arguments::new().address(output.address).long(bits as usize).long(output.elements());
        binder.launch_each(kernel, output.elements(), arguments);
    }
}

fn layer_norm_gradient(op: &op::LayerNormGradient, inputs: &[Operand], outputs: &[Operand], binder: &mut Binder<'_>) {
    let (dy, x, dx) = (&inputs[0], &inputs[1], &outputs[0]);
    let weight = op.weight.then(|| &inputs[2]);
    let (mean, rstd) = (&inputs[inputs.len() - 2], &inputs[inputs.len() - 1]);
    let shape = NormShape::of(&[x, dy], 3);
    if shape.width == 0 {
        return;
    }
    let sums = usize::from(op.weight_gradient) + usize::from(op.bias_gradient);
    let blocks = shape.blocks();
    let parts = binder.workspace(blocks * sums * shape.width * 4);
    let parameter = weight.map_or("float", Operand::c_type);
    let (d, t, p) = (format!("const {}*", dy.c_type()), format!("const {}*", x.c_type()), format!("const {parameter}*"));
    let parameters = [&*d, &*t, &*p, "const float*", "const float*", &*format!("{}*", dx.c_type()), "float*", "i64"];
    let flags = [op.centered, op.weight, op.weight_gradient, op.bias_gradient];
    let template = shape.template(&[x.c_type(), dy.c_type(), parameter], &flags);
    let kernel = shape.kernel("layer_norm_gradient", &template, &parameters);
    let arguments = Arguments::new()
        .address(dy.address)
        .address(x.address)
        .address(weight.map_or(0, |weight| weight.address))
        .address(mean.address)
        .address(rstd.address)
        .address(dx.address)
        .address(parts)
        .long(shape.rows);
    binder.launch(kernel, [blocks as u32, 1, 1], [shape.threads(), 1, 1], 0, arguments);
    if let [first, rest @ ..] = &outputs[1..] {
        let second = rest.first().map_or(0, |sum| sum.address);
        sum_row_pairs(parts, [first.address, second], blocks, sums * shape.width, shape.width, binder);
    }
}

/// Rows that one thread adds up where there are many columns.
const FEW_ROWS: usize = 64;
/// Columns that are many.
const MANY_COLUMNS: usize = 1 << 15;

/// The sum of `count` rows of f32, `stride` elements apart; there is at least one.
pub(super) fn sum_rows(parts: u64, to: u64, count: usize, stride: usize, width: usize, binder: &mut Binder<'_>) {
    if count <= FEW_ROWS && width >= MANY_COLUMNS {
        let pack = if width.is_multiple_of(4) && stride.is_multiple_of(4) { 4 } else { 1 };
        let parameters = ["const float*", "float*", "i64", "i64", "i64"];
        let kernel = Kernel::instance(Family::Rows, "sum_few_rows", &[pack.to_string()], &parameters, 256);
        let arguments = Arguments::new().address(parts).address(to).long(count).long(stride).long(width);
        return binder.launch_each(kernel, width / pack, arguments);
    }
    launch_sums(parts, [to, 0], count, stride, [width, width], binder);
}

/// The same where rows of `stride` elements hold one sum of `width`, or two of them, for two places.
fn sum_row_pairs(parts: u64, to: [u64; 2], count: usize, stride: usize, width: usize, binder: &mut Binder<'_>) {
    launch_sums(parts, to, count, stride, [width, stride], binder);
}

fn launch_sums(parts: u64, to: [u64; 2], count: usize, stride: usize, [width, columns]: [usize; 2], binder: &mut Binder<'_>) {
    let parameters = ["const float*", "float*", "float*", "i64", "i64", "i64", "i64"];
    let kernel = Kernel::instance(Family::Rows, "sum_rows", &[], &parameters, 1024);
    let [first, second] = to;
    let arguments =
        Arguments::new().address(parts).address(first).address(second).long(count).long(stride).long(width).long(columns);
    binder.launch(kernel, [blocks(columns, 32), 1, 1], [32, 32, 1], 0, arguments);
}
