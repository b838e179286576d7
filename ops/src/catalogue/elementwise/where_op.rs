//! `Where`: one of two elements by a condition.

use crate::catalogue::prelude::*;
use sward_core::scalar::ScalarKind;

/// One of two elements by a condition.
pub struct Where;

static SCHEMA: Schema = Schema {
    name: "Where",
    category: "Elementwise",
    doc: "Takes elements of `then` where the condition is true, and of `otherwise` where it is false. What is not taken has no gradient: it may be infinite or NaN.",
    ports: &[
        Port::one("condition", Accepts::Bool, "`[...]`"),
        Port::one("then", Accepts::Any, "`[...]`, or a number").or_number(),
        Port::one("otherwise", Accepts::Any, "`[...]` of the same dtype, or a number").or_number(),
    ],
    fields: &[],
    outputs: Outputs::Named(&["y"]),
    parameters: "",
    shape_rule: "[...], [...], [...] -> their broadcast",
    domain_rule: "the smallest that contains those of both",
    gradient: "by rule, to the element that was taken; the condition has none",
    pytorch: "torch.where",
    example: r#"Where(condition: "observed", then: "error", otherwise: 0.0)"#,
};

impl Op for Where {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        let (then, otherwise) = (call.input("then"), call.input("otherwise"));
        let dtype = common_dtype(call)?;
        let shape = broadcast(call, &[("condition", 0), ("then", 0), ("otherwise", 0)])?;
        let domain = values(then).join(&values(otherwise));
        Ok(smallvec![SymbolicType::new(dtype, shape).with_domain(domain)])
    }

    fn differentiable(&self, _: &Call<'_>, port: &str) -> Differentiable {
        if port == "condition" { Differentiable::Zero("a condition is true or false") } else { Differentiable::Rule }
    }

    fn flops(&self, _: &Call<'_>, outputs: &[SymbolicType]) -> Result<Dim, DimError> {
        elements(&outputs[0])
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        let dtype = call.output(0).dtype;
        let inputs = [("condition", ScalarKind::Bool), ("then", scalar_kind(dtype)), ("otherwise", scalar_kind(dtype))];
        let function = own_formula("where(condition, then, otherwise)", &inputs, &[]);
        let operands =
            [call.input("condition"), builder.cast(call.input("then"), dtype)?, builder.cast(call.input("otherwise"), dtype)?];
        Ok(smallvec![emit_function(builder, &function, &operands, dtype, Some(&call.output(0).shape))?])
    }
}

/// The dtype of both values; a number that was written takes the other's where it fits.
fn common_dtype(call: &mut Call<'_>) -> Result<DType, Refused> {
    let (then, otherwise) = (call.input("then"), call.input("otherwise"));
    if then.dtype == otherwise.dtype {
        return Ok(then.dtype);
    }
    if let Some(dtype) = literal_fits(then, otherwise).or_else(|| literal_fits(otherwise, then)) {
        return Ok(dtype);
    }
    let message = format!("`then` is {} and `otherwise` is {}", language_dtype(then.dtype), language_dtype(otherwise.dtype));
    let target = language_dtype(then.dtype);
    pair_error(call, ("then", 0), ("otherwise", 0), codes::DTYPES_DIFFER, message)
        .help(format!("add Cast(to: {target}) before `otherwise`"));
    Err(Refused)
}

/// The dtype of `tensor` where `literal` is one known number of that dtype.
fn literal_fits(literal: &SymbolicType, tensor: &SymbolicType) -> Option<DType> {
    let value = literal.domain.low;
    let known = literal.rank() == 0 && value == literal.domain.high;
    let fits = match tensor.dtype {
        DType::F32 | DType::BF16 => true,
        DType::I64 => value.fract() == 0.0,
        DType::Bool => value == 0.0 || value == 1.0,
    };
    (known && fits).then_some(tensor.dtype)
}
