//! The reference interpreter: runs a program in f64, plainly.

use super::{Array, Program, Role, RunKey};
use std::collections::BTreeMap;

/// Arrays by name.
pub type Named = BTreeMap<String, Array>;

/// Why a program could not be interpreted.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InterpretError {
    /// No array was given for an argument.
    #[error("no value for the {role:?} `{name}`")]
    Missing {
        /// The argument's name.
        name: String,
        /// Its role.
        role: Role,
    },
    /// The array given for an argument has another type.
    #[error("`{name}` is {given}, expected {expected}")]
    Type {
        /// The argument's name.
        name: String,
        /// What was given.
        given: String,
        /// What the program declares.
        expected: String,
    },
}

/// Runs `program` on the arrays given by argument name; returns its outputs by name, and the next contents of every updated argument
/// under the argument's own name in the second map.
///
/// This is the definition of a program's meaning. It computes in f64 and is meant for small problems: engines are compared with it,
/// and finite differences through it judge gradients.
///
/// # Errors
/// When an argument is missing or has another shape.
///
/// # Panics
/// When a primitive's reference returns something other than its rule for types says: a bug in that primitive.
pub fn interpret(program: &Program, arguments: &BTreeMap<String, Array>, key: RunKey) -> Result<(Named, Named), InterpretError> {
    let mut values: Vec<Option<Array>> = vec![None; program.types.len()];
    for argument in &program.arguments {
        let given = arguments
            .get(&argument.name)
            .ok_or_else(|| InterpretError::Missing { name: argument.name.clone(), role: argument.role })?;
        let expected = program.type_of(argument.value);
        if given.shape != expected.shape {
            return Err(InterpretError::Type {
                name: argument.name.clone(),
                given: given.tensor_type().to_string(),
                expected: expected.to_string(),
            });
        }
        values[argument.value.index()] = Some(given.clone());
    }
    for instruction in &program.instructions {
        let results = {
            let inputs: Vec<&Array> =
                instruction.inputs.iter().map(|input| values[input.index()].as_ref().expect("defined before use")).collect();
            instruction.op.reference(&inputs, key)
        };
        assert_eq!(results.len(), instruction.outputs.len(), "results of {}", instruction.op.name());
        for (output, mut array) in instruction.outputs.iter().zip(results) {
            let expected = program.type_of(*output);
            assert_eq!(array.shape, expected.shape, "shape of {}'s result", instruction.op.name());
            array.dtype = expected.dtype;
            values[output.index()] = Some(array);
        }
    }
    let read = |value: super::ValueId| values[value.index()].clone().expect("outputs are defined");
    let outputs = program.outputs.iter().map(|output| (output.name.clone(), read(output.value))).collect();
    let updates = program
        .updates
        .iter()
        .map(|update| {
            let argument = program.arguments.iter().find(|argument| argument.value == update.slot).expect("a verified slot");
            (argument.name.clone(), read(update.value))
        })
        .collect();
    Ok((outputs, updates))
}
