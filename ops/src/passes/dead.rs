//! `dead_code`: what nothing reads is left out, and values are numbered in the order of their definitions.

use super::maps::Expressions;
use super::rewrite::rewrite;
use crate::primitives::Map;
use sward_core::program::{BuildError, Program, Role, ValueId};

pub(super) fn run(program: &mut Program) -> Result<usize, BuildError> {
    let mut live = liveness(program);
    let before = program.instructions.len();
    let pruned = rewrite(program, |rewrite, instruction| {
        let Some(map) = instruction.op.downcast::<Map>() else { return Ok(None) };
        let is_live = |value: &ValueId| live[value.index()];
        if instruction.outputs.iter().all(is_live) || !instruction.outputs.iter().any(is_live) {
            return Ok(None);
        }
        // Results of a map that nobody reads are not computed; their old numbers stand for a result that is.
        let roots: Vec<usize> = (0..map.roots.len()).filter(|root| is_live(&instruction.outputs[*root])).collect();
        let mut expressions = Expressions::new();
        let Some(own) = expressions.add(map, &instruction.inputs) else { return Ok(None) };
        let chosen: Vec<_> = roots.iter().map(|root| (own[*root], map.dtypes[*root])).collect();
        let shape = rewrite.shape(instruction.outputs[0]);
        let values = expressions.emit(&mut rewrite.builder, &chosen, &shape)?;
        let stand_in = |root: usize| roots.iter().position(|kept| *kept == root).unwrap_or(0);
        Ok(Some((0..map.roots.len()).map(|root| values[stand_in(root)]).collect()))
    })?;
    if pruned > 0 {
        live = liveness(program);
    }
    program.instructions.retain(|instruction| instruction.outputs.iter().any(|output| live[output.index()]));
    renumber(program);
    Ok(before - program.instructions.len() + pruned)
}

/// Removes instructions and inputs that nothing reads; with `keeps_parameters`, parameters and state stay: they are what a graph has, used
/// or not.
pub fn prune(program: &mut Program, keeps_parameters: bool) {
    let live = liveness(program);
    program.instructions.retain(|instruction| instruction.outputs.iter().any(|output| live[output.index()]));
    program.arguments.retain(|argument| (keeps_parameters && argument.role != Role::Input) || live[argument.value.index()]);
    renumber(program);
}

/// For every value, whether an output or update depends on it.
fn liveness(program: &Program) -> Vec<bool> {
    let mut live = vec![false; program.types.len()];
    let results = program.outputs.iter().map(|output| output.value);
    for value in results.chain(program.updates.iter().map(|update| update.value)) {
        live[value.index()] = true;
    }
    for instruction in program.instructions.iter().rev() {
        if instruction.outputs.iter().any(|output| live[output.index()]) {
            for input in &instruction.inputs {
                live[input.index()] = true;
            }
        }
    }
    live
}

fn renumber(program: &mut Program) {
    let mut numbers = vec![ValueId(u32::MAX); program.types.len()];
    let mut types = Vec::with_capacity(program.types.len());
    let mut define = |value: &mut ValueId| {
        let number = ValueId(types.len() as u32);
        types.push(program.types[value.index()].clone());
        numbers[value.index()] = number;
        *value = number;
    };
    program.arguments.iter_mut().for_each(|argument| define(&mut argument.value));
    for instruction in &mut program.instructions {
        instruction.outputs.iter_mut().for_each(&mut define);
    }
    let instructions = program.instructions.iter_mut().flat_map(|instruction| instruction.inputs.iter_mut());
    let outputs = program.outputs.iter_mut().map(|output| &mut output.value);
    let updates = program.updates.iter_mut().flat_map(|update| [&mut update.slot, &mut update.value]);
    for value in instructions.chain(outputs).chain(updates) {
        *value = numbers[value.index()];
    }
    program.types = types;
}
