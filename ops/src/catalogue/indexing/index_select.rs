//! `IndexSelect`: whole slices by their positions.

use crate::catalogue::prelude::*;

/// Whole slices by their positions.
pub struct IndexSelect;

static SCHEMA: Schema = Schema {
    name: "IndexSelect",
    category: "Indexing",
    doc: "Takes whole slices of `from` at the positions `indices` of an axis; the axis is replaced by the axes of the indices.",
    ports: &[
        Port::one("from", Accepts::Any, "`[..., size, ...]`"),
        Port::one("indices", Accepts::Integer, "`[counts]` of any number of axes, from 0 to size - 1"),
    ],
    fields: &[Field::new("axis", FieldKind::Int, Default::Int(0), "the axis; negative counts from the end")],
    outputs: Outputs::Named(&["y"]),
    parameters: "",
    shape_rule: "[..., size, ...], [counts] -> [..., counts, ...]",
    domain_rule: "that of `from`",
    gradient: "by rule in `from`; the indices have none",
    pytorch: "torch.index_select",
    example: r#"IndexSelect(from: "table", indices: "place", axis: 0)"#,
};

impl Op for IndexSelect {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        let (x, indices) = (call.input("from"), call.input("indices"));
        let axis = axis_field(call, "axis", x.rank())?;
        expect_indices(call, "indices", &x.shape[axis])?;
        let shape = x.shape[..axis].iter().chain(&indices.shape).chain(&x.shape[axis + 1..]).cloned();
        Ok(smallvec![x.with_shape(shape)])
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
        Ok(smallvec![builder.take(x, call.input("indices"), axis)?])
    }
}
