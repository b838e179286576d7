//! `Mean`: the mean over axes.

use super::layers;
use crate::catalogue::prelude::*;
use crate::primitives::ReduceKind;

/// The mean over axes.
pub struct Mean;

static SCHEMA: Schema = Schema {
    name: "Mean",
    category: "Reductions",
    doc: "The mean over `axes`, of all elements where they are not given. The mean of truth values is their share.",
    ports: &[Port::one("from", Accepts::Any, "`[...]`")],
    fields: &[layers::AXES, layers::KEEP],
    outputs: Outputs::Named(&["y"]),
    parameters: "",
    shape_rule: layers::SHAPE_RULE,
    domain_rule: "the input's",
    gradient: "by rule",
    pytorch: "torch.mean",
    example: r#"Mean(from: "x", axes: [2, 3])"#,
};

impl Op for Mean {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        let x = call.input("from");
        let dtype = DType::F32;
        layers::reduced(call, dtype, values(x))
    }

    fn flops(&self, call: &Call<'_>, _: &[SymbolicType]) -> Result<Dim, DimError> {
        elements(call.input("from"))
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        let y = layers::reduce(builder, call, call.input("from"), ReduceKind::Mean, call.output(0).dtype)?;
        Ok(smallvec![builder.reshape(y, &call.output(0).shape)?])
    }
}
