//! What the normalizations over the batch share: fields, parameters, statistics.

use crate::catalogue::prelude::*;
use crate::primitives::{Reduce, ReduceKind};

const FIELDS: &[Field] = &[
    Field::new("epsilon", FieldKind::Float, Default::Float(1e-5), "added to the variance"),
    Field::new("momentum", FieldKind::Float, Default::Float(0.1), "the share of the batch in the running statistics"),
    Field::new("affine", FieldKind::Flag, Default::Flag(true), "whether channels are scaled and shifted"),
    Field::new(
        "weight_init",
        FieldKind::Initial,
        Default::Initial(Initializer::Ones),
        "how `weight` starts; `Zeros` for the last norm of a residual branch",
    ),
];

/// The schema of a normalization over the batch.
pub(super) const fn schema(
    name: &'static str,
    ports: &'static [Port],
    shape_rule: &'static str,
    pytorch: &'static str,
    example: &'static str,
) -> Schema {
    Schema {
        name,
        category: "Normalization",
        doc: "In training, normalizes each channel by the mean and variance of the batch and moves `running_mean` and `running_var` towards them by `momentum` (the running variance is that of a sample, as in PyTorch); otherwise, by the running ones. Then scales and shifts each channel.",
        ports,
        fields: FIELDS,
        outputs: Outputs::Named(&["y"]),
        parameters: "weight [channels], bias [channels]; buffers running_mean [channels], running_var [channels], num_batches_tracked []",
        shape_rule,
        domain_rule: "Finite where the input is",
        gradient: "by rule, through the batch's mean and variance in training",
        pytorch,
        example,
    }
}

/// Channels are the second axis of an input of any rank.
pub(super) fn infer(call: &mut Call<'_>) -> Inferred {
    let x = call.input("from");
    epsilon(call)?;
    float_within(call, "momentum", |value| (0.0..=1.0).contains(&value), "from 0 to 1")?;
    let channels = std::slice::from_ref(&x.shape[1]);
    if call.flag("affine") {
        let weight_init = call.initial("weight_init", Initializer::Ones);
        call.parameter("weight", channels, weight_init);
        call.parameter("bias", channels, Initializer::Zeros);
    }
    call.buffer("running_mean", DType::F32, channels, Initializer::Zeros);
    call.buffer("running_var", DType::F32, channels, Initializer::Ones);
    call.buffer("num_batches_tracked", DType::I64, &[], Initializer::Zeros);
    Ok(smallvec![SymbolicType::new(DType::F32, x.shape.clone()).with_domain(finite_if(&[x]))])
}

/// Normalizes what has its channels last.
pub(super) fn normalized(call: &LowerCall<'_>, builder: &mut Builder, x: ValueId) -> Result<ValueId, BuildError> {
    let rank = builder.shape(x).len();
    let (mean, variance) = if call.training() {
        batch_statistics(call, builder, x)?
    } else {
        let row = |builder: &mut Builder, name| along_axis(builder, call.parameter(name), rank - 1, rank);
        (row(builder, "running_mean")?, row(builder, "running_var")?)
    };
    let mut operands = vec![("x", x), ("mean", mean), ("variance", variance)];
    let numbers = [("epsilon", call.float("epsilon"))];
    let (Some(weight), Some(bias)) = (call.optional_parameter("weight"), call.optional_parameter("bias")) else {
        return emit(builder, "(x - mean) * rsqrt(variance + epsilon)", &operands, &numbers);
    };
    operands.push(("weight", along_axis(builder, weight, rank - 1, rank)?));
    operands.push(("bias", along_axis(builder, bias, rank - 1, rank)?));
    emit(builder, "(x - mean) * (weight * rsqrt(variance + epsilon)) + bias", &operands, &numbers)
}

/// Mean and variance of the batch, 1 along all axes but the channels'; moves the running ones.
fn batch_statistics(call: &LowerCall<'_>, builder: &mut Builder, x: ValueId) -> Result<(ValueId, ValueId), BuildError> {
    let shape = builder.shape(x).to_vec();
    let last = shape.len() - 1;
    let count: usize = shape[..last].iter().product();
    if count < 2 {
        return Err(call.refuse(builder, "training statistics need more than one value a channel; take a larger batch"));
    }
    let over_batch = || Reduce { kind: ReduceKind::Mean, axes: (0..last).collect(), dtype: DType::F32 };
    let mean = builder.emit_one(over_batch(), &[x])?;
    // The variance does not change with the mean that is taken off (the deviations sum to 0), so that no gradient need flow there.
    let centre = detach(builder, mean)?;
    let squares = emit(builder, "(x - mean) ** 2", &[("x", x), ("mean", centre)], &[])?;
    let variance = builder.emit_one(over_batch(), &[squares])?;
    let momentum = call.float("momentum");
    let of_a_sample = count as f64 / (count - 1) as f64;
    for (name, batch, factor) in [("running_mean", mean, 1.0), ("running_var", variance, of_a_sample)] {
        let running = call.parameter(name);
        let batch = builder.reshape(batch, &shape[last..])?;
        let numbers = [("keep", 1.0 - momentum), ("share", momentum * factor)];
        let moved = emit(builder, "keep * running + share * batch", &[("running", running), ("batch", batch)], &numbers)?;
        builder.update(running, moved);
    }
    let tracked = call.parameter("num_batches_tracked");
    let next = emit_as(builder, "n + 1", &[("n", tracked)], &[], DType::I64)?;
    builder.update(tracked, next);
    Ok((mean, variance))
}
