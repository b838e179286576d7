//! A program's registers, and its steps over one block after the other.

use smallvec::SmallVec;
use sward_core::program::RunKey;

use super::compile::{Code, Place};
use super::elements::{Elements, fill, one, read};
use super::steps::{step, uniform};
use super::{Access, MapProgram};
use crate::cpu::simd::{Element, Kernel, LANES, Simd, convert, dispatch};

/// Memory that an instruction may write itself.
#[derive(Clone, Copy)]
pub(in crate::cpu::kernels) struct Straight {
    /// The block's first element.
    pub to: *mut f32,
    /// Past the caches; the address then begins a line.
    pub streams: bool,
}

/// One thread's registers for a program.
pub(in crate::cpu::kernels) struct Evaluation<'a> {
    program: &'a MapProgram,
    key: RunKey,
    memory: *mut f32,
    /// Where the elements of this run lie, for an epilogue.
    pub(super) tile: *const f32,
    /// For each operand that one row repeats: the part of the row and the length that its register holds.
    repeated: SmallVec<[(usize, usize); 8]>,
}

impl<'a> Evaluation<'a> {
    /// Prepares registers in `memory`, which holds [`MapProgram::scratch_words`].
    ///
    /// # Safety
    /// The memory is ours alone and the program's operands are readable while the evaluation lives.
    #[inline(always)]
    pub(in crate::cpu::kernels) unsafe fn new<S: Simd>(s: S, program: &'a MapProgram, key: RunKey, memory: *mut f32) -> Self {
        let evaluation = Evaluation {
            program,
            key,
            memory,
            tile: std::ptr::null(),
            repeated: SmallVec::from_elem((usize::MAX, 0), program.inputs.len()),
        };
        for (index, value) in program.code.constants.iter().enumerate() {
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
                unsafe { s.store(evaluation.line(program.code.constants.len() + index), s.splat(value)) };
            }
        }
        evaluation
    }

    /// The line of a number, or of an operand of one element.
    #[inline(always)]
    fn line(&self, index: usize) -> *mut f32 {
        let registers = (self.program.code.registers + self.program.inputs.len()) * self.program.stride();
        self.memory.wrapping_add(registers + index * LANES)
    }

    #[inline(always)]
    fn register(&self, index: usize) -> *mut f32 {
        self.memory.wrapping_add(index * self.program.stride())
    }

    #[inline(always)]
    fn input_register(&self, index: usize) -> *mut f32 {
        self.register(self.program.code.registers + index)
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
                    (Access::Scalar, _) => (self.line(self.program.code.constants.len() + index), 0),
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
                            convert(s, self.tile, to, n);
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
    pub(in crate::cpu::kernels) unsafe fn run<S: Simd>(&mut self, _: S, first: usize, n: usize, straight: &[Option<Straight>]) {
        dispatch(S::LEVEL, Block { evaluation: self, first, n, straight });
    }

    /// Where a result's block is after [`Evaluation::run`], and the mask for its offsets; `None` where it went straight to memory.
    #[inline(always)]
    pub(in crate::cpu::kernels) fn root(
        &self,
        root: usize,
        first: usize,
        n: usize,
        went_straight: bool,
    ) -> Option<(*const f32, usize)> {
        if went_straight && n.is_multiple_of(LANES) && self.program.code.straight[root].is_some() {
            return None;
        }
        Some(self.address(self.program.code.roots[root], first, n))
    }
}

/// One block of an evaluation.
struct Block<'a, 'b> {
    evaluation: &'a mut Evaluation<'b>,
    first: usize,
    n: usize,
    straight: &'a [Option<Straight>],
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
            for (index, instruction) in program.code.instructions.iter().enumerate() {
                let mut to = Straight { to: evaluation.register(usize::from(instruction.to)), streams: false };
                if n % LANES == 0 {
                    for root in 0..straight.len() {
                        if let (Some(memory), true) = (straight[root], program.code.straight[root] == Some(index)) {
                            to = memory;
                        }
                    }
                }
                match instruction.code {
                    Code::Random(stream) => uniform(s, evaluation.key, stream, first as u64, padded, to.to),
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
