//! Growing a program by one instruction at a time.

use super::{Argument, Instruction, Origin, OriginId, Output, Primitive, Program, Role, TensorType, Update, ValueId};
use smallvec::SmallVec;
use std::sync::Arc;

/// Why an instruction could not be added.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BuildError {
    /// The operands do not fit the primitive.
    #[error("{path}: {primitive}({operands}): {reason}")]
    Operands {
        /// The origin node's path.
        path: String,
        /// The primitive's name.
        primitive: &'static str,
        /// The operand types as text.
        operands: String,
        /// What does not fit.
        reason: String,
    },
    /// A gradient was asked for that does not exist.
    #[error("{path}: no gradient through {primitive}: {reason}")]
    NoGradient {
        /// The origin node's path.
        path: String,
        /// The primitive's name.
        primitive: &'static str,
        /// Why not.
        reason: String,
    },
    /// A lowering met a size that breaks an obligation or a limit.
    #[error("{path}: {reason}")]
    Lowering {
        /// The origin node's path.
        path: String,
        /// What went wrong.
        reason: String,
    },
}

/// Builds a [`Program`]: every value gets its type from the primitive's own rule.
#[derive(Debug)]
pub struct Builder {
    program: Program,
    origin: OriginId,
    next_stream: u32,
}

impl Default for Builder {
    fn default() -> Builder {
        Builder::new()
    }
}

impl Builder {
    /// An empty program.
    pub fn new() -> Builder {
        let none = Origin { path: String::new(), place: None };
        Builder { program: Program { origins: vec![none], ..Program::default() }, origin: OriginId(0), next_stream: 0 }
    }

    /// Continues a program, with the origin "no node".
    pub fn from_program(program: Program, next_stream: u32) -> Builder {
        Builder { program, origin: OriginId(0), next_stream }
    }

    /// Sets the graph node that the following instructions come from.
    pub fn set_origin(&mut self, origin: Origin) -> OriginId {
        if self.program.origins.last() != Some(&origin) {
            self.program.origins.push(origin);
        }
        self.origin = OriginId((self.program.origins.len() - 1) as u32);
        self.origin
    }

    /// Continues with an origin that exists already (the backward pass inherits the forward instruction's).
    pub fn restore_origin(&mut self, origin: OriginId) {
        self.origin = origin;
    }

    /// The current origin node's path.
    pub fn path(&self) -> &str {
        &self.program.origins[self.origin.0 as usize].path
    }

    /// A random stream that no other call returns.
    pub fn random_stream(&mut self) -> u32 {
        self.next_stream += 1;
        self.next_stream - 1
    }

    /// The random stream that the next call of [`Builder::random_stream`] returns; a pass that continues the program needs it.
    pub fn next_stream(&self) -> u32 {
        self.next_stream
    }

    /// The type of a value.
    pub fn type_of(&self, value: ValueId) -> &TensorType {
        self.program.type_of(value)
    }

    /// The sizes of a value.
    pub fn shape(&self, value: ValueId) -> &[usize] {
        &self.program.type_of(value).shape
    }

    /// Declares a value that is given from outside.
    pub fn argument(&mut self, name: &str, role: Role, tensor_type: TensorType) -> ValueId {
        let value = self.define(tensor_type);
        self.program.arguments.push(Argument { name: name.to_string(), role, value, origin: self.origin });
        value
    }

    /// Adds one instruction; returns its results.
    ///
    /// # Errors
    /// [`BuildError::Operands`] where the operands do not fit the primitive.
    pub fn emit(&mut self, op: impl Primitive, inputs: &[ValueId]) -> Result<SmallVec<[ValueId; 2]>, BuildError> {
        self.emit_shared(Arc::new(op), inputs)
    }

    /// As [`Builder::emit`], for a primitive that is shared already.
    ///
    /// # Errors
    /// [`BuildError::Operands`] where the operands do not fit the primitive.
    pub fn emit_shared(&mut self, op: Arc<dyn Primitive>, inputs: &[ValueId]) -> Result<SmallVec<[ValueId; 2]>, BuildError> {
        let operands: Vec<TensorType> = inputs.iter().map(|value| self.type_of(*value).clone()).collect();
        let types = op.infer(&operands).map_err(|reason| BuildError::Operands {
            path: self.path().to_string(),
            primitive: op.name(),
            operands: operands.iter().map(TensorType::to_string).collect::<Vec<_>>().join(", "),
            reason,
        })?;
        let outputs: SmallVec<[ValueId; 2]> = types.into_iter().map(|tensor_type| self.define(tensor_type)).collect();
        let inputs = SmallVec::from_slice(inputs);
        self.program.instructions.push(Instruction { op, inputs, outputs: outputs.clone(), origin: self.origin });
        Ok(outputs)
    }

    /// As [`Builder::emit`], for a primitive with one result.
    ///
    /// # Errors
    /// [`BuildError::Operands`] where the operands do not fit the primitive.
    pub fn emit_one(&mut self, op: impl Primitive, inputs: &[ValueId]) -> Result<ValueId, BuildError> {
        Ok(self.emit(op, inputs)?[0])
    }

    /// Names a result.
    pub fn output(&mut self, name: &str, value: ValueId) {
        self.program.outputs.push(Output { name: name.to_string(), value });
    }

    /// States what an argument holds after the run.
    pub fn update(&mut self, slot: ValueId, value: ValueId) {
        self.program.updates.push(Update { slot, value });
    }

    /// An error of the current origin, for lowerings.
    pub fn refuse(&self, reason: impl Into<String>) -> BuildError {
        BuildError::Lowering { path: self.path().to_string(), reason: reason.into() }
    }

    /// A missing gradient at the current origin, for gradient rules.
    pub fn no_gradient(&self, primitive: &'static str, reason: impl Into<String>) -> BuildError {
        BuildError::NoGradient { path: self.path().to_string(), primitive, reason: reason.into() }
    }

    /// The program so far.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// The program so far, to be changed in place by a pass.
    pub fn program_mut(&mut self) -> &mut Program {
        &mut self.program
    }

    /// The program of one instruction: its operands as inputs `x0`, `x1`, ..., its results as outputs `y0`, `y1`, ...
    ///
    /// # Errors
    /// [`BuildError::Operands`] where the operands do not fit the primitive.
    pub fn single(op: Arc<dyn Primitive>, operands: &[TensorType]) -> Result<Program, BuildError> {
        let mut builder = Builder::new();
        let named = operands.iter().enumerate();
        let inputs: Vec<_> = named.map(|(at, own)| builder.argument(&format!("x{at}"), Role::Input, own.clone())).collect();
        for (at, result) in builder.emit_shared(op, &inputs)?.into_iter().enumerate() {
            builder.output(&format!("y{at}"), result);
        }
        Ok(builder.finish())
    }

    /// The finished program.
    pub fn finish(self) -> Program {
        self.program
    }

    fn define(&mut self, tensor_type: TensorType) -> ValueId {
        self.program.types.push(tensor_type);
        ValueId((self.program.types.len() - 1) as u32)
    }
}
