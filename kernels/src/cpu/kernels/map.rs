//! Elementwise programs, run block by block.
//!
//! A block of the result's elements goes through all steps of the program before the next: registers are blocks of f32 that stay in the nearest
//! cache. Dense f32 operands are read where they lie and dense f32 results written where they go; everything else (bf16, bools, broadcast
//! operands) passes through a register. Truth values are 0 and 1.

use half::bf16;
use smallvec::SmallVec;
use sward_core::program::RunKey;
use sward_core::scalar::{LinearProgram, ScalarOp, StepOp, special};

use crate::cpu::features::Level;
use crate::cpu::simd::{Element, Kernel, LANES, Simd, dispatch, math};
use crate::cpu::threads::{Scratch, parallel_ranges};

/// Elements of a block, before it is fitted to the rows.
const BLOCK: usize = 768;
/// Elements that one part of a parallel loop computes.
const GRAIN: usize = 1 << 14;

/// The elements of an operand or a result.
#[derive(Clone, Copy, Debug)]
pub enum Elements {
    /// f32 elements.
    F32(*mut f32),
    /// bf16 elements.
    Bf16(*mut bf16),
    /// Bytes 0 and 1.
    Bool(*mut u8),
}

// SAFETY: operands are only read, results written in disjoint blocks; the callers promise that the memory stays.
unsafe impl Send for Elements {}
// SAFETY: as above.
unsafe impl Sync for Elements {}

/// An operand: where it lies and how it repeats over the result.
#[derive(Clone, Debug)]
pub struct MapInput {
    /// The first element.
    pub elements: Elements,
    /// Elements from one position to the next, for every axis of the result; 0 where it repeats.
    pub strides: SmallVec<[usize; 6]>,
}

/// What a step computes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Code {
    Apply(ScalarOp),
    /// `a * b + c` in one rounding.
    MultiplyAdd,
    Random(u32),
}

/// Where a step reads.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Register(u16),
    Input(u16),
    Constant(u16),
}

#[derive(Clone, Copy, Debug)]
struct Instruction {
    code: Code,
    operands: [Place; 3],
    to: u16,
}

/// How a block of an operand is had.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Access {
    /// Every position reads the one element.
    Scalar,
    /// The block lies in memory in the result's order.
    Dense,
    /// Rows of the innermost axis, each dense or one element.
    Rows,
    /// One dense row, the same for all.
    Repeated,
    /// A tile given with each run.
    Tile,
}

/// An elementwise program bound to the result's shape and its operands' strides.
#[derive(Clone, Debug)]
pub struct MapProgram {
    instructions: Vec<Instruction>,
    constants: Vec<f32>,
    registers: usize,
    roots: Vec<Place>,
    inputs: Vec<(MapInput, Access)>,
    /// The result's axes, joined where all operands allow.
    shape: SmallVec<[usize; 6]>,
    elements: usize,
    block: usize,
    /// For each root, the instruction that may write it straight to memory.
    straight: Vec<Option<usize>>,
}

/// Joins axes that are one run of memory in the result and in every operand.
fn coalesce(shape: &[usize], strides: &mut [SmallVec<[usize; 6]>]) -> SmallVec<[usize; 6]> {
    let mut joined: SmallVec<[usize; 6]> = SmallVec::new();
    let mut kept: Vec<SmallVec<[usize; 6]>> = vec![SmallVec::new(); strides.len()];
    for axis in 0..shape.len() {
        if shape[axis] == 1 {
            continue;
        }
        let joins =
            !joined.is_empty() && strides.iter().zip(&kept).all(|(all, kept)| kept[kept.len() - 1] == all[axis] * shape[axis]);
        if joins {
            *joined.last_mut().expect("an axis to join") *= shape[axis];
            for (all, kept) in strides.iter().zip(&mut kept) {
                *kept.last_mut().expect("an axis to join") = all[axis];
            }
        } else {
            joined.push(shape[axis]);
            for (all, kept) in strides.iter().zip(&mut kept) {
                kept.push(all[axis]);
            }
        }
    }
    if joined.is_empty() {
        joined.push(1);
        kept.iter_mut().for_each(|kept| kept.push(0));
    }
    for (all, kept) in strides.iter_mut().zip(kept) {
        *all = kept;
    }
    joined
}

