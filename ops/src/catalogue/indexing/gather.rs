//! `Gather`: elements by their positions along an axis.

use crate::catalogue::prelude::*;
use crate::primitives::TakeAlong;

/// Elements by their positions along an axis.
pub struct Gather;

static SCHEMA: Schema = Schema {
    name: "Gather",
    category: "Indexing",
    doc: "Takes, for every element of `indices`, the element of `from` at that position along `axis`; the other axes agree.",
    ports: &[
        Port::one("from", Accepts::Any, "`[..., size, ...]`"),
        Port::one("indices", Accepts::Integer, "`[..., count, ...]`, from 0 to size - 1"),
    ],
    fields: &[Field::required("axis", FieldKind::Int, "the axis; negative counts from the end")],
    outputs: Outputs::Named(&["y"]),
    parameters: "",
    shape_rule: "[..., size, ...], [..., count, ...] -> [..., count, ...]",
    domain_rule: "that of `from`",
    gradient: "by rule in `from`; the indices have none",
    pytorch: "torch.gather",
    example: r#"Gather(from: "tokens", indices: "order", axis: 1)"#,
};

impl Op for Gather {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        let x = call.input("from");
        let axis = axis_field(call, "axis", x.rank())?;
        expect_rank(call, "indices", x.rank(), "as many as the tensor it points into")?;
        for own in (0..x.rank()).filter(|own| *own != axis) {
            expect_same(call, (("from", 0), own), (("indices", 0), own), &format!("tensor and indices agree in axis {own}"))?;
        }
        expect_indices(call, "indices", &x.shape[axis])?;
        Ok(smallvec![x.with_shape(call.input("indices").shape.iter().cloned())])
    }

    fn differentiable(&self, _: &Call<'_>, port: &str) -> Differentiable {
        if port == "indices" { Differentiable::None("indices are whole numbers") } else { Differentiable::Rule }
    }

    fn flops(&self, _: &Call<'_>, _: &[SymbolicType]) -> Result<Dim, DimError> {
        Ok(Dim::ZERO)
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        let x = call.input("from");
        let axis = lowered_axis(call, "axis", builder.shape(x).len());
        Ok(smallvec![builder.emit_one(TakeAlong { axis }, &[x, call.input("indices")])?])
    }
}
