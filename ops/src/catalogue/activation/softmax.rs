//! `Softmax`: exponentials that sum to 1.

use crate::catalogue::prelude::*;
use crate::primitives;

/// Exponentials that sum to 1.
pub struct Softmax;

static SCHEMA: Schema = Schema {
    name: "Softmax",
    category: "Activations",
    doc: "Exponentials divided by their sum along an axis: positive, and 1 in sum.",
    ports: &[Port::one("from", Accepts::Float, "`[..., size, ...]`")],
    fields: &[Field::new("axis", FieldKind::Int, Default::Int(-1), "the axis to sum over; negative counts from the end")],
    outputs: Outputs::Named(&["y"]),
    parameters: "",
    shape_rule: "[...] -> [...]",
    domain_rule: "Probability",
    gradient: "by rule",
    pytorch: "torch.softmax",
    example: r#"Softmax(from: "logits")"#,
};

impl Op for Softmax {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        expect_rank_from(call, "from", 1, "[..., size]")?;
        let x = call.input("from");
        axis_field(call, "axis", x.rank())?;
        Ok(smallvec![SymbolicType::new(DType::F32, x.shape.clone()).with_domain(Domain::PROBABILITY)])
    }

    fn flops(&self, _: &Call<'_>, outputs: &[SymbolicType]) -> Result<Dim, DimError> {
        per_element(&outputs[0], 5)
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        let x = call.input("from");
        let axis = lowered_axis(call, "axis", builder.shape(x).len());
        let softmax = primitives::Softmax { log: false, dtype: DType::F32 };
        Ok(smallvec![with_axis_last(builder, x, axis, |builder, x| builder.emit_one(softmax, &[x]))?])
    }
}
