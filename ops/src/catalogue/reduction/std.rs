//! `Std`: the standard deviation over axes.

use super::layers;
use crate::catalogue::prelude::*;

/// The standard deviation over axes.
pub struct Std;

static SCHEMA: Schema = Schema {
    name: "Std",
    category: "Reductions",
    doc: "The standard deviation over `axes`, of all elements where they are not given: the root of `Var`. Its gradient is infinite where all elements are equal, as in PyTorch.",
    ports: &[Port::one("from", Accepts::Float, "`[...]`")],
    fields: &[layers::AXES, layers::CORRECTION, layers::KEEP],
    outputs: Outputs::Named(&["y"]),
    parameters: "",
    shape_rule: layers::SHAPE_RULE,
    domain_rule: "NonNegative",
    gradient: "by rule",
    pytorch: "torch.std",
    example: r#"Std(from: "x", axes: [2, 3])"#,
};

impl Op for Std {
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
        let y = emit(builder, "sqrt(x)", &[("x", y)], &[])?;
        Ok(smallvec![builder.reshape(y, &call.output(0).shape)?])
    }
}
