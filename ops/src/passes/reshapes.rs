//! `reshapes`: views sink below what works on every element or row, so that chains stay in one shape and meet the products they come from.

use super::blocks::{blocks, reshaped_operand};
use super::rewrite::Rewrite;
use crate::primitives::{EmitExt, LayerNorm, LayerNormGradient, Map, Reduce, Reshape, Softmax, SoftmaxGradient};
use rustc_hash::FxHashMap;
use std::sync::Arc;
use sward_core::program::{BuildError, Instruction, Primitive, Program, Shape, ValueId};

pub(super) fn run(program: &mut Program) -> Result<usize, BuildError> {
    let (rewrite, instructions) = Rewrite::start(program);
    let mut views = Views { rewrite, bases: FxHashMap::default(), known: FxHashMap::default() };
    for instruction in instructions {
        views.rewrite.builder.restore_origin(instruction.origin);
        views.visit(instruction)?;
    }
    views.finish(program)
}

struct Views {
    rewrite: Rewrite,
    /// For a value of the old program that is another's elements under other sizes, that other one.
    bases: FxHashMap<ValueId, ValueId>,
    /// The views emitted so far.
    known: FxHashMap<(ValueId, Shape), ValueId>,
}

/// A primitive under other sizes, and the sizes of its operands (`None`: as they are).
struct Resized {
    op: Arc<dyn Primitive>,
    operands: Vec<Option<Shape>>,
}

impl Views {
    fn visit(&mut self, instruction: Instruction) -> Result<(), BuildError> {
        if instruction.op.downcast::<Reshape>().is_some() {
            let x = instruction.inputs[0];
            let base = self.bases.get(&x).copied().unwrap_or_else(|| self.rewrite.resolve(x));
            self.bases.insert(instruction.outputs[0], base);
            return Ok(());
        }
        let plan = self.plan(&instruction);
        let Some(plan) = plan else {
            for input in &instruction.inputs {
                self.settle(*input)?;
            }
            self.rewrite.keep(instruction);
            return Ok(());
        };
        let mut inputs = Vec::with_capacity(instruction.inputs.len());
        for (input, shape) in instruction.inputs.iter().zip(&plan.operands) {
            inputs.push(match shape {
                Some(shape) => self.view(*input, shape)?,
                None => self.settle(*input)?,
            });
        }
        let results = self.rewrite.builder.emit_shared(plan.op, &inputs)?;
        for (old, new) in instruction.outputs.iter().zip(results) {
            if self.rewrite.builder.shape(*old) == self.rewrite.builder.shape(new) {
                self.rewrite.replace(*old, new);
            } else {
                self.bases.insert(*old, new);
            }
        }
        Ok(())
    }

    /// The instruction in the sizes of the base with the fewest axes. Bases with more axes than the operand are not taken: so all readers of
    /// views of one tensor settle on the same sizes, whichever of them came first.
    fn plan(&self, instruction: &Instruction) -> Option<Resized> {
        let mut candidates: Vec<(Shape, Shape)> = Vec::new();
        for input in &instruction.inputs {
            let Some(base) = self.bases.get(input) else { continue };
            let (own, base) = (self.rewrite.shape(*input), self.rewrite.shape(*base));
            if base.len() <= own.len() {
                candidates.push((own, base));
            }
        }
        candidates.sort_by_key(|(_, base)| base.len());
        candidates.iter().find_map(|(own, base)| self.resized(instruction, own, base))
    }

    /// The instruction with an operand of the sizes `from` taken in the sizes `to` instead, where every result keeps its elements' order.
    fn resized(&self, instruction: &Instruction, from: &Shape, to: &Shape) -> Option<Resized> {
        let op: &dyn Primitive = instruction.op.as_ref();
        let of = |value: &ValueId| self.rewrite.shape(*value);
        let blocks = blocks(from, to)?;
        let operand = |value: &ValueId| reshaped_operand(&of(value), from, to, &blocks);
        if let Some(map) = op.downcast::<Map>() {
            if *from != of(&instruction.outputs[0]) {
                return None;
            }
            let operands: Option<Vec<_>> = instruction.inputs.iter().map(|input| operand(input).map(Some)).collect();
            let map = Map { shape: Some(to.clone()), ..map.clone() };
            return Some(Resized { op: Arc::new(map), operands: operands? });
        }
        if let Some(reduce) = op.downcast::<Reduce>() {
            let mut axes = smallvec::SmallVec::new();
            for block in &blocks {
                // Axes of size 1 may be reduced or not.
                let mut long = block.before.clone().filter(|axis| from[*axis] != 1).peekable();
                let is_reduced = long.peek().is_some_and(|axis| reduce.axes.contains(axis));
                if long.any(|axis| reduce.axes.contains(&axis) != is_reduced) {
                    return None;
                }
                if is_reduced {
                    axes.extend(block.after.clone());
                }
            }
            return Some(Resized { op: Arc::new(Reduce { axes, ..reduce.clone() }), operands: vec![Some(to.clone())] });
        }
        // What works on rows needs the last axis as it is.
        let last = blocks.last()?;
        if last.before.len() != 1 || last.after.len() != 1 || from.last() != to.last() {
            return None;
        }
        let count = instruction.inputs.len();
        let mut operands = vec![None; count];
        let rows: &[usize] = if op.downcast::<LayerNorm>().is_some() || op.downcast::<Softmax>().is_some() {
            &[0]
        } else if op.downcast::<SoftmaxGradient>().is_some() {
            &[0, 1]
        } else if op.downcast::<LayerNormGradient>().is_some() {
            &[0, 1, count - 2, count - 1]
        } else {
            return None;
        };
        for position in rows {
            operands[*position] = Some(operand(&instruction.inputs[*position])?);
        }
        Some(Resized { op: instruction.op.clone(), operands })
    }

    /// A value of the old program under other sizes.
    fn view(&mut self, value: ValueId, shape: &Shape) -> Result<ValueId, BuildError> {
        let base = self.bases.get(&value).copied().unwrap_or_else(|| self.rewrite.resolve(value));
        if self.rewrite.builder.shape(base) == shape.as_slice() {
            return Ok(base);
        }
        if let Some(known) = self.known.get(&(base, shape.clone())) {
            return Ok(*known);
        }
        let view = self.rewrite.builder.reshape(base, shape)?;
        self.known.insert((base, shape.clone()), view);
        Ok(view)
    }

    /// A value of the old program as it was.
    fn settle(&mut self, value: ValueId) -> Result<ValueId, BuildError> {
        if !self.bases.contains_key(&value) {
            return Ok(self.rewrite.resolve(value));
        }
        let shape = self.rewrite.shape(value);
        let settled = self.view(value, &shape)?;
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
