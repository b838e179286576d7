//! `GroupNorm`: normalization over groups of channels.

use crate::catalogue::prelude::*;
use crate::primitives;

/// Normalization over groups of channels.
pub struct GroupNorm;

static SCHEMA: Schema = Schema {
    name: "GroupNorm",
    category: "Normalization",
    doc: "Normalizes each sample over groups of channels and all positions, then scales and shifts each channel (Wu and He, 2018). `groups` equal to the channels is instance norm.",
    ports: &[Port::one("from", Accepts::Float, "`[batch, channels, ...]`")],
    fields: &[
        Field::required("groups", FieldKind::Dim, "how many groups; divides the channels"),
        Field::new("epsilon", FieldKind::Float, Default::Float(1e-5), "added to the variance"),
        Field::new("affine", FieldKind::Flag, Default::Flag(true), "whether channels are scaled and shifted"),
    ],
    outputs: Outputs::Named(&["y"]),
    parameters: "weight [channels], bias [channels]",
    shape_rule: "[batch, channels, ...] -> [batch, channels, ...]",
    domain_rule: "Finite where the input is",
    gradient: "by rule",
    pytorch: "torch.nn.GroupNorm",
    example: r#"GroupNorm(from: "x", groups: 8)"#,
};

impl Op for GroupNorm {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        expect_rank_from(call, "from", 2, "[batch, channels, ...]")?;
        let x = call.input("from");
        epsilon(call)?;
        let groups = size_field(call, "groups")?;
        let channels = x.shape[1].clone();
        call.exact_div("groups", &channels, &groups)?;
        if call.flag("affine") {
            call.parameter("weight", std::slice::from_ref(&channels), Initializer::Ones);
            call.parameter("bias", std::slice::from_ref(&channels), Initializer::Zeros);
        }
        Ok(smallvec![SymbolicType::new(DType::F32, x.shape.clone()).with_domain(finite_if(&[x]))])
    }

    fn flops(&self, _: &Call<'_>, outputs: &[SymbolicType]) -> Result<Dim, DimError> {
        per_element(&outputs[0], 8)
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        let x = call.input("from");
        let shape = builder.shape(x).to_vec();
        let groups = call.size("groups");
        let width = shape[1..].iter().product::<usize>() / groups;
        let rows = builder.reshape(x, &[shape[0], groups, width])?;
        let norm = primitives::LayerNorm { epsilon: call.float("epsilon"), centered: true, weight: false, bias: false };
        let rows = builder.emit(norm, &[rows])?[0];
        let mut y = builder.reshape(rows, &shape)?;
        if let (Some(weight), Some(bias)) = (call.optional_parameter("weight"), call.optional_parameter("bias")) {
            let weight = along_axis(builder, weight, 1, shape.len())?;
            let bias = along_axis(builder, bias, 1, shape.len())?;
            y = emit(builder, "x * weight + bias", &[("x", y), ("weight", weight), ("bias", bias)], &[])?;
        }
        Ok(smallvec![y])
    }
}
