//! `optimizer_update`.

use sward_ops::primitives::{OptimizerRule, OptimizerUpdate};

use super::{Operand, Step};
use crate::cpu::features::Features;
use crate::cpu::kernels::optimizer::{Rule, Update, update};
use crate::cpu::threads::Shared;

pub(super) fn optimizer_update(op: &OptimizerUpdate, inputs: Vec<Operand>, outputs: Vec<Operand>, features: Features) -> Step {
    let OptimizerUpdate { rule, weight_decay } = *op;
    Step::new("optimizer_update", move |_| {
        let settings: *const f32 = inputs[2].pointer.cast();
        // SAFETY: the primitive's rule gives the settings' length.
        let setting = |index: usize| f64::from(unsafe { *settings.add(index) });
        let learning_rate = setting(0);
        let adam = |beta1: f64, beta2: f64, epsilon: f64, decoupled: bool| Rule::Adam {
            taken1: (1.0 - beta1) as f32,
            beta2: beta2 as f32,
            taken2: (1.0 - beta2) as f32,
            epsilon: epsilon as f32,
            step: (learning_rate / setting(2)) as f32,
            root_correction: setting(3).sqrt() as f32,
            decoupled,
        };
        let rule = match rule {
            OptimizerRule::Sgd { momentum: 0.0, .. } => Rule::Plain,
            OptimizerRule::Sgd { momentum, nesterov, dampening } => {
                let taken = if setting(2) != 0.0 { 1.0 } else { (1.0 - dampening) as f32 };
                Rule::Momentum { momentum: momentum as f32, nesterov, taken }
            }
            OptimizerRule::Adam { beta1, beta2, epsilon } => adam(beta1, beta2, epsilon, false),
            OptimizerRule::AdamW { beta1, beta2, epsilon } => adam(beta1, beta2, epsilon, true),
        };
        let moment =
            |position: usize| inputs.get(3 + position).map_or(std::ptr::null(), |moment| moment.pointer.cast_const().cast());
        let new_moment = |position: usize| outputs.get(1 + position).map_or(std::ptr::null_mut(), |moment| moment.pointer.cast());
        let step = Update {
            rule,
            learning_rate: learning_rate as f32,
            gradient_scale: setting(1) as f32,
            weight_decay: weight_decay as f32,
            decay: (1.0 - learning_rate * weight_decay) as f32,
            elements: inputs[0].elements(),
            parameter: inputs[0].data(),
            gradient: inputs[1].data(),
            moments: [moment(0), moment(1)],
            new_parameter: outputs[0].data_mut(),
            new_moments: [Shared::from_pointer(new_moment(0)), Shared::from_pointer(new_moment(1))],
        };
        // SAFETY: all tensors have the parameter's sizes; results share memory with operands of the same position at most.
        unsafe { update(features.level(), &step) };
    })
}
