//! `map`: a kernel is generated for each expression, with sizes, strides and dtypes in its text.

use std::fmt::Write;

use smallvec::SmallVec;
use sward_core::program::DType;
use sward_core::scalar::ScalarFunction;
use sward_ops::primitives::{self as op, epilogue_map};

use super::loops::Loop;
use super::scalar::{body, inputs_read, streams_drawn};
use super::{BLOCK, Binder, Operand, blocks};
use crate::cuda::device::Arguments;
use crate::cuda::source::{Family, Kernel};

/// `double` where an operand or result is i64: it holds every index and count.
pub(super) fn arithmetic<'a>(operands: impl IntoIterator<Item = &'a Operand>) -> &'static str {
    if operands.into_iter().any(|operand| operand.dtype() == DType::I64) { "double" } else { "float" }
}

/// The type of positions: 32 bits where they suffice, as division is slow.
pub(super) fn index_type(elements: usize) -> &'static str {
    if elements < 1 << 31 { "u32" } else { "u64" }
}

/// How many elements a thread takes at once: the innermost axis is a multiple of it, and 16 bytes of the widest dtype suffice.
fn pack_size(walked: &Loop, elements: usize, operands: &[Operand]) -> usize {
    let inner = walked.sizes.last().copied().unwrap_or(1);
    let has_halves = operands.iter().any(|operand| operand.dtype().bytes() <= 2);
    let has_wide = operands.iter().any(|operand| operand.dtype() == DType::I64);
    match elements {
        _ if has_wide => 1,
        // Small tensors need many threads more than wide loads.
        8192.. if has_halves && inner.is_multiple_of(8) => 8,
        _ if inner.is_multiple_of(4) => 4,
        _ => 1,
    }
}

/// How many packs a thread reads before it computes: two where a large GPU stays full and registers suffice.
fn packs_in_flight(groups: usize, operands: usize) -> usize {
    if groups >= 1 << 19 && operands <= 4 { 2 } else { 1 }
}

pub(super) fn map(op: &op::Map, inputs: &[Operand], outputs: &[Operand], binder: &mut Binder<'_>) {
    let shape = outputs[0].shape();
    let elements = outputs[0].elements();
    if elements == 0 {
        return;
    }
    let program = op.scalars.linearize(&op.roots);
    let walked = Loop::of_operands(shape, inputs);
    let all: Vec<Operand> = inputs.iter().chain(outputs).cloned().collect();
    let pack = pack_size(&walked, elements, &all);
    let groups = elements / pack;
    let read = inputs_read(&program);
    let each = packs_in_flight(groups, read.len());
    let (real, index) = (arithmetic(&all), index_type(elements));
    let is_pack = |input: usize| pack > 1 && walked.strides[input].last() == Some(&1);

    let mut text = String::from("extern \"C\" __global__ void __launch_bounds__(256) NAME(const Control* control");
    for input in &read {
        let _ = write!(text, ", const {}* x{input}", inputs[*input].c_type());
    }
    for (result, output) in outputs.iter().enumerate() {
        let _ = write!(text, ", {}* y{result}", output.c_type());
    }
    let _ = writeln!(text, ") {{\n    typedef {real} real;");
    let _ = writeln!(text, "    const {index} first = {index}(blockIdx.x) * {} + threadIdx.x;", each * BLOCK as usize);
    for input in &read {
        let element = inputs[*input].c_type();
        let _ = match is_pack(*input) {
            true => writeln!(text, "    Pack<{element}, {pack}> p{input}[{each}];"),
            false => writeln!(text, "    {element} p{input}[{each}];"),
        };
    }
    // Where this thread's packs end.
    let guard =
        if groups.is_multiple_of(each * BLOCK as usize) { String::new() } else { format!("if (group >= {groups}) break;") };
    let each_pack = format!(
        "#pragma unroll\n    for (int k = 0; k < {each}; ++k) {{\n        const {index} group = first + k * {BLOCK}, at = group * {pack};\n        {guard}\n"
    );
    text += &each_pack;
    if read.iter().any(|input| !walked.is_dense(*input) && !walked.is_constant(*input)) {
        text += &walked.positions("at", "i", index, |_| true);
    }
    for input in &read {
        let offset = if walked.is_dense(*input) { "at".to_string() } else { walked.offset(*input, "i") };
        let _ = match is_pack(*input) {
            true => writeln!(text, "        p{input}[k] = load_pack<{pack}>(x{input} + ({offset}));"),
            false => writeln!(text, "        p{input}[k] = x{input}[{offset}];"),
        };
    }
    // A compiler moves reads to where they are used, behind other reads that are waited for; not across a barrier. So all are on their way at once.
    text += "    }\n    __syncwarp();\n    if (is_halted(control)) return;\n";
    text += &each_pack;
    for stream in streams_drawn(&program) {
        let count = pack.div_ceil(4);
        let _ = writeln!(text, "        Philox q{stream}[{count}];");
        for block in 0..count {
            let _ = writeln!(text, "        q{stream}[{block}] = philox(control, {stream}u, at / 4 + {block});");
        }
    }
    for (result, output) in outputs.iter().enumerate() {
        let _ = writeln!(text, "        Pack<{}, {pack}> w{result};", output.c_type());
    }
    let _ = writeln!(text, "#pragma unroll\n        for (int j = 0; j < {pack}; ++j) {{");
    let element = |input: u32| if is_pack(input as usize) { format!("p{input}[k].of[j]") } else { format!("p{input}[k]") };
    text += &body(&program, real, &element, &|stream| format!("uniform(q{stream}[j / 4], at + j)"));
    for (result, output) in outputs.iter().enumerate() {
        let _ = writeln!(text, "        w{result}.of[j] = to<{}>(r{});", output.c_type(), program.outputs[result]);
    }
    text += "        }\n";
    for result in 0..outputs.len() {
        let _ = writeln!(text, "        store_pack<{pack}>(y{result} + at, w{result});");
    }
    text += "    }\n}\nSWARD_ENTRY(NAME)\n";

    let mut arguments = Arguments::new().address(binder.control);
    for operand in read.iter().map(|input| &inputs[*input]).chain(outputs) {
        arguments = arguments.address(operand.address);
    }
    let kernel = Kernel::generated(Family::Map, "map", &text);
    binder.launch(kernel, [blocks(groups, each * BLOCK as usize), 1, 1], [BLOCK, 1, 1], 0, arguments);
}

/// A product's epilogue over the product in place: `out` holds the products.
pub(super) fn epilogue(function: &ScalarFunction, out: &Operand, extras: &[Operand], binder: &mut Binder<'_>) {
    let operands: SmallVec<[Operand; 4]> = std::iter::once(out).chain(extras).cloned().collect();
    map(&epilogue_map(function, out.dtype()), &operands, std::slice::from_ref(out), binder);
}