fn access(shape: &[usize], strides: &[usize]) -> Access {
    let mut dense = 1;
    let is_dense = (0..shape.len()).rev().all(|axis| {
        let fits = strides[axis] == dense || shape[axis] == 1;
        dense *= shape[axis];
        fits
    });
    let last = shape.len() - 1;
    if strides.iter().all(|stride| *stride == 0) {
        Access::Scalar
    } else if is_dense {
        Access::Dense
    } else if strides[..last].iter().all(|stride| *stride == 0) {
        Access::Repeated
    } else {
        Access::Rows
    }
}

/// Elements of a block: whole vectors, and whole rows where an operand repeats by rows, so that its register need not be filled again.
fn block(inner: usize, repeats: bool) -> usize {
    let rows = (1..=LANES).find(|rows| (rows * inner).is_multiple_of(LANES)).unwrap_or(LANES) * inner;
    if repeats && rows > 0 && rows <= 2 * BLOCK { BLOCK.max(rows) / rows * rows } else { BLOCK }
}

impl MapProgram {
    /// As [`MapProgram::new`] for an epilogue: input 0 is the tile that [`epilogue`] is given.
    pub fn of_tile(program: &LinearProgram, shape: &[usize], extras: Vec<MapInput>) -> MapProgram {
        let strides = (0..shape.len()).map(|axis| shape[axis + 1..].iter().product()).collect();
        let tile = MapInput { elements: Elements::F32(std::ptr::null_mut()), strides };
        let mut bound = MapProgram::new(program, shape, std::iter::once(tile).chain(extras).collect());
        bound.inputs[0].1 = Access::Tile;
        bound
    }

    /// Binds a program to the shape of its result and to its operands.
    pub fn new(program: &LinearProgram, shape: &[usize], inputs: Vec<MapInput>) -> MapProgram {
        let mut strides: Vec<_> = inputs.iter().map(|input| input.strides.clone()).collect();
        let joined = coalesce(shape, &mut strides);
        let inputs: Vec<(MapInput, Access)> = inputs
            .into_iter()
            .zip(strides)
            .map(|(input, strides)| {
                let access = access(&joined, &strides);
                (MapInput { strides, ..input }, access)
            })
            .collect();
        let inner = joined[joined.len() - 1];
        let block = block(inner, inputs.iter().any(|(_, access)| *access == Access::Repeated));
        let mut bound = MapProgram {
            instructions: Vec::new(),
            constants: Vec::new(),
            registers: program.registers.len(),
            roots: Vec::new(),
            inputs,
            elements: shape.iter().product(),
            shape: joined,
            block,
            straight: Vec::new(),
        };
        bound.bind(program);
        bound
    }

    fn constant(&mut self, value: f32) -> Place {
        let found = self.constants.iter().position(|constant| constant.to_bits() == value.to_bits());
        let index = found.unwrap_or_else(|| {
            self.constants.push(value);
            self.constants.len() - 1
        });
        Place::Constant(index as u16)
    }

