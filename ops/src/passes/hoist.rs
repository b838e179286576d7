//! `hoist`: what a map computes from its small operands alone is computed once, not for every element.
//!
//! `x * (weight * rsqrt(variance + epsilon))` over images takes the root of a channel's variance once a channel.

use super::rewrite::{Rewrite, rewrite};
use crate::primitives::Map;
use crate::primitives::map::emit_roots;
use rustc_hash::FxHashMap;
use sward_core::program::{BuildError, DType, Instruction, Program, Shape, broadcast_shapes, element_count};
use sward_core::scalar::{ScalarGraph, ScalarId, ScalarKind, ScalarNode};

/// How many elements of the result share one of what is hoisted, at least.
const LEAST_REPEATS: usize = 8;
/// How many operations must be saved, at least.
const LEAST_SAVED: u64 = 1 << 14;

pub(super) fn run(program: &mut Program) -> Result<usize, BuildError> {
    rewrite(program, |rewrite, instruction| {
        let Some(map) = instruction.op.downcast::<Map>() else { return Ok(None) };
        if map.draws() || instruction.inputs.len() < 2 {
            return Ok(None);
        }
        let hoisted = hoisted(rewrite, instruction, map);
        if hoisted.is_empty() {
            return Ok(None);
        }
        let mut values = instruction.inputs.to_vec();
        let mut inputs: FxHashMap<ScalarId, u32> = FxHashMap::default();
        for (expression, shape) in hoisted {
            let root = [(expression, DType::F32)];
            let value = emit_roots(&mut rewrite.builder, &map.scalars, &root, &instruction.inputs, &shape)?[0];
            inputs.insert(expression, values.len() as u32);
            values.push(value);
        }
        let mut graph = ScalarGraph::new();
        let roots = copy(&map.scalars, &map.roots, &inputs, &mut graph);
        let roots: Vec<_> = roots.into_iter().zip(map.dtypes.iter().copied()).collect();
        let shape = rewrite.shape(instruction.outputs[0]);
        Ok(Some(emit_roots(&mut rewrite.builder, &graph, &roots, &values, &shape)?.into()))
    })
}

/// The largest expressions of small operands, and their sizes.
fn hoisted(rewrite: &Rewrite, instruction: &Instruction, map: &Map) -> Vec<(ScalarId, Shape)> {
    let whole = rewrite.builder.type_of(instruction.outputs[0]).elements();
    let order = map.scalars.reachable(&map.roots);
    let mut shapes: FxHashMap<ScalarId, Option<Shape>> = FxHashMap::default();
    let mut found: Vec<(ScalarId, Shape)> = Vec::new();
    let is_small = |shape: &Shape| element_count(shape).saturating_mul(LEAST_REPEATS) <= whole;
    for id in order {
        let node = map.scalars.node(id);
        let shape = match node {
            ScalarNode::Input { index, .. } => Some(rewrite.shape(instruction.inputs[*index as usize])),
            _ => {
                let known = node.operands().iter().filter_map(|operand| shapes[operand].as_deref());
                let mut known = known.peekable();
                known.peek().is_some().then(|| broadcast_shapes(known).expect("operands of one map broadcast"))
            }
        };
        if !shape.as_ref().is_some_and(is_small) {
            // What this reads is not computed by anything that is itself hoisted.
            for operand in node.operands() {
                let Some(shape) = shapes[operand].as_ref().filter(|shape| is_small(shape)) else { continue };
                let saved = map.scalars.cost(&[*operand]).saturating_mul(whole as u64);
                let is_number = map.scalars.kind(*operand) == ScalarKind::Number;
                if is_number && saved >= LEAST_SAVED && found.iter().all(|(known, _)| known != operand) {
                    found.push((*operand, shape.clone()));
                }
            }
        }
        shapes.insert(id, shape);
    }
    found
}

/// Copies expressions, some of which become inputs.
fn copy(graph: &ScalarGraph, roots: &[ScalarId], inputs: &FxHashMap<ScalarId, u32>, target: &mut ScalarGraph) -> Vec<ScalarId> {
    let mut copies: FxHashMap<ScalarId, ScalarId> = FxHashMap::default();
    for id in graph.reachable(roots) {
        let node = *graph.node(id);
        let copy = match (inputs.get(&id), node) {
            (Some(number), _) => target.input(*number, ScalarKind::Number),
            (None, ScalarNode::Input { index, kind }) => target.input(index, kind),
            (None, ScalarNode::Number(value)) => target.number(value),
            (None, ScalarNode::Bool(value)) => target.bool(value),
            (None, ScalarNode::Random { stream }) => target.random(stream),
            (None, ScalarNode::Apply { op, .. }) => {
                let operands: Vec<ScalarId> = node.operands().iter().map(|operand| copies[operand]).collect();
                target.apply(op, &operands)
            }
        };
        copies.insert(id, copy);
    }
    roots.iter().map(|root| copies[root]).collect()
}
