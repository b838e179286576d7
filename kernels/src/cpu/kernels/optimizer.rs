//! Optimizer steps in one pass over parameter, gradient and moments, in PyTorch's order of operations.

use super::matmul::Data;
use super::rows::{load, read, save};
use crate::cpu::features::Level;
use crate::cpu::simd::{Kernel, LANES, Simd, dispatch};
use crate::cpu::threads::{Scratch, Shared, parallel_ranges};

/// Elements of one part of a parallel loop.
const GRAIN: usize = 1 << 14;
/// Elements whose gradient is converted at a time.
const BLOCK: usize = 1024;

/// What a step computes.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// Stochastic gradient descent without momentum.
    Plain,
    /// With a momentum buffer (the first moment).
    Momentum {
        /// What is kept of the buffer.
        momentum: f32,
        /// Nesterov's look ahead.
        nesterov: bool,
        /// What the buffer takes of the gradient.
        taken: f32,
    },
    /// Adam, with the decay added to the gradient or taken off the parameter first.
    Adam {
        /// What the running gradient takes of the new one: `1 - beta1`.
        taken1: f32,
        /// What is kept of the running square.
        beta2: f32,
        /// What the running square takes of the new one: `1 - beta2`.
        taken2: f32,
        /// Added to the root.
        epsilon: f32,
        /// The learning rate over `1 - beta1^t`.
        step: f32,
        /// The root of `1 - beta2^t`.
        root_correction: f32,
        /// AdamW's decay: the parameter is first scaled by `1 - learning_rate * weight_decay`.
        decoupled: bool,
    },
}

/// One step of one parameter.
#[derive(Clone, Copy, Debug)]
pub struct Update {
    /// The rule with this step's numbers.
    pub rule: Rule,
    /// The learning rate.
    pub learning_rate: f32,
    /// What the gradient is multiplied by first.
    pub gradient_scale: f32,
    /// The weight decay.
    pub weight_decay: f32,
    /// What a parameter is scaled by under decoupled decay.
    pub decay: f32,
    /// Number of elements.
    pub elements: usize,
    /// The parameter before the step.
    pub parameter: Data,
    /// The gradient.
    pub gradient: Data,
    /// The moments before the step, f32.
    pub moments: [*const f32; 2],
    /// The parameter after the step; may be the memory of the one before.
    pub new_parameter: super::matmul::DataMut,
    /// The moments after the step; may be the memory of those before.
    pub new_moments: [Shared<f32>; 2],
}

// SAFETY: operands are only read (or written in step), results by disjoint ranges.
unsafe impl Send for Update {}
// SAFETY: as above.
unsafe impl Sync for Update {}

/// Makes the step.
///
/// # Safety
/// All tensors have the update's elements; moments that the rule does not have are not touched.
pub unsafe fn update(level: Level, update: &Update) {
    parallel_ranges(update.elements, GRAIN, |range| dispatch(level, Part { update, range }));
}

struct Part<'a> {
    update: &'a Update,
    range: std::ops::Range<usize>,
}

impl Kernel for Part<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Part { update, range } = self;
        let Update { rule, weight_decay, .. } = *update;
        let mut scratch = Scratch::words(3 * BLOCK);
        let scratch = scratch.pointer::<f32>();
        let (rate, scale) = (s.splat(update.learning_rate), s.splat(update.gradient_scale));
        let decay = s.splat(weight_decay);
        for first in range.clone().step_by(BLOCK) {
            let n = BLOCK.min(range.end - first);
            // SAFETY: the block lies within the tensors, the scratch holds three.
            unsafe {
                let parameter = read(s, update.parameter, first, n, scratch);
                let gradient = read(s, update.gradient, first, n, scratch.add(BLOCK));
                let out = super::rows::room(update.new_parameter, first, scratch.add(2 * BLOCK));
                for i in (0..n).step_by(LANES) {
                    let lanes = LANES.min(n - i);
                    let at = first + i;
                    let mut p = load(s, parameter.add(i), lanes);
                    let mut g = s.mul(load(s, gradient.add(i), lanes), scale);
                    let decoupled = matches!(rule, Rule::Adam { decoupled: true, .. });
                    if decoupled {
                        p = s.mul(p, s.splat(update.decay));
                    } else if weight_decay != 0.0 {
                        g = s.fma(decay, p, g);
                    }
                    let p = match rule {
                        Rule::Plain => s.sub(p, s.mul(rate, g)),
                        Rule::Momentum { momentum, nesterov, taken } => {
                            let kept = s.mul(load(s, update.moments[0].add(at), lanes), s.splat(momentum));
                            let buffer = s.fma(s.splat(taken), g, kept);
                            save(s, update.new_moments[0].pointer().add(at), lanes, buffer);
                            let direction = if nesterov { s.fma(s.splat(momentum), buffer, g) } else { buffer };
                            s.sub(p, s.mul(rate, direction))
                        }
                        Rule::Adam { taken1, beta2, taken2, epsilon, step, root_correction, .. } => {
                            let m = load(s, update.moments[0].add(at), lanes);
                            let m = s.fma(s.splat(taken1), s.sub(g, m), m);
                            let v = load(s, update.moments[1].add(at), lanes);
                            let v = s.fma(s.mul(s.splat(taken2), g), g, s.mul(s.splat(beta2), v));
                            save(s, update.new_moments[0].pointer().add(at), lanes, m);
                            save(s, update.new_moments[1].pointer().add(at), lanes, v);
                            let root = s.add(s.div(s.sqrt(v), s.splat(root_correction)), s.splat(epsilon));
                            s.sub(p, s.div(s.mul(s.splat(step), m), root))
                        }
                    };
                    save(s, out.add(i), lanes, p);
                }
                super::rows::write(s, update.new_parameter, first, n, out);
            }
        }
    }
}
