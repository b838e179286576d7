//! A program prepared for a device.
//!
//! One allocation holds the control block, tables, everything that stays between runs, and the arena. The first run launches step after step;
//! the second records the steps that every run repeats as a graph, which later runs launch as one: what changes from run to run (inputs,
//! settings, seed and step) lies in device memory, so that a recorded graph stays valid.

mod ready;
mod staging;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;
use sward_core::program::{Program, Role, RunKey, ValueId};

use super::compiler;
use super::device::{Address, Device, DeviceError, Graph, Launch, Mark};
use super::draft::{CONTROL_BYTES, Draft, Layout, bind_all, trap_kernels};
use super::source::Kernel;
use super::steps::{self, Limits, Site};
use crate::engine::{InstructionTime, Memory, Plan, PrepareError, RunError};
use crate::memory::MemoryPlan;
use crate::tensor::Tensor;
use ready::{Call, Ready, calls};
use staging::{Slot, Staging};

/// Of parameters, so much is staged at once.
const STAGED_BYTES: usize = 32 << 20;

/// How the steps of every run are launched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Recording {
    /// They did not run yet: libraries and kernels load at their first launch, which cannot be recorded.
    NotYet,
    /// They ran once.
    Possible,
    /// As one graph.
    Graph(Graph),
}

/// What kernels noted in the control block.
struct Complaints {
    /// The first bad index, as (instruction, element).
    bad_index: Option<(usize, usize)>,
    /// The first element that is not finite, where one was looked for.
    not_finite: Option<usize>,
}

pub(super) struct CudaPlan {
    program: Program,
    device: Arc<dyn Device>,
    /// One plan at a time on a device: what another one asks for would become part of a recording, or end it.
    turn: Arc<Mutex<()>>,
    memory: MemoryPlan,
    layout: Layout,
    base: Address,
    steps: Vec<Ready>,
    /// Copies of results to the parameters that they become.
    copies: Vec<Call>,
    slots: FxHashMap<String, Slot>,
    /// Pinned memory for parameters and state, one after the other; given back when a run begins.
    parts: Option<Staging>,
    control: Staging,
    /// Whether a run was started that nobody waited for.
    is_running: bool,
    is_warm: bool,
    recording: Recording,
    trap: bool,
    profiling: bool,
    seconds: Vec<(f64, u64)>,
}

impl CudaPlan {
    pub(super) fn new(
        program: &Program,
        device: &Arc<dyn Device>,
        turn: &Arc<Mutex<()>>,
        limits: Limits,
        share: bool,
        limit: Option<usize>,
    ) -> Result<CudaPlan, PrepareError> {
        sward_core::program::verify(program)?;
        // Another plan's recording would take up what is asked of the device here.
        let _turn = take_turn(turn);
        let Draft { memory, tables } = Draft::new(program, limits, share)?;
        let needed = Layout::new(0, tables.iter().sum(), &memory).bytes;
        let available = match limit {
            Some(limit) => limit,
            None => device.free_memory()?,
        };
        if needed > available {
            return Err(PrepareError::Memory { needed, available });
        }
        let base = device.allocate(needed)?;
        let layout = Layout::new(base, tables.iter().sum(), &memory);
        let plan = CudaPlan::at(program, device, turn, limits, memory, layout, &tables, base);
        if plan.is_err() {
            device.free(base);
        }
        plan
    }

