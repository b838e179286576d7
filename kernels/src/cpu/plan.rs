//! A program prepared for this machine.

use std::sync::Arc;
use std::time::Instant;

use rustc_hash::FxHashMap;
use sward_core::program::{DType, Program, Role, RunKey, TensorType, ValueId};

use super::buffer::Buffer;
use super::features::Features;
use super::steps::{self, Operand, Run, Step};
use crate::engine::{InstructionTime, Memory, Plan, PrepareError, RunError};
use crate::memory::{self, MemoryPlan, Place, Rules};
use crate::tensor::Tensor;

/// The plan's own buffers, in one run of memory: together they are large enough for large pages.
struct Held {
    memory: Buffer,
    offsets: Vec<usize>,
}

impl Held {
    fn new(sizes: &[usize]) -> Held {
        let mut end = 0;
        let mut offsets = Vec::with_capacity(sizes.len());
        for bytes in sizes {
            offsets.push(end);
            end += bytes.next_multiple_of(64);
        }
        Held { memory: Buffer::new(end), offsets }
    }

    fn pointer(&self, index: usize) -> *mut u8 {
        self.memory.pointer().wrapping_add(self.offsets[index])
    }
}

/// What happened to an argument.
#[derive(Debug)]
struct Slot {
    value: ValueId,
    role: Role,
    is_set: bool,
    /// A failed run wrote over it.
    is_torn: bool,
}

pub(super) struct CpuPlan {
    program: Program,
    pool: Arc<rayon::ThreadPool>,
    memory: MemoryPlan,
    arena: Buffer,
    held: Held,
    steps: Vec<Step>,
    slots: FxHashMap<String, Slot>,
    /// Static instructions have run since a parameter was set.
    is_warm: bool,
    /// Counts how often parameters were set, so that kernels know when what they keep of them is old.
    version: u64,
    trap: bool,
    profiling: bool,
    seconds: Vec<(f64, u64)>,
}

// SAFETY: the pointers lead into buffers that the plan owns; they are written through `&mut self` alone.
unsafe impl Send for CpuPlan {}

impl CpuPlan {
    pub(super) fn new(
        program: &Program,
        pool: Arc<rayon::ThreadPool>,
        features: Features,
        share: bool,
        limit: Option<usize>,
    ) -> Result<CpuPlan, PrepareError> {
        let memory = planned(program, share)?;
        let needed = memory.arena + memory.held.iter().sum::<usize>();
        let available = limit.or_else(free_bytes).unwrap_or(usize::MAX);
        if needed > available {
            return Err(PrepareError::Memory { needed, available });
        }
        let arena = Buffer::new(memory.arena);
        let held = Held::new(&memory.held);
        let operand = |value: &ValueId| Operand {
            pointer: match memory.places[value.index()] {
                Place::Arena(offset) => arena.pointer().wrapping_add(offset),
                Place::Held(index) => held.pointer(index),
            },
            tensor_type: program.type_of(*value).clone(),
            is_static: memory.is_static_value[value.index()],
        };
        let mut steps = Vec::with_capacity(program.instructions.len());
        for instruction in &program.instructions {
            let inputs: Vec<Operand> = instruction.inputs.iter().map(operand).collect();
            let outputs: Vec<Operand> = instruction.outputs.iter().map(operand).collect();
            let step = steps::prepare(&instruction.op, inputs, outputs, features).map_err(|reason| {
                let origin = &program.origins[instruction.origin.0 as usize];
                PrepareError::Unsupported {
                    engine: "cpu",
                    path: origin.path.clone(),
                    place: origin.place.clone(),
                    instruction: format!("{}<{}>", instruction.op.name(), instruction.op.attributes()),
                    reason,
                }
            })?;
            steps.push(step);
        }
        let slots = program
            .arguments
            .iter()
            .map(|argument| {
                let is_set = matches!(argument.role, Role::Parameter { .. } | Role::State);
                (argument.name.clone(), Slot { value: argument.value, role: argument.role, is_set, is_torn: false })
            })
            .collect();
        let seconds = vec![(0.0, 0); steps.len()];
        let program = program.clone();
        Ok(CpuPlan {
            program,
            pool,
            memory,
            arena,
            held,
            steps,
            slots,
            is_warm: false,
            version: 0,
            trap: false,
            profiling: false,
            seconds,
        })
    }

