//! Elementwise programs, run block by block.
//!
//! A block of the result's elements goes through all steps of the program before the next: registers are blocks of f32 that stay in the nearest
//! cache. Dense f32 operands are read where they lie and dense f32 results written where they go; everything else (bf16, bools, broadcast
//! operands) passes through a register. Truth values are 0 and 1.

mod compile;
mod elements;
mod evaluation;
mod steps;
#[cfg(test)]
mod tests;

use smallvec::SmallVec;
use sward_core::program::RunKey;
use sward_core::scalar::LinearProgram;

use compile::Compiled;
pub use elements::Elements;
pub(super) use elements::store;
use elements::stream;
pub(super) use evaluation::{Evaluation, Straight};

use crate::cpu::features::Level;
use crate::cpu::simd::stream::{LINE, outgrows_caches};
use crate::cpu::simd::{Kernel, LANES, Simd, dispatch, prefetch};
use crate::cpu::threads::{Scratch, parallel_ranges};

/// Elements of a block, before it is fitted to the rows.
const BLOCK: usize = 768;
/// Rows of an epilogue's operands that are asked for ahead: they lie apart, so that the machine does not foresee them.
const AHEAD: usize = 3;
/// Elements that one part of a parallel loop computes.
const GRAIN: usize = 1 << 14;

/// An operand: where it lies and how it repeats over the result.
#[derive(Clone, Debug)]
pub struct MapInput {
    /// The first element.
    pub elements: Elements,
    /// Elements from one position to the next, for every axis of the result; 0 where it repeats.
    pub strides: SmallVec<[usize; 6]>,
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
    code: Compiled,
    inputs: Vec<(MapInput, Access)>,
    /// The result's axes, joined where all operands allow.
    shape: SmallVec<[usize; 6]>,
    elements: usize,
    block: usize,
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
        MapProgram { code: compile::compile(program), inputs, elements: shape.iter().product(), shape: joined, block }
    }

    /// Number of elements of the result.
    pub fn elements(&self) -> usize {
        self.elements
    }

    /// Number of results.
    pub fn roots(&self) -> usize {
        self.code.roots.len()
    }

    /// Memory for the registers of one evaluation.
    pub(super) fn scratch_words(&self) -> usize {
        (self.code.registers + self.inputs.len()) * self.stride() + (self.code.constants.len() + self.inputs.len()) * LANES
    }

    /// Elements from one register to the next: a block, and a line so that registers do not contend for the same places in the cache.
    fn stride(&self) -> usize {
        self.block.next_multiple_of(LANES) + LANES
    }

    /// Asks for `n` elements of the tile at `tile` and of the dense operands, from the result's element `first` on.
    #[inline(always)]
    fn prefetch(&self, first: usize, tile: *const f32, n: usize) {
        for (input, access) in &self.inputs {
            let (start, bytes) = match (access, input.elements) {
                (Access::Tile, _) => (tile.cast::<u8>(), 4),
                (Access::Dense, Elements::F32(p)) => (p.wrapping_add(first).cast::<u8>().cast_const(), 4),
                (Access::Dense, Elements::Bf16(p)) => (p.wrapping_add(first).cast::<u8>().cast_const(), 2),
                _ => continue,
            };
            for at in (0..n * bytes).step_by(64) {
                prefetch(start.wrapping_add(at));
            }
        }
    }

    /// The most elements that [`Evaluation::run`] takes at once.
    pub(super) fn block(&self) -> usize {
        self.block
    }
}

/// Computes all results.
///
/// # Safety
/// The program's operands are readable and `outputs`, one for each root, writable for the result's elements. An output may be the very memory
/// of a dense operand of the same element size, and must not overlap one otherwise.
pub unsafe fn map(level: Level, program: &MapProgram, key: RunKey, outputs: &[Elements]) {
    // What is written where an operand lies finds its lines near already.
    let in_place = |output: &Elements| program.inputs.iter().any(|(input, _)| input.elements.address() == output.address());
    // Ordinary stores wait beside the arithmetic where there is much of it; stores past the caches hold it up.
    let streams =
        |output: &Elements| program.code.is_light() && outgrows_caches(program.elements * output.bytes()) && !in_place(output);
    // SAFETY: the caller's promise.
    unsafe { map_with(level, program, key, outputs, &outputs.iter().map(streams).collect::<SmallVec<[bool; 4]>>()) }
}

/// As [`map`]; `streams` says which results go past the caches.
unsafe fn map_with(level: Level, program: &MapProgram, key: RunKey, outputs: &[Elements], streams: &[bool]) {
    parallel_ranges(program.elements, GRAIN / program.block * program.block, |range| {
        dispatch(level, MapRange { program, key, outputs, streams, range });
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
                if row + AHEAD < tile.rows {
                    let first = tile.first + (row + AHEAD) * tile.row_stride;
                    program.prefetch(first, tile.data.add((row + AHEAD) * tile.stride), tile.columns);
                }
                let mut column = 0;
                while column < tile.columns {
                    let n = program.block.min(tile.columns - column);
                    let data = tile.data.add(row * tile.stride + column);
                    let first = tile.first + row * tile.row_stride + column;
                    evaluation.tile = data;
                    evaluation.run(s, first, n, &[Some(Straight { to: data, streams: false })]);
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
    streams: &'a [bool],
    range: std::ops::Range<usize>,
}

impl Kernel for MapRange<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let MapRange { program, key, outputs, streams, range } = self;
        let mut memory = Scratch::words(program.scratch_words());
        let mut straight: SmallVec<[Option<Straight>; 4]> = SmallVec::from_elem(None, outputs.len());
        // SAFETY: the caller's promise for operands and outputs; registers lie in our scratch.
        unsafe {
            let mut evaluation = Evaluation::new(s, program, key, memory.pointer());
            let mut first = range.start;
            while first < range.end {
                let n = program.block.min(range.end - first);
                for root in 0..outputs.len() {
                    if let Elements::F32(p) = outputs[root] {
                        let (to, streams) = (p.add(first), streams[root]);
                        let straddles = streams && !(to as usize).is_multiple_of(LINE);
                        straight[root] = (!straddles).then_some(Straight { to, streams });
                    }
                }
                evaluation.run(s, first, n, &straight);
                for root in 0..outputs.len() {
                    match evaluation.root(root, first, n, straight[root].is_some()) {
                        Some(from) if streams[root] => stream(s, from, outputs[root], first, n),
                        Some(from) => store(s, from, outputs[root], first, n),
                        None => {}
                    }
                }
                first += n;
            }
            s.fence();
        }
    }
}
