//! `map`, `reduce`, `map_reduce`, and epilogues of products.

use std::ops::Range;

use half::bf16;
use smallvec::SmallVec;
use sward_core::program::{DType, RunKey};
use sward_core::scalar::{LinearProgram, ScalarFunction, ScalarGraph, ScalarKind};
use sward_ops::primitives as op;

use super::{Operand, Step};
use crate::cpu::features::Features;
use crate::cpu::kernels::map::{self, Elements, MapInput, MapProgram, Tile};
use crate::cpu::kernels::matmul::{Epilogue, Place};
use crate::cpu::kernels::reduce::{Reduce, Reduction};
use crate::cpu::threads::parallel_ranges;

/// The address of an operand's elements.
///
/// # Panics
/// For i64, which elementwise programs do not read.
pub(super) fn elements(operand: &Operand) -> Elements {
    match operand.dtype() {
        DType::F32 => Elements::F32(operand.pointer.cast()),
        DType::BF16 => Elements::Bf16(operand.pointer.cast()),
        DType::Bool => Elements::Bool(operand.pointer),
        DType::I64 => unreachable!("i64 operands take the wide path"),
    }
}

/// Elements from one position of `shape` to the next in an operand of the same rank; 0 where it repeats.
fn broadcast_strides(operand: &Operand, shape: &[usize]) -> SmallVec<[usize; 6]> {
    let own = operand.shape();
    let stride = |axis: usize| own[axis + 1..].iter().product::<usize>();
    (0..shape.len()).map(|axis| if own[axis] == 1 { 0 } else { stride(axis) }).collect()
}

/// Operands of an elementwise program over `shape`.
pub(super) fn inputs_of(operands: &[Operand], shape: &[usize]) -> Vec<MapInput> {
    operands.iter().map(|operand| MapInput { elements: elements(operand), strides: broadcast_strides(operand, shape) }).collect()
}

fn has_i64<'a>(operands: impl IntoIterator<Item = &'a Operand>) -> bool {
    operands.into_iter().any(|operand| operand.dtype() == DType::I64)
}

pub(super) fn map(op: &op::Map, inputs: Vec<Operand>, outputs: Vec<Operand>, features: Features) -> Step {
    let program = op.scalars.linearize(&op.roots);
    let shape = outputs[0].shape().to_vec();
    if has_i64(inputs.iter().chain(&outputs)) {
        return Step::new("map of integers", move |run| wide_map(&program, &shape, &inputs, &outputs, run.key));
    }
    let program = MapProgram::new(&program, &shape, inputs_of(&inputs, &shape));
    let outputs: Vec<Elements> = outputs.iter().map(elements).collect();
    // SAFETY: the primitive's rule gives these sizes; a result shares memory with a dense operand of the same element size at most.
    Step::new("map", move |run| unsafe { map::map(features.level(), &program, run.key, &outputs) })
}

/// Elements of a part of [`wide_map`].
const WIDE_GRAIN: usize = 1 << 12;

/// A map in f64, which holds every index and count: for operands or results that are i64.
fn wide_map(program: &LinearProgram, shape: &[usize], inputs: &[Operand], outputs: &[Operand], key: RunKey) {
    let strides: Vec<_> = inputs.iter().map(|operand| broadcast_strides(operand, shape)).collect();
    parallel_ranges(shape.iter().product(), WIDE_GRAIN, |range: Range<usize>| {
        let mut values = vec![0.0; inputs.len()];
        for element in range {
            for (value, (operand, strides)) in values.iter_mut().zip(inputs.iter().zip(&strides)) {
                let (mut rest, mut at) = (element, 0);
                for axis in (0..shape.len()).rev() {
                    at += rest % shape[axis] * strides[axis];
                    rest /= shape[axis];
                }
                *value = wide_read(operand, at);
            }
            let results = program.run(&values, &|stream| f64::from(key.uniform(stream, element as u64)));
            for (output, result) in outputs.iter().zip(results) {
                wide_write(output, element, result);
            }
        }
    });
}

fn wide_read(operand: &Operand, at: usize) -> f64 {
    // SAFETY: the element lies within the operand.
    unsafe {
        match operand.dtype() {
            DType::F32 => f64::from(*operand.pointer.cast::<f32>().add(at)),
            DType::BF16 => f64::from((*operand.pointer.cast::<bf16>().add(at)).to_f32()),
            DType::I64 => *operand.pointer.cast::<i64>().add(at) as f64,
            DType::Bool => f64::from(*operand.pointer.add(at)),
        }
    }
}

