//! `LayerNorm`: normalization over one or several axes.

use super::layers;
use crate::catalogue::prelude::*;

/// Normalization over one or several axes.
pub struct LayerNorm;

static SCHEMA: Schema = Schema {
    name: "LayerNorm",
    category: "Normalization",
    doc: "Subtracts the mean over `axes` and divides by the standard deviation (of the whole, not of a sample), then scales and shifts. The default normalizes the last axis; `axes: [1]` normalizes the channels of an image (ConvNeXt's `LayerNorm2d`).",
    ports: &[Port::one("from", Accepts::Float, "`[...]`")],
    fields: &[
        Field::new("axes", FieldKind::Ints, Default::Ints(&[-1]), "the axes to normalize over; negative counts from the end"),
        Field::new("epsilon", FieldKind::Float, Default::Float(1e-5), "added to the variance"),
        Field::new("affine", FieldKind::Flag, Default::Flag(true), "whether there is a `weight` to scale by"),
        Field::new("bias", FieldKind::Flag, Default::Flag(true), "whether there is a `bias` too; only with `affine`"),
    ],
    outputs: Outputs::Named(&["y"]),
    parameters: "weight [sizes of the axes], bias [sizes of the axes]",
    shape_rule: "[...] -> [...]",
    domain_rule: "Finite where the input is",
    gradient: "by rule",
    pytorch: "torch.nn.LayerNorm (for the last axes)",
    example: r#"LayerNorm(from: "tokens", epsilon: 1e-6)"#,
};

impl Op for LayerNorm {
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
            if call.flag("bias") {
                call.parameter("bias", &shape, Initializer::Zeros);
            }
        }
        Ok(smallvec![SymbolicType::new(DType::F32, x.shape.clone()).with_domain(finite_if(&[x]))])
    }

    fn flops(&self, _: &Call<'_>, outputs: &[SymbolicType]) -> Result<Dim, DimError> {
        per_element(&outputs[0], 8)
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        Ok(smallvec![layers::normalize(call, builder, true)?])
    }
}
