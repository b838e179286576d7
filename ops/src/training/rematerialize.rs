//! Activations computed again in the backward pass instead of kept (Chen et al., "Training deep nets with sublinear memory cost", 2016).

use rustc_hash::FxHashMap;
use sward_core::glob::matches;
use sward_core::program::{Instruction, Program, ValueId};

/// A pattern that marks no module.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the pattern `{pattern}` of modules to rematerialize matches no node of the graph")]
pub struct NothingToRematerialize {
    /// The pattern.
    pub pattern: String,
}

/// The modules that a node lies in, by their paths, the outermost first, and the node itself.
pub fn modules_of(path: &str) -> impl Iterator<Item = &str> {
    let ends = path.match_indices('.').map(|(end, _)| end).chain([path.len()]);
    ends.map(|end| &path[..end]).filter(|module| !module.is_empty())
}

/// The shortest beginning of a node's path that matches the pattern: the module it lies in.
fn module_of<'p>(path: &'p str, pattern: &str) -> Option<&'p str> {
    modules_of(path).find(|module| matches(pattern, module))
}

/// Makes the modules whose paths match a pattern (`stages.*.blocks.*`; of nested matches the outermost counts) keep only what they are given and what they
/// return: where the backward pass comes back to one, its forward part is computed again. The same instructions on the same operands give the same bits, random numbers included.
///
/// For an optimized training program, as the last step: passes that share equal work would undo it. Gives how many instructions were repeated.
///
/// # Errors
/// For a pattern that matches nothing.
pub fn rematerialize(program: &mut Program, patterns: &[String]) -> Result<usize, NothingToRematerialize> {
    let mut modules: Vec<String> = Vec::new();
    for pattern in patterns {
        let known = modules.len();
        let mut is_marked = false;
        for origin in &program.origins {
            let Some(module) = module_of(&origin.path, pattern) else { continue };
            is_marked = true;
            if !modules.iter().any(|own| own == module) {
                modules.push(module.to_string());
            }
        }
        if !is_marked {
            modules.truncate(known);
            return Err(NothingToRematerialize { pattern: pattern.clone() });
        }
    }
    Ok(modules.iter().map(|module| repeat(program, module)).sum())
}

/// Whether each instruction lies in a module.
fn members(program: &Program, module: &str) -> Vec<bool> {
    let is_inside = |path: &str| path.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    let inside: Vec<bool> = program.origins.iter().map(|origin| is_inside(&origin.path)).collect();
    program.instructions.iter().map(|instruction| inside[instruction.origin.0 as usize]).collect()
}

/// What a value has to do with a module.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    /// It does not depend on it.
    Apart,
    /// It is made in it.
    Inside,
    /// It is made outside of what the module returned.
    Left,
}

/// Where the backward pass enters a module: the first of its instructions that reads what depends on its results by a way outside.
fn entry(program: &Program, is_member: &[bool]) -> Option<usize> {
    let mut ways = vec![Way::Apart; program.types.len()];
    for (index, instruction) in program.instructions.iter().enumerate() {
        let most = instruction.inputs.iter().map(|input| ways[input.index()]).max().unwrap_or(Way::Apart);
        let way = match (is_member[index], most) {
            (true, Way::Left) => return Some(index),
            (true, _) => Way::Inside,
            (false, Way::Apart) => Way::Apart,
            (false, _) => Way::Left,
        };
        instruction.outputs.iter().for_each(|output| ways[output.index()] = way);
    }
    None
}

/// Repeats a module's forward part before its backward part.
fn repeat(program: &mut Program, module: &str) -> usize {
    let is_member = members(program, module);
    let Some(entry) = entry(program, &is_member) else { return 0 };
    let mut made_by: FxHashMap<ValueId, usize> = FxHashMap::default();
    for (index, instruction) in program.instructions[..entry].iter().enumerate().filter(|(index, _)| is_member[*index]) {
        instruction.outputs.iter().for_each(|output| _ = made_by.insert(*output, index));
    }
    // What the rest reads of it, and what that is made of.
    let mut is_repeated = vec![false; entry];
    let read: Vec<ValueId> = program.instructions[entry..].iter().flat_map(|own| own.inputs.iter().copied()).collect();
    for value in read {
        if let Some(index) = made_by.get(&value) {
            is_repeated[*index] = true;
        }
    }
    for index in (0..entry).rev().filter(|index| is_member[*index]) {
        if is_repeated[index] {
            for input in &program.instructions[index].inputs {
                if let Some(maker) = made_by.get(input) {
                    is_repeated[*maker] = true;
                }
            }
        }
    }
    let mut again: FxHashMap<ValueId, ValueId> = FxHashMap::default();
    let mut copies: Vec<Instruction> = Vec::new();
    for index in (0..entry).filter(|index| is_repeated[*index]) {
        let original = program.instructions[index].clone();
        let inputs = original.inputs.iter().map(|input| again.get(input).copied().unwrap_or(*input)).collect();
        let outputs = (original.outputs.iter())
            .map(|output| {
                program.types.push(program.type_of(*output).clone());
                let copy = ValueId((program.types.len() - 1) as u32);
                again.insert(*output, copy);
                copy
            })
            .collect();
        copies.push(Instruction { inputs, outputs, ..original });
    }
    for instruction in &mut program.instructions[entry..] {
        for input in &mut instruction.inputs {
            if let Some(copy) = again.get(input) {
                *input = *copy;
            }
        }
    }
    let count = copies.len();
    program.instructions.splice(entry..entry, copies);
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_lies_in_the_outermost_module_that_matches() {
        assert_eq!(module_of("stages.0.blocks.1.conv", "stages.*.blocks.*"), Some("stages.0.blocks.1"));
        assert_eq!(module_of("stages.0.downsample", "stages.*.blocks.*"), None);
        assert_eq!(module_of("stem.conv", "*"), Some("stem"));
        assert_eq!(module_of("", "*"), None);
    }
}