    /// Resolves registers that only hold operands or numbers, and joins a product with the one sum that reads it.
    fn bind(&mut self, program: &LinearProgram) {
        // A value is one writing of a register; `readers` counts who reads each.
        let mut value_in = vec![usize::MAX; program.registers.len()];
        let mut readers = vec![0usize; program.steps.len()];
        for (index, step) in program.steps.iter().enumerate() {
            if let StepOp::Apply(op) = step.op {
                step.operands[..op.arity()].iter().for_each(|register| readers[value_in[usize::from(*register)]] += 1);
            }
            value_in[usize::from(step.destination)] = index;
        }
        program.outputs.iter().for_each(|register| readers[value_in[usize::from(*register)]] += 1);

        let mut places = vec![Place::Register(0); program.registers.len()];
        let mut value_in = vec![usize::MAX; program.registers.len()];
        for (index, step) in program.steps.iter().enumerate() {
            let to = step.destination;
            let operands = step.operands.map(|register| places[usize::from(register)]);
            let place = match step.op {
                StepOp::Input(input) => Place::Input(input as u16),
                StepOp::Number(value) => self.constant(value as f32),
                StepOp::Bool(value) => self.constant(f32::from(u8::from(value))),
                StepOp::Random(stream) => {
                    self.instructions.push(Instruction { code: Code::Random(stream), operands, to });
                    Place::Register(to)
                }
                StepOp::Apply(op) => {
                    let sources = step.operands.map(|register| value_in[usize::from(register)]);
                    let product = (0..2).find(|side| {
                        let previous = self.instructions.last().is_some_and(|last| {
                            last.code == Code::Apply(ScalarOp::Multiply) && operands[*side] == Place::Register(last.to)
                        });
                        op == ScalarOp::Add && previous && readers[sources[*side]] == 1 && operands[0] != operands[1]
                    });
                    if let Some(side) = product {
                        let last = self.instructions.pop().expect("the product");
                        let [a, b, _] = last.operands;
                        self.instructions.push(Instruction { code: Code::MultiplyAdd, operands: [a, b, operands[1 - side]], to });
                    } else {
                        self.instructions.push(Instruction { code: Code::Apply(op), operands, to });
                    }
                    Place::Register(to)
                }
            };
            places[usize::from(to)] = place;
            value_in[usize::from(to)] = index;
        }
        self.roots = program.outputs.iter().map(|register| places[usize::from(*register)]).collect();
        // A result may be written to memory at once when nothing afterwards reads its register, or an operand that may lie there.
        self.straight = self
            .roots
            .iter()
            .enumerate()
            .map(|(position, root)| {
                let Place::Register(register) = *root else { return None };
                let index = self.instructions.iter().rposition(|instruction| instruction.to == register)?;
                let reads_later = self.instructions[index + 1..]
                    .iter()
                    .any(|later| later.operands.iter().any(|place| matches!(place, Place::Input(_)) || *place == *root));
                let is_shared = self
                    .roots
                    .iter()
                    .enumerate()
                    .any(|(other, place)| other != position && (place == root || matches!(place, Place::Input(_))));
                (!reads_later && !is_shared).then_some(index)
            })
            .collect();
    }

    /// Number of elements of the result.
    pub fn elements(&self) -> usize {
        self.elements
    }

    /// Number of results.
    pub fn roots(&self) -> usize {
        self.roots.len()
    }

    /// Memory for the registers of one evaluation.
    pub(super) fn scratch_words(&self) -> usize {
        (self.registers + self.inputs.len()) * self.stride() + (self.constants.len() + self.inputs.len()) * LANES
    }

    /// Elements from one register to the next: a block, and a line so that registers do not contend for the same places in the cache.
    fn stride(&self) -> usize {
        self.block.next_multiple_of(LANES) + LANES
    }

    /// The most elements that [`Evaluation::run`] takes at once.
    pub(super) fn block(&self) -> usize {
        self.block
    }
}

/// One thread's registers for a program.
pub(super) struct Evaluation<'a> {
    program: &'a MapProgram,
    key: RunKey,
    memory: *mut f32,
    /// Where the elements of this run lie, for an epilogue.
    tile: *const f32,
    /// For each operand that one row repeats: the part of the row and the length that its register holds.
    repeated: SmallVec<[(usize, usize); 8]>,
}

