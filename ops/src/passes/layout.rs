//! `layout`: permutes sink towards the outputs, so that pairs of them cancel.
//!
//! The lowering of a convolution turns its image to channels-last and its result back. A value that is a permute of another is not computed where it is
//! defined: its readers read the other one with their axes renamed, and are permutes in their turn. Whole backbones run channels-last so, with
//! permutes at their inputs and outputs alone.

use super::blocks::blocks;
use super::rewrite::Rewrite;
use crate::primitives::{
    ArgReduce, Concat, CumulativeSum, EmitExt, Expand, LayerNorm, LayerNormGradient, Map, MatMul, Pad, PadGradient, Permute,
    Reduce, Reshape, Slice, SliceGradient, Softmax, SoftmaxGradient,
};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::sync::Arc;
use sward_core::program::{BuildError, Instruction, Primitive, Program, Shape, ValueId, element_count};

type Axes = SmallVec<[usize; 6]>;

pub(super) fn run(program: &mut Program) -> Result<usize, BuildError> {
    let (rewrite, instructions) = Rewrite::start(program);
    let mut layout = Layout { rewrite, turned: FxHashMap::default(), known: FxHashMap::default() };
    for instruction in instructions {
        layout.rewrite.builder.restore_origin(instruction.origin);
        layout.visit(instruction)?;
    }
    layout.finish(program)
}

/// A value is `base` with its axes reordered: its axis `i` is the base's axis `axes[i]`.
#[derive(Clone, Debug)]
struct Turned {
    base: ValueId,
    axes: Axes,
}

struct Layout {
    rewrite: Rewrite,
    /// The values of the old program that are not computed as they are.
    turned: FxHashMap<ValueId, Turned>,
    /// The permutes emitted so far.
    known: FxHashMap<(ValueId, Axes), ValueId>,
}

/// A primitive with its axes renamed, and which operands and results are in the other order then.
struct Renamed {
    op: Arc<dyn Primitive>,
    operands: Vec<bool>,
    results: Vec<bool>,
}

fn inverse(axes: &[usize]) -> Axes {
    let mut inverse = Axes::from_elem(0, axes.len());
    for (position, axis) in axes.iter().enumerate() {
        inverse[*axis] = position;
    }
    inverse
}

fn is_identity(axes: &[usize]) -> bool {
    axes.iter().copied().eq(0..axes.len())
}

/// The sizes or amounts of the base from those of the value.
fn base_order<T: Copy + Default>(of_value: &[T], axes: &[usize]) -> SmallVec<[T; 6]>
where
    [T; 6]: smallvec::Array<Item = T>,
{
    let mut of_base = SmallVec::from_elem(T::default(), axes.len());
    for (position, axis) in axes.iter().enumerate() {
        of_base[*axis] = of_value[position];
    }
    of_base
}

/// Renames the axes of a primitive for operands that are permutes by `axes`; `None` where it needs its operands as they are.
fn renamed(instruction: &Instruction, axes: &[usize]) -> Option<Renamed> {
    let op: &dyn Primitive = instruction.op.as_ref();
    let count = instruction.inputs.len();
    let everything = |op: Arc<dyn Primitive>| {
        Some(Renamed { op, operands: vec![true; count], results: vec![true; instruction.outputs.len()] })
    };
    if let Some(map) = op.downcast::<Map>() {
        // A random number belongs to the row-major number of its element.
        if map.draws() {
            return None;
        }
        return everything(Arc::new(Map { shape: map.shape.as_ref().map(|shape| base_order(shape, axes)), ..map.clone() }));
    }
    if let Some(reduce) = op.downcast::<Reduce>() {
        let mut renamed: Axes = reduce.axes.iter().map(|axis| axes[*axis]).collect();
        renamed.sort_unstable();
        return everything(Arc::new(Reduce { axes: renamed, ..reduce.clone() }));
    }
    if let Some(arg) = op.downcast::<ArgReduce>() {
        return everything(Arc::new(ArgReduce { axis: axes[arg.axis], ..*arg }));
    }
    if let Some(sum) = op.downcast::<CumulativeSum>() {
        return everything(Arc::new(CumulativeSum { axis: axes[sum.axis], ..*sum }));
    }
    if let Some(concat) = op.downcast::<Concat>() {
        return everything(Arc::new(Concat { axis: axes[concat.axis] }));
    }
    if let Some(slice) = op.downcast::<Slice>() {
        return everything(Arc::new(Slice { axis: axes[slice.axis], ..*slice }));
    }
    if let Some(slice) = op.downcast::<SliceGradient>() {
        return everything(Arc::new(SliceGradient { axis: axes[slice.axis], ..*slice }));
    }
    let renamed_pad = |pad: &Pad| Pad { low: base_order(&pad.low, axes), high: base_order(&pad.high, axes), ..pad.clone() };
    if let Some(pad) = op.downcast::<Pad>() {
        return everything(Arc::new(renamed_pad(pad)));
    }
    if let Some(gradient) = op.downcast::<PadGradient>() {
        return everything(Arc::new(PadGradient { pad: renamed_pad(&gradient.pad) }));
    }
    if let Some(expand) = op.downcast::<Expand>() {
        return everything(Arc::new(Expand { shape: base_order(&expand.shape, axes) }));
    }
    if op.name() == "detach" {
        return everything(instruction.op.clone());
    }
    // What works on rows needs its last axis last.
    if axes.last() != Some(&(axes.len().wrapping_sub(1))) {
        return None;
    }
    if op.downcast::<Softmax>().is_some() || op.downcast::<SoftmaxGradient>().is_some() {
        return everything(instruction.op.clone());
    }
    if op.downcast::<LayerNorm>().is_some() {
        let operands = (0..count).map(|position| position == 0).collect();
        return Some(Renamed { op: instruction.op.clone(), operands, results: vec![true; 3] });
    }
    if op.downcast::<LayerNormGradient>().is_some() {
        let operands = (0..count).map(|position| position < 2 || position >= count - 2).collect();
        let results = (0..instruction.outputs.len()).map(|position| position == 0).collect();
        return Some(Renamed { op: instruction.op.clone(), operands, results });
    }
    None
}

