//! `fuse_maps`: a chain of maps becomes one, so that what lies between is never stored.

use super::maps::{Expressions, Operand};
use super::rewrite::{Rewrite, Uses, rewrite};
use crate::primitives::Map;
use smallvec::SmallVec;
use sward_core::program::{BuildError, Instruction, Program, ValueId};
use sward_core::scalar::{ScalarId, ScalarKind};

/// The most operands of a fused map.
const MOST_OPERANDS: usize = 16;
/// The most steps of a fused map's expressions.
const MOST_STEPS: usize = 256;
/// What an expression with several readers may cost to be computed by each of them.
const CHEAP: u64 = 2;

pub(super) fn run(program: &mut Program) -> Result<usize, BuildError> {
    let mut uses = Uses::of(program);
    rewrite(program, |rewrite, instruction| {
        let Some(map) = instruction.op.downcast::<Map>() else { return Ok(None) };
        let Some((expressions, roots)) = fused(rewrite, &uses, instruction, map) else { return Ok(None) };
        let roots: Vec<_> = roots.into_iter().zip(map.dtypes.iter().copied()).collect();
        let shape = rewrite.shape(instruction.outputs[0]);
        let values = expressions.emit(&mut rewrite.builder, &roots, &shape)?;
        for (old, new) in instruction.outputs.iter().zip(&values) {
            uses.inherit(*old, *new);
        }
        Ok(Some(values.into()))
    })
}

/// A map with those of its operands computed in place that only it reads, or that cost no more than their reading.
fn fused(rewrite: &mut Rewrite, uses: &Uses, instruction: &Instruction, map: &Map) -> Option<(Expressions, Vec<ScalarId>)> {
    let mut expressions = Expressions::new();
    let mut operands: SmallVec<[Operand; 4]> = SmallVec::new();
    let mut is_fused = false;
    for input in &instruction.inputs {
        let inlined = producing_map(rewrite, uses, instruction, *input).and_then(|(producer, root)| {
            let inner = producer.op.downcast::<Map>()?;
            let values: SmallVec<[Operand; 4]> = producer.inputs.iter().map(|value| Operand::Value(*value)).collect();
            expressions.add_with(&inner.scalars, &inner.roots[root..=root], &values)
        });
        is_fused |= inlined.is_some();
        operands.push(inlined.map_or(Operand::Value(*input), |roots| Operand::Expression(roots[0])));
    }
    if !is_fused {
        return None;
    }
    let roots = expressions.add_with(&map.scalars, &map.roots, &operands)?;
    let fits = expressions.values.len() <= MOST_OPERANDS && expressions.graph.reachable(&roots).len() <= MOST_STEPS;
    fits.then_some((expressions, roots))
}

/// The map that computes an operand, where it should be computed by the reader, and which of its results the operand is.
fn producing_map(rewrite: &mut Rewrite, uses: &Uses, reader: &Instruction, value: ValueId) -> Option<(Instruction, usize)> {
    let producer = rewrite.producer(value)?;
    let inner = producer.op.downcast::<Map>()?;
    let (own, whole) = (rewrite.shape(value), rewrite.shape(reader.outputs[0]));
    let root = producer.outputs.iter().position(|output| *output == value)?;
    // Storing as i64 or bool changes a number; a float is only rounded, and a truth value stays what it is.
    if !inner.dtypes[root].is_float() && inner.scalars.kind(inner.roots[root]) != ScalarKind::Bool {
        return None;
    }
    let cost = inner.scalars.cost(&inner.roots[root..=root]);
    if own != whole {
        // Computed once for each of the reader's elements instead of once: only what costs nothing.
        return (cost == 0 && !inner.draws() && !producer.inputs.is_empty()).then_some((producer, root));
    }
    let is_only_reader = producer.outputs.iter().all(|output| uses.count(*output) == 0 || reader.inputs.contains(output))
        && uses.count(value) == 1;
    if is_only_reader {
        return Some((producer, root));
    }
    // Reading one tensor and computing again costs no more than reading the result.
    let source_bytes: usize = producer
        .inputs
        .iter()
        .map(|input| rewrite.builder.type_of(*input))
        .filter(|source| source.shape == own)
        .map(|source| source.bytes())
        .sum();
    let is_cheap = cost <= CHEAP && inner.roots.len() == 1 && source_bytes <= rewrite.builder.type_of(value).bytes();
    is_cheap.then_some((producer, root))
}
