//! `reduce` and `map_reduce`: the value is generated, the trees are those of `reduce.cuh`.

use std::fmt::Write;

use sward_core::program::DType;
use sward_core::scalar::{LinearProgram, ScalarFunction, ScalarKind};
use sward_ops::primitives::{self as op, ReduceKind};

use super::loops::{Loop, broadcast_strides, dense_strides};
use super::map::{arithmetic, index_type};
use super::scalar::{body, inputs_read, streams_drawn};
use super::{BLOCK, Binder, Operand, blocks};
use crate::cuda::device::Arguments;
use crate::cuda::source::{Family, Kernel};

/// Blocks that fill a large GPU a few times over; more parts than this asks for cost a second pass and give nothing.
const WANTED_BLOCKS: usize = 132 * 5;

fn kind_name(kind: ReduceKind) -> &'static str {
    match kind {
        ReduceKind::Sum => "REDUCE_SUM",
        ReduceKind::Mean => "REDUCE_MEAN",
        ReduceKind::Max => "REDUCE_MAX",
        ReduceKind::Min => "REDUCE_MIN",
    }
}

pub(super) fn reduce(op: &op::Reduce, inputs: &[Operand], outputs: &[Operand], binder: &mut Binder<'_>) {
    let identity = ScalarFunction::build(&[ScalarKind::Number], |_, inputs| inputs[0]).linearize();
    reduction(op, &identity, DType::F32, inputs[0].shape(), inputs, outputs, binder);
}

pub(super) fn map_reduce(
    op: &op::MapReduce,
    inputs: &[Operand],
    outputs: &[Operand],
    binder: &mut Binder<'_>,
) -> Result<(), String> {
    let shape = op.map.result_shape(inputs.iter().map(Operand::shape))?;
    let program = op.map.scalars.linearize(&op.map.roots);
    reduction(&op.reduce, &program, op.map.dtypes[0], &shape, inputs, outputs, binder);
    Ok(())
}

