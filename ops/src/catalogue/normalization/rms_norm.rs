//! `RmsNorm`: normalization by the root of the mean square.

use super::layers;
use crate::catalogue::prelude::*;

/// Normalization by the root of the mean square.
pub struct RmsNorm;

static SCHEMA: Schema = Schema {
    name: "RmsNorm",
    category: "Normalization",
    doc: "Divides by the root of the mean square over `axes`, then scales (Zhang and Sennrich, 2019). PyTorch's default epsilon, `None`, is the f32 machine epsilon.",
    ports: &[Port::one("from", Accepts::Float, "`[...]`")],
    fields: &[
        Field::new("axes", FieldKind::Ints, Default::Ints(&[-1]), "the axes to normalize over; negative counts from the end"),
        Field::new("epsilon", FieldKind::Float, Default::Float(f32::EPSILON as f64), "added to the mean square"),
        Field::new("affine", FieldKind::Flag, Default::Flag(true), "whether there is a `weight` to scale by"),
    ],
    outputs: Outputs::Named(&["y"]),
    parameters: "weight [sizes of the axes]",
    shape_rule: "[...] -> [...]",
    domain_rule: "Finite where the input is",
    gradient: "by rule",
    pytorch: "torch.nn.RMSNorm",
    example: r#"RmsNorm(from: "tokens", epsilon: 1e-6)"#,
};

impl Op for RmsNorm {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        expect_rank_from(call, "from", 1, "[..., width]")?;
        let x = call.input("from");
        epsilon(call)?;
        let axes = layers::normalized_axes(call)?;
        if call.flag("affine") {
            let shape: Vec<Dim> = axes.iter().map(|axis| x.shape[*axis].clone()).collect();
            call.parameter("weight", &shape, Initializer::Ones);
        }
        Ok(smallvec![SymbolicType::new(DType::F32, x.shape.clone()).with_domain(finite_if(&[x]))])
    }

    fn flops(&self, _: &Call<'_>, outputs: &[SymbolicType]) -> Result<Dim, DimError> {
        per_element(&outputs[0], 5)
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        Ok(smallvec![layers::normalize(call, builder, false)?])
    }
}
