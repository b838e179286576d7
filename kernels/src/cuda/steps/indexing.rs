//! Picking by number, choosing and accumulating along an axis.

use sward_core::program::{DType, Primitive};
use sward_ops::primitives::{self as op, ArgReduceKind};

use super::{Binder, Operand, blocks};
use crate::cuda::device::Arguments;
use crate::cuda::source::{Family, Kernel, c_bits};

/// The sizes before, along and after an axis.
fn around(shape: &[usize], axis: usize) -> [usize; 3] {
    [shape[..axis].iter().product(), shape[axis], shape[axis + 1..].iter().product()]
}

fn instance(function: &str, template: &[&str], parameters: &[&str], threads: u32) -> Kernel {
    let template: Vec<String> = template.iter().map(|argument| (*argument).to_string()).collect();
    Kernel::instance(Family::Indexing, function, &template, parameters, threads)
}

/// Binds a primitive of this family.
pub(super) fn bind(
    primitive: &dyn Primitive,
    inputs: &[Operand],
    outputs: &[Operand],
    binder: &mut Binder<'_>,
) -> Result<bool, String> {
    if let Some(op) = primitive.downcast::<op::Take>() {
        pick("take", op.axis, inputs, &outputs[0], inputs[1].elements(), binder);
    } else if let Some(op) = primitive.downcast::<op::TakeAlong>() {
        pick("take_along", op.axis, inputs, &outputs[0], inputs[1].shape()[op.axis], binder);
    } else if let Some(op) = primitive.downcast::<op::TakeGradient>() {
        return take_gradient(op, inputs, &outputs[0], binder).map(|()| true);
    } else if let Some(op) = primitive.downcast::<op::TakeAlongGradient>() {
        take_along_gradient(op, inputs, &outputs[0], binder);
    } else if let Some(op) = primitive.downcast::<op::ArgReduce>() {
        arg_reduce(op, &inputs[0], &outputs[0], binder);
    } else if let Some(op) = primitive.downcast::<op::TopK>() {
        top_k(op, &inputs[0], outputs, binder);
    } else if let Some(op) = primitive.downcast::<op::CumulativeSum>() {
        running_sum(op, &inputs[0], &outputs[0], binder);
    } else {
        return Ok(false);
    }
    Ok(true)
}

/// `take` and `take_along`: one thread for each element of the result.
fn pick(function: &str, axis: usize, inputs: &[Operand], out: &Operand, count: usize, binder: &mut Binder<'_>) {
    let (x, indices) = (&inputs[0], &inputs[1]);
    let [_, size, inner] = around(x.shape(), axis);
    let element = c_bits(x.dtype());
    let (from, to) = (format!("const {element}*"), format!("{element}*"));
    let parameters = ["Control*", "i64", &from, "const i64*", &to, "i64", "i64", "i64", "i64"];
    let arguments = Arguments::new()
        .address(binder.control)
        .long(binder.index)
        .address(x.address)
        .address(indices.address)
        .address(out.address)
        .long(size)
        .long(count)
        .long(inner)
        .long(out.elements());
    binder.launch_each(instance(function, &[element], &parameters, 256), out.elements(), arguments);
}

fn take_gradient(op: &op::TakeGradient, inputs: &[Operand], out: &Operand, binder: &mut Binder<'_>) -> Result<(), String> {
    let (dy, indices) = (&inputs[0], &inputs[1]);
    let [outer, size, inner] = around(out.shape(), op.axis);
    if out.elements() == 0 {
        return Ok(());
    }
    if outer > 65_535 {
        return Err(format!("{outer} positions before the axis; 65,535 at most"));
    }
    let element = dy.c_type();
    let from = format!("const {element}*");
    let parameters = ["Control*", "i64", &from, "const i64*", "float*", "i64", "i64", "i64"];
    let arguments = Arguments::new()
        .address(binder.control)
        .long(binder.index)
        .address(dy.address)
        .address(indices.address)
        .address(out.address)
        .long(size)
        .long(indices.elements())
        .long(inner);
    let columns = blocks(inner, 128).min(1024);
    let kernel = instance("take_gradient", &[element], &parameters, 128);
    binder.launch(kernel, [size as u32, columns, outer as u32], [128, 1, 1], 0, arguments);
    Ok(())
}