impl<'a> Evaluation<'a> {
    /// Prepares registers in `memory`, which holds [`MapProgram::scratch_words`].
    ///
    /// # Safety
    /// The memory is ours alone and the program's operands are readable while the evaluation lives.
    #[inline(always)]
    pub(super) unsafe fn new<S: Simd>(s: S, program: &'a MapProgram, key: RunKey, memory: *mut f32) -> Self {
        let evaluation = Evaluation {
            program,
            key,
            memory,
            tile: std::ptr::null(),
            repeated: SmallVec::from_elem((usize::MAX, 0), program.inputs.len()),
        };
        for (index, value) in program.constants.iter().enumerate() {
            // SAFETY: each constant has its line.
            unsafe { s.store(evaluation.line(index), s.splat(*value)) };
        }
        for (index, (input, access)) in program.inputs.iter().enumerate() {
            if *access == Access::Scalar && program.elements > 0 {
                // SAFETY: a result with elements has operands with elements.
                let value = unsafe {
                    match input.elements {
                        Elements::F32(p) => *p,
                        Elements::Bf16(p) => Element::to_f32(*p),
                        Elements::Bool(p) => f32::from(*p),
                    }
                };
                // SAFETY: each operand has its line.
                unsafe { s.store(evaluation.line(program.constants.len() + index), s.splat(value)) };
            }
        }
        evaluation
    }

    /// The line of a number, or of an operand of one element.
    #[inline(always)]
    fn line(&self, index: usize) -> *mut f32 {
        let registers = (self.program.registers + self.program.inputs.len()) * self.program.stride();
        self.memory.wrapping_add(registers + index * LANES)
    }

    #[inline(always)]
    fn register(&self, index: usize) -> *mut f32 {
        self.memory.wrapping_add(index * self.program.stride())
    }

    #[inline(always)]
    fn input_register(&self, index: usize) -> *mut f32 {
        self.register(self.program.registers + index)
    }

    /// Where a place's block begins, and the mask that keeps its offset within the line of a number.
    #[inline(always)]
    fn address(&self, place: Place, first: usize, n: usize) -> (*const f32, usize) {
        match place {
            Place::Register(index) => (self.register(usize::from(index)), usize::MAX),
            Place::Constant(index) => (self.line(usize::from(index)), 0),
            Place::Input(index) => {
                let index = usize::from(index);
                let (input, access) = &self.program.inputs[index];
                match (access, input.elements) {
                    (Access::Scalar, _) => (self.line(self.program.constants.len() + index), 0),
                    (Access::Tile, _) if n.is_multiple_of(LANES) => (self.tile, usize::MAX),
                    (Access::Dense, Elements::F32(p)) if n.is_multiple_of(LANES) => (p.wrapping_add(first), usize::MAX),
                    _ => (self.input_register(index), usize::MAX),
                }
            }
        }
    }

    /// Fills the registers of operands that are not read in place.
    #[inline(always)]
    unsafe fn load<S: Simd>(&mut self, s: S, first: usize, n: usize) {
        let program = self.program;
        let inner = program.shape[program.shape.len() - 1];
        for index in 0..program.inputs.len() {
            let (input, access) = &program.inputs[index];
            let to = self.input_register(index);
            // SAFETY: elements of the block exist in the operand at its strides; the register holds a block.
            unsafe {
                match access {
                    Access::Scalar => {}
                    Access::Tile => {
                        if !n.is_multiple_of(LANES) {
                            copy(s, self.tile, n, to);
                        }
                    }
                    Access::Dense => {
                        let in_place = matches!(input.elements, Elements::F32(_)) && n.is_multiple_of(LANES);
                        if !in_place {
                            read(s, input.elements, first, n, to);
                        }
                    }
                    Access::Repeated => {
                        if self.repeated[index] != (first % inner, n) {
                            self.repeated[index] = (first % inner, n);
                            self.load_rows(s, index, first, n, to);
                        }
                    }
                    Access::Rows => self.load_rows(s, index, first, n, to),
                }
            }
        }
    }

    /// Copies the rows that a block covers.
    #[inline(always)]
    unsafe fn load_rows<S: Simd>(&self, s: S, index: usize, first: usize, n: usize, to: *mut f32) {
        let program = self.program;
        let (input, _) = &program.inputs[index];
        let last = program.shape.len() - 1;
        let inner = program.shape[last];
        let mut at = 0;
        while at < n {
            let flat = first + at;
            let (mut row, column) = (flat / inner, flat % inner);
            let part = (inner - column).min(n - at);
            let mut offset = column * input.strides[last];
            for axis in (0..last).rev() {
                offset += row % program.shape[axis] * input.strides[axis];
                row /= program.shape[axis];
            }
            // SAFETY: as for `load`.
            unsafe {
                match input.strides[last] {
                    1 => read(s, input.elements, offset, part, to.add(at)),
                    0 => {
                        let value = one(input.elements, offset);
                        fill(s, value, part, to.add(at));
                    }
                    stride => {
                        for i in 0..part {
                            *to.add(at + i) = one(input.elements, offset + i * stride);
                        }
                    }
                }
            }
            at += part;
        }
    }

