//! `Identity`: the same tensor under another name.

use crate::catalogue::prelude::*;

/// The same tensor under another name.
pub struct Identity;

static SCHEMA: Schema = Schema {
    name: "Identity",
    category: "Elementwise",
    doc: "The same tensor under another name: the other side of an `If`, a place to swap at.",
    ports: &[Port::one("from", Accepts::Any, "`[...]`")],
    fields: &[],
    outputs: Outputs::Named(&["y"]),
    parameters: "",
    shape_rule: "[...] -> [...]",
    domain_rule: "the input's",
    gradient: "by rule",
    pytorch: "torch.nn.Identity",
    example: r#"Identity(from: "x")"#,
};

impl Op for Identity {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        Ok(smallvec![call.input("from").clone()])
    }

    fn flops(&self, _: &Call<'_>, _: &[SymbolicType]) -> Result<Dim, DimError> {
        Ok(Dim::ZERO)
    }

    fn lower(&self, call: &LowerCall<'_>, _: &mut Builder) -> Lowered {
        Ok(smallvec![call.input("from")])
    }
}
