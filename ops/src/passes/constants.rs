//! `constants`: small tensors that depend on literals alone are computed now.

use super::maps::filled_number;
use super::rewrite::rewrite;
use crate::primitives::{Constant, EmitExt, Iota, Map};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use sward_core::program::{Array, BuildError, Instruction, Primitive, Program, RunKey, ValueId};

/// The most elements of an operand or result.
const MOST_ELEMENTS: usize = 4096;
/// The most operations of an instruction.
const MOST_FLOPS: f64 = 1e6;

pub(super) fn run(program: &mut Program) -> Result<usize, BuildError> {
    let mut known: FxHashMap<ValueId, Array> = FxHashMap::default();
    rewrite(program, |rewrite, instruction| {
        let is_small = |value: &ValueId| rewrite.builder.type_of(*value).elements() <= MOST_ELEMENTS;
        if !instruction.inputs.iter().chain(&instruction.outputs).all(is_small) || instruction.op.is_random() {
            return Ok(None);
        }
        let is_literal = is_literal(instruction);
        if instruction.inputs.is_empty() && !is_literal {
            return Ok(None);
        }
        let Some(operands) = instruction.inputs.iter().map(|input| known.get(input)).collect::<Option<Vec<&Array>>>() else {
            return Ok(None);
        };
        if rewrite.builder.program().flops_of(instruction) > MOST_FLOPS {
            return Ok(None);
        }
        let results = instruction.op.reference(&operands, RunKey::default());
        if is_literal {
            known.extend(instruction.outputs.iter().copied().zip(results));
            return Ok(None);
        }
        let mut values = SmallVec::new();
        for (result, old) in results.into_iter().zip(&instruction.outputs) {
            let wanted = rewrite.type_of(*old);
            let is_uniform = result.data.windows(2).all(|pair| pair[0].to_bits() == pair[1].to_bits());
            let value = match result.data.first() {
                Some(number) if is_uniform => rewrite.builder.fill(wanted.dtype, &wanted.shape, *number)?,
                _ => rewrite.builder.emit_one(Constant::new(wanted.dtype, &wanted.shape, result.data.clone()), &[])?,
            };
            known.insert(value, Array { dtype: wanted.dtype, ..result });
            values.push(value);
        }
        Ok(Some(values))
    })
}

fn is_literal(instruction: &Instruction) -> bool {
    let op: &dyn Primitive = instruction.op.as_ref();
    op.downcast::<Constant>().is_some()
        || op.downcast::<Iota>().is_some()
        || instruction.inputs.is_empty() && op.downcast::<Map>().is_some_and(|map| filled_number(map).is_some())
}