    fn bytes(&self, value: ValueId) -> &[u8] {
        // SAFETY: the place lies within its buffer, which is initialized; runs, which write, borrow the plan mutably.
        unsafe { std::slice::from_raw_parts(self.pointer(value), self.program.type_of(value).bytes()) }
    }

    fn pointer(&self, value: ValueId) -> *mut u8 {
        match self.memory.places[value.index()] {
            Place::Arena(offset) => self.arena.pointer().wrapping_add(offset),
            Place::Held(index) => self.held.pointer(index),
        }
    }

    fn read(&self, value: ValueId) -> Tensor {
        let mut tensor = Tensor::zeros(self.program.type_of(value));
        tensor.bytes_mut().copy_from_slice(self.bytes(value));
        tensor
    }

    /// Marks what was updated in place up to the instruction that failed. Copies happen after the last one: what they update is whole.
    fn tear(&mut self, failed: usize) {
        let definitions = self.program.definitions();
        for update in &self.program.updates {
            let is_copied = self.memory.copies.iter().any(|(slot, _)| *slot == update.slot);
            if is_copied || definitions[update.value.index()].is_none_or(|index| index > failed) {
                continue;
            }
            if let Some(slot) = self.slots.values_mut().find(|slot| slot.value == update.slot) {
                slot.is_torn = true;
            }
        }
    }

    /// Runs all instructions; an error comes with the position of the one that failed.
    fn run_steps(&mut self, key: RunKey) -> Result<(), (usize, RunError)> {
        let run = Run { key, version: self.version };
        for index in 0..self.steps.len() {
            if self.memory.is_static[index] && self.is_warm {
                continue;
            }
            let start = self.profiling.then(Instant::now);
            let result = self.steps[index].run(&run);
            if let Some(start) = start {
                self.seconds[index].0 += start.elapsed().as_secs_f64();
                self.seconds[index].1 += 1;
            }
            let instruction = &self.program.instructions[index];
            let origin = &self.program.origins[instruction.origin.0 as usize];
            result.map_err(|reason| {
                let (path, place) = (origin.path.clone(), origin.place.clone());
                (index, RunError::Instruction { path, place, instruction: instruction.op.name(), reason })
            })?;
            if self.trap {
                for output in &instruction.outputs {
                    if let Some((element, value)) = first_nonfinite(self.program.type_of(*output), self.bytes(*output)) {
                        let (path, place) = (origin.path.clone(), origin.place.clone());
                        let instruction = instruction.op.name();
                        return Err((index, RunError::NonFinite { path, place, instruction, value, element }));
                    }
                }
            }
        }
        self.is_warm = true;
        for (slot, value) in &self.memory.copies {
            // SAFETY: different buffers (else there were nothing to copy), of the same type.
            unsafe {
                std::ptr::copy_nonoverlapping(self.pointer(*value), self.pointer(*slot), self.program.type_of(*slot).bytes())
            };
        }
        Ok(())
    }
}

/// Where all values lie.
fn planned(program: &Program, share: bool) -> Result<MemoryPlan, PrepareError> {
    sward_core::program::verify(program)?;
    let in_place = |index: usize| steps::in_place(program, &program.instructions[index]);
    let rules = Rules { in_place: &in_place, writes_slots: &|_| true, workspace: &|_| 0 };
    Ok(memory::plan(program, &rules, share))
}

/// The bytes that a plan would hold.
pub(super) fn memory_of(program: &Program, share: bool) -> Result<Memory, PrepareError> {
    let memory = planned(program, share)?;
    Ok(Memory { arena: memory.arena, held: memory.held.iter().sum(), unplanned: memory.unplanned })
}