    fn at(
        program: &Program,
        device: &Arc<dyn Device>,
        turn: &Arc<Mutex<()>>,
        limits: Limits,
        memory: MemoryPlan,
        layout: Layout,
        tables: &[usize],
        base: Address,
    ) -> Result<CudaPlan, PrepareError> {
        let table_starts: Vec<u64> = tables
            .iter()
            .scan(layout.tables, |next, bytes| {
                let start = *next;
                *next += *bytes as u64;
                Some(start)
            })
            .collect();
        let address = |value: ValueId| layout.address(memory.places[value.index()]);
        let site = |index: usize| Site {
            control: layout.control,
            workspace: layout.arena + memory.workspaces[index] as u64,
            tables: table_starts[index],
            index,
            limits,
        };
        let (steps, mut kernels) = bind_all(program, &address, &site)?;
        kernels.extend(trap_kernels(program).into_iter().map(|(kernel, ..)| kernel));
        let copies: Vec<_> = memory
            .copies
            .iter()
            .map(|(slot, value)| {
                steps::copy_whole(layout.control, address(*value), address(*slot), program.type_of(*slot).bytes())
            })
            .collect();
        kernels.extend(copies.iter().map(|(kernel, ..)| kernel.clone()));
        let functions = compiler::compile(device.as_ref(), &kernels)?;
        let one = |(kernel, blocks, arguments): (Kernel, u32, super::device::Arguments)| {
            let launch = Launch { grid: [blocks, 1, 1], block: [256, 1, 1], shared: 0, arguments };
            Call::Launch(functions[&kernel.name], launch)
        };
        let copies = copies.into_iter().filter(|(_, blocks, _)| *blocks > 0).map(one).collect();
        let mut ready = Vec::with_capacity(steps.len());
        for (instruction, step) in program.instructions.iter().zip(steps) {
            let traps = instruction
                .outputs
                .iter()
                .filter_map(|output| steps::first_not_finite(layout.control, address(*output), program.type_of(*output)))
                .map(one)
                .collect();
            ready.push(Ready { kernel: step.kernel, calls: calls(device, &functions, step.actions)?, traps });
        }
        let slots = program
            .arguments
            .iter()
            .map(|argument| {
                let is_set = matches!(argument.role, Role::Parameter { .. } | Role::State);
                (
                    argument.name.clone(),
                    Slot { value: argument.value, role: argument.role, is_set, staging: [None, None], sets: 0 },
                )
            })
            .collect();
        Ok(CudaPlan {
            program: program.clone(),
            device: Arc::clone(device),
            turn: Arc::clone(turn),
            parts: None,
            control: Staging::new(device, CONTROL_BYTES)?,
            seconds: vec![(0.0, 0); ready.len()],
            memory,
            layout,
            base,
            steps: ready,
            copies,
            slots,
            is_running: false,
            is_warm: false,
            recording: Recording::NotYet,
            trap: false,
            profiling: false,
        })
    }

