//! `ArgMin`: where the least element stands.

use super::layers;
use crate::catalogue::prelude::*;
use crate::primitives::ArgReduceKind;

/// Where the least element stands.
pub struct ArgMin;

static SCHEMA: Schema = Schema {
    name: "ArgMin",
    category: "Reductions",
    doc: "The position of the least element along an axis; of equal ones, the first.",
    ports: &[Port::one("from", Accepts::Number, "`[...]`")],
    fields: &[layers::AXIS, layers::KEEP],
    outputs: Outputs::Named(&["y"]),
    parameters: "",
    shape_rule: "[..., size, ...] -> [..., ...], or [..., 1, ...] with `keep`; I64",
    domain_rule: "from 0 to size - 1",
    gradient: "none: positions do not move by small changes",
    pytorch: "torch.argmin",
    example: r#"ArgMin(from: "logits")"#,
};

impl Op for ArgMin {
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
        layers::arg_reduce(builder, call, ArgReduceKind::Min)
    }
}
