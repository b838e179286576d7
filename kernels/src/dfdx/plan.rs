//! A program on dfdx tensors.

use std::collections::BTreeMap;
use std::time::Instant;

use dfdx::prelude::{Cpu, NoneTape, OwnedTape, Tape};
use sward_core::program::{Array, Instruction, Program, Role, RunKey, TensorType, ValueId};

use super::express::{check, express, is_recorded};
use super::recorder::{Recorder, Value};
use crate::engine::{InstructionTime, Memory, Plan, PrepareError, RunError};
use crate::tensor::Tensor;

/// Refuses what dfdx cannot express, with the node and its place.
pub(super) fn check_program(program: &Program) -> Result<(), PrepareError> {
    sward_core::program::verify(program)?;
    for instruction in &program.instructions {
        let types =
            |values: &[ValueId]| -> Vec<TensorType> { values.iter().map(|value| program.type_of(*value).clone()).collect() };
        let (operands, results) = (types(&instruction.inputs), types(&instruction.outputs));
        check(&*instruction.op, &operands.iter().collect::<Vec<_>>(), &results.iter().collect::<Vec<_>>()).map_err(|reason| {
            let origin = &program.origins[instruction.origin.0 as usize];
            PrepareError::Unsupported {
                engine: "dfdx",
                path: origin.path.clone(),
                place: origin.place.clone(),
                instruction: format!("{}<{}>", instruction.op.name(), instruction.op.attributes()),
                reason,
            }
        })?;
    }
    Ok(())
}

/// Values by their numbers in the program.
type Values = Vec<Option<Value>>;

fn step<T: Tape<f64, Cpu>>(
    recorder: &mut Recorder<T>,
    program: &Program,
    instruction: &Instruction,
    values: &mut Values,
    key: RunKey,
) -> Result<(), RunError> {
    let operands: Vec<(&Value, &TensorType)> = (instruction.inputs.iter())
        .map(|input| (values[input.index()].as_ref().expect("defined before use"), program.type_of(*input)))
        .collect();
    let results: Vec<&TensorType> = instruction.outputs.iter().map(|output| program.type_of(*output)).collect();
    let found = express(recorder, &*instruction.op, &operands, &results, key).map_err(|reason| {
        let origin = &program.origins[instruction.origin.0 as usize];
        let (path, place) = (origin.path.clone(), origin.place.clone());
        RunError::Instruction { path, place, instruction: instruction.op.name(), reason }
    })?;
    debug_assert_eq!(found.len(), results.len(), "results of {}", instruction.op.name());
    for (output, value) in instruction.outputs.iter().zip(found) {
        debug_assert_eq!(value.len(), program.type_of(*output).elements(), "sizes of {}", instruction.op.name());
        values[output.index()] = Some(value);
    }
    Ok(())
}

fn array(program: &Program, value: ValueId, numbers: Vec<f64>) -> Array {
    let tensor_type = program.type_of(value);
    Array::new(tensor_type.dtype, &tensor_type.shape, numbers)
}

/// The results of a program and gradients by dfdx's tape.
#[derive(Clone, PartialEq, Debug)]
pub struct Traced {
    /// The program's outputs.
    pub outputs: BTreeMap<String, Array>,
    /// For every float input and trained parameter the gradient of the sum of `seeds * outputs`; zeros where nothing leads there.
    pub gradients: BTreeMap<String, Array>,
}

