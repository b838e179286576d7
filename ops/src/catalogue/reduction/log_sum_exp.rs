//! `LogSumExp`: the logarithm of a sum of exponentials.

use super::layers;
use crate::catalogue::prelude::*;
use crate::primitives::ReduceKind;

/// The logarithm of a sum of exponentials.
pub struct LogSumExp;

static SCHEMA: Schema = Schema {
    name: "LogSumExp",
    category: "Reductions",
    doc: "The logarithm of the sum of exponentials over `axes`, of all elements where they are not given; safe for large elements.",
    ports: &[Port::one("from", Accepts::Float, "`[...]`")],
    fields: &[layers::AXES, layers::KEEP],
    outputs: Outputs::Named(&["y"]),
    parameters: "",
    shape_rule: layers::SHAPE_RULE,
    domain_rule: "Finite where the input is",
    gradient: "by rule",
    pytorch: "torch.logsumexp",
    example: r#"LogSumExp(from: "logits", axes: [-1])"#,
};

impl Op for LogSumExp {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        let x = call.input("from");
        // The sum has at least one term, so that the result is at least as large as the largest element.
        let low = Domain { high: f64::INFINITY, high_open: x.domain.is_finite(), ..x.domain };
        layers::reduced(call, DType::F32, low)
    }

    fn flops(&self, call: &Call<'_>, _: &[SymbolicType]) -> Result<Dim, DimError> {
        per_element(call.input("from"), 4)
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        let x = call.input("from");
        let greatest = layers::reduce(builder, call, x, ReduceKind::Max, DType::F32)?;
        // The shift cancels, so that it needs no gradient; an infinite one would make NaN of `x - shift`.
        let shift = emit(builder, "where(abs(m) < limit, m, 0)", &[("m", greatest)], &[("limit", f64::INFINITY)])?;
        let shift = detach(builder, shift)?;
        let exponentials = emit(builder, "exp(x - shift)", &[("x", x), ("shift", shift)], &[])?;
        let sum = layers::reduce(builder, call, exponentials, ReduceKind::Sum, DType::F32)?;
        let y = emit(builder, "ln(sum) + shift", &[("sum", sum), ("shift", shift)], &[])?;
        Ok(smallvec![builder.reshape(y, &call.output(0).shape)?])
    }
}
