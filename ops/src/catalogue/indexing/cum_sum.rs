//! `CumSum`: running sums along an axis.

use crate::catalogue::prelude::*;
use crate::primitives::CumulativeSum;

/// Running sums along an axis.
pub struct CumSum;

static SCHEMA: Schema = Schema {
    name: "CumSum",
    category: "Indexing",
    doc: "Every element becomes the sum of the elements up to it along an axis. Truth values are counted as `I64`.",
    ports: &[Port::one("from", Accepts::Any, "`[..., size, ...]`")],
    fields: &[Field::required("axis", FieldKind::Int, "the axis; negative counts from the end")],
    outputs: Outputs::Named(&["y"]),
    parameters: "",
    shape_rule: "[...] -> [...]",
    domain_rule: "NonNegative or Positive where the input is",
    gradient: "by rule",
    pytorch: "torch.cumsum",
    example: r#"CumSum(from: "x", axis: 1)"#,
};

impl Op for CumSum {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        let x = call.input("from");
        axis_field(call, "axis", x.rank())?;
        let dtype = if x.dtype == DType::F32 { DType::F32 } else { DType::I64 };
        Ok(smallvec![SymbolicType::new(dtype, x.shape.iter().cloned()).with_domain(summed(values(x)))])
    }

    fn flops(&self, _: &Call<'_>, outputs: &[SymbolicType]) -> Result<Dim, DimError> {
        elements(&outputs[0])
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        let axis = lowered_axis(call, "axis", call.output(0).rank());
        let x = builder.cast(call.input("from"), call.output(0).dtype)?;
        Ok(smallvec![builder.emit_one(CumulativeSum { axis, reverse: false }, &[x])?])
    }
}
