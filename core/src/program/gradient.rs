//! Reverse-mode differentiation: appends the backward pass to a program as ordinary instructions.

use super::{BuildError, Builder, GradientCall, TensorType, ValueId};
use rustc_hash::FxHashMap;

/// The operations that accumulation and number literals need; supplied by the catalogue, since core knows no concrete primitive.
pub trait Algebra {
    /// Emits the elementwise sum of two values of one type.
    ///
    /// # Errors
    /// As [`Builder::emit`].
    fn add(&self, builder: &mut Builder, left: ValueId, right: ValueId) -> Result<ValueId, BuildError>;

    /// Emits a tensor filled with one number.
    ///
    /// # Errors
    /// As [`Builder::emit`].
    fn fill(&self, builder: &mut Builder, tensor_type: &TensorType, value: f64) -> Result<ValueId, BuildError>;
}

/// Why a program could not be differentiated.
pub type GradientError = BuildError;

/// The gradients that [`differentiate`] emitted.
#[derive(Clone, Debug, Default)]
pub struct Gradients {
    values: FxHashMap<ValueId, ValueId>,
}

impl Gradients {
    /// The gradient with respect to `value`; `None` where it is zero everywhere (nothing seeded depends on it).
    pub fn of(&self, value: ValueId) -> Option<ValueId> {
        self.values.get(&value).copied()
    }
}

/// Appends the vector-Jacobian product of the builder's program.
///
/// `seeds` are pairs (value, gradient with respect to it), the gradient of the value's shape; for a scalar loss that is one pair with
/// a value that holds 1. `wanted` are the values whose gradients are needed: only instructions that lie between a wanted value and a
/// seed get a backward part, so frozen parts cost nothing. The first gradient that reaches a value is used as it is and later ones
/// are added, in the reverse order of the program: nothing is zero-filled, and the order of sums is fixed.
///
/// # Errors
/// Where a wanted gradient passes through a primitive that has none.
pub fn differentiate(
    builder: &mut Builder,
    seeds: &[(ValueId, ValueId)],
    wanted: &[ValueId],
    algebra: &dyn Algebra,
) -> Result<Gradients, GradientError> {
    let forward_length = builder.program().instructions.len();
    let mut needed = vec![false; builder.program().types.len()];
    for value in wanted {
        needed[value.index()] = true;
    }
    for instruction in &builder.program().instructions {
        if instruction.inputs.iter().any(|input| needed[input.index()]) {
            for output in &instruction.outputs {
                needed[output.index()] |= builder.type_of(*output).dtype.is_float();
            }
        }
    }
    let mut gradients = Gradients::default();
    for (value, gradient) in seeds {
        accumulate(builder, &mut gradients, *value, *gradient, algebra)?;
    }
    for index in (0..forward_length).rev() {
        let instruction = builder.program().instructions[index].clone();
        if !instruction.outputs.iter().any(|output| needed[output.index()]) {
            continue;
        }
        let incoming: Vec<Option<ValueId>> = instruction.outputs.iter().map(|output| gradients.of(*output)).collect();
        if incoming.iter().all(Option::is_none) {
            continue;
        }
        let wanted_inputs: Vec<bool> =
            instruction.inputs.iter().map(|input| needed[input.index()] && builder.type_of(*input).dtype.is_float()).collect();
        if !wanted_inputs.contains(&true) {
            continue;
        }
        builder.restore_origin(instruction.origin);
        let call = GradientCall {
            inputs: &instruction.inputs,
            outputs: &instruction.outputs,
            gradients: &incoming,
            wanted: &wanted_inputs,
        };
        let results = instruction.op.gradient(builder, &call)?;
        debug_assert_eq!(results.len(), instruction.inputs.len(), "{} gives one gradient per input", instruction.op.name());
        for ((input, gradient), is_wanted) in instruction.inputs.iter().zip(results).zip(wanted_inputs) {
            if let (Some(gradient), true) = (gradient, is_wanted) {
                accumulate(builder, &mut gradients, *input, gradient, algebra)?;
            }
        }
    }
    Ok(gradients)
}

fn accumulate(
    builder: &mut Builder,
    gradients: &mut Gradients,
    value: ValueId,
    gradient: ValueId,
    algebra: &dyn Algebra,
) -> Result<(), BuildError> {
    debug_assert_eq!(builder.shape(value), builder.shape(gradient), "a gradient has its value's shape");
    let sum = match gradients.of(value) {
        Some(earlier) => algebra.add(builder, earlier, gradient)?,
        None => gradient,
    };
    gradients.values.insert(value, sum);
    Ok(())
}
