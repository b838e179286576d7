//! The verifier: what every program must satisfy, before and after each pass.

use super::{Program, Role, TensorType, ValueId};

/// The first rule that a program breaks.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{place}: {reason}")]
pub struct VerifyError {
    /// The instruction (`instruction 12 matmul`), argument, output or update.
    pub place: String,
    /// The rule that is broken.
    pub reason: String,
}

/// Checks single assignment, definition before use, that every type is what the primitive's own rule gives, unique names, and that
/// updates go to parameters or state of the same type.
///
/// # Errors
/// The first broken rule.
pub fn verify(program: &Program) -> Result<(), VerifyError> {
    let mut defined = vec![false; program.types.len()];
    let fail = |place: String, reason: String| Err(VerifyError { place, reason });
    let mut names = rustc_hash::FxHashSet::default();
    for argument in &program.arguments {
        let place = || format!("argument {}", argument.name);
        if !names.insert(argument.name.as_str()) {
            return fail(place(), "the name is taken".to_string());
        }
        if std::mem::replace(&mut defined[argument.value.index()], true) {
            return fail(place(), format!("%{} is defined twice", argument.value.0));
        }
    }
    for (index, instruction) in program.instructions.iter().enumerate() {
        let place = || {
            format!(
                "instruction {index} {} (node `{}`)",
                instruction.op.name(),
                program.origins[instruction.origin.0 as usize].path
            )
        };
        if let Some(input) = instruction.inputs.iter().find(|input| !defined[input.index()]) {
            return fail(place(), format!("%{} is read before it is defined", input.0));
        }
        let operands: Vec<TensorType> = instruction.inputs.iter().map(|input| program.type_of(*input).clone()).collect();
        let expected = match instruction.op.infer(&operands) {
            Ok(expected) => expected,
            Err(reason) => return fail(place(), reason),
        };
        if expected.len() != instruction.outputs.len() {
            return fail(place(), format!("{} results, its rule gives {}", instruction.outputs.len(), expected.len()));
        }
        for (output, expected) in instruction.outputs.iter().zip(expected) {
            if *program.type_of(*output) != expected {
                return fail(place(), format!("%{} is {}, its rule gives {expected}", output.0, program.type_of(*output)));
            }
            if std::mem::replace(&mut defined[output.index()], true) {
                return fail(place(), format!("%{} is defined twice", output.0));
            }
        }
    }
    let is_defined = |value: ValueId| defined.get(value.index()).copied().unwrap_or(false);
    let mut outputs = rustc_hash::FxHashSet::default();
    for output in &program.outputs {
        let place = format!("output {}", output.name);
        if !is_defined(output.value) {
            return fail(place, format!("%{} is not defined", output.value.0));
        }
        if !outputs.insert(output.name.as_str()) {
            return fail(place, "the name is taken".to_string());
        }
    }
    let mut slots = rustc_hash::FxHashSet::default();
    for update in &program.updates {
        let place = format!("update of %{}", update.slot.0);
        let slot = program.arguments.iter().find(|argument| argument.value == update.slot);
        if !slot.is_some_and(|argument| matches!(argument.role, Role::Parameter { .. } | Role::State)) {
            return fail(place, "the slot is no parameter or state".to_string());
        }
        if !is_defined(update.value) || program.type_of(update.value) != program.type_of(update.slot) {
            return fail(place, format!("%{} is not a defined value of the slot's type", update.value.0));
        }
        if !slots.insert(update.slot) {
            return fail(place, "the slot is updated twice".to_string());
        }
    }
    Ok(())
}
