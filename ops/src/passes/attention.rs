//! `attention`: softmax(q k^T) v written out becomes one attention, which never stores the scores.

use super::rewrite::{Rewrite, Uses, rewrite};
use crate::primitives::{Attention, AttentionMask, EmitExt, Map, MatMul, Reshape, Softmax};
use smallvec::smallvec;
use sward_core::program::{BuildError, Builder, DType, Program, Shape, ValueId};
use sward_core::scalar::{ScalarNode, ScalarOp};

/// The scores as found: queries, keys and what is done to their product.
struct Scores {
    query: ValueId,
    key: ValueId,
    transposed: [bool; 2],
    scale: f64,
    mask: Option<ValueId>,
}

pub(super) fn run(program: &mut Program) -> Result<usize, BuildError> {
    let uses = Uses::of(program);
    rewrite(program, |rewrite, instruction| {
        let Some(product) = instruction.op.downcast::<MatMul>() else { return Ok(None) };
        let whole = rewrite.type_of(instruction.outputs[0]);
        let is_plain = product.epilogue.is_none() && !product.transpose_a && (3..=4).contains(&whole.rank());
        if !is_plain || uses.count(instruction.inputs[0]) != 1 {
            return Ok(None);
        }
        let Some(softmax) = rewrite.producer(instruction.inputs[0]) else { return Ok(None) };
        if !softmax.op.downcast::<Softmax>().is_some_and(|softmax| !softmax.log) {
            return Ok(None);
        }
        let Some(scores) = scores(rewrite, &uses, softmax.inputs[0]) else { return Ok(None) };
        let value = instruction.inputs[1];
        let operands = [scores.query, scores.key, value];
        let batch = |value: ValueId| Shape::from_slice(&rewrite.builder.shape(value)[..whole.rank() - 2]);
        let one_dtype = operands.iter().all(|operand| rewrite.builder.type_of(*operand).dtype == whole.dtype);
        if !one_dtype || operands.iter().any(|operand| batch(*operand).as_slice() != &whole.shape[..whole.rank() - 2]) {
            return Ok(None);
        }
        let transposed = [scores.transposed[0], !scores.transposed[1], product.transpose_b];
        let mut inputs = Vec::with_capacity(4);
        for (operand, is_transposed) in operands.into_iter().zip(transposed) {
            inputs.push(tokens_first(&mut rewrite.builder, operand, is_transposed)?);
        }
        inputs.extend(scores.mask);
        let mask = if scores.mask.is_some() { AttentionMask::Additive } else { AttentionMask::None };
        let out = rewrite.builder.emit(Attention { scale: scores.scale, causal: false, mask }, &inputs)?[0];
        let out = rewrite.builder.permute(out, &[0, 2, 1, 3])?;
        Ok(Some(smallvec![rewrite.builder.reshape(out, &whole.shape)?]))
    })
}

/// `[b,h,t,d]` or `[h,t,d]`, its last two axes perhaps exchanged, as `[b,t,h,d]`.
fn tokens_first(builder: &mut Builder, x: ValueId, is_transposed: bool) -> Result<ValueId, BuildError> {
    let x = builder.align(x, 4)?;
    builder.permute(x, if is_transposed { &[0, 3, 1, 2] } else { &[0, 2, 1, 3] })
}

/// Walks from the softmax up to the product of queries and keys, through factors and at most one added mask.
fn scores(rewrite: &mut Rewrite, uses: &Uses, mut value: ValueId) -> Option<Scores> {
    let (mut scale, mut mask) = (1.0, None);
    loop {
        if uses.count(value) != 1 {
            return None;
        }
        let producer = rewrite.producer(value)?;
        if let Some(product) = producer.op.downcast::<MatMul>() {
            let is_plain = product.epilogue.is_none();
            return is_plain.then(|| Scores {
                query: producer.inputs[0],
                key: producer.inputs[1],
                transposed: [product.transpose_a, product.transpose_b],
                scale,
                mask,
            });
        }
        let map = producer.op.downcast::<Map>()?;
        if map.roots.len() != 1 || !map.dtypes[0].is_float() {
            return None;
        }
        let ScalarNode::Apply { op, operands } = *map.scalars.node(map.roots[0]) else { return None };
        let input = |position: usize| match map.scalars.node(operands[position]) {
            ScalarNode::Input { index, .. } => Some(producer.inputs[*index as usize]),
            _ => None,
        };
        let number = |position: usize| map.scalars.as_number(operands[position]);
        value = match (op, input(0), input(1)) {
            (ScalarOp::Multiply, Some(x), None) => {
                scale *= number(1)?;
                x
            }
            (ScalarOp::Multiply, None, Some(x)) => {
                scale *= number(0)?;
                x
            }
            (ScalarOp::Divide, Some(x), None) => {
                scale /= number(1)?;
                x
            }
            // The mask is added after all factors: none has been met on the way up.
            (ScalarOp::Add, Some(left), Some(right)) if mask.is_none() && scale == 1.0 => {
                let (x, added) = if is_mask(rewrite, left, right) { (left, right) } else { (right, left) };
                mask = Some(mask_operand(rewrite, x, added)?);
                x
            }
            _ => return None,
        };
    }
}

fn is_mask(rewrite: &mut Rewrite, scores: ValueId, mask: ValueId) -> bool {
    let mut is_score = |value: ValueId| {
        rewrite.producer(value).is_some_and(|producer| producer.op.name() == "matmul" || producer.op.name() == "map")
    };
    is_score(scores) || !is_score(mask)
}

/// The added tensor as an attention's mask `[b or 1, h or 1, tq or 1, tk]`, where it has those sizes as it is.
fn mask_operand(rewrite: &mut Rewrite, scores: ValueId, mask: ValueId) -> Option<ValueId> {
    let (scores, own) = (rewrite.shape(scores), rewrite.type_of(mask));
    let fits = own.rank() == scores.len()
        && own.dtype == DType::F32
        && own.shape.last() == scores.last()
        && own.shape.iter().zip(&scores).all(|(own, size)| own == size || *own == 1);
    if !fits {
        return None;
    }
    if own.rank() == 4 {
        return Some(mask);
    }
    // Only a view may be emitted before it is known that the pattern holds; without readers it is dead code.
    let shape: Shape = std::iter::once(1).chain(own.shape.iter().copied()).collect();
    rewrite.builder.emit_one(Reshape { shape }, &[mask]).ok()
}
