//! `layer_norm`, `softmax` and their gradients.

use sward_ops::primitives as op;

use super::{Operand, Step};
use crate::cpu::features::Features;
use crate::cpu::kernels::{layer_norm, softmax};
use crate::cpu::threads::Shared;

/// Rows and width of a tensor that is seen along its last axis.
fn rows(operand: &Operand) -> (usize, usize) {
    let shape = operand.shape();
    (shape[..shape.len() - 1].iter().product(), shape[shape.len() - 1])
}

pub(super) fn layer_norm(op: &op::LayerNorm, inputs: Vec<Operand>, outputs: Vec<Operand>, features: Features) -> Step {
    let (rows, width) = rows(&inputs[0]);
    let norm = layer_norm::LayerNorm { rows, width, epsilon: op.epsilon as f32, centered: op.centered };
    let tensors = layer_norm::Forward {
        x: inputs[0].data(),
        weight: op.weight.then(|| inputs[1].data()),
        bias: op.bias.then(|| inputs[inputs.len() - 1].data()),
        y: outputs[0].data_mut(),
        mean: Shared::from_pointer(outputs[1].pointer.cast()),
        rstd: Shared::from_pointer(outputs[2].pointer.cast()),
    };
    // SAFETY: the primitive's rule gives these sizes; the planner keeps operands and results apart.
    Step::new("layer_norm", move |_| unsafe { layer_norm::forward(features.level(), norm, &tensors) })
}

pub(super) fn layer_norm_gradient(
    op: &op::LayerNormGradient,
    inputs: Vec<Operand>,
    outputs: Vec<Operand>,
    features: Features,
) -> Step {
    let (rows, width) = rows(&inputs[0]);
    let norm = layer_norm::LayerNorm { rows, width, epsilon: 0.0, centered: op.centered };
    let tensors = layer_norm::Backward {
        dy: inputs[0].data(),
        x: inputs[1].data(),
        weight: op.weight.then(|| inputs[2].data()),
        mean: inputs[inputs.len() - 2].pointer.cast(),
        rstd: inputs[inputs.len() - 1].pointer.cast(),
        dx: outputs[0].data_mut(),
        dweight: op.weight_gradient.then(|| outputs[1].pointer.cast()),
        dbias: op.bias_gradient.then(|| outputs[outputs.len() - 1].pointer.cast()),
    };
    // SAFETY: as for the forward pass.
    Step::new("layer_norm", move |_| unsafe { layer_norm::backward(features.level(), norm, &tensors) })
}

pub(super) fn softmax(op: &op::Softmax, inputs: Vec<Operand>, outputs: Vec<Operand>, features: Features) -> Step {
    let ((rows, width), log) = (rows(&inputs[0]), op.log);
    let (x, y) = (inputs[0].data(), outputs[0].data_mut());
    // SAFETY: as above; a shared memory is the operand's own.
    Step::new("softmax", move |_| unsafe { softmax::forward(features.level(), rows, width, log, x, y) })
}

pub(super) fn softmax_gradient(
    op: &op::SoftmaxGradient,
    inputs: Vec<Operand>,
    outputs: Vec<Operand>,
    features: Features,
) -> Step {
    let ((rows, width), log) = (rows(&inputs[0]), op.log);
    let (dy, y, dx) = (inputs[0].data(), inputs[1].data(), outputs[0].data_mut());
    // SAFETY: as above.
    Step::new("softmax", move |_| unsafe { softmax::backward(features.level(), rows, width, log, dy, y, dx) })
}
