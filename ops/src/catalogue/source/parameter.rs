//! `Parameter`: a trained tensor of its own.

use crate::catalogue::prelude::*;

/// A trained tensor of its own.
pub struct Parameter;

static SCHEMA: Schema = Schema {
    name: "Parameter",
    category: "Sources",
    doc: "A tensor that is trained and saved: class tokens, position tables, queries, scales. Its full name is the node's path.",
    ports: &[],
    fields: &[
        Field::required("shape", FieldKind::Dims, "its sizes"),
        Field::required("init", FieldKind::Initial, "how it starts"),
        Field::new(
            "trained",
            FieldKind::Flag,
            Default::Flag(true),
            "`false` makes a buffer: saved and loaded, never changed by training",
        ),
    ],
    outputs: Outputs::Named(&["y"]),
    parameters: "the node's own name [shape]",
    shape_rule: "-> shape",
    domain_rule: "Finite",
    gradient: "by rule, unless `trained: false`",
    pytorch: "torch.nn.Parameter, or register_buffer with `trained: false`",
    example: r#"Parameter(shape: [1, 1, "width"], init: TruncatedNormal(std: 0.02))"#,
};

impl Op for Parameter {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        let shape = shape_field(call, "shape")?;
        let initial = call.initial("init", Initializer::Zeros);
        if call.flag("trained") {
            call.parameter("", &shape, initial);
        } else {
            call.buffer("", DType::F32, &shape, initial);
        }
        Ok(smallvec![SymbolicType::new(DType::F32, shape).with_domain(Domain::FINITE)])
    }

    fn flops(&self, _: &Call<'_>, _: &[SymbolicType]) -> Result<Dim, DimError> {
        Ok(Dim::ZERO)
    }

    fn lower(&self, call: &LowerCall<'_>, _: &mut Builder) -> Lowered {
        Ok(smallvec![call.parameter("")])
    }
}
