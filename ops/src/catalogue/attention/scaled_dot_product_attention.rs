//! `ScaledDotProductAttention`: softmax(query key^T) value.

use crate::catalogue::prelude::*;
use crate::primitives::{Attention, AttentionMask};
use sward_core::scalar::ScalarOp;

/// Attention of queries to keys and values.
pub struct ScaledDotProductAttention;

static SCHEMA: Schema = Schema {
    name: "ScaledDotProductAttention",
    category: "Attention",
    doc: "Every query takes the mean of the values, weighted by the softmax of its scaled products with the keys. The mask is either Bool (true: may attend) or F32 (added to the scores) and broadcasts; a query that may attend to nothing gives 0. The matrix of scores is never stored, unless something reads `weights`: what each query took of each value, for maps and reports. The values then come from the fused attention all the same, and the weights from a softmax of their own.",
    ports: &[
        Port::one("query", Accepts::Float, "`[..., queries, width]`, for example `[batch, heads, queries, width]`"),
        Port::one("key", Accepts::Float, "`[..., keys, width]`"),
        Port::one("value", Accepts::Float, "`[..., keys, value_width]`"),
        Port::optional("mask", Accepts::Any, "Bool or F32, broadcast to `[..., queries, keys]`"),
    ],
    fields: &[
        Field::new("causal", FieldKind::Flag, Default::Flag(false), "whether query i sees keys 0 to i alone"),
        Field::new("scale", FieldKind::Float, Default::Absent, "factor of the scores; 1 / sqrt(width) where it is left out"),
    ],
    outputs: Outputs::OnRequest(&["y", "weights"]),
    parameters: "",
    shape_rule: "[..., queries, width], [..., keys, width], [..., keys, value_width] -> [..., queries, value_width], weights [..., queries, keys]",
    domain_rule: "the value's, and 0 where there is a mask; weights: Probability",
    gradient: "by rule in query, key, value and an F32 mask",
    pytorch: "torch.nn.functional.scaled_dot_product_attention",
    example: r#"ScaledDotProductAttention(query: "q", key: "k", value: "v")"#,
};

const FORM: &str = "[..., tokens, width]";

impl Op for ScaledDotProductAttention {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        expect_rank_from(call, "query", 2, FORM)?;
        let rank = call.input("query").rank();
        for port in ["key", "value"] {
            expect_rank(call, port, rank, FORM)?;
        }
        for port in ["key", "value"] {
            for axis in 0..rank - 2 {
                expect_same(call, (("query", 0), axis), ((port, 0), axis), &format!("query and {port} agree in axis {axis}"))?;
            }
        }
        expect_same(call, (("query", 0), rank - 1), (("key", 0), rank - 1), "query and key have one width")?;
        expect_same(call, (("key", 0), rank - 2), (("value", 0), rank - 2), "there is one value for each key")?;
        let (query, key, value) = (call.input("query"), call.input("key"), call.input("value"));
        let mut shape = query.shape.clone();
        let mut scores = shape.clone();
        shape[rank - 1] = value.shape[rank - 1].clone();
        scores[rank - 1] = key.shape[rank - 2].clone();
        expect_mask(call, &scores)?;
        let masked = call.optional("mask").is_some();
        let domain = if masked { value.domain.join(&Domain::point(0.0)) } else { value.domain };
        let weights = SymbolicType::new(DType::F32, scores).with_domain(Domain::PROBABILITY);
        Ok(smallvec![SymbolicType::new(DType::F32, shape).with_domain(domain), weights])
    }

    fn flops(&self, call: &Call<'_>, outputs: &[SymbolicType]) -> Result<Dim, DimError> {
        let (query, key) = (call.input("query"), call.input("key"));
        let keys = &key.shape[key.rank() - 2];
        let both = (elements(query)? + elements(&outputs[0])?)?;
        (both * keys)? * 2
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        let query = call.input("query");
        let shape = builder.shape(query).to_vec();
        let (rank, width) = (shape.len(), shape[shape.len() - 1]);
        let mut operands: Vec<ValueId> = Vec::new();
        for port in ["query", "key", "value"] {
            let heads = with_four_axes(builder, call.input(port))?;
            operands.push(builder.permute(heads, &[0, 2, 1, 3])?);
        }
        let mut kind = AttentionMask::None;
        if let Some(mask) = call.optional("mask") {
            kind = if builder.type_of(mask).dtype == DType::Bool { AttentionMask::Boolean } else { AttentionMask::Additive };
            operands.push(lower_mask(builder, mask, rank, &shape, builder.shape(call.input("key"))[rank - 2])?);
        }
        let scale = call.optional_float("scale").unwrap_or_else(|| 1.0 / (width as f64).sqrt());
        let attention = Attention { scale, causal: call.flag("causal"), mask: kind };
        let y = builder.emit(attention, &operands)?[0];
        let y = builder.permute(y, &[0, 2, 1, 3])?;
        let mut results = smallvec![builder.reshape(y, &call.output(0).shape)?];
        if call.is_read(1) {
            let weights = weights(builder, &attention, &operands)?;
            results.push(builder.reshape(weights, &call.output(1).shape)?);
        }
        Ok(results)
    }
}

