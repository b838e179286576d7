//! A program cut in two: what runs before some arguments are known, and the rest.

use rustc_hash::FxHashMap;
use sward_core::program::{Argument, Instruction, Origin, Output, Program, Role, Update, ValueId};

/// Two programs that together are one. What the second needs of the first's values is an output there and an input here, under one name (`saved.0`, `saved.1`, ...).
#[derive(Clone, Debug)]
pub struct Halves {
    /// What needs none of the late arguments, as far as outputs and updates ask for it.
    pub first: Program,
    /// Everything else.
    pub second: Program,
    /// The names of the values that go from the first to the second.
    pub saved: Vec<String>,
}

/// Cuts a program at arguments that are known late, such as the gradient of its result, which another program computes.
///
/// Work that only the second half's results ask for is done there, although it could be done before: what is saved stays small.
pub fn halves(program: &Program, late: &[&str]) -> Halves {
    let mut is_late = vec![false; program.types.len()];
    for argument in program.arguments.iter().filter(|argument| late.contains(&argument.name.as_str())) {
        is_late[argument.value.index()] = true;
    }
    for instruction in &program.instructions {
        if instruction.inputs.iter().any(|input| is_late[input.index()]) {
            instruction.outputs.iter().for_each(|output| is_late[output.index()] = true);
        }
    }
    let (late_outputs, outputs): (Vec<Output>, Vec<Output>) =
        program.outputs.iter().cloned().partition(|output| is_late[output.value.index()]);
    let (late_updates, updates): (Vec<Update>, Vec<Update>) =
        program.updates.iter().copied().partition(|update| is_late[update.value.index()]);
    let needed = |outputs: &[Output], updates: &[Update], skip: &[bool]| -> Vec<bool> {
        let mut read = vec![false; program.types.len()];
        outputs.iter().for_each(|output| read[output.value.index()] = true);
        updates.iter().for_each(|update| read[update.value.index()] = true);
        let mut kept = vec![false; program.instructions.len()];
        for (index, instruction) in program.instructions.iter().enumerate().rev() {
            if !skip[index] && instruction.outputs.iter().any(|output| read[output.index()]) {
                kept[index] = true;
                instruction.inputs.iter().for_each(|input| read[input.index()] = true);
            }
        }
        kept
    };
    let in_first = needed(&outputs, &updates, &vec![false; program.instructions.len()]);
    let in_second = needed(&late_outputs, &late_updates, &in_first);
    let mut saved_values: Vec<ValueId> = Vec::new();
    let mut made_in_first = vec![false; program.types.len()];
    for (index, instruction) in program.instructions.iter().enumerate().filter(|(index, _)| in_first[*index]) {
        debug_assert!(!in_second[index], "each instruction runs once");
        instruction.outputs.iter().for_each(|output| made_in_first[output.index()] = true);
    }
    let read_late = (program.instructions.iter().zip(&in_second).filter(|(_, kept)| **kept))
        .flat_map(|(instruction, _)| instruction.inputs.iter().copied())
        .chain(late_outputs.iter().map(|output| output.value))
        .chain(late_updates.iter().map(|update| update.value));
    for value in read_late {
        if made_in_first[value.index()] && !saved_values.contains(&value) {
            saved_values.push(value);
        }
    }
    let saved: Vec<String> = (0..saved_values.len()).map(|position| format!("saved.{position}")).collect();
    let mut first = Part::new(program, &outputs, &updates, &in_first, &[]);
    for (name, value) in saved.iter().zip(&saved_values) {
        let value = first.values[value];
        first.program.outputs.push(Output { name: name.clone(), value });
    }
    let given: Vec<(&str, ValueId)> = saved.iter().map(String::as_str).zip(saved_values.iter().copied()).collect();
    let second = Part::new(program, &late_outputs, &late_updates, &in_second, &given);
    Halves { first: first.program, second: second.program, saved }
}

/// A program of some of another's instructions.
struct Part {
    program: Program,
    values: FxHashMap<ValueId, ValueId>,
}

impl Part {
    fn new(whole: &Program, outputs: &[Output], updates: &[Update], kept: &[bool], given: &[(&str, ValueId)]) -> Part {
        let none = Origin { path: String::new(), place: None };
        let origins = if whole.origins.is_empty() { vec![none] } else { whole.origins.clone() };
        let mut part = Part { program: Program { origins, ..Program::default() }, values: FxHashMap::default() };
        let instructions: Vec<&Instruction> =
            whole.instructions.iter().zip(kept).filter(|(_, kept)| **kept).map(|(instruction, _)| instruction).collect();
        let mut is_read = vec![false; whole.types.len()];
        let read = instructions.iter().flat_map(|instruction| instruction.inputs.iter().copied());
        let slots = updates.iter().flat_map(|update| [update.slot, update.value]);
        read.chain(slots).chain(outputs.iter().map(|output| output.value)).for_each(|value| is_read[value.index()] = true);
        for argument in whole.arguments.iter().filter(|argument| is_read[argument.value.index()]) {
            let value = part.define(whole, argument.value);
            part.program.arguments.push(Argument { value, ..argument.clone() });
        }
        for (name, value) in given {
            let value = part.define(whole, *value);
            let origin = sward_core::program::OriginId(0);
            part.program.arguments.push(Argument { name: (*name).to_string(), role: Role::Input, value, origin });
        }
        for instruction in instructions {
            let inputs = instruction.inputs.iter().map(|input| part.values[input]).collect();
            let outputs = instruction.outputs.iter().map(|output| part.define(whole, *output)).collect();
            part.program.instructions.push(Instruction { inputs, outputs, ..instruction.clone() });
        }
        part.program.outputs =
            outputs.iter().map(|output| Output { value: part.values[&output.value], ..output.clone() }).collect();
        part.program.updates =
            updates.iter().map(|update| Update { slot: part.values[&update.slot], value: part.values[&update.value] }).collect();
        part
    }

    fn define(&mut self, whole: &Program, value: ValueId) -> ValueId {
        self.program.types.push(whole.type_of(value).clone());
        let own = ValueId((self.program.types.len() - 1) as u32);
        self.values.insert(value, own);
        own
    }
}
