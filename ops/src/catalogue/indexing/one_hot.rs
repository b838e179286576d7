//! `OneHot`: whole numbers as rows of zeros with a one.

use crate::catalogue::prelude::*;
use crate::primitives::Iota;

/// Whole numbers as rows of zeros with a one.
pub struct OneHot;

static SCHEMA: Schema = Schema {
    name: "OneHot",
    category: "Indexing",
    doc: "Replaces every whole number by a row of `classes` zeros with a one at its position. A number outside of 0 to classes - 1 gives zeros alone.",
    ports: &[Port::one("from", Accepts::Integer, "`[...]`")],
    fields: &[
        Field::required("classes", FieldKind::Dim, "size of a row"),
        Field::new("dtype", FieldKind::DType, Default::DType(DType::I64), "the result's dtype"),
    ],
    outputs: Outputs::Named(&["y"]),
    parameters: "",
    shape_rule: "[...] -> [..., classes]",
    domain_rule: "Probability: 0 or 1",
    gradient: "none: the input is whole numbers",
    pytorch: "torch.nn.functional.one_hot",
    example: r#"OneHot(from: "label", classes: 10, dtype: F32)"#,
};

impl Op for OneHot {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        let x = call.input("from");
        let classes = size_field(call, "classes")?;
        expect_indices(call, "from", &classes)?;
        let dtype = call.dtype("dtype").unwrap_or(DType::I64);
        Ok(smallvec![SymbolicType::new(dtype, x.shape.iter().cloned().chain([classes])).with_domain(Domain::PROBABILITY)])
    }

    fn differentiable(&self, _: &Call<'_>, _: &str) -> Differentiable {
        Differentiable::None("classes are whole numbers")
    }

    fn flops(&self, _: &Call<'_>, outputs: &[SymbolicType]) -> Result<Dim, DimError> {
        elements(&outputs[0])
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        let TensorType { dtype, shape } = call.output(0);
        let rank = shape.len();
        let classes = builder.unsqueeze(call.input("from"), rank - 1)?;
        let positions = builder.emit_one(Iota { length: shape[rank - 1] }, &[])?;
        let positions = builder.align(positions, rank)?;
        let operands = [("class", classes), ("position", positions)];
        Ok(smallvec![emit_as(builder, "where(class == position, 1, 0)", &operands, &[], *dtype)?])
    }
}
