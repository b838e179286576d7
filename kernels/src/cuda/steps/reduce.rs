//! `reduce` and `map_reduce`: the value is generated, the trees are those of `reduce.cuh`.

use std::fmt::Write;

use sward_core::program::DType;
use sward_core::scalar::{LinearProgram, ScalarFunction, ScalarKind};
use sward_ops::primitives::{self as op, ReduceKind};

use super::loops::{Loop, broadcast_strides, dense_strides};
use super::map::arithmetic;
use super::scalar::{body, inputs_read, streams_drawn};
use super::{BLOCK, Binder, Operand, blocks};
use crate::cuda::device::Arguments;
use crate::cuda::source::{Family, Kernel};

/// Blocks that fill a large GPU a few times over; more parts than this asks for cost a second pass and give nothing.
const WANTED_BLOCKS: usize = 1024;

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

    let mut text = format!("struct NAME_value {{\n    typedef {real} real;\n    const Control* control;\n");
    for input in &read {
        let _ = writeln!(text, "    const {}* x{input};", inputs[*input].c_type());
    }
    text += "    __device__ __forceinline__ real operator()(i64 kept, i64 reduced) const {\n";
    text += &walked.positions("kept", "i", "i64", |axis| !walked.reduced[axis]);
    text += &walked.positions("reduced", "i", "i64", |axis| walked.reduced[axis]);
    let streams = streams_drawn(program);
    if !streams.is_empty() {
        let _ = writeln!(text, "        const u64 at = {};", walked.offset(inputs.len(), "i"));
    }
    let element = |input: u32| format!("x{input}[{}]", walked.offset(input as usize, "i"));
    text += &body(program, real, &element, &|stream| format!("uniform(philox(control, {stream}u, at / 4), at)"));
    let result = program.outputs[0];
    let _ = match stored {
        DType::Bool => writeln!(text, "        return to<real>(to<u8>(r{result}));\n    }}\n}};"),
        DType::I64 => writeln!(text, "        return to<real>(to<i64>(r{result}));\n    }}\n}};"),
        _ => writeln!(text, "        return to<real>(r{result});\n    }}\n}};"),
    };

    let shape = Shape::choose(kept, reduced, walked.reduced.last().copied().unwrap_or(true));
    let declared: String = read.iter().map(|input| format!("const {}* x{input}, ", inputs[*input].c_type())).collect();
    let handed: String = read.iter().map(|input| format!(", x{input}")).collect();
    let call = match shape.lanes {
        Some(lanes) => format!("reduce_rows<{kind}, {lanes}, {real}>"),
        None => format!("reduce_columns<{kind}, {real}>"),
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
        let template = [kind.to_string(), real.to_string(), y.to_string()];
        let parameters = [&*format!("const {real}*"), "int", "i64", "i64", &*format!("{y}*")];
        let combine = Kernel::instance(Family::Reduce, "combine_parts", &template, &parameters, BLOCK);
        let arguments = Arguments::new().address(partial).int(shape.splits).long(kept).long(reduced).address(outputs[0].address);
        binder.launch_each(combine, kept, arguments);
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
    fn choose(kept: usize, reduced: usize, is_inner_reduced: bool) -> Shape {
        let lanes = match (is_inner_reduced, reduced) {
            (false, _) if kept > 1 => None,
            (_, 0..=1024) => Some(32),
            _ => Some(256),
        };
        let (per_block, least) = match lanes {
            Some(lanes) => (256 / lanes, lanes * 16),
            None => (32, 64),
        };
        let blocks = blocks(kept, per_block);
        let most = (WANTED_BLOCKS / blocks as usize).clamp(1, 1024);
        let splits = reduced.div_ceil(least).clamp(1, most);
        let chunk = reduced.div_ceil(splits).max(1);
        let block = if lanes.is_some() { [256, 1, 1] } else { [32, 8, 1] };
        Shape { lanes, blocks, block, splits: reduced.div_ceil(chunk).max(1), chunk }
    }
}
