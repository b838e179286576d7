//! `query_folding`: the projections of keys and values move to the queries and results of an attention with few queries.
//!
//! With keys `x Wk + bk` and values `x Wv + bv` of many tokens x, a single query attends at the cost of two products of all tokens. The scores are
//! `(q Wk^T) x` (`q bk` is the same for all keys, and softmax does not see it), and the result is `(p x) Wv + bv` since the weights p sum to 1:
//! both projections act on a few rows instead of on every token.

use super::projection::{Projection, with_bias};
use super::rewrite::{Rewrite, Uses, rewrite};
use crate::primitives::{Attention, AttentionMask, AttentionSizes, EmitExt, MatMul, Reshape, Softmax};
use smallvec::smallvec;
use sward_core::program::{BuildError, Builder, Program, ValueId};

/// What the folded form must cost at most, as a share of the cost as it stands.
const WORTH_IT: f64 = 0.7;

pub(super) fn run(program: &mut Program) -> Result<usize, BuildError> {
    let uses = Uses::of(program);
    rewrite(program, |rewrite, instruction| {
        let Some(attention) = instruction.op.downcast::<Attention>() else { return Ok(None) };
        if attention.mask != AttentionMask::None || attention.causal || uses.count(instruction.outputs[1]) > 0 {
            return Ok(None);
        }
        let [query, key, value] = [0, 1, 2].map(|position| instruction.inputs[position]);
        let (Some(keys), Some(values)) = (projection(rewrite, &uses, key), projection(rewrite, &uses, value)) else {
            return Ok(None);
        };
        let [q, k, v] = [query, key, value].map(|value| rewrite.shape(value));
        let Ok(sizes) = AttentionSizes::of(&q, &k, &v) else { return Ok(None) };
        let width = rewrite.builder.shape(keys.tokens)[1];
        if keys.tokens != values.tokens || sizes.keys == 0 || !pays(&sizes, width) {
            return Ok(None);
        }
        let out = folded(&mut rewrite.builder, attention, &sizes, query, &keys, &values)?;
        // The second result has no reader; any value of its sizes may stand for it.
        let logsumexp = rewrite.type_of(instruction.outputs[1]);
        let unread = rewrite.builder.fill(logsumexp.dtype, &logsumexp.shape, 0.0)?;
        Ok(Some(smallvec![out, unread]))
    })
}

fn pays(sizes: &AttentionSizes, width: usize) -> bool {
    let AttentionSizes { batch, queries, keys, heads, width: d, value_width: e } = *sizes;
    let both = (d + e) as f64;
    let as_it_is = (keys * width * heads) as f64 * both + (heads * queries * keys) as f64 * both;
    let folded = (2 * heads * queries * keys * width) as f64 + (queries * heads * width) as f64 * both;
    batch > 0 && folded < WORTH_IT * as_it_is
}

/// Reads a projection off the value `[b,tk,h,d]` that an attention takes as keys or values and nothing else reads.
fn projection(rewrite: &mut Rewrite, uses: &Uses, value: ValueId) -> Option<Projection> {
    let columns: usize = rewrite.builder.shape(value)[2..].iter().product();
    let mut source = value;
    loop {
        if uses.count(source) != 1 {
            return None;
        }
        match rewrite.producer(source) {
            Some(view) if view.op.downcast::<Reshape>().is_some() => source = view.inputs[0],
            _ => break,
        }
    }
    // Another order of sizes would mix tokens.
    let is_fit = source != value && rewrite.builder.shape(source).last() == Some(&columns);
    if is_fit { Projection::of(rewrite, uses, source) } else { None }
}

fn folded(
    builder: &mut Builder,
    attention: &Attention,
    sizes: &AttentionSizes,
    query: ValueId,
    keys: &Projection,
    values: &Projection,
) -> Result<ValueId, BuildError> {
    let AttentionSizes { batch, queries, keys: tokens, heads, width: d, value_width: e } = *sizes;
    let width = builder.shape(keys.tokens)[1];
    let dtype = builder.type_of(query).dtype;
    let product = |builder: &mut Builder, a: ValueId, b: ValueId, transpose_b: bool| {
        builder.emit_one(MatMul { transpose_a: false, transpose_b, dtype, epilogue: None }, &[a, b])
    };
    // Queries by head, through the key weights: [h, b tq, d] x [h, d, c].
    let by_head = builder.permute(query, &[2, 0, 1, 3])?;
    let by_head = builder.reshape(by_head, &[heads, batch * queries, d])?;
    let by_head = builder.scale(by_head, attention.scale)?;
    let key_weight = builder.reshape(keys.weight, &[heads, d, width])?;
    let moved = product(builder, by_head, key_weight, false)?;
    let moved = builder.reshape(moved, &[heads, batch, queries, width])?;
    let moved = builder.permute(moved, &[1, 2, 0, 3])?;
    let moved = builder.reshape(moved, &[batch, queries * heads, width])?;
    // One score for each token, head and query.
    let x = builder.reshape(keys.tokens, &[batch, tokens, width])?;
    let scores = product(builder, moved, x, true)?;
    let weights = builder.emit_one(Softmax { log: false, dtype }, &[scores])?;
    let pooled = product(builder, weights, x, false)?;
    // What each head found, through its value weights: [h, b tq, c] x [h, e, c]^T.
    let pooled = builder.reshape(pooled, &[batch, queries, heads, width])?;
    let pooled = builder.permute(pooled, &[2, 0, 1, 3])?;
    let pooled = builder.reshape(pooled, &[heads, batch * queries, width])?;
    let value_weight = builder.reshape(values.weight, &[heads, e, width])?;
    let mut out = product(builder, pooled, value_weight, true)?;
    if let Some(bias) = values.bias {
        let bias = builder.reshape(bias, &[heads, 1, e])?;
        out = with_bias(builder, out, bias)?;
    }
    let out = builder.reshape(out, &[heads, batch, queries, e])?;
    builder.permute(out, &[1, 2, 0, 3])
}
