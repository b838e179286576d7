//! `ArgMax`: where the greatest element stands.

use super::layers;
use crate::catalogue::prelude::*;
use crate::primitives::ArgReduceKind;

/// Where the greatest element stands.
pub struct ArgMax;

static SCHEMA: Schema = Schema {
    name: "ArgMax",
    category: "Reductions",
    doc: "The position of the greatest element along an axis; of equal ones, the first.",
    ports: &[Port::one("from", Accepts::Number, "`[...]`")],
    fields: &[layers::AXIS, layers::KEEP],
    outputs: Outputs::Named(&["y"]),
    parameters: "",
    shape_rule: "[..., size, ...] -> [..., ...], or [..., 1, ...] with `keep`; I64",
    domain_rule: "from 0 to size - 1",
    gradient: "none: positions do not move by small changes",
    pytorch: "torch.argmax",
    example: r#"ArgMax(from: "logits")"#,
};

impl Op for ArgMax {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        layers::arg_reduced(call)
    }

    fn differentiable(&self, _: &Call<'_>, _: &str) -> Differentiable {
        Differentiable::None("the result is a position")
    }

    fn flops(&self, call: &Call<'_>, _: &[SymbolicType]) -> Result<Dim, DimError> {
        elements(call.input("from"))
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        layers::arg_reduce(builder, call, ArgReduceKind::Max)
    }
}
