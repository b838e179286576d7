//! `Arange`: 0, 1, 2, ...

use crate::catalogue::prelude::*;
use crate::primitives;

/// Whole numbers in order.
pub struct Arange;

static SCHEMA: Schema = Schema {
    name: "Arange",
    category: "Sources",
    doc: "The whole numbers 0, 1, ... up to `count` - 1: positions, for tables and masks.",
    ports: &[],
    fields: &[
        Field::required("count", FieldKind::Dim, "how many"),
        Field::new("dtype", FieldKind::DType, Default::DType(DType::I64), "`I64` or `F32`"),
    ],
    outputs: Outputs::Named(&["y"]),
    parameters: "",
    shape_rule: "-> [count]",
    domain_rule: "from 0 to count - 1",
    gradient: "none is needed",
    pytorch: "torch.arange(count)",
    example: r#"Arange(count: "tokens", dtype: F32)"#,
};

impl Op for Arange {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        let count = size_field(call, "count")?;
        let dtype = call.dtype("dtype").unwrap_or(DType::I64);
        if dtype == DType::Bool {
            call.field_error("dtype", codes::SETTING_OUT_OF_RANGE, "Arange gives `I64` or `F32`");
            return Err(Refused);
        }
        let domain = index_below(&count);
        Ok(smallvec![SymbolicType::new(dtype, [count]).with_domain(domain)])
    }

    fn flops(&self, _: &Call<'_>, _: &[SymbolicType]) -> Result<Dim, DimError> {
        Ok(Dim::ZERO)
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        let TensorType { dtype, shape } = call.output(0);
        let positions = builder.emit_one(primitives::Iota { length: shape[0] }, &[])?;
        Ok(smallvec![builder.cast(positions, *dtype)?])
    }
}
