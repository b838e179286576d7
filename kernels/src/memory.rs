//! The memory plan: which value lies where.
//!
//! Values that are views share the memory of what they view. A value that lives only within a run gets a place in one arena, by its lifetime:
//! two values share bytes only when one is dead before the other is defined. A result may take over the memory of an operand that dies with
//! the same instruction, where the primitive allows it, and the next contents of a parameter are written over the old ones where nobody
//! reads those later. Engines say what their kernels allow by [`Rules`].

use rustc_hash::{FxHashMap, FxHashSet};
use sward_core::program::{Program, Role, ValueId};

/// Where a value's bytes are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// In the arena, from this byte on.
    Arena(usize),
    /// In the plan's own buffer of that index (arguments, constants, results that depend on parameters alone).
    Held(usize),
}

/// The places of all values.
#[derive(Debug)]
pub(crate) struct MemoryPlan {
    /// By value.
    pub places: Vec<Place>,
    /// Bytes of each held buffer.
    pub held: Vec<usize>,
    /// Bytes of the arena.
    pub arena: usize,
    /// Bytes of the arena's values without sharing.
    pub unplanned: usize,
    /// Updates whose value must be copied to its slot after the run.
    pub copies: Vec<(ValueId, ValueId)>,
    /// Per instruction: it depends on parameters that nothing updates, and runs only after one was set.
    pub is_static: Vec<bool>,
    /// Per value: no run changes it, only setting a parameter does.
    pub is_static_value: Vec<bool>,
    /// Per instruction: where its workspace begins in the arena.
    pub workspaces: Vec<usize>,
}

/// What an engine's kernels allow and need, by the instruction's position.
pub(crate) struct Rules<'a> {
    /// The results that may be written over an operand: pairs (operand, result).
    pub in_place: &'a dyn Fn(usize) -> Vec<(usize, usize)>,
    /// Whether the result may be written straight into the parameter that it becomes.
    pub writes_slots: &'a dyn Fn(usize) -> bool,
    /// Bytes of the arena that the instruction needs beside its operands and results.
    pub workspace: &'a dyn Fn(usize) -> usize,
}

const ALIGNMENT: usize = 64;

/// Values that share memory from end to end.
#[derive(Clone, Copy, Debug)]
struct Room {
    bytes: usize,
    /// The instruction that writes it first; `None` for what is there before the run.
    first: Option<usize>,
    /// The last instruction that writes or reads it; `None` when nothing does.
    last: Option<usize>,
    /// The held buffer, for rooms outside the arena.
    held: Option<usize>,
}

/// Plans a program's memory. With `share` off every value has bytes of its own (tests compare the two).
pub(crate) fn plan(program: &Program, rules: &Rules<'_>, share: bool) -> MemoryPlan {
    let (is_static, is_static_value) = static_parts(program);
    let mut planner = Planner {
        program,
        share,
        last_reads: last_reads(program),
        is_static,
        is_static_value,
        rooms: Vec::new(),
        room_of: vec![usize::MAX; program.types.len()],
        held: Vec::new(),
        workspaces: Vec::new(),
    };
    for argument in &program.arguments {
        planner.open(argument.value, None, true);
    }
    let slots = sole_slots(program);
    for (index, instruction) in program.instructions.iter().enumerate() {
        let pairs = (rules.in_place)(index);
        let writes_slots = (rules.writes_slots)(index);
        for (position, output) in instruction.outputs.iter().enumerate() {
            let operands: Vec<usize> = pairs.iter().filter(|pair| pair.1 == position).map(|pair| pair.0).collect();
            let room = if instruction.op.is_view() {
                Some(planner.room_of[instruction.inputs[0].index()])
            } else {
                slots
                    .get(output)
                    .filter(|_| writes_slots)
                    .and_then(|slot| planner.room_of_slot(index, *slot, &operands))
                    .or_else(|| planner.room_of_operand(index, position, &operands))
            };
            match room {
                Some(room) => planner.join(*output, index, room),
                None => planner.open(*output, Some(index), planner.is_static[index]),
            }
        }
        let bytes = (rules.workspace)(index);
        planner.workspaces.push((bytes > 0).then_some(planner.rooms.len()));
        if bytes > 0 {
            planner.rooms.push(Room { bytes, first: Some(index), last: Some(index), held: None });
        }
    }
    planner.finish()
}

struct Planner<'a> {
    program: &'a Program,
    share: bool,
    last_reads: Vec<Option<usize>>,
    is_static: Vec<bool>,
    is_static_value: Vec<bool>,
    rooms: Vec<Room>,
    room_of: Vec<usize>,
    held: Vec<usize>,
    /// The room of each instruction's workspace.
    workspaces: Vec<Option<usize>>,
}

