//! What `Max` and `Min`, `ArgMax` and `ArgMin` are made of: each differs from its twin in the direction alone.

use super::layers;
use crate::catalogue::prelude::*;
use crate::primitives::{ArgReduceKind, ReduceKind};

/// The greatest or the least element over axes.
pub struct Extreme {
    pub(super) schema: &'static Schema,
    pub(super) kind: ReduceKind,
}

/// The schema of an extreme; each states its name, doc and equivalent.
pub(super) const EXTREME: Schema = Schema {
    name: "",
    category: "Reductions",
    doc: "",
    ports: &[Port::one("from", Accepts::Number, "`[...]`")],
    fields: &[layers::AXES, layers::KEEP],
    outputs: Outputs::Named(&["y"]),
    parameters: "",
    shape_rule: layers::SHAPE_RULE,
    domain_rule: "the input's",
    gradient: "by rule, shared by equal elements",
    pytorch: "",
    example: "",
};

impl Op for Extreme {
    fn schema(&self) -> &'static Schema {
        self.schema
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
        let y = layers::reduce(builder, call, call.input("from"), self.kind, call.output(0).dtype)?;
        Ok(smallvec![builder.reshape(y, &call.output(0).shape)?])
    }
}

/// Where the greatest or the least element stands.
pub struct Position {
    pub(super) schema: &'static Schema,
    pub(super) kind: ArgReduceKind,
}

/// The schema of a position; each states its name, doc and equivalent.
pub(super) const POSITION: Schema = Schema {
    fields: &[layers::AXIS, layers::KEEP],
    shape_rule: "[..., size, ...] -> [..., ...], or [..., 1, ...] with `keep`; I64",
    domain_rule: "from 0 to size - 1",
    gradient: "none: positions do not move by small changes",
    ..EXTREME
};

impl Op for Position {
    fn schema(&self) -> &'static Schema {
        self.schema
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
        layers::arg_reduce(builder, call, self.kind)
    }
}