fn wide_write(operand: &Operand, at: usize, value: f64) {
    // SAFETY: the element lies within the result, and is this part's own.
    unsafe {
        match operand.dtype() {
            DType::F32 => *operand.pointer.cast::<f32>().add(at) = value as f32,
            DType::BF16 => *operand.pointer.cast::<bf16>().add(at) = bf16::from_f32(value as f32),
            DType::I64 => *operand.pointer.cast::<i64>().add(at) = value as i64,
            DType::Bool => *operand.pointer.add(at) = u8::from(value != 0.0),
        }
    }
}

fn reduction(kind: op::ReduceKind) -> Reduction {
    match kind {
        op::ReduceKind::Sum => Reduction::Sum,
        op::ReduceKind::Mean => Reduction::Mean,
        op::ReduceKind::Max => Reduction::Max,
        op::ReduceKind::Min => Reduction::Min,
    }
}

/// A reduction; `None` where integers ask for exact sums.
pub(super) fn reduce(op: &op::Reduce, inputs: &[Operand], outputs: &[Operand], features: Features) -> Option<Step> {
    let identity = ScalarFunction::build(&[ScalarKind::Number], |_, inputs| inputs[0]).linearize();
    let shape = inputs[0].shape().to_vec();
    reduction_step("reduce", op, &identity, &shape, inputs, outputs, features)
}

/// A reduction of a map; `None` where integers ask for exact sums.
pub(super) fn map_reduce(op: &op::MapReduce, inputs: &[Operand], outputs: &[Operand], features: Features) -> Option<Step> {
    let shape = op.map.result_shape(inputs.iter().map(Operand::shape)).ok()?;
    if op.map.dtypes[0] == DType::I64 {
        return None;
    }
    let program = op.map.scalars.linearize(&op.map.roots);
    reduction_step("map_reduce", &op.reduce, &program, &shape, inputs, outputs, features)
}

fn reduction_step(
    name: &'static str,
    op: &op::Reduce,
    program: &LinearProgram,
    shape: &[usize],
    inputs: &[Operand],
    outputs: &[Operand],
    features: Features,
) -> Option<Step> {
    if has_i64(inputs.iter().chain(outputs)) {
        return None;
    }
    let program = MapProgram::new(program, shape, inputs_of(inputs, shape));
    let reduce = Reduce::new(reduction(op.kind), shape, &op.axes);
    let out = elements(&outputs[0]);
    // SAFETY: the primitive's rule gives these sizes; the planner keeps operands and result apart.
    Some(Step::new(name, move |run| unsafe { reduce.run(features.level(), &program, run.key, out) }))
}

/// The steps of an epilogue.
pub(super) fn epilogue_program(epilogue: &ScalarFunction) -> LinearProgram {
    let graph: &ScalarGraph = epilogue.graph();
    graph.linearize(&[epilogue.root()])
}

/// An epilogue bound to its extra operands.
pub(super) struct MapEpilogue {
    program: MapProgram,
    batch_stride: usize,
    row_stride: usize,
    features: Features,
}

impl MapEpilogue {
    /// Binds an epilogue to the result `out`, whose matrices and rows are so many elements apart.
    pub(super) fn new(
        epilogue: &ScalarFunction,
        out: &Operand,
        extras: &[Operand],
        batch_stride: usize,
        row_stride: usize,
        features: Features,
    ) -> MapEpilogue {
        let program = MapProgram::of_tile(&epilogue_program(epilogue), out.shape(), inputs_of(extras, out.shape()));
        MapEpilogue { program, batch_stride, row_stride, features }
    }
}

impl Epilogue for MapEpilogue {
    unsafe fn apply(&self, place: Place, data: *mut f32, stride: usize) {
        let tile = Tile {
            data,
            stride,
            rows: place.rows,
            columns: place.columns,
            first: place.batch * self.batch_stride + place.row * self.row_stride + place.column,
            row_stride: self.row_stride,
        };
        // SAFETY: the caller's promise.
        unsafe { map::epilogue(self.features.level(), &self.program, tile) }
    }
}