impl Planner<'_> {
    /// Gives a value memory of its own.
    fn open(&mut self, value: ValueId, first: Option<usize>, is_held: bool) {
        let bytes = self.program.type_of(value).bytes();
        let held = is_held.then(|| {
            self.held.push(bytes);
            self.held.len() - 1
        });
        self.room_of[value.index()] = self.rooms.len();
        self.rooms.push(Room { bytes, first, last: self.last_reads[value.index()].max(first), held });
    }

    /// Lets a value share a room.
    fn join(&mut self, value: ValueId, index: usize, room: usize) {
        self.room_of[value.index()] = room;
        let last = self.last_reads[value.index()].max(Some(index));
        self.rooms[room].last = self.rooms[room].last.max(last);
    }

    /// Whether `operands` name a room that the instruction reads once, as one of them.
    fn is_read_in_step(&self, index: usize, room: usize, operands: &[usize]) -> bool {
        let inputs = &self.program.instructions[index].inputs;
        let is_named = operands.iter().any(|operand| self.room_of[inputs[*operand].index()] == room);
        is_named && inputs.iter().filter(|input| self.room_of[input.index()] == room).count() == 1
    }

    /// The room of the parameter that a result becomes, when the old contents are read by nobody later (or in step with the writing).
    fn room_of_slot(&self, index: usize, slot: ValueId, operands: &[usize]) -> Option<usize> {
        let room = self.room_of[slot.index()];
        let last = self.rooms[room].last;
        let is_free = last < Some(index) || last == Some(index) && self.is_read_in_step(index, room, operands);
        (self.share && !self.is_static[index] && is_free).then_some(room)
    }

    /// The room of an operand that dies with the instruction.
    fn room_of_operand(&self, index: usize, position: usize, operands: &[usize]) -> Option<usize> {
        if !self.share || self.is_static[index] {
            return None;
        }
        let instruction = &self.program.instructions[index];
        let bytes = self.program.type_of(instruction.outputs[position]).bytes();
        operands.iter().map(|operand| self.room_of[instruction.inputs[*operand].index()]).find(|room| {
            let Room { bytes: room_bytes, last, held, .. } = self.rooms[*room];
            let is_taken = instruction.outputs[..position].iter().any(|other| self.room_of[other.index()] == *room);
            held.is_none()
                && last <= Some(index)
                && room_bytes >= bytes
                && !is_taken
                && self.is_read_in_step(index, *room, operands)
        })
    }

    fn finish(self) -> MemoryPlan {
        let Planner { program, share, is_static, is_static_value, rooms, room_of, held, workspaces, .. } = self;
        let (offsets, arena) = place_rooms(&rooms, share);
        let unplanned = rooms.iter().filter(|room| room.held.is_none()).map(|room| padded(room.bytes)).sum();
        let place = |room: &usize| rooms[*room].held.map_or(Place::Arena(offsets[*room]), Place::Held);
        let places: Vec<Place> = room_of.iter().map(place).collect();
        let needs_copy = |update: &&sward_core::program::Update| places[update.slot.index()] != places[update.value.index()];
        let copies = program.updates.iter().filter(needs_copy).map(|update| (update.slot, update.value)).collect();
        let workspaces = workspaces.iter().map(|room| room.map_or(0, |room| offsets[room])).collect();
        MemoryPlan { places, held, arena, unplanned, copies, is_static, is_static_value, workspaces }
    }
}

fn padded(bytes: usize) -> usize {
    bytes.next_multiple_of(ALIGNMENT)
}

/// For values that become one parameter and nothing else, that parameter.
fn sole_slots(program: &Program) -> FxHashMap<ValueId, ValueId> {
    let mut slots = FxHashMap::default();
    let mut shared = Vec::new();
    for update in &program.updates {
        if slots.insert(update.value, update.slot).is_some() {
            shared.push(update.value);
        }
    }
    for value in shared {
        slots.remove(&value);
    }
    slots
}

/// The last instruction that reads each value; one past the end for outputs and updates.
fn last_reads(program: &Program) -> Vec<Option<usize>> {
    let mut last = vec![None; program.types.len()];
    for (index, instruction) in program.instructions.iter().enumerate() {
        for input in &instruction.inputs {
            last[input.index()] = Some(index);
        }
    }
    let results = program.outputs.iter().map(|output| output.value);
    for value in results.chain(program.updates.iter().map(|update| update.value)) {
        last[value.index()] = Some(program.instructions.len());
    }
    last
}

/// Instructions whose inputs are all parameters that nothing updates, or results of such instructions; and the values that are such.
fn static_parts(program: &Program) -> (Vec<bool>, Vec<bool>) {
    let updated: FxHashSet<ValueId> = program.updates.iter().map(|update| update.slot).collect();
    let mut is_static = vec![false; program.types.len()];
    for argument in &program.arguments {
        let is_kept = matches!(argument.role, Role::Parameter { .. } | Role::State);
        is_static[argument.value.index()] = is_kept && !updated.contains(&argument.value);
    }
    let mut result = Vec::new();
    for instruction in &program.instructions {
        let all = !instruction.op.is_random() && instruction.inputs.iter().all(|input| is_static[input.index()]);
        for output in &instruction.outputs {
            is_static[output.index()] = all;
        }
        result.push(all);
    }
    (result, is_static)
}

/// Offsets by size, largest first: each room goes to the lowest gap among those that live at the same time. Also the arena's bytes.
fn place_rooms(rooms: &[Room], share: bool) -> (Vec<usize>, usize) {
    let mut offsets = vec![0; rooms.len()];
    let mut order: Vec<usize> = (0..rooms.len()).filter(|room| rooms[*room].held.is_none()).collect();
    order.sort_by_key(|room| (std::cmp::Reverse(rooms[*room].bytes), *room));
    // Kept by offset, so that one walk finds the first gap.
    let mut placed: Vec<usize> = Vec::new();
    let mut top = 0;
    for room in order {
        let bytes = padded(rooms[room].bytes);
        let mut at = if share { 0 } else { top };
        for other in placed.iter().filter(|_| share) {
            let lives_too = rooms[*other].first <= rooms[room].last && rooms[room].first <= rooms[*other].last;
            if lives_too && offsets[*other] >= at + bytes {
                break;
            }
            if lives_too {
                at = at.max(offsets[*other] + padded(rooms[*other].bytes));
            }
        }
        offsets[room] = at;
        top = top.max(at + bytes);
        placed.insert(placed.partition_point(|other| offsets[*other] <= at), room);
    }
    (offsets, top)
}