fn take_along_gradient(op: &op::TakeAlongGradient, inputs: &[Operand], out: &Operand, binder: &mut Binder<'_>) {
    let (dy, indices) = (&inputs[0], &inputs[1]);
    let [_, size, inner] = around(out.shape(), op.axis);
    let element = dy.c_type();
    let from = format!("const {element}*");
    let parameters = ["Control*", "i64", &from, "const i64*", "float*", "i64", "i64", "i64", "i64"];
    let arguments = Arguments::new()
        .address(binder.control)
        .long(binder.index)
        .address(dy.address)
        .address(indices.address)
        .address(out.address)
        .long(size)
        .long(indices.shape()[op.axis])
        .long(inner)
        .long(out.elements());
    binder.launch_each(instance("take_along_gradient", &[element], &parameters, 256), out.elements(), arguments);
}

fn arg_reduce(op: &op::ArgReduce, x: &Operand, out: &Operand, binder: &mut Binder<'_>) {
    let [_, size, inner] = around(x.shape(), op.axis);
    let largest = if op.kind == ArgReduceKind::Max { "1" } else { "0" };
    let from = format!("const {}*", x.c_type());
    let kernel = instance("arg_reduce", &[x.c_type(), largest], &[&from, "i64*", "i64", "i64", "i64"], 128);
    let lines = out.elements();
    let arguments = Arguments::new().address(x.address).address(out.address).long(size).long(inner).long(lines);
    binder.launch(kernel, [blocks(lines, 4), 1, 1], [128, 1, 1], 0, arguments);
}

fn top_k(op: &op::TopK, x: &Operand, outputs: &[Operand], binder: &mut Binder<'_>) {
    let size = *x.shape().last().expect("the primitive's rule gives a last axis");
    let rows = x.elements() / size.max(1);
    if op.k == 0 || rows == 0 {
        return;
    }
    let largest = if op.largest { "1" } else { "0" };
    let (from, to) = (format!("const {}*", x.c_type()), format!("{}*", x.c_type()));
    let kernel = instance("top_k", &[x.c_type(), largest], &[&from, &to, "i64*", "i64", "i64"], 256);
    let arguments =
        Arguments::new().address(x.address).address(outputs[0].address).address(outputs[1].address).long(size).long(op.k);
    binder.launch(kernel, [rows as u32, 1, 1], [256, 1, 1], 0, arguments);
}

fn running_sum(op: &op::CumulativeSum, x: &Operand, out: &Operand, binder: &mut Binder<'_>) {
    let [outer, size, inner] = around(x.shape(), op.axis);
    if out.elements() == 0 {
        return;
    }
    let sum = if x.dtype() == DType::I64 { "i64" } else { "float" };
    let reverse = if op.reverse { "1" } else { "0" };
    let (from, to) = (format!("const {}*", x.c_type()), format!("{}*", x.c_type()));
    let arguments = Arguments::new().address(x.address).address(out.address).long(size);
    if inner == 1 {
        let kernel = instance("running_sum_rows", &[x.c_type(), sum, reverse], &[&from, &to, "i64", "i64"], 128);
        binder.launch(kernel, [blocks(outer, 4), 1, 1], [128, 1, 1], 0, arguments.long(outer));
    } else {
        let kernel = instance("running_sum_lines", &[x.c_type(), sum, reverse], &[&from, &to, "i64", "i64", "i64"], 256);
        binder.launch_each(kernel, outer * inner, arguments.long(inner).long(outer * inner));
    }
}