fn first_nonfinite(tensor_type: &TensorType, bytes: &[u8]) -> Option<(usize, f32)> {
    let find = |mut values: Box<dyn Iterator<Item = f32> + '_>| values.by_ref().enumerate().find(|(_, value)| !value.is_finite());
    match tensor_type.dtype {
        DType::F32 => find(Box::new(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])))),
        DType::BF16 => find(Box::new(bytes.chunks_exact(2).map(|b| half::bf16::from_le_bytes([b[0], b[1]]).to_f32()))),
        DType::I64 | DType::Bool => None,
    }
}

/// Bytes that the system says can be had.
fn free_bytes() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemAvailable:"))?;
    let kibibytes: usize = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}

impl Plan for CpuPlan {
    fn program(&self) -> &Program {
        &self.program
    }

    fn set(&mut self, name: &str, tensor: &Tensor) -> Result<(), RunError> {
        let slot = self.slots.get_mut(name).ok_or_else(|| RunError::Unknown { kind: "argument", name: name.to_string() })?;
        let expected = self.program.type_of(slot.value);
        if tensor.tensor_type() != *expected {
            let (name, expected, given) = (name.to_string(), expected.to_string(), tensor.tensor_type().to_string());
            return Err(RunError::Type { name, expected, given });
        }
        slot.is_set = true;
        slot.is_torn = false;
        if matches!(slot.role, Role::Parameter { .. } | Role::State) {
            self.version += 1;
            self.is_warm = false;
        }
        let value = slot.value;
        // SAFETY: the slot's buffer holds as many bytes as its type says, and nothing else borrows it.
        unsafe { std::ptr::copy_nonoverlapping(tensor.bytes().as_ptr(), self.pointer(value), tensor.bytes().len()) };
        Ok(())
    }

    fn get(&self, name: &str) -> Result<Tensor, RunError> {
        let slot = self.slots.get(name).ok_or_else(|| RunError::Unknown { kind: "argument", name: name.to_string() })?;
        if slot.is_torn {
            return Err(RunError::Torn { name: name.to_string() });
        }
        Ok(self.read(slot.value))
    }

    fn run(&mut self, key: RunKey) -> Result<(), RunError> {
        let missing = self.program.arguments.iter().find(|argument| !self.slots[&argument.name].is_set);
        if let Some(argument) = missing {
            return Err(RunError::Missing { name: argument.name.clone() });
        }
        if let Some(argument) = self.program.arguments.iter().find(|argument| self.slots[&argument.name].is_torn) {
            return Err(RunError::Torn { name: argument.name.clone() });
        }
        let pool = Arc::clone(&self.pool);
        pool.install(|| self.run_steps(key)).map_err(|(index, error)| {
            self.tear(index);
            error
        })
    }

    fn output(&self, name: &str) -> Result<Tensor, RunError> {
        let output = self.program.output(name).ok_or_else(|| RunError::Unknown { kind: "output", name: name.to_string() })?;
        Ok(self.read(output.value))
    }

    fn memory(&self) -> Memory {
        Memory { arena: self.memory.arena, held: self.memory.held.iter().sum(), unplanned: self.memory.unplanned }
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
        let time = |(index, instruction): (usize, &sward_core::program::Instruction)| {
            let values = instruction.inputs.iter().chain(&instruction.outputs);
            InstructionTime {
                index,
                name: instruction.op.name(),
                path: self.program.origins[instruction.origin.0 as usize].path.clone(),
                kernel: self.steps[index].kernel(),
                seconds: self.seconds[index].0,
                runs: self.seconds[index].1,
                flops: self.program.flops_of(instruction),
                bytes: if instruction.op.is_view() {
                    0.0
                } else {
                    values.map(|value| self.program.type_of(*value).bytes() as f64).sum()
                },
            }
        };
        self.program.instructions.iter().enumerate().map(time).collect()
    }
}
