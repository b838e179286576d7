//! `optimizer_update`: one parameter's step.

use super::support::{expect_float_shape, expect_operands, expect_type};
use std::any::Any;
use sward_core::program::{Array, BuildError, Builder, DType, GradientCall, Primitive, RunKey, TensorType, ValueId};

/// The rule of an optimizer, without its learning rate and weight decay.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum OptimizerRule {
    /// Stochastic gradient descent. One moment, the momentum buffer, where `momentum` is not 0.
    /// Settings `f32 [3]`: learning rate, gradient scale, 1 at the first step and 0 later.
    Sgd {
        /// What is kept of the buffer; 0 for none.
        momentum: f64,
        /// Nesterov's look ahead.
        nesterov: bool,
        /// What the buffer does not take of the gradient, from the second step on.
        dampening: f64,
    },
    /// Adam with the weight decay added to the gradient. Two moments: the running means of the gradient and of its square.
    /// Settings `f32 [4]`: learning rate, gradient scale, `1 - beta1^t`, `1 - beta2^t` with t = 1 at the first step.
    Adam {
        /// What is kept of the running gradient.
        beta1: f64,
        /// What is kept of the running square.
        beta2: f64,
        /// Added to the root of the square.
        epsilon: f64,
    },
    /// Adam with the weight decay taken off the parameter before the step. Moments and settings as for `Adam`.
    AdamW {
        /// What is kept of the running gradient.
        beta1: f64,
        /// What is kept of the running square.
        beta2: f64,
        /// Added to the root of the square.
        epsilon: f64,
    },
}

impl OptimizerRule {
    /// How many moment tensors it keeps.
    pub fn moments(&self) -> usize {
        match self {
            OptimizerRule::Sgd { momentum, .. } => usize::from(*momentum != 0.0),
            OptimizerRule::Adam { .. } | OptimizerRule::AdamW { .. } => 2,
        }
    }

    /// The length of the settings operand.
    pub fn settings(&self) -> usize {
        match self {
            OptimizerRule::Sgd { .. } => 3,
            OptimizerRule::Adam { .. } | OptimizerRule::AdamW { .. } => 4,
        }
    }

    /// The settings operand of step `t` (1 at the first). The gradient scale joins clipping and accumulation.
    pub fn settings_at(&self, step: u64, learning_rate: f64, gradient_scale: f64) -> Vec<f64> {
        match *self {
            OptimizerRule::Sgd { .. } => vec![learning_rate, gradient_scale, if step <= 1 { 1.0 } else { 0.0 }],
            OptimizerRule::Adam { beta1, beta2, .. } | OptimizerRule::AdamW { beta1, beta2, .. } => {
                let correction = |beta: f64| 1.0 - beta.powf(step as f64);
                vec![learning_rate, gradient_scale, correction(beta1), correction(beta2)]
            }
        }
    }

    fn text(&self) -> String {
        match self {
            OptimizerRule::Sgd { momentum, nesterov, dampening } => {
                format!("rule=sgd, momentum={momentum:?}, nesterov={nesterov}, dampening={dampening:?}")
            }
            OptimizerRule::Adam { beta1, beta2, epsilon } => {
                format!("rule=adam, beta1={beta1:?}, beta2={beta2:?}, epsilon={epsilon:?}")
            }
            OptimizerRule::AdamW { beta1, beta2, epsilon } => {
                format!("rule=adamw, beta1={beta1:?}, beta2={beta2:?}, epsilon={epsilon:?}")
            }
        }
    }
}

/// One parameter's step: parameter, gradient of its sizes, settings `f32 [k]` and the moments `f32` of its sizes (zeros at the start) give the
/// next parameter and moments. PyTorch: `torch.optim.SGD`, `Adam`, `AdamW`, in their order of operations.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct OptimizerUpdate {
    /// The rule.
    pub rule: OptimizerRule,
    /// The weight decay.
    pub weight_decay: f64,
}

