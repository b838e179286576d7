//! Problems of the training step.

use super::{Draw, Family, Problem};
use crate::primitives::{OptimizerRule, OptimizerUpdate};
use sward_core::program::{Array, DType};

pub(super) const FAMILIES: &[Family] = &[Family::new("optimizer_update", optimizer_update)];

fn optimizer_update(draw: &mut Draw) -> Problem {
    let rule = match draw.below(4) {
        0 => OptimizerRule::Sgd { momentum: 0.0, nesterov: false, dampening: 0.0 },
        1 => OptimizerRule::Sgd { momentum: 0.9, nesterov: draw.flag(), dampening: draw.choose(&[0.0, 0.3]) },
        2 => OptimizerRule::Adam { beta1: 0.9, beta2: 0.99, epsilon: 1e-8 },
        _ => OptimizerRule::AdamW { beta1: 0.8, beta2: 0.999, epsilon: 1e-6 },
    };
    let op = OptimizerUpdate { rule, weight_decay: draw.choose(&[0.0, 0.01, 0.1]) };
    let rank = draw.between(0, 3);
    let shape = draw.shape(rank);
    let step = draw.between(1, 20) as u64;
    let settings: Vec<f64> =
        rule.settings_at(step, 1e-2, draw.choose(&[1.0, 0.25])).into_iter().map(|value| f64::from(value as f32)).collect();
    let mut inputs =
        vec![draw.floats_of(DType::F32, &shape, -1.0, 1.0), draw.floats(&shape), Array::f32(&[settings.len()], settings)];
    // Moments: a running mean of either sign; a running square, not negative.
    for moment in 0..rule.moments() {
        inputs.push(draw.floats_of(DType::F32, &shape, if moment == 0 { -1.0 } else { 0.01 }, 1.0));
    }
    Problem::fixed(op, inputs)
}
