//! `fuse_epilogues`: a map of a product's result is computed while the product is in the cache.

use super::maps::{Expressions, Operand};
use super::rewrite::{Rewrite, Uses, rewrite};
use crate::primitives::{Convolution, Map, MatMul};
use smallvec::{SmallVec, smallvec};
use sward_core::program::{BuildError, Instruction, Program, ValueId};
use sward_core::scalar::{ScalarFunction, ScalarKind};

/// The most extra operands of an epilogue.
const MOST_EXTRAS: usize = 8;

pub(super) fn run(program: &mut Program) -> Result<usize, BuildError> {
    let mut uses = Uses::of(program);
    rewrite(program, |rewrite, instruction| {
        let Some(map) = instruction.op.downcast::<Map>() else { return Ok(None) };
        if map.roots.len() != 1 || !map.dtypes[0].is_float() || map.draws() {
            return Ok(None);
        }
        let Some((product, value)) = product_operand(rewrite, &uses, instruction) else { return Ok(None) };
        let Some((epilogue, extras)) = epilogue(instruction, map, &product, value) else { return Ok(None) };
        let whole = rewrite.shape(value);
        let rank = whole.len();
        let broadcasts = |extra: &ValueId| {
            let shape = rewrite.builder.shape(*extra);
            shape.len() == rank && shape.iter().zip(&whole).all(|(own, size)| own == size || *own == 1)
        };
        if extras.len() > MOST_EXTRAS || !extras.iter().all(broadcasts) {
            return Ok(None);
        }
        let dtype = map.dtypes[0];
        let operands: Vec<ValueId> = product.inputs[..2].iter().copied().chain(extras).collect();
        let result = if let Some(matmul) = product.op.downcast::<MatMul>() {
            rewrite.builder.emit_one(MatMul { dtype, epilogue: Some(epilogue), ..matmul.clone() }, &operands)?
        } else if let Some(convolution) = product.op.downcast::<Convolution>() {
            rewrite.builder.emit_one(Convolution { dtype, epilogue: Some(epilogue), ..convolution.clone() }, &operands)?
        } else {
            return Ok(None);
        };
        uses.inherit(instruction.outputs[0], result);
        Ok(Some(smallvec![result]))
    })
}

/// The last product among the operands that only this map reads; of several, the later can read the earlier's result.
fn product_operand(rewrite: &mut Rewrite, uses: &Uses, instruction: &Instruction) -> Option<(Instruction, ValueId)> {
    let whole = rewrite.shape(instruction.outputs[0]);
    let mut last: Option<(Instruction, ValueId)> = None;
    for value in &instruction.inputs {
        if uses.count(*value) != 1 || rewrite.builder.shape(*value) != whole.as_slice() {
            continue;
        }
        let Some(producer) = rewrite.producer(*value) else { continue };
        let is_product = producer.op.downcast::<MatMul>().is_some() || producer.op.downcast::<Convolution>().is_some();
        if is_product && last.as_ref().is_none_or(|(_, earlier)| earlier < value) {
            last = Some((producer, *value));
        }
    }
    last
}

/// The map after the product's own epilogue as a function of the product and the extras, and these.
fn epilogue(
    instruction: &Instruction,
    map: &Map,
    product: &Instruction,
    value: ValueId,
) -> Option<(ScalarFunction, Vec<ValueId>)> {
    let earlier = match (product.op.downcast::<MatMul>(), product.op.downcast::<Convolution>()) {
        (Some(matmul), _) => matmul.epilogue.as_ref(),
        (_, Some(convolution)) => convolution.epilogue.as_ref(),
        _ => return None,
    };
    let mut expressions = Expressions::new();
    // The product itself is input 0, whatever number its value has.
    let plain = expressions.input(value, ScalarKind::Number);
    let inner = match earlier {
        None => plain,
        Some(earlier) => {
            let extras = product.inputs[2..].iter().map(|extra| Operand::Value(*extra));
            let operands: SmallVec<[Operand; 4]> = std::iter::once(Operand::Expression(plain)).chain(extras).collect();
            expressions.add_with(earlier.graph(), &[earlier.root()], &operands)?[0]
        }
    };
    let operands: SmallVec<[Operand; 4]> = instruction
        .inputs
        .iter()
        .map(|input| if *input == value { Operand::Expression(inner) } else { Operand::Value(*input) })
        .collect();
    let root = expressions.add_with(&map.scalars, &map.roots, &operands)?[0];
    let kinds = super::maps::input_kinds(&expressions.graph, &[root], expressions.values.len())?;
    if expressions.graph.kind(root) != ScalarKind::Number {
        return None;
    }
    let kinds: Vec<ScalarKind> = kinds.into_iter().map(|kind| kind.unwrap_or(ScalarKind::Number)).collect();
    let function = ScalarFunction::new(&expressions.graph, root, &kinds);
    Some((function, expressions.values.split_off(1)))
}
