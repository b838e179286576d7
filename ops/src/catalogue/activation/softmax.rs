//! `Softmax`, and what it shares with its logarithm.

use crate::catalogue::prelude::*;
use crate::primitives;

/// Exponentials that sum to 1.
pub static SOFTMAX: Softmax = Softmax {
    schema: &Schema {
        name: "Softmax",
        doc: "Exponentials divided by their sum along an axis: positive, and 1 in sum.",
        domain_rule: "Probability",
        pytorch: "torch.softmax",
        example: r#"Softmax(from: "logits")"#,
        ..ALONG_AN_AXIS
    },
    is_log: false,
};

/// Exponentials that sum to 1, or the logarithm of that.
pub struct Softmax {
    pub(super) schema: &'static Schema,
    pub(super) is_log: bool,
}

/// The schema of both.
pub(super) const ALONG_AN_AXIS: Schema = Schema {
    ports: &[Port::one("from", Accepts::Float, "`[..., size, ...]`")],
    fields: &[Field::new("axis", FieldKind::Int, Default::Int(-1), "the axis to sum over; negative counts from the end")],
    ..ACTIVATION
};

impl Op for Softmax {
    fn schema(&self) -> &'static Schema {
        self.schema
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        expect_rank_from(call, "from", 1, "[..., size]")?;
        let x = call.input("from");
        axis_field(call, "axis", x.rank())?;
        let domain = match self.is_log {
            false => Domain::PROBABILITY,
            true => Domain { low: f64::NEG_INFINITY, low_open: x.domain.is_finite(), high: 0.0, high_open: false },
        };
        Ok(smallvec![SymbolicType::new(DType::F32, x.shape.clone()).with_domain(domain)])
    }

    fn flops(&self, _: &Call<'_>, outputs: &[SymbolicType]) -> Result<Dim, DimError> {
        per_element(&outputs[0], 5)
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        let x = call.input("from");
        let axis = lowered_axis(call, "axis", builder.shape(x).len());
        let softmax = primitives::Softmax { log: self.is_log, dtype: DType::F32 };
        Ok(smallvec![with_axis_last(builder, x, axis, |builder, x| builder.emit_one(softmax, &[x]))?])
    }
}