impl Layout {
    fn visit(&mut self, instruction: Instruction) -> Result<(), BuildError> {
        if let Some(permute) = instruction.op.downcast::<Permute>() {
            self.turn(&instruction, permute);
            return Ok(());
        }
        if instruction.op.downcast::<Reshape>().is_some() && self.reshape(&instruction)? {
            return Ok(());
        }
        if let Some(matmul) = instruction.op.downcast::<MatMul>()
            && self.matmul(&instruction, matmul)?
        {
            return Ok(());
        }
        if let Some((axes, plan)) = self.plan(&instruction) {
            return self.emit_renamed(&instruction, &axes, plan);
        }
        for input in &instruction.inputs {
            self.settle(*input)?;
        }
        self.rewrite.keep(instruction);
        Ok(())
    }

    fn turn(&mut self, instruction: &Instruction, permute: &Permute) {
        let x = instruction.inputs[0];
        let turned = match self.turned.get(&x) {
            Some(inner) => Turned { base: inner.base, axes: permute.axes.iter().map(|axis| inner.axes[*axis]).collect() },
            None => Turned { base: self.rewrite.resolve(x), axes: permute.axes.clone() },
        };
        if is_identity(&turned.axes) {
            self.rewrite.replace(instruction.outputs[0], turned.base);
        } else {
            self.turned.insert(instruction.outputs[0], turned);
        }
    }

    /// The order of axes in which an instruction costs the fewest permuted elements; `None` where its operands are read as they are.
    fn plan(&self, instruction: &Instruction) -> Option<(Axes, Renamed)> {
        let mut best: Option<(usize, Axes, Renamed)> = None;
        for input in &instruction.inputs {
            let Some(turned) = self.turned.get(input) else { continue };
            if best.as_ref().is_some_and(|(_, axes, _)| *axes == turned.axes) {
                continue;
            }
            let Some(plan) = renamed(instruction, &turned.axes) else { continue };
            let cost = self.cost(instruction, &plan.operands, &turned.axes);
            if best.as_ref().is_none_or(|(least, _, _)| cost < *least) {
                best = Some((cost, turned.axes.clone(), plan));
            }
        }
        let (cost, axes, plan) = best?;
        let identity: Axes = (0..axes.len()).collect();
        let as_it_is = self.cost(instruction, &plan.operands, &identity);
        (cost <= as_it_is).then_some((axes, plan))
    }

    /// The elements that must be moved so that the operands are permutes by `axes`.
    fn cost(&self, instruction: &Instruction, concerned: &[bool], axes: &Axes) -> usize {
        let mut moved = 0;
        for (input, _) in instruction.inputs.iter().zip(concerned).filter(|(_, concerned)| **concerned) {
            let (base, order) = self.source(*input, axes);
            let shape = self.rewrite.builder.shape(base);
            let long: Vec<usize> = order.iter().copied().filter(|axis| shape[*axis] != 1).collect();
            if !long.is_sorted() && !self.known.contains_key(&(base, order)) {
                moved += element_count(shape);
            }
        }
        moved
    }

    /// The base of a value and the order that makes of it what the value is a permute by `axes` of.
    fn source(&self, value: ValueId, axes: &Axes) -> (ValueId, Axes) {
        let back = inverse(axes);
        match self.turned.get(&value) {
            Some(turned) => (turned.base, back.iter().map(|axis| turned.axes[*axis]).collect()),
            None => (self.rewrite.resolve(value), back),
        }
    }