/// A reduction of an expression whose values are stored as `stored` in name only: floats are not rounded.
fn reduction(
    op: &op::Reduce,
    program: &LinearProgram,
    stored: DType,
    shape: &[usize],
    inputs: &[Operand],
    outputs: &[Operand],
    binder: &mut Binder<'_>,
) {
    let kept = outputs[0].elements();
    if kept == 0 {
        return;
    }
    let reduced = op.count(shape);
    // The last walks row-major: the element's number, which random leaves depend on.
    let mut strides: Vec<Vec<usize>> = inputs.iter().map(|input| broadcast_strides(input.shape(), shape)).collect();
    strides.push(dense_strides(shape));
    let walked = Loop::new(shape, |axis| op.axes.contains(&axis), &strides);
    let wide = stored == DType::I64 || arithmetic(inputs.iter().chain(outputs)) == "double";
    let real = if wide { "double" } else { "float" };
    let read = inputs_read(program);
    let (kind, y) = (kind_name(op.kind), outputs[0].c_type());

    let pack = if wide { 1 } else { pack_size(&walked, shape.iter().product(), inputs) };
    let index = index_type(shape.iter().product());
    let is_pack = |input: usize| pack > 1 && walked.strides[input].last() == Some(&1);

    let mut text = format!("struct NAME_value {{\n    typedef {real} real;\n    const Control* control;\n");
    for input in &read {
        let _ = writeln!(text, "    const {}* x{input};", inputs[*input].c_type());
    }
    let _ = writeln!(
        text,
        "    __device__ __forceinline__ void operator()({index} kept, {index} reduced, real (&values)[{pack}]) const {{"
    );
    text += &walked.positions("kept", "i", index, |axis| !walked.reduced[axis]);
    text += &walked.positions("reduced", "i", index, |axis| walked.reduced[axis]);
    for input in &read {
        let offset = walked.offset(*input, "i");
        let _ = match is_pack(*input) {
            true => writeln!(text, "        const auto p{input} = load_pack<{pack}>(x{input} + ({offset}));"),
            false => writeln!(text, "        const auto p{input} = x{input}[{offset}];"),
        };
    }
    let streams = streams_drawn(program);
    let _ = writeln!(text, "#pragma unroll\n        for (int j = 0; j < {pack}; ++j) {{");
    if !streams.is_empty() {
        let _ = writeln!(text, "        const u64 at = {} + j;", walked.offset(inputs.len(), "i"));
    }
    let element = |input: u32| if is_pack(input as usize) { format!("p{input}.of[j]") } else { format!("p{input}") };
    text += &body(program, real, &element, &|stream| format!("uniform(philox(control, {stream}u, at / 4), at)"));
    let result = program.outputs[0];
    let _ = match stored {
        DType::Bool => writeln!(text, "        values[j] = to<real>(to<u8>(r{result}));\n        }}\n    }}\n}};"),
        DType::I64 => writeln!(text, "        values[j] = to<real>(to<i64>(r{result}));\n        }}\n    }}\n}};"),
        _ => writeln!(text, "        values[j] = to<real>(r{result});\n        }}\n    }}\n}};"),
    };

    let shape = Shape::choose(kept, reduced, walked.reduced.last().copied().unwrap_or(true), pack);
    let declared: String = read.iter().map(|input| format!("const {}* x{input}, ", inputs[*input].c_type())).collect();
    let handed: String = read.iter().map(|input| format!(", x{input}")).collect();
    let call = match shape.lanes {
        Some(lanes) => format!("reduce_rows<{kind}, {lanes}, {pack}, {real}>"),
        None => format!("reduce_columns<{kind}, {pack}, {real}>"),
    };
    let _ = writeln!(
        text,
        "extern \"C\" __global__ void __launch_bounds__(256) NAME(const Control* control, {declared}{y}* y, {real}* partial) {{\n    \
         NAME_value value = {{control{handed}}};\n    {call}(value, {kept}, {reduced}, {chunk}, y, partial);\n}}\nSWARD_ENTRY(NAME)",
        chunk = shape.chunk
    );

    let bytes = if real == "double" { 8 } else { 4 };
    let partial = if shape.splits > 1 { binder.workspace(shape.splits * kept * bytes) } else { outputs[0].address };
    let mut arguments = Arguments::new().address(binder.control);
    for input in &read {
        arguments = arguments.address(inputs[*input].address);
    }
    arguments = arguments.address(outputs[0].address).address(partial);
    let kernel = Kernel::generated(Family::Reduce, "reduce", &text);
    binder.launch(kernel, [shape.blocks, shape.splits as u32, 1], shape.block, 0, arguments);
    if shape.splits > 1 {
        // Few positions with many parts would leave most of the device idle.
        let (walkers, block) = if shape.splits > 8 { (32, [32, 32, 1]) } else { (1, [BLOCK, 1, 1]) };
        let template = [kind.to_string(), walkers.to_string(), real.to_string(), y.to_string()];
        let parameters = [&*format!("const {real}*"), "int", "i64", "i64", &*format!("{y}*")];
        let threads = block[0] * block[1];
        let combine = Kernel::instance(Family::Reduce, "combine_parts", &template, &parameters, threads);
        let arguments = Arguments::new().address(partial).int(shape.splits).long(kept).long(reduced).address(outputs[0].address);
        binder.launch(combine, [blocks(kept, block[0] as usize), 1, 1], block, 0, arguments);
    }
}

/// How many neighbours along the innermost axis are read at once: it is a multiple of them, and 16 bytes of the narrowest dtype suffice.
fn pack_size(walked: &Loop, elements: usize, operands: &[Operand]) -> usize {
    let inner = walked.sizes.last().copied().unwrap_or(1);
    let has_halves = operands.iter().any(|operand| operand.dtype().bytes() <= 2);
    match elements {
        8192.. if has_halves && inner.is_multiple_of(8) => 8,
        2048.. if inner.is_multiple_of(4) => 4,
        _ => 1,
    }
}

/// How a reduction is spread over threads.
struct Shape {
    /// Threads that walk along one row; `None`: threads stand side by side.
    lanes: Option<usize>,
    blocks: u32,
    block: [u32; 3],
    splits: usize,
    chunk: usize,
}

impl Shape {
    fn choose(kept: usize, reduced: usize, is_inner_reduced: bool, pack: usize) -> Shape {
        let lanes = match (is_inner_reduced, reduced / pack) {
            (false, _) => None,
            (_, 0..=1024) => Some(32),
            _ => Some(256),
        };
        let (per_block, least) = match lanes {
            Some(lanes) => (256 / lanes, lanes * pack * 8),
            None => (32 * pack, 128),
        };
        let blocks = blocks(kept, per_block);
        let most = (WANTED_BLOCKS / blocks as usize).clamp(1, 1024);
        let splits = reduced.div_ceil(least).clamp(1, most);
        // Parts begin at packs.
        let chunk = reduced.div_ceil(splits).max(1).next_multiple_of(if lanes.is_some() { pack } else { 1 });
        let block = if lanes.is_some() { [256, 1, 1] } else { [32, 8, 1] };
        Shape { lanes, blocks, block, splits: reduced.div_ceil(chunk).max(1), chunk }
    }
}