/// What stands for a score where a query may not attend: softmax makes 0 of it beside any other score, and no NaN of a row of them.
const HIDDEN: f64 = -1e30;

/// The weights `[b,h,tq,tk]` of an attention with these operands: softmax(scale q k^T + mask), and 0 where a query may not attend.
fn weights(builder: &mut Builder, attention: &Attention, operands: &[ValueId]) -> Result<ValueId, BuildError> {
    let query = builder.permute(operands[0], &[0, 2, 1, 3])?;
    let key = builder.permute(operands[1], &[0, 2, 1, 3])?;
    let products = builder.matmul_transposed(query, false, key, true)?;
    let mut scores = builder.scale(products, attention.scale)?;
    if attention.mask == AttentionMask::Additive {
        scores = builder.add(scores, operands[3])?;
    }
    let mut conditions: SmallVec<[ValueId; 2]> = SmallVec::new();
    match attention.mask {
        AttentionMask::None => {}
        AttentionMask::Boolean => conditions.push(operands[3]),
        // A mask of negative infinities hides as a Bool one does. A NaN is not hidden.
        AttentionMask::Additive => conditions.push(builder.map1(scores, |graph, score| {
            let hidden = graph.number(HIDDEN);
            let is_hidden = graph.apply(ScalarOp::Less, &[score, hidden]);
            graph.apply(ScalarOp::Not, &[is_hidden])
        })?),
    }
    if attention.causal {
        let rows = builder.iota(builder.shape(scores)[2])?;
        let rows = builder.unsqueeze(rows, 1)?;
        let columns = builder.iota(builder.shape(scores)[3])?;
        conditions.push(builder.apply(ScalarOp::LessEqual, &[columns, rows])?);
    }
    let seen = match conditions[..] {
        [] => return builder.softmax(scores),
        [only] => only,
        [first, second, ..] => builder.apply(ScalarOp::And, &[first, second])?,
    };
    let where_seen = |builder: &mut Builder, x: ValueId, otherwise: f64| {
        builder.map(&[seen, x], |graph, inputs| {
            let otherwise = graph.number(otherwise);
            graph.select(inputs[0], inputs[1], otherwise)
        })
    };
    let scores = where_seen(builder, scores, HIDDEN)?;
    let weights = builder.softmax(scores)?;
    where_seen(builder, weights, 0.0)
}

/// The mask must broadcast to the scores without changing them.
fn expect_mask(call: &mut Call<'_>, scores: &[Dim]) -> Result<(), Refused> {
    let Some(mask) = call.optional("mask") else { return Ok(()) };
    if mask.dtype == DType::I64 {
        call.port_error("mask", 0, codes::DTYPES_DIFFER, "a mask is Bool or F32").help("add Cast(to: Bool) before it");
        return Err(Refused);
    }
    let fits = mask.rank() <= scores.len()
        && mask.shape.iter().rev().zip(scores.iter().rev()).all(|(own, score)| own.is_one() || call.same(own, score));
    if fits {
        return Ok(());
    }
    let message = format!("a mask {} does not broadcast to the scores {}", display_shape(&mask.shape), display_shape(scores));
    call.port_error("mask", 0, codes::NO_BROADCAST, message).help("the last two axes of a mask are queries and keys, or 1");
    Err(Refused)
}

/// `[..., heads, tokens, width]` with all axes before the heads joined, and axes of size 1 where there are fewer than four.
fn with_four_axes(builder: &mut Builder, x: ValueId) -> Result<ValueId, BuildError> {
    let shape = builder.shape(x).to_vec();
    let rank = shape.len();
    let heads = if rank >= 3 { shape[rank - 3] } else { 1 };
    let batch = shape[..rank.saturating_sub(3)].iter().product();
    builder.reshape(x, &[batch, heads, shape[rank - 2], shape[rank - 1]])
}

/// The mask as `[batch or 1, heads or 1, queries or 1, keys]`.
fn lower_mask(builder: &mut Builder, mask: ValueId, rank: usize, query: &[usize], keys: usize) -> Result<ValueId, BuildError> {
    let mask = builder.align(mask, rank.max(4))?;
    let mut full = builder.shape(mask).to_vec();
    let last = full.len() - 1;
    full[last] = keys;
    let outer = full.len() - 3;
    // Batch axes are joined, so that a mask which has some of them must have all.
    if outer > 1 && full[..outer].iter().any(|size| *size != 1) {
        full[..outer].copy_from_slice(&query[..outer]);
    }
    let mask = builder.expand(mask, &full)?;
    let batch = full[..outer].iter().product();
    builder.reshape(mask, &[batch, full[outer], full[outer + 1], keys])
}
