//! What a program needs of a device, and where everything lies: found before anything is allocated.

use sward_core::program::{Program, ValueId};

use super::device::{Address, Arguments};
use super::source::Kernel;
use super::steps::{self, Limits, Operand, Site, Step};
use crate::engine::PrepareError;
use crate::memory::{self, MemoryPlan, Place, Rules};

/// Where each part of a plan's memory begins; sizes are multiples of this many bytes.
const ALIGNMENT: usize = 256;

/// The control block: seed, step, first bad index, first value that is not finite.
pub(super) const CONTROL_BYTES: usize = 32;

/// Where everything lies.
pub(super) struct Layout {
    pub control: Address,
    pub tables: Address,
    pub held: Vec<Address>,
    pub arena: Address,
    /// All of it.
    pub bytes: usize,
}

impl Layout {
    pub(super) fn new(base: Address, tables: usize, memory: &MemoryPlan) -> Layout {
        let mut next = base;
        let mut take = |bytes: usize| {
            let address = next;
            next += bytes.next_multiple_of(ALIGNMENT) as u64;
            address
        };
        let control = take(CONTROL_BYTES);
        let tables = take(tables);
        let held = memory.held.iter().map(|bytes| take(*bytes)).collect();
        let arena = take(memory.arena);
        Layout { control, tables, held, arena, bytes: (next - base) as usize }
    }

    pub(super) fn address(&self, place: Place) -> Address {
        match place {
            Place::Arena(offset) => self.arena + offset as u64,
            Place::Held(index) => self.held[index],
        }
    }
}

/// What a program needs, found without a device's memory.
pub(super) struct Draft {
    pub memory: MemoryPlan,
    /// Bytes of each step's tables.
    pub tables: Vec<usize>,
}

fn operand(program: &Program, value: ValueId, address: Address) -> Operand {
    Operand { address, tensor_type: program.type_of(value).clone() }
}

/// Binds every instruction at the addresses that `address` and `site` give.
pub(super) fn bind_all(
    program: &Program,
    address: &dyn Fn(ValueId) -> Address,
    site: &dyn Fn(usize) -> Site,
) -> Result<(Vec<Step>, Vec<Kernel>), PrepareError> {
    let mut kernels = Vec::new();
    let mut steps = Vec::with_capacity(program.instructions.len());
    for (index, instruction) in program.instructions.iter().enumerate() {
        let at = |values: &[ValueId]| values.iter().map(|value| operand(program, *value, address(*value))).collect::<Vec<_>>();
        let (inputs, outputs) = (at(&instruction.inputs), at(&instruction.outputs));
        let step = steps::bind(instruction.op.as_ref(), &inputs, &outputs, site(index), &mut kernels).map_err(|reason| {
            let origin = &program.origins[instruction.origin.0 as usize];
            PrepareError::Unsupported {
                engine: "cuda",
                path: origin.path.clone(),
                place: origin.place.clone(),
                instruction: format!("{}<{}>", instruction.op.name(), instruction.op.attributes()),
                reason,
            }
        })?;
        steps.push(step);
    }
    Ok((steps, kernels))
}

/// All kernels of a program, for tests that compile them ahead.
///
/// # Errors
/// Where an instruction has none.
pub(super) fn kernels_of(program: &Program, limits: Limits) -> Result<Vec<Kernel>, PrepareError> {
    let site = |index| Site { control: 0, workspace: 0, tables: 0, index, limits };
    let (_, mut kernels) = bind_all(program, &|_| 0, &site)?;
    kernels.extend(trap_kernels(program).into_iter().map(|(kernel, ..)| kernel));
    kernels.push(steps::copy_whole(0, 0, 0, 0).0);
    Ok(kernels)
}

pub(super) fn trap_kernels(program: &Program) -> Vec<(Kernel, u32, Arguments)> {
    program.types.iter().filter_map(|tensor_type| steps::first_not_finite(0, 0, tensor_type)).collect()
}

impl Draft {
    pub(super) fn new(program: &Program, limits: Limits, share: bool) -> Result<Draft, PrepareError> {
        // Sizes do not depend on addresses: a first pass at address 0 finds what has no kernel and how much room each step needs.
        let site = |index| Site { control: 0, workspace: 0, tables: 0, index, limits };
        let (steps, _) = bind_all(program, &|_| 0, &site)?;
        let in_place = |index: usize| steps::in_place(program, &program.instructions[index]);
        let writes_slots = |index: usize| steps::writes_slots(&program.instructions[index]);
        let workspace = |index: usize| steps[index].workspace;
        let rules = Rules { in_place: &in_place, writes_slots: &writes_slots, workspace: &workspace };
        let memory = memory::plan(program, &rules, share);
        Ok(Draft { memory, tables: steps.iter().map(|step| step.tables).collect() })
    }
}
