//! `Permute`: axes in another order.

use crate::catalogue::prelude::*;

/// Axes in another order.
pub struct Permute;

static SCHEMA: Schema = Schema {
    name: "Permute",
    category: "Shape",
    doc: "Axes in another order: axis `i` of the result is axis `axes[i]` of the input.",
    ports: &[Port::one("from", Accepts::Any, "`[...]`")],
    fields: &[Field::required("axes", FieldKind::Ints, "every axis of the input once")],
    outputs: Outputs::Named(&["y"]),
    parameters: "",
    shape_rule: "[s0, s1, ...] -> [s(axes[0]), s(axes[1]), ...]",
    domain_rule: "the input's",
    gradient: "by rule",
    pytorch: "torch.permute",
    example: r#"Permute(from: "x", axes: [0, 2, 3, 1])"#,
};

impl Op for Permute {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        let x = call.input("from");
        let axes = call.ints("axes").unwrap_or_default();
        let positions = listed_axes(call, "axes", &axes, x.rank())?;
        if positions.len() != x.rank() {
            let missing: Vec<usize> = (0..x.rank()).filter(|axis| !positions.contains(axis)).collect();
            let message = format!("`axes` names {} of {} axes of {}", positions.len(), x.rank(), display_shape(&x.shape));
            call.field_error("axes", codes::NOT_A_PERMUTATION, message)
                .help(format!("name every axis once; missing: {missing:?}"));
            return Err(Refused);
        }
        Ok(smallvec![x.with_shape(positions.iter().map(|axis| x.shape[*axis].clone()))])
    }

    fn flops(&self, _: &Call<'_>, _: &[SymbolicType]) -> Result<Dim, DimError> {
        Ok(Dim::ZERO)
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        let x = call.input("from");
        let rank = builder.shape(x).len();
        let axes: Vec<usize> = call.ints("axes").unwrap_or_default().iter().filter_map(|axis| wrap_axis(*axis, rank)).collect();
        Ok(smallvec![builder.permute(x, &axes)?])
    }
}
