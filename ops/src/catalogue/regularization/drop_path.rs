//! `DropPath`: whole samples set to 0 at random in training.

use super::layers;
use crate::catalogue::prelude::*;

/// Whole samples set to 0 at random in training.
pub struct DropPath;

static SCHEMA: Schema = Schema {
    name: "DropPath",
    category: "Regularization",
    doc: "Stochastic depth (Huang et al., 2016): in training, sets every sample of a residual branch to 0 with probability `p` and divides the others by 1 - p; otherwise, the identity.",
    ports: &[Port::one("from", Accepts::Float, "`[batch, ...]`")],
    fields: &[Field::new("p", FieldKind::Float, Default::Float(0.0), "the probability to drop, from 0 to 1")],
    outputs: Outputs::Named(&["y"]),
    parameters: "",
    shape_rule: "[batch, ...] -> [batch, ...]",
    domain_rule: "NonNegative where the input is; Finite where the input is",
    gradient: "by rule, with the same samples dropped",
    pytorch: "timm.layers.DropPath",
    example: r#"DropPath(from: "branch", p: 0.1)"#,
};

impl Op for DropPath {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        expect_rank_from(call, "from", 1, "[batch, ...]")?;
        layers::dropped(call)
    }

    fn flops(&self, _: &Call<'_>, _: &[SymbolicType]) -> Result<Dim, DimError> {
        Ok(Dim::ZERO)
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        let x = call.input("from");
        let p = call.float("p");
        if !call.drops() || p == 0.0 {
            return Ok(smallvec![x]);
        }
        let mut samples = vec![1; builder.shape(x).len()];
        samples[0] = builder.shape(x)[0];
        Ok(smallvec![layers::drop(builder, x, &samples, p)?])
    }
}
