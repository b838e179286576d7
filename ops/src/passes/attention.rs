//! `attention`: softmax(q k^T) v written out becomes one attention, which never stores the scores.

use super::rewrite::{Rewrite, Uses, rewrite};
use crate::primitives::{Attention, AttentionMask, EmitExt, Map, MatMul, Reshape, Softmax};
use smallvec::smallvec;
use sward_core::program::{BuildError, Builder, DType, Program, Shape, ValueId};
use sward_core::scalar::{ScalarGraph, ScalarId, ScalarKind, ScalarNode, ScalarOp};

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
        if softmax.op.downcast::<Softmax>().is_none_or(|softmax| softmax.log) {
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
        let root = map.roots[0];
        let read = |expression: ScalarId| {
            let (input, factor) = multiple(&map.scalars, expression)?;
            Some((producer.inputs[input], factor))
        };
        let (x, factor) = match *map.scalars.node(root) {
            // The mask is added after all factors: none has been met on the way up.
            ScalarNode::Apply { op: ScalarOp::Add, operands } if mask.is_none() && scale == 1.0 => {
                let (left, right) = (read(operands[0])?, read(operands[1])?);
                let is_right_added = right.1 == 1.0 && (left.1 != 1.0 || is_mask(rewrite, left.0, right.0));
                let (scores, added) = if is_right_added { (left, right) } else { (right, left) };
                if added.1 != 1.0 {
                    return None;
                }
                mask = Some(mask_operand(rewrite, scores.0, added.0)?);
                scores
            }
            _ => read(root)?,
        };
        scale *= factor;
        value = x;
    }
}

/// An expression that is an input times a number: the input and the number.
fn multiple(scalars: &ScalarGraph, expression: ScalarId) -> Option<(usize, f64)> {
    match *scalars.node(expression) {
        ScalarNode::Input { index, kind: ScalarKind::Number } => Some((index as usize, 1.0)),
        ScalarNode::Apply { op: ScalarOp::Multiply, operands: [a, b, _] } => {
            let (number, other) = match (scalars.as_number(a), scalars.as_number(b)) {
                (Some(number), _) => (number, b),
                (_, Some(number)) => (number, a),
                _ => return None,
            };
            let (input, factor) = multiple(scalars, other)?;
            Some((input, factor * number))
        }
        ScalarNode::Apply { op: ScalarOp::Divide, operands: [a, b, _] } => {
            let (input, factor) = multiple(scalars, a)?;
            Some((input, factor / scalars.as_number(b)?))
        }
        _ => None,
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
