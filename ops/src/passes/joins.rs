//! `joins`: the gradients of the parts of a split are joined, not each padded with zeros and then added.

use super::rewrite::{Rewrite, Uses, rewrite};
use crate::primitives::{EmitExt, Map, SliceGradient};
use smallvec::smallvec;
use sward_core::program::{BuildError, Program, ValueId};
use sward_core::scalar::{ScalarNode, ScalarOp};

/// A part of an axis and what stands there.
struct Part {
    axis: usize,
    start: usize,
    value: ValueId,
}

pub(super) fn run(program: &mut Program) -> Result<usize, BuildError> {
    let uses = Uses::of(program);
    rewrite(program, |rewrite, instruction| {
        let Some([left, right]) = plain_sum(instruction.op.downcast::<Map>(), &instruction.inputs) else { return Ok(None) };
        let whole = rewrite.type_of(instruction.outputs[0]);
        let mut parts = Vec::new();
        if !collect(rewrite, &uses, left, &mut parts) || !collect(rewrite, &uses, right, &mut parts) {
            return Ok(None);
        }
        let axis = parts[0].axis;
        parts.sort_by_key(|part| part.start);
        let mut end = 0;
        for part in &parts {
            if part.axis != axis || part.start != end || rewrite.builder.type_of(part.value).dtype != whole.dtype {
                return Ok(None);
            }
            end += rewrite.builder.shape(part.value)[axis];
        }
        if end != whole.shape[axis] {
            return Ok(None);
        }
        let values: Vec<ValueId> = parts.iter().map(|part| part.value).collect();
        Ok(Some(smallvec![rewrite.builder.concat(&values, axis)?]))
    })
}

/// The operands of a map that adds two tensors.
fn plain_sum(map: Option<&Map>, inputs: &[ValueId]) -> Option<[ValueId; 2]> {
    let map = map?;
    let ([root], [_, _]) = (map.roots.as_slice(), inputs) else { return None };
    let ScalarNode::Apply { op: ScalarOp::Add, operands } = *map.scalars.node(*root) else { return None };
    let input = |position: usize| match map.scalars.node(operands[position]) {
        ScalarNode::Input { index, .. } => Some(inputs[*index as usize]),
        _ => None,
    };
    Some([input(0)?, input(1)?])
}

/// The parts that a sum consists of; whether it consists of nothing else.
fn collect(rewrite: &mut Rewrite, uses: &Uses, value: ValueId, parts: &mut Vec<Part>) -> bool {
    let Some(producer) = rewrite.producer(value) else { return false };
    if uses.count(value) > 1 {
        return false;
    }
    if let Some(slice) = producer.op.downcast::<SliceGradient>() {
        parts.push(Part { axis: slice.axis, start: slice.start, value: producer.inputs[0] });
        return slice.step == 1;
    }
    match plain_sum(producer.op.downcast::<Map>(), &producer.inputs) {
        Some([left, right]) => collect(rewrite, uses, left, parts) && collect(rewrite, uses, right, parts),
        None => false,
    }
}