    fn permuted(&mut self, base: ValueId, order: Axes) -> Result<ValueId, BuildError> {
        if is_identity(&order) {
            return Ok(base);
        }
        if let Some(known) = self.known.get(&(base, order.clone())) {
            return Ok(*known);
        }
        let permuted = self.rewrite.builder.permute(base, &order)?;
        self.known.insert((base, order), permuted);
        Ok(permuted)
    }

    fn emit_renamed(&mut self, instruction: &Instruction, axes: &Axes, plan: Renamed) -> Result<(), BuildError> {
        let mut inputs = Vec::with_capacity(instruction.inputs.len());
        for (input, concerned) in instruction.inputs.iter().zip(&plan.operands) {
            inputs.push(if *concerned {
                let (base, order) = self.source(*input, axes);
                self.permuted(base, order)?
            } else {
                self.settle(*input)?
            });
        }
        let results = self.rewrite.builder.emit_shared(plan.op, &inputs)?;
        for ((old, new), concerned) in instruction.outputs.iter().zip(results).zip(plan.results) {
            if concerned {
                self.turned.insert(*old, Turned { base: new, axes: axes.clone() });
            } else {
                self.rewrite.replace(*old, new);
            }
        }
        Ok(())
    }

    /// A reshape that joins or splits axes which lie side by side in the base, too, is a reshape of the base.
    fn reshape(&mut self, instruction: &Instruction) -> Result<bool, BuildError> {
        let (x, y) = (instruction.inputs[0], instruction.outputs[0]);
        let Some(turned) = self.turned.get(&x).cloned() else { return Ok(false) };
        let (before, after) = (self.rewrite.shape(x), self.rewrite.shape(y));
        let Some(blocks) = blocks(&before, &after) else { return Ok(false) };
        // The base's axes without those of size 1, numbered.
        let base_shape = self.rewrite.shape(turned.base);
        let mut number = vec![0; base_shape.len()];
        let mut next = 0;
        for (axis, size) in base_shape.iter().enumerate() {
            number[axis] = next;
            next += usize::from(*size != 1);
        }
        let mut placed: Vec<(usize, usize)> = Vec::with_capacity(blocks.len());
        for (position, block) in blocks.iter().enumerate() {
            let own: Vec<usize> =
                block.before.clone().filter(|axis| before[*axis] != 1).map(|axis| number[turned.axes[axis]]).collect();
            if own.windows(2).any(|pair| pair[0] + 1 != pair[1]) {
                return Ok(false);
            }
            placed.push((own.first().copied().unwrap_or(0), position));
        }
        placed.sort_unstable();
        let mut shape = Shape::new();
        let mut axes = Axes::from_elem(0, after.len());
        for (_, position) in placed {
            for axis in blocks[position].after.clone() {
                axes[axis] = shape.len();
                shape.push(after[axis]);
            }
        }
        let base = self.rewrite.builder.reshape(turned.base, &shape)?;
        if is_identity(&axes) {
            self.rewrite.replace(y, base);
        } else {
            self.turned.insert(y, Turned { base, axes });
        }
        Ok(true)
    }

    /// A product reads an operand whose last two axes are exchanged by its transpose flag.
    fn matmul(&mut self, instruction: &Instruction, matmul: &MatMul) -> Result<bool, BuildError> {
        let mut op = matmul.clone();
        let mut inputs = instruction.inputs.to_vec();
        let mut is_turned = false;
        for position in 0..2 {
            let Some(turned) = self.turned.get(&inputs[position]) else { continue };
            let rank = turned.axes.len();
            let mut exchanged: Axes = (0..rank).collect();
            exchanged.swap(rank - 2, rank - 1);
            if turned.axes != exchanged {
                continue;
            }
            inputs[position] = turned.base;
            is_turned = true;
            let flag = if position == 0 { &mut op.transpose_a } else { &mut op.transpose_b };
            *flag = !*flag;
        }
        if !is_turned {
            return Ok(false);
        }
        for (position, old) in instruction.inputs.iter().enumerate() {
            if inputs[position] == *old {
                inputs[position] = self.settle(*old)?;
            }
        }
        let result = self.rewrite.builder.emit_one(op, &inputs)?;
        self.rewrite.replace(instruction.outputs[0], result);
        Ok(true)
    }

    /// A value of the old program as it was.
    fn settle(&mut self, value: ValueId) -> Result<ValueId, BuildError> {
        let Some(turned) = self.turned.get(&value).cloned() else { return Ok(self.rewrite.resolve(value)) };
        let settled = self.permuted(turned.base, turned.axes)?;
        if self.rewrite.resolve(value) != settled {
            self.rewrite.replace(value, settled);
        }
        Ok(settled)
    }

    fn finish(mut self, program: &mut Program) -> Result<usize, BuildError> {
        let results = self.rewrite.builder.program();
        let outputs = results.outputs.iter().map(|output| output.value);
        let values: Vec<ValueId> = outputs.chain(results.updates.iter().map(|update| update.value)).collect();
        for value in values {
            self.settle(value)?;
        }
        Ok(self.rewrite.finish(program))
    }
}