    /// What computes an instruction.
    pub(super) fn kernel(&self, instruction: usize) -> &'static str {
        self.steps[instruction].kernel
    }

    fn address(&self, value: ValueId) -> Address {
        self.layout.address(self.memory.places[value.index()])
    }

    fn read(&self, value: ValueId) -> Result<Tensor, RunError> {
        let mut tensor = Tensor::zeros(self.program.type_of(value));
        if !tensor.bytes().is_empty() {
            self.device.download(self.address(value), tensor.bytes_mut())?;
        }
        Ok(tensor)
    }

    /// Sets seed and step, and forgets what the last run complained about.
    fn begin(&mut self, key: RunKey) -> Result<(), DeviceError> {
        let mut control = [0xff; CONTROL_BYTES];
        let words = [key.seed as u32, (key.seed >> 32) as u32, key.step as u32, (key.step >> 32) as u32];
        for (word, bytes) in words.iter().zip(control.chunks_exact_mut(4)) {
            bytes.copy_from_slice(&word.to_ne_bytes());
        }
        // SAFETY: the staging memory holds the block, and a run begins only after the last one was waited for, so that nothing reads it now.
        unsafe {
            std::ptr::copy_nonoverlapping(control.as_ptr(), self.control.pointer, CONTROL_BYTES);
            self.device.upload(self.layout.control, self.control.pointer, CONTROL_BYTES)
        }
    }

    fn complaints(&self) -> Result<Complaints, DeviceError> {
        let mut status = [0; 16];
        self.device.download(self.layout.control + 16, &mut status)?;
        let word = |at: usize| {
            let bytes: [u8; 8] = status[at..at + 8].try_into().expect("eight bytes");
            let word = u64::from_ne_bytes(bytes);
            (word != u64::MAX).then_some(word)
        };
        let bad_index = word(0).map(|word| ((word >> 40) as usize, (word & ((1 << 40) - 1)) as usize));
        Ok(Complaints { bad_index, not_finite: word(8).map(|word| word as usize) })
    }

    fn call(&self, call: &Call) -> Result<(), DeviceError> {
        match call {
            // SAFETY: the step was bound to this plan's memory by the primitive's own rule for sizes.
            Call::Launch(function, launch) => unsafe { self.device.launch(*function, launch) },
            // SAFETY: as above.
            Call::Product(product) => unsafe { self.device.run_product(*product) },
            Call::Zero { address, bytes } => self.device.zero(*address, *bytes),
        }
    }

    fn step(&self, index: usize) -> Result<(), DeviceError> {
        self.steps[index].calls.iter().try_for_each(|call| self.call(call))
    }

    fn repeated_steps(&self) -> Result<(), DeviceError> {
        for index in (0..self.steps.len()).filter(|index| !self.memory.is_static[*index]) {
            self.step(index)?;
        }
        self.copies.iter().try_for_each(|copy| self.call(copy))
    }

    /// Launches everything; as one graph from the second time on.
    fn launch_all(&mut self) -> Result<(), DeviceError> {
        if !self.is_warm {
            for index in (0..self.steps.len()).filter(|index| self.memory.is_static[*index]) {
                self.step(index)?;
            }
        }
        match self.recording {
            Recording::NotYet => {
                self.repeated_steps()?;
                self.recording = Recording::Possible;
            }
            Recording::Possible => {
                self.device.begin_graph()?;
                let recorded = self.repeated_steps();
                // The recording ends also where a step failed, so that the stream is of use again.
                let graph = self.device.end_graph();
                recorded?;
                let graph = graph?;
                self.recording = Recording::Graph(graph);
                self.device.launch_graph(graph)?;
            }
            Recording::Graph(graph) => self.device.launch_graph(graph)?,
        }
        Ok(())
    }

    /// Launches step by step, with times or with a look at every result.
    fn watch_all(&mut self) -> Result<(), RunError> {
        let mut marks: Vec<Option<(Mark, Mark)>> = vec![None; self.steps.len()];
        for index in 0..self.steps.len() {
            if self.memory.is_static[index] && self.is_warm {
                continue;
            }
            let from = self.profiling.then(|| self.device.mark()).transpose()?;
            self.step(index)?;
            if let Some(from) = from {
                marks[index] = Some((from, self.device.mark()?));
            }
            if self.trap {
                self.look_at(index)?;
            }
        }
        for copy in &self.copies {
            self.call(copy)?;
        }
        for (index, marks) in marks.into_iter().enumerate() {
            if let Some((from, to)) = marks {
                self.seconds[index].0 += self.device.seconds(from, to)?;
                self.seconds[index].1 += 1;
            }
        }
        Ok(())
    }

    /// # Errors
    /// [`RunError::NonFinite`] with the first value of the instruction's results that is not finite.
    fn look_at(&self, index: usize) -> Result<(), RunError> {
        let instruction = &self.program.instructions[index];
        let floats = instruction.outputs.iter().filter(|output| {
            let tensor_type = self.program.type_of(**output);
            tensor_type.dtype.is_float() && tensor_type.elements() > 0
        });
        for (output, trap) in floats.zip(&self.steps[index].traps) {
            self.call(trap)?;
            if let Some(element) = self.complaints()?.not_finite {
                let origin = &self.program.origins[instruction.origin.0 as usize];
                let value = self.read(*output)?.to_array().data[element] as f32;
                return Err(RunError::NonFinite {
                    path: origin.path.clone(),
                    place: origin.place.clone(),
                    instruction: instruction.op.name(),
                    value,
                    element,
                });
            }
        }
        Ok(())
    }

    fn bad_index(&self, index: usize, element: usize) -> RunError {
        let Some(instruction) = self.program.instructions.get(index) else {
            return RunError::Device(format!("the device reports an index of instruction {index}, which does not exist"));
        };
        let origin = &self.program.origins[instruction.origin.0 as usize];
        RunError::Instruction {
            path: origin.path.clone(),
            place: origin.place.clone(),
            instruction: instruction.op.name(),
            reason: format!("the index at element {element} lies outside its axis"),
        }
    }

    /// Notes that the device has done all that was asked of it, so that pinned memory is free to be written.
    fn is_idle(&mut self) {
        self.slots.values_mut().for_each(|slot| slot.sets = 0);
    }

    /// Waits for what was started: its errors, and the end of all uploads.
    fn end(&mut self) -> Result<(), RunError> {
        if !std::mem::take(&mut self.is_running) {
            return Ok(());
        }
        // Reading the complaints waits for the run, and with it for all uploads.
        let Complaints { bad_index, .. } = self.complaints()?;
        self.is_idle();
        if let Some((index, element)) = bad_index {
            return Err(self.bad_index(index, element));
        }
        self.is_warm = true;
        Ok(())
    }

    /// Copies a parameter through one staging buffer, part after part. The buffer stays for the next one: to pin memory takes milliseconds.
    fn set_in_parts(&mut self, to: Address, bytes: &[u8]) -> Result<(), DeviceError> {
        if bytes.is_empty() {
            return Ok(());
        }
        if self.parts.is_none() {
            self.parts = Some(Staging::new(&self.device, STAGED_BYTES)?);
        }
        let pointer = self.parts.as_ref().expect("just made").pointer;
        for (part, chunk) in bytes.chunks(STAGED_BYTES).enumerate() {
            // SAFETY: the staging memory holds a part, and the device has read the one before.
            unsafe {
                std::ptr::copy_nonoverlapping(chunk.as_ptr(), pointer, chunk.len());
                self.device.upload(to + (part * STAGED_BYTES) as u64, pointer, chunk.len())?;
            }
            self.device.synchronize()?;
        }
        Ok(())
    }
}

