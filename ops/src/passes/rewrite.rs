//! What the passes share: walking a program once from its first instruction to its last while writing it anew.

use smallvec::SmallVec;
use std::mem::take;
use sward_core::program::{BuildError, Builder, Instruction, Program, Shape, TensorType, ValueId};

/// Results that stand for those of a replaced instruction.
pub(crate) type Replacement = Option<SmallVec<[ValueId; 2]>>;

/// A program being rewritten: the instructions written so far, and which values stand for replaced ones.
pub(crate) struct Rewrite {
    /// Takes new instructions. Values of the old program keep their numbers.
    pub builder: Builder,
    alias: Vec<ValueId>,
    /// For every value, the instruction that defines it among those written; `u32::MAX` for none.
    definition: Vec<u32>,
    indexed: usize,
    changes: usize,
}

impl Rewrite {
    /// Takes a program apart: the rewrite, which holds everything but the instructions, and these.
    pub(crate) fn start(program: &mut Program) -> (Rewrite, Vec<Instruction>) {
        let instructions = take(&mut program.instructions);
        let program = take(program);
        let alias = (0..program.types.len() as u32).map(ValueId).collect();
        let builder = Builder::from_program(program, 0);
        (Rewrite { builder, alias, definition: Vec::new(), indexed: 0, changes: 0 }, instructions)
    }

    /// The value that stands for one of the old program.
    pub(crate) fn resolve(&self, value: ValueId) -> ValueId {
        self.alias.get(value.index()).copied().unwrap_or(value)
    }

    /// Lets `new` stand for `old` from here on.
    pub(crate) fn replace(&mut self, old: ValueId, new: ValueId) {
        debug_assert_eq!(self.builder.shape(old), self.builder.shape(new), "a replacement has the sizes of what it replaces");
        self.alias[old.index()] = new;
        self.changes += 1;
    }

    /// Writes an instruction as it is, its inputs resolved.
    pub(crate) fn keep(&mut self, mut instruction: Instruction) {
        instruction.inputs.iter_mut().for_each(|input| *input = self.resolve(*input));
        self.builder.program_mut().instructions.push(instruction);
    }

    /// The instruction written that defines a value; `None` for an argument.
    pub(crate) fn producer(&mut self, value: ValueId) -> Option<Instruction> {
        let program = self.builder.program();
        self.definition.resize(program.types.len(), u32::MAX);
        for (index, instruction) in program.instructions.iter().enumerate().skip(self.indexed) {
            for output in &instruction.outputs {
                self.definition[output.index()] = index as u32;
            }
        }
        self.indexed = program.instructions.len();
        program.instructions.get(self.definition[value.index()] as usize).cloned()
    }

    /// The type of a value.
    pub(crate) fn type_of(&self, value: ValueId) -> TensorType {
        self.builder.type_of(value).clone()
    }

    /// The sizes of a value.
    pub(crate) fn shape(&self, value: ValueId) -> Shape {
        self.builder.type_of(value).shape.clone()
    }

    /// Puts the program together again; returns how many values were replaced.
    pub(crate) fn finish(self, program: &mut Program) -> usize {
        let Rewrite { builder, alias, changes, .. } = self;
        *program = builder.finish();
        let resolve = |value: ValueId| alias.get(value.index()).copied().unwrap_or(value);
        program.outputs.iter_mut().for_each(|output| output.value = resolve(output.value));
        program.updates.iter_mut().for_each(|update| update.value = resolve(update.value));
        changes
    }
}

/// Offers every instruction, its inputs resolved, to a rule that may emit others in its place; returns how many values were replaced.
pub(crate) fn rewrite(
    program: &mut Program,
    mut rule: impl FnMut(&mut Rewrite, &Instruction) -> Result<Replacement, BuildError>,
) -> Result<usize, BuildError> {
    let (mut rewrite, instructions) = Rewrite::start(program);
    for mut instruction in instructions {
        instruction.inputs.iter_mut().for_each(|input| *input = rewrite.resolve(*input));
        rewrite.builder.restore_origin(instruction.origin);
        match rule(&mut rewrite, &instruction)? {
            None => rewrite.keep(instruction),
            Some(values) => {
                for (old, new) in instruction.outputs.iter().zip(values) {
                    rewrite.replace(*old, new);
                }
            }
        }
    }
    Ok(rewrite.finish(program))
}

/// How often every value is read, per instruction once, and by outputs and updates; grows with the values that replace others.
pub(crate) struct Uses(Vec<u32>);

impl Uses {
    /// Counts the readers in a program.
    pub(crate) fn of(program: &Program) -> Uses {
        let mut counts = vec![0; program.types.len()];
        for instruction in &program.instructions {
            for (position, input) in instruction.inputs.iter().enumerate() {
                if !instruction.inputs[..position].contains(input) {
                    counts[input.index()] += 1;
                }
            }
        }
        let results = program.outputs.iter().map(|output| output.value);
        for value in results.chain(program.updates.iter().map(|update| update.value)) {
            counts[value.index()] += 1;
        }
        Uses(counts)
    }

    /// How many readers a value has.
    pub(crate) fn count(&self, value: ValueId) -> u32 {
        self.0.get(value.index()).copied().unwrap_or(0)
    }

    /// States that `new` has the readers of `old`.
    pub(crate) fn inherit(&mut self, old: ValueId, new: ValueId) {
        if self.0.len() <= new.index() {
            self.0.resize(new.index() + 1, 0);
        }
        self.0[new.index()] = self.0[old.index()];
    }
}
