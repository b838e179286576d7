//! `Max`: the greatest element over axes.

use super::layers;
use crate::catalogue::prelude::*;
use crate::primitives::ReduceKind;

/// The greatest element over axes.
pub struct Max;

static SCHEMA: Schema = Schema {
    name: "Max",
    category: "Reductions",
    doc: "The greatest element over `axes`, of all where they are not given.",
    ports: &[Port::one("from", Accepts::Number, "`[...]`")],
    fields: &[layers::AXES, layers::KEEP],
    outputs: Outputs::Named(&["y"]),
    parameters: "",
    shape_rule: layers::SHAPE_RULE,
    domain_rule: "the input's",
    gradient: "by rule, shared by equal elements",
    pytorch: "torch.amax",
    example: r#"Max(from: "x", axes: [1])"#,
};

impl Op for Max {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        let x = call.input("from");
        let dtype = x.dtype;
        layers::reduced(call, dtype, values(x))
    }

    fn flops(&self, call: &Call<'_>, _: &[SymbolicType]) -> Result<Dim, DimError> {
        elements(call.input("from"))
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        let y = layers::reduce(builder, call, call.input("from"), ReduceKind::Max, call.output(0).dtype)?;
        Ok(smallvec![builder.reshape(y, &call.output(0).shape)?])
    }
}
