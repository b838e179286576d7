//! `narrow`: where only some positions of an axis are read in the end, only these are computed.
//!
//! A classifier that reads the class token of its last layer needs no other token's MLP there. Going backward, a value whose readers all take the
//! same positions is marked; going forward, what works position by position computes these alone, up to where every position is needed (the
//! keys and values of an attention), and takes its operands' slices there.

use super::dead;
use super::projection::{Projection, with_bias};
use super::rewrite::{Rewrite, Uses, rewrite};
use crate::primitives::{Attention, AttentionMask, EmitExt, LayerNorm, Map, MatMul, Reshape, Slice, Softmax};
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::{SmallVec, smallvec};
use std::sync::Arc;
use sward_core::program::{BuildError, Instruction, Primitive, Program, Shape, ValueId};

/// Slices that keep more than this share are left where they are: slices of operands cost copies.
const WORTH_IT: f64 = 0.5;

/// Positions of a value's elements in their order: of `[before, size, ..]` those from `start` on, `length` of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Positions {
    before: usize,
    size: usize,
    start: usize,
    length: usize,
}

/// What is known of a value's readers, seen from the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Demand {
    Nothing,
    Some(Positions),
    All,
}

impl Positions {
    /// The axis of `shape` along which these positions are neighbours, in runs of the axes' elements after it.
    fn axis(&self, shape: &[usize]) -> Option<usize> {
        if shape.contains(&0) {
            return None;
        }
        let mut before = 1;
        for (axis, size) in shape.iter().enumerate() {
            let through = before * size;
            if self.before.is_multiple_of(before) && through.is_multiple_of(self.before * self.size) {
                return Some(axis);
            }
            before = through;
        }
        None
    }

    /// The axis, where it has exactly these positions.
    fn own_axis(&self, shape: &[usize]) -> Option<usize> {
        let axis = self.axis(shape)?;
        (shape[axis] == self.size).then_some(axis)
    }

    /// `shape` with these positions alone.
    fn shape(&self, shape: &[usize]) -> Option<Shape> {
        let axis = self.axis(shape)?;
        let mut narrowed = Shape::from_slice(shape);
        narrowed[axis] = shape[axis] / self.size * self.length;
        Some(narrowed)
    }
}

pub(super) fn run(program: &mut Program) -> Result<usize, BuildError> {
    let split = split_projections(program)?;
    if split > 0 {
        // What the parts replaced is read by nothing, and must not count as a reader.
        dead::run(program)?;
    }
    Ok(split + narrow(program)?)
}

/// Takes a linear layer apart whose parts are read on their own, one of them at some positions alone: queries, keys and values come from one product,
/// and only the queries of a few tokens are wanted.
fn split_projections(program: &mut Program) -> Result<usize, BuildError> {
    let demands = demands(program);
    let mut parted: FxHashSet<ValueId> = FxHashSet::default();
    for instruction in &program.instructions {
        if let Some(x) = part_of(program, instruction)
            && matches!(demands[instruction.outputs[0].index()], Demand::Some(_))
            && demands[x.index()] == Demand::All
        {
            parted.insert(x);
        }
    }
    for instruction in &program.instructions {
        if part_of(program, instruction).is_none() {
            instruction.inputs.iter().for_each(|input| _ = parted.remove(input));
        }
    }
    for output in &program.outputs {
        parted.remove(&output.value);
    }
    if parted.is_empty() {
        return Ok(0);
    }
    let uses = Uses::of(program);
    rewrite(program, |rewrite, instruction| {
        let Some(slice) = instruction.op.downcast::<Slice>() else { return Ok(None) };
        let x = instruction.inputs[0];
        if !parted.contains(&x) {
            return Ok(None);
        }
        let view = rewrite.producer(x).filter(|view| view.op.downcast::<Reshape>().is_some() && uses.count(view.inputs[0]) == 1);
        let product = view.map_or(x, |view| view.inputs[0]);
        if rewrite.builder.shape(product).last() != rewrite.builder.shape(x).last() {
            return Ok(None);
        }
        let Some(whole) = Projection::of(rewrite, &uses, product) else { return Ok(None) };
        let shape = rewrite.shape(instruction.outputs[0]);
        let dtype = rewrite.builder.type_of(x).dtype;
        let builder = &mut rewrite.builder;
        let weight = builder.slice(whole.weight, 0, slice.start, slice.length, 1)?;
        let mut part =
            builder.emit_one(MatMul { transpose_a: false, transpose_b: true, dtype, epilogue: None }, &[whole.tokens, weight])?;
        if let Some(bias) = whole.bias {
            let bias = builder.slice(bias, 1, slice.start, slice.length, 1)?;
            part = with_bias(builder, part, bias)?;
        }
        Ok(Some(smallvec![builder.reshape(part, &shape)?]))
    })
}

