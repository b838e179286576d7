//! One parameter's step, in PyTorch's order of operations.

use dfdx::prelude::{Cpu, Tape};
use sward_ops::primitives::{OptimizerRule, OptimizerUpdate};

use super::recorder::{Recorder, Value};

/// `optimizer_update`: the next parameter and moments.
pub(super) fn update<T: Tape<f64, Cpu>>(recorder: &mut Recorder<T>, op: &OptimizerUpdate, operands: &[&Value]) -> Vec<Value> {
    let settings = operands[2].numbers();
    let (parameter, moments) = (operands[0], &operands[3..]);
    let rate = settings[0];
    let mut gradient = recorder.scale(operands[1], settings[1]);
    if op.weight_decay != 0.0 && !matches!(op.rule, OptimizerRule::AdamW { .. }) {
        let decay = recorder.scale(parameter, op.weight_decay);
        gradient = recorder.add(&gradient, &decay);
    }
    match op.rule {
        OptimizerRule::Sgd { momentum, nesterov, dampening } => {
            let Some(buffer) = moments.first() else {
                let step = recorder.scale(&gradient, rate);
                return vec![recorder.subtract(parameter, &step)];
            };
            let share = if settings[2] != 0.0 { 1.0 } else { 1.0 - dampening };
            let (kept, taken) = (recorder.scale(buffer, momentum), recorder.scale(&gradient, share));
            let buffer = recorder.add(&kept, &taken);
            let mut direction = buffer.clone();
            if nesterov {
                let ahead = recorder.scale(&buffer, momentum);
                direction = recorder.add(&gradient, &ahead);
            }
            let step = recorder.scale(&direction, rate);
            vec![recorder.subtract(parameter, &step), buffer]
        }
        OptimizerRule::Adam { beta1, beta2, epsilon } | OptimizerRule::AdamW { beta1, beta2, epsilon } => {
            let difference = recorder.subtract(&gradient, moments[0]);
            let moved = recorder.scale(&difference, 1.0 - beta1);
            let mean = recorder.add(moments[0], &moved);
            let square = recorder.multiply(&gradient, &gradient);
            let (kept, taken) = (recorder.scale(moments[1], beta2), recorder.scale(&square, 1.0 - beta2));
            let spread = recorder.add(&kept, &taken);
            let correction = 1.0 / settings[3].sqrt();
            let root = recorder.unary(&spread, |spread| spread.sqrt() * correction + epsilon);
            let scaled = recorder.scale(&mean, rate / settings[2]);
            let step = recorder.divide(&scaled, &root);
            let decayed = match op.rule {
                OptimizerRule::AdamW { .. } => recorder.scale(parameter, 1.0 - rate * op.weight_decay),
                _ => parameter.clone(),
            };
            vec![recorder.subtract(&decayed, &step), mean, spread]
        }
    }
}
