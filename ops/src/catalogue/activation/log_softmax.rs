//! `LogSoftmax`: the logarithm of Softmax.

use crate::catalogue::prelude::*;
use crate::primitives;

/// The logarithm of Softmax.
pub struct LogSoftmax;

static SCHEMA: Schema = Schema {
    name: "LogSoftmax",
    category: "Activations",
    doc: "The logarithm of Softmax, safe for large differences.",
    ports: &[Port::one("from", Accepts::Float, "`[..., size, ...]`")],
    fields: &[Field::new("axis", FieldKind::Int, Default::Int(-1), "the axis to sum over; negative counts from the end")],
    outputs: Outputs::Named(&["y"]),
    parameters: "",
    shape_rule: "[...] -> [...]",
    domain_rule: "at most 0",
    gradient: "by rule",
    pytorch: "torch.log_softmax",
    example: r#"LogSoftmax(from: "logits")"#,
};

impl Op for LogSoftmax {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        expect_rank_from(call, "from", 1, "[..., size]")?;
        let x = call.input("from");
        axis_field(call, "axis", x.rank())?;
        let domain = Domain { low: f64::NEG_INFINITY, low_open: x.domain.is_finite(), high: 0.0, high_open: false };
        Ok(smallvec![SymbolicType::new(DType::F32, x.shape.clone()).with_domain(domain)])
    }

    fn flops(&self, _: &Call<'_>, outputs: &[SymbolicType]) -> Result<Dim, DimError> {
        per_element(&outputs[0], 5)
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        let x = call.input("from");
        let axis = lowered_axis(call, "axis", builder.shape(x).len());
        let softmax = primitives::Softmax { log: true, dtype: DType::F32 };
        Ok(smallvec![with_axis_last(builder, x, axis, |builder, x| builder.emit_one(softmax, &[x]))?])
    }
}