/// The value that a slice takes columns of.
fn part_of(program: &Program, instruction: &Instruction) -> Option<ValueId> {
    let slice = instruction.op.downcast::<Slice>()?;
    let x = instruction.inputs[0];
    (slice.step == 1 && slice.axis + 1 == program.type_of(x).shape.len()).then_some(x)
}

fn narrow(program: &mut Program) -> Result<usize, BuildError> {
    let demands = demands(program);
    if !demands.iter().any(|demand| matches!(demand, Demand::Some(_))) {
        return Ok(0);
    }
    let (rewrite, instructions) = Rewrite::start(program);
    let mut narrowing = Narrowing { rewrite, demands, narrowed: FxHashMap::default() };
    for instruction in instructions {
        narrowing.rewrite.builder.restore_origin(instruction.origin);
        narrowing.visit(instruction)?;
    }
    Ok(narrowing.rewrite.finish(program))
}

/// The positions of every value that its readers take, where its own instruction can compute these alone.
fn demands(program: &Program) -> Vec<Demand> {
    let uses = Uses::of(program);
    let mut demands = vec![Demand::Nothing; program.types.len()];
    let ask = |demands: &mut Vec<Demand>, value: ValueId, demand: Demand| {
        let known = &mut demands[value.index()];
        *known = if *known == Demand::Nothing || *known == demand { demand } else { Demand::All };
    };
    let results = program.outputs.iter().map(|output| output.value);
    for value in results.chain(program.updates.iter().map(|update| update.value)) {
        ask(&mut demands, value, Demand::All);
    }
    for instruction in program.instructions.iter().rev() {
        let output = instruction.outputs[0];
        let own = demands[output.index()];
        let others_unread = instruction.outputs[1..].iter().all(|other| uses.count(*other) == 0);
        let operands = match own {
            Demand::Some(positions) if others_unread => operands(program, instruction, positions),
            _ => None,
        };
        if let (None, Demand::Some(_)) = (&operands, own) {
            demands[output.index()] = Demand::All;
        }
        for (index, input) in instruction.inputs.iter().enumerate() {
            let demand = match &operands {
                Some(operands) => operands[index].map_or(Demand::All, Demand::Some),
                None => taken(program, instruction).map_or(Demand::All, Demand::Some),
            };
            ask(&mut demands, *input, demand);
        }
    }
    demands
}

/// The positions that a slice takes of its operand, where narrowing pays.
fn taken(program: &Program, instruction: &Instruction) -> Option<Positions> {
    let slice = instruction.op.downcast::<Slice>()?;
    let shape = &program.type_of(instruction.inputs[0]).shape;
    let size = shape[slice.axis];
    let pays = slice.step == 1 && (slice.length as f64) <= WORTH_IT * size as f64 && slice.length > 0 && !shape.contains(&0);
    pays.then(|| Positions { before: shape[..slice.axis].iter().product(), size, start: slice.start, length: slice.length })
}