/// Runs a forward program on dfdx's tape, and the tape back: gradients that owe nothing to ours. `seeds` are weights by the outputs' names, of the outputs' sizes.
///
/// # Errors
/// [`GradientsError::Prepare`] where dfdx cannot express an instruction, or where a gradient would have to flow through one that its tape does not record
/// (primitives that are themselves gradients); [`GradientsError::Run`] for missing arguments or outputs, those of another type, and indices outside of
/// their axis.
pub fn gradients(
    program: &Program,
    arguments: &BTreeMap<String, Array>,
    seeds: &BTreeMap<String, Array>,
    key: RunKey,
) -> Result<Traced, GradientsError> {
    check_program(program)?;
    let mut recorder = Recorder::<OwnedTape<f64, Cpu>>::new();
    let mut values: Values = vec![None; program.types.len()];
    let mut depends = vec![false; program.types.len()];
    let mut wanted = Vec::new();
    for argument in &program.arguments {
        let expected = program.type_of(argument.value);
        let given = arguments.get(&argument.name).ok_or_else(|| RunError::Missing { name: argument.name.clone() })?;
        if given.shape != expected.shape {
            let (expected, given) = (expected.to_string(), given.tensor_type().to_string());
            return Err(RunError::Type { name: argument.name.clone(), expected, given }.into());
        }
        let is_trained = matches!(argument.role, Role::Input | Role::Parameter { trained: true });
        if is_trained && expected.dtype.is_float() {
            depends[argument.value.index()] = true;
            wanted.push(argument);
        }
        values[argument.value.index()] = Some(recorder.constant(given.data.clone()));
    }
    for instruction in &program.instructions {
        let flows = instruction.inputs.iter().any(|input| depends[input.index()]);
        if flows && !is_recorded(&*instruction.op) && is_a_gradient(instruction.op.name()) {
            let origin = &program.origins[instruction.origin.0 as usize];
            return Err(PrepareError::Unsupported {
                engine: "dfdx",
                path: origin.path.clone(),
                place: origin.place.clone(),
                instruction: instruction.op.name().to_string(),
                reason: "dfdx's tape does not record it, so that no gradient passes".to_string(),
            }
            .into());
        }
        for output in &instruction.outputs {
            depends[output.index()] = flows && is_recorded(&*instruction.op);
        }
        step(&mut recorder, program, instruction, &mut values, key)?;
    }
    let read = |value: ValueId| values[value.index()].as_ref().expect("outputs are defined");
    let mut results = Vec::new();
    for (name, weights) in seeds {
        let output = program.output(name).ok_or_else(|| RunError::Unknown { kind: "output", name: name.clone() })?;
        let expected = program.type_of(output.value);
        if weights.shape != expected.shape {
            let (expected, given) = (expected.to_string(), weights.tensor_type().to_string());
            return Err(RunError::Type { name: name.clone(), expected, given }.into());
        }
        results.push((read(output.value), recorder.constant(weights.data.clone())));
    }
    let outputs = (program.outputs.iter())
        .map(|output| (output.name.clone(), array(program, output.value, read(output.value).numbers())))
        .collect();
    let seeds: Vec<(&Value, &Value)> = results.iter().map(|(result, weights)| (*result, weights)).collect();
    let sources: Vec<&Value> = wanted.iter().map(|argument| read(argument.value)).collect();
    let found = recorder.backward(&seeds, &sources);
    let gradients = wanted
        .iter()
        .zip(found)
        .map(|(argument, numbers)| (argument.name.clone(), array(program, argument.value, numbers)))
        .collect();
    Ok(Traced { outputs, gradients })
}

/// What computes a gradient or a step, and what no gradient of a gradient is taken of.
fn is_a_gradient(name: &str) -> bool {
    name.ends_with("_gradient") || name == "optimizer_update"
}

/// Why there are no gradients by dfdx's tape.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum GradientsError {
    /// The program cannot be expressed.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The run failed.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// A program prepared for dfdx.
pub(super) struct DfdxPlan {
    program: Program,
    /// Contents by argument; inputs and settings are missing until they are set.
    arguments: BTreeMap<String, Tensor>,
    outputs: BTreeMap<String, Tensor>,
    last_use: Vec<usize>,
    trap: bool,
    profiling: bool,
    seconds: Vec<(f64, u64)>,
}

impl DfdxPlan {
    pub(super) fn new(program: &Program) -> Result<DfdxPlan, PrepareError> {
        check_program(program)?;
        let held = program.arguments.iter().filter(|own| matches!(own.role, Role::Parameter { .. } | Role::State));
        let arguments = held.map(|own| (own.name.clone(), Tensor::zeros(program.type_of(own.value)))).collect();
        let mut last_use = vec![0; program.types.len()];
        for (index, instruction) in program.instructions.iter().enumerate() {
            instruction.inputs.iter().for_each(|input| last_use[input.index()] = index);
        }
        let kept = program.outputs.iter().map(|own| own.value).chain(program.updates.iter().map(|own| own.value));
        kept.for_each(|value| last_use[value.index()] = usize::MAX);
        Ok(DfdxPlan {
            program: program.clone(),
            arguments,
            outputs: BTreeMap::new(),
            last_use,
            trap: false,
            profiling: false,
            seconds: vec![(0.0, 0); program.instructions.len()],
        })
    }

    fn trapped(&self, instruction: &Instruction, values: &Values) -> Result<(), RunError> {
        for output in instruction.outputs.iter().filter(|output| self.program.type_of(**output).dtype.is_float()) {
            let numbers = values[output.index()].as_ref().map_or_else(Vec::new, Value::numbers);
            // What does not fit into f32 is not finite where the program says f32.
            if let Some((element, value)) =
                numbers.into_iter().map(|number| number as f32).enumerate().find(|(_, number)| !number.is_finite())
            {
                let origin = &self.program.origins[instruction.origin.0 as usize];
                let (path, place) = (origin.path.clone(), origin.place.clone());
                return Err(RunError::NonFinite { path, place, instruction: instruction.op.name(), value, element });
            }
        }
        Ok(())
    }
}

