//! The optimizer's step, the norm of all gradients, and the search for values that are not finite.

use sward_core::program::Primitive;
use sward_ops::primitives::{self as op, OptimizerRule};

use super::{Binder, Operand};
use crate::cuda::device::{Address, Arguments};
use crate::cuda::source::{Family, Kernel, c_type};
use sward_core::program::TensorType;

/// Binds a primitive of this family.
pub(super) fn bind(
    primitive: &dyn Primitive,
    inputs: &[Operand],
    outputs: &[Operand],
    binder: &mut Binder<'_>,
) -> Result<bool, String> {
    if let Some(op) = primitive.downcast::<op::OptimizerUpdate>() {
        optimizer_update(op, inputs, outputs, binder);
    } else if primitive.downcast::<op::SquaredNorm>().is_some() {
        squared_norm(inputs, &outputs[0], binder);
    } else {
        return Ok(false);
    }
    Ok(true)
}

fn optimizer_update(op: &op::OptimizerUpdate, inputs: &[Operand], outputs: &[Operand], binder: &mut Binder<'_>) {
    let (parameter, gradient, settings) = (&inputs[0], &inputs[1], &inputs[2]);
    let (rule, numbers) = match op.rule {
        OptimizerRule::Sgd { momentum, .. } if op.rule.moments() == 0 => ("SGD", [momentum, 0.0, 0.0]),
        OptimizerRule::Sgd { momentum, nesterov, dampening } => {
            ("SGD_MOMENTUM", [momentum, dampening, f64::from(u8::from(nesterov))])
        }
        OptimizerRule::Adam { beta1, beta2, epsilon } => ("ADAM", [beta1, beta2, epsilon]),
        OptimizerRule::AdamW { beta1, beta2, epsilon } => ("ADAMW", [beta1, beta2, epsilon]),
    };
    let template = [parameter.c_type().to_string(), gradient.c_type().to_string(), rule.to_string()];
    let (p, g) = (format!("const {}*", parameter.c_type()), format!("const {}*", gradient.c_type()));
    let parameters = [
        "const Control*",
        &p,
        &g,
        "const float*",
        "const float*",
        "const float*",
        &format!("{}*", parameter.c_type()),
        "float*",
        "float*",
        "OptimizerShape",
        "i64",
    ];
    let kernel = Kernel::instance(Family::Training, "optimizer_update", &template, &parameters, 256);
    let address = |operands: &[Operand], position: usize| operands.get(position).map_or(0, |operand| operand.address);
    let shape: Vec<i32> =
        [op.weight_decay, numbers[0], numbers[1], numbers[2]].iter().map(|number| (*number as f32).to_bits() as i32).collect();
    let arguments = Arguments::new()
        .address(binder.control)
        .address(parameter.address)
        .address(gradient.address)
        .address(settings.address)
        .address(address(inputs, 3))
        .address(address(inputs, 4))
        .address(outputs[0].address)
        .address(address(outputs, 1))
        .address(address(outputs, 2))
        .ints(&shape)
        .long(parameter.elements());
    binder.launch_each(kernel, parameter.elements().div_ceil(4), arguments);
}

/// Elements of one part of a norm.
const CHUNK: usize = 1 << 14;

fn squared_norm(inputs: &[Operand], out: &Operand, binder: &mut Binder<'_>) {
    let count: usize = inputs.iter().map(|input| input.elements().div_ceil(CHUNK)).sum();
    let parts = binder.workspace(count * 4);
    let mut first = 0;
    for input in inputs {
        let blocks = input.elements().div_ceil(CHUNK);
        let from = format!("const {}*", input.c_type());
        let template = [input.c_type().to_string(), (16 / input.dtype().bytes()).to_string()];
        let kernel = Kernel::instance(Family::Training, "sum_squares", &template, &[&from, "float*", "i64", "i64"], 256);
        let arguments =
            Arguments::new().address(input.address).address(parts + 4 * first as u64).long(CHUNK).long(input.elements());
        binder.launch(kernel, [blocks as u32, 1, 1], [256, 1, 1], 0, arguments);
        first += blocks;
    }
    let kernel = Kernel::instance(Family::Training, "sum_parts", &[], &["const float*", "float*", "i64"], 256);
    let arguments = Arguments::new().address(parts).address(out.address).long(count);
    binder.launch(kernel, [1, 1, 1], [256, 1, 1], 0, arguments);
}

/// The search for the first value of a float tensor that is not finite; `None` for other dtypes.
pub(in crate::cuda) fn first_not_finite(
    control: Address,
    address: Address,
    tensor_type: &TensorType,
) -> Option<(Kernel, u32, Arguments)> {
    if !tensor_type.dtype.is_float() || tensor_type.elements() == 0 {
        return None;
    }
    let element = c_type(tensor_type.dtype);
    let from = format!("const {element}*");
    let kernel = Kernel::instance(Family::Training, "first_not_finite", &[element.to_string()], &["Control*", &from, "i64"], 256);
    let arguments = Arguments::new().address(control).address(address).long(tensor_type.elements());
    Some((kernel, tensor_type.elements().div_ceil(256) as u32, arguments))
}
