//! `schedule`: a parameter's step is taken as soon as its gradient is there and nothing reads the parameter any more.
//!
//! As written, all steps stand at the end, and all gradients live until then. Where clipping or a guard needs every gradient first, they stay there.

use crate::primitives::{Map, OptimizerUpdate, Permute, Reshape};
use sward_core::program::{BuildError, Instruction, Program};

pub(super) fn run(program: &mut Program) -> Result<usize, BuildError> {
    let movable = movable(program);
    let definitions = program.definitions();
    // For every value, the last instruction that stays in its place and reads it.
    let mut last_read = vec![0; program.types.len()];
    for (index, instruction) in program.instructions.iter().enumerate() {
        if instruction.op.downcast::<OptimizerUpdate>().is_none() {
            instruction.inputs.iter().for_each(|input| last_read[input.index()] = index);
        }
    }
    let mut place: Vec<usize> = (0..program.instructions.len()).collect();
    for (index, instruction) in program.instructions.iter().enumerate().filter(|(index, _)| movable[*index]) {
        let defined =
            instruction.inputs.iter().filter_map(|input| definitions[input.index()]).map(|definition| place[definition]);
        let earliest = defined.max().unwrap_or(0);
        let is_step = instruction.op.downcast::<OptimizerUpdate>().is_some();
        place[index] = if is_step { earliest.max(last_read[instruction.inputs[0].index()]) } else { earliest };
    }
    let moved = (0..place.len()).filter(|index| place[*index] != *index).count();
    let mut order: Vec<usize> = (0..place.len()).collect();
    // Instructions of one place: the one that stands there first, then those that moved there, in the order in which they were written.
    order.sort_by_key(|index| (place[*index], movable[*index], *index));
    let mut instructions: Vec<Option<Instruction>> = std::mem::take(&mut program.instructions).into_iter().map(Some).collect();
    program.instructions = order.into_iter().filter_map(|index| instructions[index].take()).collect();
    Ok(moved)
}

/// The steps, and the movements and casts of gradients that only steps read.
fn movable(program: &Program) -> Vec<bool> {
    let mut is_read_elsewhere = vec![false; program.types.len()];
    for output in &program.outputs {
        is_read_elsewhere[output.value.index()] = true;
    }
    let mut movable = vec![false; program.instructions.len()];
    for (index, instruction) in program.instructions.iter().enumerate().rev() {
        let op = instruction.op.as_ref();
        let is_step = op.downcast::<OptimizerUpdate>().is_some();
        let is_light = op.downcast::<Reshape>().is_some() || op.downcast::<Permute>().is_some() || op.downcast::<Map>().is_some();
        let serves_steps = is_light && !instruction.outputs.iter().any(|output| is_read_elsewhere[output.index()]);
        movable[index] = is_step || serves_steps && !instruction.inputs.is_empty();
        if !movable[index] {
            instruction.inputs.iter().for_each(|input| is_read_elsewhere[input.index()] = true);
        }
    }
    movable
}
