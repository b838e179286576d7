//! `Detach`: the end of gradients.

use crate::catalogue::prelude::*;

/// The end of gradients.
pub struct Detach;

static SCHEMA: Schema = Schema {
    name: "Detach",
    category: "Elementwise",
    doc: "The same tensor, through which no gradient flows.",
    ports: &[Port::one("from", Accepts::Any, "`[...]`")],
    fields: &[],
    outputs: Outputs::Named(&["y"]),
    parameters: "",
    shape_rule: "[...] -> [...]",
    domain_rule: "the input's",
    gradient: "zero, as asked",
    pytorch: "Tensor.detach",
    example: r#"Detach(from: "teacher")"#,
};

impl Op for Detach {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        Ok(smallvec![call.input("from").clone()])
    }

    fn differentiable(&self, _: &Call<'_>, _: &str) -> Differentiable {
        Differentiable::Zero("Detach ends gradients")
    }

    fn flops(&self, _: &Call<'_>, _: &[SymbolicType]) -> Result<Dim, DimError> {
        Ok(Dim::ZERO)
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        Ok(smallvec![detach(builder, call.input("from"))?])
    }
}
