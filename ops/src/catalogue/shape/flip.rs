//! `Flip`: axes turned around.

use crate::catalogue::prelude::*;

/// Axes turned around.
pub struct Flip;

static SCHEMA: Schema = Schema {
    name: "Flip",
    category: "Shape",
    doc: "Turns axes around: the last element comes first.",
    ports: &[Port::one("from", Accepts::Any, "`[...]`")],
    fields: &[Field::required("axes", FieldKind::Ints, "the axes to turn around; negative counts from the end")],
    outputs: Outputs::Named(&["y"]),
    parameters: "",
    shape_rule: "[...] -> [...]",
    domain_rule: "the input's",
    gradient: "by rule",
    pytorch: "torch.flip",
    example: r#"Flip(from: "image", axes: [3])"#,
};

impl Op for Flip {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        let x = call.input("from");
        axes_field(call, "axes", x.rank())?;
        Ok(smallvec![x.clone()])
    }

    fn flops(&self, _: &Call<'_>, _: &[SymbolicType]) -> Result<Dim, DimError> {
        Ok(Dim::ZERO)
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        let mut x = call.input("from");
        for axis in lowered_axes(call, "axes", call.output(0).rank()) {
            let size = builder.shape(x)[axis];
            x = builder.slice(x, axis, size - 1, size, -1)?;
        }
        Ok(smallvec![x])
    }
}
