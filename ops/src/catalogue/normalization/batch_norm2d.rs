//! `BatchNorm2d`: normalization over the batch.

use crate::catalogue::prelude::*;
use crate::primitives::{Reduce, ReduceKind};

/// Normalization over the batch.
pub struct BatchNorm2d;

static SCHEMA: Schema = Schema {
    name: "BatchNorm2d",
    category: "Normalization",
    doc: "In training, normalizes each channel by the mean and variance of the batch and moves `running_mean` and `running_var` towards them by `momentum` (the running variance is that of a sample, as in PyTorch); otherwise, by the running ones. Then scales and shifts each channel.",
    ports: &[Port::one("from", Accepts::Float, "`[batch, channels, height, width]`")],
    fields: &[
        Field::new("epsilon", FieldKind::Float, Default::Float(1e-5), "added to the variance"),
        Field::new("momentum", FieldKind::Float, Default::Float(0.1), "the share of the batch in the running statistics"),
        Field::new("affine", FieldKind::Flag, Default::Flag(true), "whether channels are scaled and shifted"),
        Field::new(
            "weight_init",
            FieldKind::Initial,
            Default::Initial(Initializer::Ones),
            "how `weight` starts; `Zeros` for the last norm of a residual branch",
        ),
    ],
    outputs: Outputs::Named(&["y"]),
    parameters: "weight [channels], bias [channels]; buffers running_mean [channels], running_var [channels], num_batches_tracked []",
    shape_rule: "[batch, channels, height, width] -> [batch, channels, height, width]",
    domain_rule: "Finite where the input is",
    gradient: "by rule, through the batch's mean and variance in training",
    pytorch: "torch.nn.BatchNorm2d",
    example: r#"BatchNorm2d(from: "x")"#,
};

impl Op for BatchNorm2d {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        expect_rank(call, "from", 4, "[batch, channels, height, width]")?;
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

    fn flops(&self, _: &Call<'_>, outputs: &[SymbolicType]) -> Result<Dim, DimError> {
        per_element(&outputs[0], 4)
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        Ok(smallvec![channels_last(builder, call.input("from"), |builder, x| {
            let (mean, variance) = if call.training() {
                batch_statistics(call, builder, x)?
            } else {
                (channel_row(builder, call.parameter("running_mean"))?, channel_row(builder, call.parameter("running_var"))?)
            };
            normalize(call, builder, x, mean, variance)
        })?])
    }
}

/// `[channels]` as `[1, 1, 1, channels]`.
fn channel_row(builder: &mut Builder, vector: ValueId) -> Result<ValueId, BuildError> {
    along_axis(builder, vector, 3, 4)
}

/// `(x - mean) / sqrt(variance + epsilon)`, scaled and shifted.
fn normalize(
    call: &LowerCall<'_>,
    builder: &mut Builder,
    x: ValueId,
    mean: ValueId,
    variance: ValueId,
) -> Result<ValueId, BuildError> {
    let mut operands = vec![("x", x), ("mean", mean), ("variance", variance)];
    let numbers = [("epsilon", call.float("epsilon"))];
    let (Some(weight), Some(bias)) = (call.optional_parameter("weight"), call.optional_parameter("bias")) else {
        return emit(builder, "(x - mean) * rsqrt(variance + epsilon)", &operands, &numbers);
    };
    operands.push(("weight", channel_row(builder, weight)?));
    operands.push(("bias", channel_row(builder, bias)?));
    emit(builder, "(x - mean) * (weight * rsqrt(variance + epsilon)) + bias", &operands, &numbers)
}

/// Mean and variance of the batch, `[1, 1, 1, channels]`; moves the running ones.
fn batch_statistics(call: &LowerCall<'_>, builder: &mut Builder, x: ValueId) -> Result<(ValueId, ValueId), BuildError> {
    let shape = builder.shape(x).to_vec();
    let count: usize = shape[..3].iter().product();
    if count < 2 {
        return Err(call.refuse(builder, "training statistics need more than one value a channel; take a larger batch"));
    }
    let over_batch = || Reduce { kind: ReduceKind::Mean, axes: smallvec![0, 1, 2], dtype: DType::F32 };
    let mean = builder.emit_one(over_batch(), &[x])?;
    // The variance does not change with the mean that is taken off (the deviations sum to 0), so that no gradient need flow there.
    let centre = detach(builder, mean)?;
    let squares = emit(builder, "(x - mean) ** 2", &[("x", x), ("mean", centre)], &[])?;
    let variance = builder.emit_one(over_batch(), &[squares])?;
    let momentum = call.float("momentum");
    let of_a_sample = count as f64 / (count - 1) as f64;
    for (name, batch, factor) in [("running_mean", mean, 1.0), ("running_var", variance, of_a_sample)] {
        let running = call.parameter(name);
        let batch = builder.reshape(batch, &shape[3..])?;
        let numbers = [("keep", 1.0 - momentum), ("share", momentum * factor)];
        let moved = emit(builder, "keep * running + share * batch", &[("running", running), ("batch", batch)], &numbers)?;
        builder.update(running, moved);
    }
    let tracked = call.parameter("num_batches_tracked");
    let next = emit_as(builder, "n + 1", &[("n", tracked)], &[], DType::I64)?;
    builder.update(tracked, next);
    Ok((mean, variance))
}
