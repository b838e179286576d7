//! `Cast`: the same numbers in another dtype.

use crate::catalogue::prelude::*;

/// The same numbers in another dtype.
pub struct Cast;

static SCHEMA: Schema = Schema {
    name: "Cast",
    category: "Elementwise",
    doc: "The same numbers in another dtype. F32 loses its fraction in I64; in Bool, all but 0 is true; true is 1.",
    ports: &[Port::one("from", Accepts::Any, "`[...]`")],
    fields: &[Field::required("to", FieldKind::DType, "the dtype")],
    outputs: Outputs::Named(&["y"]),
    parameters: "",
    shape_rule: "[...] -> [...]",
    domain_rule: "the input's; Probability for truth values",
    gradient: "by rule from F32 to F32, else zero",
    pytorch: "Tensor.to",
    example: r#"Cast(from: "observed", to: F32)"#,
};

impl Op for Cast {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        let x = call.input("from");
        let dtype = call.dtype("to").unwrap_or(DType::F32);
        let domain = if dtype == DType::Bool { Domain::PROBABILITY } else { truncated(values(x), x.dtype, dtype) };
        Ok(smallvec![SymbolicType::new(dtype, x.shape.iter().cloned()).with_domain(domain)])
    }

    fn differentiable(&self, call: &Call<'_>, _: &str) -> Differentiable {
        match call.dtype("to") {
            Some(DType::F32) => Differentiable::Rule,
            _ => Differentiable::Zero("the result is not a float"),
        }
    }

    fn flops(&self, _: &Call<'_>, _: &[SymbolicType]) -> Result<Dim, DimError> {
        Ok(Dim::ZERO)
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        Ok(smallvec![builder.cast(call.input("from"), call.output(0).dtype)?])
    }
}

/// The domain after the fraction is cut off.
fn truncated(domain: Domain, from: DType, to: DType) -> Domain {
    if from != DType::F32 || to != DType::I64 {
        return domain;
    }
    // What lies within 1 of 0 becomes 0, so that an open end may be reached.
    Domain {
        low: domain.low.trunc(),
        high: domain.high.trunc(),
        low_open: domain.low == f64::NEG_INFINITY && domain.low_open,
        high_open: domain.high == f64::INFINITY && domain.high_open,
    }
}
