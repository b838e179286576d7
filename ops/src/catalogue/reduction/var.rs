//! `Var`: the variance over axes.

use super::layers;
use crate::catalogue::prelude::*;

/// The variance over axes.
pub struct Var;

static SCHEMA: Schema = Schema {
    name: "Var",
    category: "Reductions",
    doc: "The variance over `axes`, of all elements where they are not given. `correction: 1` is that of a sample, 0 that of a whole.",
    ports: &[Port::one("from", Accepts::Float, "`[...]`")],
    fields: &[layers::AXES, layers::CORRECTION, layers::KEEP],
    outputs: Outputs::Named(&["y"]),
    parameters: "",
    shape_rule: layers::SHAPE_RULE,
    domain_rule: "NonNegative",
    gradient: "by rule",
    pytorch: "torch.var",
    example: r#"Var(from: "x", axes: [2, 3])"#,
};

impl Op for Var {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        layers::correction_fits(call)?;
        layers::reduced(call, DType::F32, Domain::NON_NEGATIVE)
    }

    fn flops(&self, call: &Call<'_>, _: &[SymbolicType]) -> Result<Dim, DimError> {
        per_element(call.input("from"), 4)
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        let y = layers::variance(builder, call)?;
        Ok(smallvec![builder.reshape(y, &call.output(0).shape)?])
    }
}
