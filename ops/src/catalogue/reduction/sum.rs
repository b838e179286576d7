//! `Sum`: the sum over axes.

use super::layers;
use crate::catalogue::prelude::*;
use crate::primitives::ReduceKind;

/// The sum over axes.
pub struct Sum;

static SCHEMA: Schema = Schema {
    name: "Sum",
    category: "Reductions",
    doc: "The sum over `axes`, of all elements where they are not given. Whole numbers and truth values are counted as `I64`.",
    ports: &[Port::one("from", Accepts::Any, "`[...]`")],
    fields: &[layers::AXES, layers::KEEP],
    outputs: Outputs::Named(&["y"]),
    parameters: "",
    shape_rule: layers::SHAPE_RULE,
    domain_rule: "NonNegative or Positive where the input is",
    gradient: "by rule",
    pytorch: "torch.sum",
    example: r#"Sum(from: "x")"#,
};

impl Op for Sum {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        let x = call.input("from");
        let dtype = if x.dtype == DType::F32 { DType::F32 } else { DType::I64 };
        layers::reduced(call, dtype, summed(values(x)))
    }

    fn flops(&self, call: &Call<'_>, _: &[SymbolicType]) -> Result<Dim, DimError> {
        elements(call.input("from"))
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        let y = layers::reduce(builder, call, call.input("from"), ReduceKind::Sum, call.output(0).dtype)?;
        Ok(smallvec![builder.reshape(y, &call.output(0).shape)?])
    }
}