    /// Computes elements `first .. first + n` (at most a block) of all results. Result `r` goes straight to `straight[r]` where that is given and
    /// the program allows; [`Evaluation::root`] says where it is otherwise.
    ///
    /// # Safety
    /// The elements lie within the result, and straight destinations hold `n` elements.
    #[inline(always)]
    pub(super) unsafe fn run<S: Simd>(&mut self, _: S, first: usize, n: usize, straight: &[Option<*mut f32>]) {
        dispatch(S::LEVEL, Block { evaluation: self, first, n, straight });
    }

    /// Where a result's block is after [`Evaluation::run`], and the mask for its offsets; `None` where it went straight to memory.
    #[inline(always)]
    pub(super) fn root(&self, root: usize, first: usize, n: usize, went_straight: bool) -> Option<(*const f32, usize)> {
        if went_straight && n.is_multiple_of(LANES) && self.program.straight[root].is_some() {
            return None;
        }
        Some(self.address(self.program.roots[root], first, n))
    }
}

/// One block of an evaluation.
struct Block<'a, 'b> {
    evaluation: &'a mut Evaluation<'b>,
    first: usize,
    n: usize,
    straight: &'a [Option<*mut f32>],
}

impl Kernel for Block<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Block { evaluation, first, n, straight } = self;
        // SAFETY: registers hold blocks padded to whole vectors; memory is read or written in place only for whole vectors.
        unsafe {
            evaluation.load(s, first, n);
            let padded = n.next_multiple_of(LANES);
            let program = evaluation.program;
            for (index, instruction) in program.instructions.iter().enumerate() {
                let mut to = evaluation.register(usize::from(instruction.to));
                if n % LANES == 0 {
                    for root in 0..straight.len() {
                        if let (Some(memory), true) = (straight[root], program.straight[root] == Some(index)) {
                            to = memory;
                        }
                    }
                }
                match instruction.code {
                    Code::Random(stream) => uniform(s, evaluation.key, stream, first as u64, padded, to),
                    code => {
                        let [a, b, c] = instruction.operands;
                        let operands =
                            [evaluation.address(a, first, n), evaluation.address(b, first, n), evaluation.address(c, first, n)];
                        step(s, code, operands, to, padded);
                    }
                }
            }
        }
    }
}

#[inline(always)]
pub(super) unsafe fn one(elements: Elements, at: usize) -> f32 {
    // SAFETY: the caller promises the element.
    unsafe {
        match elements {
            Elements::F32(p) => *p.add(at),
            Elements::Bf16(p) => (*p.add(at)).to_f32(),
            Elements::Bool(p) => f32::from(*p.add(at)),
        }
    }
}