/// The turn to use a device. A panic in another plan's run leaves nothing half-done that this one reads.
fn take_turn(turn: &Mutex<()>) -> MutexGuard<'_, ()> {
    turn.lock().unwrap_or_else(PoisonError::into_inner)
}

impl From<DeviceError> for RunError {
    fn from(error: DeviceError) -> RunError {
        RunError::Device(error.to_string())
    }
}

impl Drop for CudaPlan {
    fn drop(&mut self) {
        let turn = Arc::clone(&self.turn);
        let _turn = take_turn(&turn);
        // What still runs reads this memory; a device that is lost has nothing left to wait for.
        let _ = self.device.synchronize();
        if let Recording::Graph(graph) = self.recording {
            self.device.free_graph(graph);
        }
        for call in self.steps.iter().flat_map(|step| &step.calls) {
            if let Call::Product(product) = call {
                self.device.free_product(*product);
            }
        }
        self.device.free(self.base);
    }
}

impl Plan for CudaPlan {
    fn program(&self) -> &Program {
        &self.program
    }

    fn set(&mut self, name: &str, tensor: &Tensor) -> Result<(), RunError> {
        let slot = self.slots.get(name).ok_or_else(|| RunError::Unknown { kind: "argument", name: name.to_string() })?;
        let expected = self.program.type_of(slot.value);
        if tensor.tensor_type() != *expected {
            let (name, expected, given) = (name.to_string(), expected.to_string(), tensor.tensor_type().to_string());
            return Err(RunError::Type { name, expected, given });
        }
        let (value, role, sets) = (slot.value, slot.role, slot.sets);
        let turn = Arc::clone(&self.turn);
        let _turn = take_turn(&turn);
        let to = self.address(value);
        if matches!(role, Role::Parameter { .. } | Role::State) {
            // What a run that goes on leaves there would be written over the new contents.
            self.end()?;
            self.is_warm = false;
            return Ok(self.set_in_parts(to, tensor.bytes())?);
        }
        // Both pinned buffers may still be read where it is set a third time.
        if sets == 2 {
            self.device.synchronize()?;
            self.is_idle();
        }
        let bytes = tensor.bytes();
        let slot = self.slots.get_mut(name).expect("just found");
        let staging = &mut slot.staging[slot.sets];
        if staging.is_none() {
            *staging = Some(Staging::new(&self.device, bytes.len())?);
        }
        let pointer = staging.as_ref().expect("just made").pointer;
        // SAFETY: the slot's memory holds the tensor, and nothing reads it now.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), pointer, bytes.len());
            if !bytes.is_empty() {
                self.device.upload(to, pointer, bytes.len())?;
            }
        }
        slot.is_set = true;
        slot.sets += 1;
        Ok(())
    }

    fn get(&self, name: &str) -> Result<Tensor, RunError> {
        let slot = self.slots.get(name).ok_or_else(|| RunError::Unknown { kind: "argument", name: name.to_string() })?;
        let _turn = take_turn(&self.turn);
        self.read(slot.value)
    }

    fn run(&mut self, key: RunKey) -> Result<(), RunError> {
        self.start(key)?;
        self.wait()
    }

    fn start(&mut self, key: RunKey) -> Result<(), RunError> {
        let missing = self.program.arguments.iter().find(|argument| !self.slots[&argument.name].is_set);
        if let Some(argument) = missing {
            return Err(RunError::Missing { name: argument.name.clone() });
        }
        let turn = Arc::clone(&self.turn);
        let _turn = take_turn(&turn);
        self.end()?;
        self.parts = None;
        self.begin(key)?;
        match self.trap || self.profiling {
            true => self.watch_all()?,
            false => self.launch_all()?,
        }
        self.is_running = true;
        Ok(())
    }

    fn wait(&mut self) -> Result<(), RunError> {
        let turn = Arc::clone(&self.turn);
        let _turn = take_turn(&turn);
        self.end()
    }

    fn output(&self, name: &str) -> Result<Tensor, RunError> {
        let output = self.program.output(name).ok_or_else(|| RunError::Unknown { kind: "output", name: name.to_string() })?;
        let _turn = take_turn(&self.turn);
        self.read(output.value)
    }

    fn memory(&self) -> Memory {
        let held = self.layout.bytes - self.memory.arena;
        Memory { arena: self.memory.arena, held, unplanned: self.memory.unplanned }
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
                kernel: self.steps[index].kernel,
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
