//! The program: what a checked graph compiles to, and what every engine runs.
//!
//! A [`Program`] is a flat list of [`Instruction`]s in static single assignment form. Every value has a concrete type
//! ([`TensorType`]: dtype and sizes, no symbols), is defined exactly once (by an argument or by one instruction) and before it is
//! used. The backward pass, the optimizer and the running statistics are ordinary instructions: nothing is hidden state.
//!
//! What an instruction does is a [`Primitive`]; core knows the trait and no concrete primitive (those live in `sward-ops`, one
//! file each). A primitive states its rule for shapes, its gradient as more primitives, its text and its reference semantics in
//! f64; engines add speed and nothing else.
//!
//! # Meaning
//! - Tensors are dense and row-major. Sizes may be 0; a rank-0 tensor has one element.
//! - Arithmetic on `F32` and `BF16` is done in f32 (or wider) and rounded once when stored. `Bool` holds 0 or 1.
//! - Random leaves are a pure function of (seed, step, stream, row-major element index): see [`RunKey::uniform`].
//! - An [`Update`] says that after the run the argument `slot` holds the value `value`. Reads of the slot within the run see the
//!   old contents.

mod array;
mod builder;
mod gradient;
mod interpret;
mod primitive;
mod random;
mod text;
mod types;
mod verify;

pub use array::Array;
pub use builder::{BuildError, Builder};
pub use gradient::{Algebra, GradientError, Gradients, differentiate};
pub use interpret::{InterpretError, interpret};
pub use primitive::{GradientCall, Primitive, RunKey};
pub use random::{PHILOX_MULTIPLIERS, PHILOX_WEYL, PROGRAM_TAG, philox4x32, uniform_from_bits};
pub use types::{DType, Shape, TensorType, broadcast_shapes, element_count};
pub use verify::{VerifyError, verify};

use smallvec::SmallVec;
use std::sync::Arc;

/// A value of a program: the index of its type in [`Program::types`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ValueId(pub u32);

impl ValueId {
    /// The value's position in [`Program::types`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Where an instruction comes from: a position in [`Program::origins`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct OriginId(pub u32);

/// A node of a graph file, as the origin of instructions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Origin {
    /// The node's path, for example `stages.0.blocks.1.conv_dw`; empty for instructions of no node.
    pub path: String,
    /// The node's place as `file:line:column`, where there is one.
    pub place: Option<String>,
}

/// What an argument of a program is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Role {
    /// Data that changes from run to run.
    Input,
    /// A trained or frozen parameter, held by the engine between runs.
    Parameter {
        /// Whether training changes it; a frozen parameter gets no gradient.
        trained: bool,
    },
    /// What a run reads and updates but no gradient flows to: running statistics, optimizer moments, averaged weights.
    State,
    /// A number that the trainer sets before each run: learning rates, the optimizer's step.
    Setting,
}

/// A value that is given to the program from outside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Argument {
    /// Its name: an input port's, or the parameter's path (`stem.0.weight`).
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// The value it defines.
    pub value: ValueId,
    /// The node that asked for it.
    pub origin: OriginId,
}

/// One step of a program.
#[derive(Clone, Debug)]
pub struct Instruction {
    /// What is computed.
    pub op: Arc<dyn Primitive>,
    /// The values read, in the primitive's order.
    pub inputs: SmallVec<[ValueId; 4]>,
    /// The values defined, in the primitive's order.
    pub outputs: SmallVec<[ValueId; 2]>,
    /// The graph node it serves.
    pub origin: OriginId,
}

/// A named result of a program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Output {
    /// The output's name; gradients are named `grad.<parameter>` and `grad_in.<input>`.
    pub name: String,
    /// The value returned.
    pub value: ValueId,
}

/// After a run, the argument `slot` holds `value`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Update {
    /// A value defined by an argument with the role `Parameter` or `State`.
    pub slot: ValueId,
    /// Its next contents, of the same type.
    pub value: ValueId,
}

/// A flat program in static single assignment form. See the module's text for its meaning.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// The type of every value.
    pub types: Vec<TensorType>,
    /// Values given from outside, in a stable order.
    pub arguments: Vec<Argument>,
    /// The steps, each after those whose results it reads.
    pub instructions: Vec<Instruction>,
    /// Named results.
    pub outputs: Vec<Output>,
    /// What changes between runs.
    pub updates: Vec<Update>,
    /// The graph nodes that instructions and arguments come from; entry 0 is "no node".
    pub origins: Vec<Origin>,
}

impl Program {
    /// The type of a value.
    pub fn type_of(&self, value: ValueId) -> &TensorType {
        &self.types[value.index()]
    }

    /// The argument with that name, if there is one.
    pub fn argument(&self, name: &str) -> Option<&Argument> {
        self.arguments.iter().find(|argument| argument.name == name)
    }

    /// The output with that name, if there is one.
    pub fn output(&self, name: &str) -> Option<&Output> {
        self.outputs.iter().find(|output| output.name == name)
    }

    /// For every value, the index of the instruction that defines it; `None` for arguments.
    pub fn definitions(&self) -> Vec<Option<usize>> {
        let mut definitions = vec![None; self.types.len()];
        for (index, instruction) in self.instructions.iter().enumerate() {
            for output in &instruction.outputs {
                definitions[output.index()] = Some(index);
            }
        }
        definitions
    }

    /// For every value, how many instruction inputs, outputs and updates read it.
    pub fn use_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.types.len()];
        let inputs = self.instructions.iter().flat_map(|instruction| instruction.inputs.iter().copied());
        let results = self.outputs.iter().map(|output| output.value);
        let updates = self.updates.iter().map(|update| update.value);
        for value in inputs.chain(results).chain(updates) {
            counts[value.index()] += 1;
        }
        counts
    }

    /// Floating point operations of one run, by each primitive's own count.
    pub fn flops(&self) -> f64 {
        self.instructions.iter().map(|instruction| self.flops_of(instruction)).sum()
    }

    /// Floating point operations of one instruction.
    pub fn flops_of(&self, instruction: &Instruction) -> f64 {
        let inputs: Vec<TensorType> = instruction.inputs.iter().map(|value| self.type_of(*value).clone()).collect();
        let outputs: Vec<TensorType> = instruction.outputs.iter().map(|value| self.type_of(*value).clone()).collect();
        instruction.op.flops(&inputs, &outputs)
    }
}