/// Reads `n` contiguous elements as f32.
#[inline(always)]
pub(super) unsafe fn read<S: Simd>(s: S, elements: Elements, at: usize, n: usize, to: *mut f32) {
    // SAFETY: the caller promises `n` elements on both sides.
    unsafe {
        match elements {
            Elements::F32(p) => copy(s, p.add(at).cast_const(), n, to),
            Elements::Bf16(p) => copy(s, p.add(at).cast_const(), n, to),
            Elements::Bool(p) => {
                for i in 0..n {
                    *to.add(i) = f32::from(*p.add(at + i));
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn copy<S: Simd, T: Element>(s: S, from: *const T, n: usize, to: *mut f32) {
    // SAFETY: the caller promises `n` elements on both sides.
    unsafe {
        let mut i = 0;
        while i + LANES <= n {
            s.store(to.add(i), T::load(s, from.add(i)));
            i += LANES;
        }
        if i < n {
            s.store_part(to.add(i), n - i, T::load_part(s, from.add(i), n - i));
        }
    }
}

#[inline(always)]
unsafe fn fill<S: Simd>(s: S, value: f32, n: usize, to: *mut f32) {
    let value = s.splat(value);
    for i in (0..n).step_by(LANES) {
        // SAFETY: the caller promises `n` elements.
        unsafe { s.store_part(to.add(i), LANES.min(n - i), value) };
    }
}

/// Stores `n` computed elements.
#[inline(always)]
pub(super) unsafe fn store<S: Simd>(s: S, from: (*const f32, usize), elements: Elements, at: usize, n: usize) {
    let (from, mask) = from;
    for i in (0..n).step_by(LANES) {
        let part = LANES.min(n - i);
        // SAFETY: the caller promises `n` elements on both sides; registers and lines hold whole vectors, memory is read in place only then.
        unsafe {
            let x = s.load(from.add(i & mask));
            match elements {
                Elements::F32(p) => s.store_part(p.add(at + i), part, x),
                Elements::Bf16(p) if part == LANES => s.store_bf16(p.add(at + i), x),
                Elements::Bf16(p) => bf16::store_part(s, p.add(at + i), part, x),
                Elements::Bool(p) => {
                    let x = s.to_array(x);
                    for j in 0..part {
                        *p.add(at + i + j) = u8::from(x[j] != 0.0);
                    }
                }
            }
        }
    }
}

/// Uniform numbers for elements `first .. first + n` of a stream: sixteen Philox blocks at a time, one a lane.
#[inline(always)]
unsafe fn uniform<S: Simd>(s: S, key: RunKey, stream: u32, first: u64, n: usize, to: *mut f32) {
    use sward_core::program::{PHILOX_MULTIPLIERS, PHILOX_WEYL};
    let scale = s.splat(1.0 / (1 << 24) as f32);
    let mut done = 0;
    while done < n {
        let block = (first + done as u64) / 4;
        let mut counters = [[0.0f32; LANES]; 4];
        for lane in 0..LANES {
            let counter = key.philox_counter(stream, block + lane as u64);
            for word in 0..4 {
                counters[word][lane] = f32::from_bits(counter[word]);
            }
        }
        let mut words = [s.splat_int(0); 4];
        for word in 0..4 {
            words[word] = s.bits(s.from_array(counters[word]));
        }
        let [mut k0, mut k1] = key.philox_key();
        for _ in 0..10 {
            let (a_low, a_high) = s.mul_wide(words[0], PHILOX_MULTIPLIERS[0]);
            let (b_low, b_high) = s.mul_wide(words[2], PHILOX_MULTIPLIERS[1]);
            words[0] = s.xor_int(s.xor_int(b_high, words[1]), s.splat_int(k0 as i32));
            words[2] = s.xor_int(s.xor_int(a_high, words[3]), s.splat_int(k1 as i32));
            words[1] = b_low;
            words[3] = a_low;
            k0 = k0.wrapping_add(PHILOX_WEYL[0]);
            k1 = k1.wrapping_add(PHILOX_WEYL[1]);
        }
        // The upper 24 bits of each word; a block's four numbers lie together.
        let mut numbers = [0.0f32; 4 * LANES];
        for word in 0..4 {
            let bits = s.and_int(s.shift_right::<8>(words[word]), s.splat_int(0x00ff_ffff));
            let lanes = s.to_array(s.mul(s.from_int(bits), scale));
            for lane in 0..LANES {
                numbers[4 * lane + word] = lanes[lane];
            }
        }
        let skip = ((first + done as u64) % 4) as usize;
        let count = (4 * LANES - skip).min(n - done);
        // SAFETY: the caller promises `n` elements.
        unsafe { std::ptr::copy_nonoverlapping(numbers.as_ptr().add(skip), to.add(done), count) };
        done += count;
    }
}

/// One step over `n` elements, a whole number of vectors.
#[inline(always)]
unsafe fn step<S: Simd>(s: S, code: Code, operands: [(*const f32, usize); 3], to: *mut f32, n: usize) {
    let [(a, a_mask), (b, b_mask), (c, c_mask)] = operands;
    macro_rules! each {
        (|$x:ident| $body:expr) => {
            for i in (0..n).step_by(LANES) {
                // SAFETY: the caller promises `n` elements behind each address.
                unsafe {
                    let $x = s.load(a.add(i & a_mask));
                    s.store(to.add(i), $body);
                }
            }
        };
        (|$x:ident, $y:ident| $body:expr) => {
            for i in (0..n).step_by(LANES) {
                // SAFETY: as above.
                unsafe {
                    let $x = s.load(a.add(i & a_mask));
                    let $y = s.load(b.add(i & b_mask));
                    s.store(to.add(i), $body);
                }
            }
        };
        (|$x:ident, $y:ident, $z:ident| $body:expr) => {
            for i in (0..n).step_by(LANES) {
                // SAFETY: as above.
                unsafe {
                    let $x = s.load(a.add(i & a_mask));
                    let $y = s.load(b.add(i & b_mask));
                    let $z = s.load(c.add(i & c_mask));
                    s.store(to.add(i), $body);
                }
            }
        };
    }
    macro_rules! truth {
        ($mask:expr) => {
            s.select($mask, s.splat(1.0), s.zero())
        };
    }
    let op = match code {
        Code::MultiplyAdd => {
            each!(|x, y, z| s.fma(x, y, z));
            return;
        }
        Code::Apply(op) => op,
        Code::Random(_) => unreachable!("drawn by the caller"),
    };
    match op {
        ScalarOp::Add => each!(|x, y| s.add(x, y)),
        ScalarOp::Subtract => each!(|x, y| s.sub(x, y)),
        ScalarOp::Multiply => each!(|x, y| s.mul(x, y)),
        ScalarOp::Divide => each!(|x, y| s.div(x, y)),
        ScalarOp::Power => each!(|x, y| math::lanewise2(s, x, y, f32::powf)),
        ScalarOp::Minimum => each!(|x, y| s.min_nan(x, y)),
        ScalarOp::Maximum => each!(|x, y| s.max_nan(x, y)),
        ScalarOp::Negate => each!(|x| s.neg(x)),
        ScalarOp::Absolute => each!(|x| s.abs(x)),
        ScalarOp::Sign => each!(|x| s.sub(truth!(s.lt(s.zero(), x)), truth!(s.lt(x, s.zero())))),
        ScalarOp::Floor => each!(|x| s.floor(x)),
        ScalarOp::Round => each!(|x| s.round(x)),
        ScalarOp::Exp => each!(|x| math::exp(s, x)),
        ScalarOp::Ln => each!(|x| math::ln(s, x)),
        ScalarOp::Log1p => each!(|x| math::ln_1p(s, x)),
        ScalarOp::Expm1 => each!(|x| math::expm1(s, x)),
        ScalarOp::Sqrt => each!(|x| s.sqrt(x)),
        ScalarOp::Rsqrt => each!(|x| s.div(s.splat(1.0), s.sqrt(x))),
        ScalarOp::Sigmoid => each!(|x| math::sigmoid(s, x)),
        ScalarOp::Tanh => each!(|x| math::tanh(s, x)),
        ScalarOp::Softplus => each!(|x| math::softplus(s, x)),
        ScalarOp::Erf => each!(|x| math::erf(s, x)),
        ScalarOp::Lgamma => each!(|x| math::lanewise(s, x, |x| special::lgamma(f64::from(x)) as f32)),
        ScalarOp::Digamma => each!(|x| math::lanewise(s, x, |x| special::digamma(f64::from(x)) as f32)),
        ScalarOp::Trigamma => each!(|x| math::lanewise(s, x, |x| special::trigamma(f64::from(x)) as f32)),
        ScalarOp::Sin => each!(|x| math::sin_cos(s, x).0),
        ScalarOp::Cos => each!(|x| math::sin_cos(s, x).1),
        ScalarOp::Equal => each!(|x, y| truth!(s.eq(x, y))),
        ScalarOp::NotEqual => each!(|x, y| truth!(s.not(s.eq(x, y)))),
        ScalarOp::Less => each!(|x, y| truth!(s.lt(x, y))),
        ScalarOp::LessEqual => each!(|x, y| truth!(s.le(x, y))),
        ScalarOp::And => each!(|x, y| truth!(s.not(s.or(s.eq(x, s.zero()), s.eq(y, s.zero()))))),
        ScalarOp::Or => each!(|x, y| truth!(s.not(s.and(s.eq(x, s.zero()), s.eq(y, s.zero()))))),
        ScalarOp::Not => each!(|x| truth!(s.eq(x, s.zero()))),
        ScalarOp::Where => each!(|x, y, z| s.select(s.eq(x, s.zero()), z, y)),
    }
}

/// Computes all results.
///
/// # Safety
/// The program's operands are readable and `outputs`, one for each root, writable for the result's elements. An output may be the very memory
/// of a dense operand of the same element size, and must not overlap one otherwise.
pub unsafe fn map(level: Level, program: &MapProgram, key: RunKey, outputs: &[Elements]) {
    parallel_ranges(program.elements, GRAIN / program.block * program.block, |range| {
        dispatch(level, MapRange { program, key, outputs, range });
    });
}

/// Changes `rows` rows of `columns` f32 at `tile`, `stride` apart, by the only result of a program made with [`MapProgram::of_tile`]. The first
/// row's first element is the result's element `first`, and rows are `row_stride` elements of the result apart.
///
/// # Safety
/// The tile is ours alone and the program's operands are readable.
pub unsafe fn epilogue(level: Level, program: &MapProgram, tile: Tile) {
    dispatch(level, EpilogueRows { program, tile });
}

/// A tile of a result.
#[derive(Clone, Copy, Debug)]
pub struct Tile {
    /// Its first element.
    pub data: *mut f32,
    /// Elements from one row to the next.
    pub stride: usize,
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub columns: usize,
    /// The first element's position in the whole result.
    pub first: usize,
    /// Positions from one row to the next in the whole result.
    pub row_stride: usize,
}

struct EpilogueRows<'a> {
    program: &'a MapProgram,
    tile: Tile,
}

impl Kernel for EpilogueRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let EpilogueRows { program, tile } = self;
        let mut memory = Scratch::words(program.scratch_words());
        // SAFETY: the caller's promise; registers lie in our scratch.
        unsafe {
            let mut evaluation = Evaluation::new(s, program, RunKey::default(), memory.pointer());
            for row in 0..tile.rows {
                let mut column = 0;
                while column < tile.columns {
                    let n = program.block.min(tile.columns - column);
                    let data = tile.data.add(row * tile.stride + column);
                    let first = tile.first + row * tile.row_stride + column;
                    evaluation.tile = data;
                    evaluation.run(s, first, n, &[Some(data)]);
                    if let Some(from) = evaluation.root(0, first, n, true) {
                        store(s, from, Elements::F32(data), 0, n);
                    }
                    column += n;
                }
            }
        }
    }
}

struct MapRange<'a> {
    program: &'a MapProgram,
    key: RunKey,
    outputs: &'a [Elements],
    range: std::ops::Range<usize>,
}

impl Kernel for MapRange<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let MapRange { program, key, outputs, range } = self;
        let mut memory = Scratch::words(program.scratch_words());
        let mut straight: SmallVec<[Option<*mut f32>; 4]> = SmallVec::from_elem(None, outputs.len());
        // SAFETY: the caller's promise for operands and outputs; registers lie in our scratch.
        unsafe {
            let mut evaluation = Evaluation::new(s, program, key, memory.pointer());
            let mut first = range.start;
            while first < range.end {
                let n = program.block.min(range.end - first);
                for root in 0..outputs.len() {
                    if let Elements::F32(p) = outputs[root] {
                        straight[root] = Some(p.add(first));
                    }
                }
                evaluation.run(s, first, n, &straight);
                for root in 0..outputs.len() {
                    if let Some(from) = evaluation.root(root, first, n, straight[root].is_some()) {
                        store(s, from, outputs[root], first, n);
                    }
                }
                first += n;
            }
        }
    }
}