impl Plan for DfdxPlan {
    fn program(&self) -> &Program {
        &self.program
    }

    fn set(&mut self, name: &str, tensor: &Tensor) -> Result<(), RunError> {
        let unknown = || RunError::Unknown { kind: "argument", name: name.to_string() };
        let expected = self.program.type_of(self.program.argument(name).ok_or_else(unknown)?.value);
        if tensor.tensor_type() != *expected {
            let (name, expected, given) = (name.to_string(), expected.to_string(), tensor.tensor_type().to_string());
            return Err(RunError::Type { name, expected, given });
        }
        self.arguments.insert(name.to_string(), tensor.clone());
        Ok(())
    }

    fn get(&self, name: &str) -> Result<Tensor, RunError> {
        match (self.arguments.get(name), self.program.argument(name)) {
            (Some(tensor), _) => Ok(tensor.clone()),
            (None, Some(argument)) => Ok(Tensor::zeros(self.program.type_of(argument.value))),
            (None, None) => Err(RunError::Unknown { kind: "argument", name: name.to_string() }),
        }
    }

    fn run(&mut self, key: RunKey) -> Result<(), RunError> {
        let mut recorder = Recorder::<NoneTape>::new();
        let mut values: Values = vec![None; self.program.types.len()];
        for argument in &self.program.arguments {
            let tensor = self.arguments.get(&argument.name).ok_or_else(|| RunError::Missing { name: argument.name.clone() })?;
            values[argument.value.index()] = Some(recorder.constant(tensor.to_array().data));
        }
        for (index, instruction) in self.program.instructions.iter().enumerate() {
            let start = self.profiling.then(Instant::now);
            step(&mut recorder, &self.program, instruction, &mut values, key)?;
            if let Some(start) = start {
                self.seconds[index].0 += start.elapsed().as_secs_f64();
                self.seconds[index].1 += 1;
            }
            if self.trap {
                self.trapped(instruction, &values)?;
            }
            for value in instruction.inputs.iter().chain(&instruction.outputs) {
                if self.last_use[value.index()] <= index {
                    values[value.index()] = None;
                }
            }
        }
        let read = |value: ValueId| {
            let numbers = values[value.index()].as_ref().expect("kept to the end").numbers();
            Tensor::from_array(&array(&self.program, value, numbers))
        };
        self.outputs = self.program.outputs.iter().map(|output| (output.name.clone(), read(output.value))).collect();
        let mut next = Vec::new();
        for update in &self.program.updates {
            let slot = self.program.arguments.iter().find(|argument| argument.value == update.slot).expect("a verified slot");
            next.push((slot.name.clone(), read(update.value)));
        }
        self.arguments.extend(next);
        Ok(())
    }

    fn output(&self, name: &str) -> Result<Tensor, RunError> {
        match (self.outputs.get(name), self.program.output(name)) {
            (Some(tensor), _) => Ok(tensor.clone()),
            (None, Some(output)) => Ok(Tensor::zeros(self.program.type_of(output.value))),
            (None, None) => Err(RunError::Unknown { kind: "output", name: name.to_string() }),
        }
    }

    fn memory(&self) -> Memory {
        let bytes = |value: ValueId| self.program.type_of(value).elements() * size_of::<f64>();
        let held = self.program.arguments.iter().map(|argument| bytes(argument.value)).sum();
        let results = self.program.instructions.iter().flat_map(|instruction| &instruction.outputs);
        let unplanned = results.map(|output| bytes(*output)).sum();
        // Every value has memory of its own and gives it back after its last use: there is no arena to plan.
        Memory { arena: 0, held, unplanned }
    }

    fn trap_nonfinite(&mut self, on: bool) {
        self.trap = on;
    }

    fn set_profiling(&mut self, on: bool) {
        if on {
            self.seconds.fill((0.0, 0));
        }
        self.profiling = on;
    }

    fn profile(&self) -> Vec<InstructionTime> {
        let time = |(index, instruction): (usize, &Instruction)| {
            let values = instruction.inputs.iter().chain(&instruction.outputs);
            InstructionTime {
                index,
                name: instruction.op.name(),
                path: self.program.origins[instruction.origin.0 as usize].path.clone(),
                kernel: "dfdx",
                seconds: self.seconds[index].0,
                runs: self.seconds[index].1,
                flops: self.program.flops_of(instruction),
                bytes: values.map(|value| (self.program.type_of(*value).elements() * size_of::<f64>()) as f64).sum(),
            }
        };
        self.program.instructions.iter().enumerate().map(time).collect()
    }
}