impl OptimizerUpdate {
    /// One element's step; `moments` are changed in place. Arithmetic in PyTorch's order.
    fn step(&self, parameter: f64, gradient: f64, settings: &[f64], moments: &mut [f64]) -> f64 {
        let learning_rate = settings[0];
        let gradient = gradient * settings[1];
        match self.rule {
            OptimizerRule::Sgd { momentum, nesterov, dampening } => {
                let gradient = gradient + self.weight_decay * parameter;
                let Some(buffer) = moments.first_mut() else {
                    return parameter - learning_rate * gradient;
                };
                let taken = if settings[2] != 0.0 { 1.0 } else { 1.0 - dampening };
                *buffer = momentum * *buffer + taken * gradient;
                let direction = if nesterov { gradient + momentum * *buffer } else { *buffer };
                parameter - learning_rate * direction
            }
            OptimizerRule::Adam { beta1, beta2, epsilon } => {
                let gradient = gradient + self.weight_decay * parameter;
                parameter - adam(gradient, beta1, beta2, epsilon, settings, moments)
            }
            OptimizerRule::AdamW { beta1, beta2, epsilon } => {
                let decayed = parameter * (1.0 - learning_rate * self.weight_decay);
                decayed - adam(gradient, beta1, beta2, epsilon, settings, moments)
            }
        }
    }
}

/// Adam's step, learning rate included.
fn adam(gradient: f64, beta1: f64, beta2: f64, epsilon: f64, settings: &[f64], moments: &mut [f64]) -> f64 {
    moments[0] += (1.0 - beta1) * (gradient - moments[0]);
    moments[1] = beta2 * moments[1] + (1.0 - beta2) * gradient * gradient;
    let root = moments[1].sqrt() / settings[3].sqrt() + epsilon;
    settings[0] / settings[2] * moments[0] / root
}

impl Primitive for OptimizerUpdate {
    fn name(&self) -> &'static str {
        "optimizer_update"
    }

    fn attributes(&self) -> String {
        format!("{}, weight_decay={:?}", self.rule.text(), self.weight_decay)
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        expect_operands(inputs, 3 + self.rule.moments())?;
        let parameter = &inputs[0];
        expect_float_shape(parameter, &parameter.shape, "the parameter")?;
        expect_float_shape(&inputs[1], &parameter.shape, "the gradient")?;
        expect_type(&inputs[2], DType::F32, &[self.rule.settings()], "the settings")?;
        for moment in &inputs[3..] {
            expect_type(moment, DType::F32, &parameter.shape, "a moment")?;
        }
        Ok(std::iter::once(parameter).chain(&inputs[3..]).cloned().collect())
    }

    fn gradient(&self, builder: &mut Builder, _: &GradientCall<'_>) -> Result<Vec<Option<ValueId>>, BuildError> {
        Err(builder.no_gradient(self.name(), "an optimizer's step is not differentiated"))
    }

    fn reference(&self, inputs: &[&Array], _: RunKey) -> Vec<Array> {
        let mut results: Vec<Array> = std::iter::once(inputs[0]).chain(inputs[3..].iter().copied()).cloned().collect();
        for element in 0..inputs[0].data.len() {
            let mut moments: Vec<f64> = results[1..].iter().map(|moment| moment.data[element]).collect();
            results[0].data[element] = self.step(inputs[0].data[element], inputs[1].data[element], &inputs[2].data, &mut moments);
            for (moment, value) in results[1..].iter_mut().zip(moments) {
                moment.data[element] = value;
            }
        }
        results
    }

    fn flops(&self, inputs: &[TensorType], _: &[TensorType]) -> f64 {
        let each = match self.rule {
            OptimizerRule::Sgd { .. } => 5 + 3 * self.rule.moments(),
            OptimizerRule::Adam { .. } | OptimizerRule::AdamW { .. } => 15,
        };
        (inputs[0].elements() * each) as f64
    }

    fn in_place(&self) -> &[(usize, usize)] {
        &[(0, 0), (3, 1), (4, 2)][..1 + self.rule.moments()]
    }

    fn preferred_input(&self, _: usize, _: DType) -> DType {
        DType::F32
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