/// For each operand of an instruction whose result is wanted at some positions, the operand's positions that these need (`None`: the whole
/// operand); nothing where the instruction does not work position by position.
fn operands(program: &Program, instruction: &Instruction, positions: Positions) -> Option<SmallVec<[Option<Positions>; 4]>> {
    let op: &dyn Primitive = instruction.op.as_ref();
    let of = |value: ValueId| &program.type_of(value).shape;
    let result = of(instruction.outputs[0]);
    let axis = positions.axis(result)?;
    let last = result.len() - 1;
    let mut operands: SmallVec<[Option<Positions>; 4]> = SmallVec::from_elem(None, instruction.inputs.len());
    if op.downcast::<Reshape>().is_some() {
        positions.axis(of(instruction.inputs[0]))?;
        operands[0] = Some(positions);
    } else if let Some(map) = op.downcast::<Map>() {
        // What is drawn depends on the element's position in the whole.
        if map.draws() {
            return None;
        }
        for (operand, input) in operands.iter_mut().zip(&instruction.inputs) {
            let shape = of(*input);
            // The operand's axes stand at the end of the result's.
            let Some(own) = (axis + shape.len()).checked_sub(result.len()) else { continue };
            if shape[own] == 1 {
                continue;
            }
            let is_whole = shape.len() == result.len() && shape[..axis] == result[..axis];
            if !is_whole && positions.own_axis(result).is_none() {
                return None;
            }
            let before = if is_whole { positions.before } else { shape[..own].iter().product() };
            *operand = Some(Positions { before, ..positions });
        }
    } else if op.downcast::<LayerNorm>().is_some() || op.downcast::<Softmax>().is_some() {
        if axis == last {
            return None;
        }
        operands[0] = Some(positions);
    } else if let Some(product) = op.downcast::<MatMul>() {
        let a = of(instruction.inputs[0]);
        if axis + 1 != last || product.transpose_a || product.epilogue.is_some() || a[..last] != result[..last] {
            return None;
        }
        operands[0] = Some(positions);
    } else if let Some(attention) = op.downcast::<Attention>() {
        if attention.causal || attention.mask != AttentionMask::None || axis != 1 || positions.own_axis(result).is_none() {
            return None;
        }
        operands[0] = Some(positions);
    } else if let Some(slice) = op.downcast::<Slice>() {
        // Another axis is sliced after these positions are taken.
        let x = of(instruction.inputs[0]);
        if slice.axis <= axis {
            return None;
        }
        positions.axis(x).filter(|own| *own == axis)?;
        operands[0] = Some(positions);
    } else {
        return None;
    }
    Some(operands)
}

struct Narrowing {
    rewrite: Rewrite,
    demands: Vec<Demand>,
    /// Values of the old program at some positions alone, in the sizes that these leave.
    narrowed: FxHashMap<(ValueId, Positions), ValueId>,
}

impl Narrowing {
    fn visit(&mut self, instruction: Instruction) -> Result<(), BuildError> {
        let output = instruction.outputs[0];
        if let Demand::Some(positions) = self.demands[output.index()] {
            return self.narrow(&instruction, positions);
        }
        // The slice that the positions come from is what they are.
        if let Some(positions) = taken(self.rewrite.builder.program(), &instruction)
            && self.demands[instruction.inputs[0].index()] == Demand::Some(positions)
        {
            let value = self.at(instruction.inputs[0], positions)?;
            self.rewrite.replace(output, value);
            return Ok(());
        }
        self.rewrite.keep(instruction);
        Ok(())
    }

    /// Computes an instruction's first result at some positions.
    fn narrow(&mut self, instruction: &Instruction, positions: Positions) -> Result<(), BuildError> {
        let output = instruction.outputs[0];
        let wanted = operands(self.rewrite.builder.program(), instruction, positions).expect("the demand was made for such");
        let mut inputs = Vec::with_capacity(instruction.inputs.len());
        for (input, positions) in instruction.inputs.iter().zip(wanted) {
            inputs.push(match positions {
                Some(positions) => self.at(*input, positions)?,
                None => self.rewrite.resolve(*input),
            });
        }
        let shape = positions.shape(&self.rewrite.shape(output)).expect("an axis has the positions");
        let value = if instruction.op.downcast::<Reshape>().is_some() {
            self.rewrite.builder.reshape(inputs[0], &shape)?
        } else {
            let op: Arc<dyn Primitive> = match instruction.op.downcast::<Map>() {
                Some(map) => Arc::new(Map { shape: Some(shape), ..map.clone() }),
                None => instruction.op.clone(),
            };
            self.rewrite.builder.emit_shared(op, &inputs)?[0]
        };
        self.narrowed.insert((output, positions), value);
        Ok(())
    }

    /// A value of the old program at some positions.
    fn at(&mut self, value: ValueId, positions: Positions) -> Result<ValueId, BuildError> {
        if let Some(known) = self.narrowed.get(&(value, positions)) {
            return Ok(*known);
        }
        let shape = self.rewrite.shape(value);
        let whole = self.rewrite.resolve(value);
        let builder = &mut self.rewrite.builder;
        let Positions { before, size, start, length } = positions;
        let at = match positions.own_axis(&shape) {
            Some(axis) => builder.slice(whole, axis, start, length, 1)?,
            None => {
                let after = shape.iter().product::<usize>() / (before * size).max(1);
                let split = builder.reshape(whole, &[before, size, after])?;
                let part = builder.slice(split, 1, start, length, 1)?;
                builder.reshape(part, &positions.shape(&shape).expect("an axis has the positions"))?
            }
        };
        self.narrowed.insert((value, positions), at);
        Ok(at)
    }
}
