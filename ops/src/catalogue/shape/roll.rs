//! `Roll`: elements moved along axes, around the end.

use crate::catalogue::prelude::*;

/// Elements moved along axes, around the end.
pub struct Roll;

static SCHEMA: Schema = Schema {
    name: "Roll",
    category: "Shape",
    doc: "Moves elements along axes; what leaves at the end comes in at the start. Negative shifts move towards the start.",
    ports: &[Port::one("from", Accepts::Any, "`[...]`")],
    fields: &[
        Field::required("axes", FieldKind::Ints, "the axes to move along; negative counts from the end"),
        Field::required("shifts", FieldKind::Dims, "how far, for each axis"),
    ],
    outputs: Outputs::Named(&["y"]),
    parameters: "",
    shape_rule: "[...] -> [...]",
    domain_rule: "the input's",
    gradient: "by rule",
    pytorch: "torch.roll",
    example: r#"Roll(from: "x", axes: [1, 2], shifts: [-3, -3])"#,
};

impl Op for Roll {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        let x = call.input("from");
        let axes = listed_axes(call, "axes", &call.ints("axes").unwrap_or_default(), x.rank())?;
        let shifts = call.dims("shifts").map_or(0, |shifts| shifts.len());
        if shifts != axes.len() {
            let message = format!("there are {} axes and {shifts} shifts", axes.len());
            call.field_error("shifts", codes::SETTINGS_CONFLICT, message).help("give one shift for each axis");
            return Err(Refused);
        }
        Ok(smallvec![x.clone()])
    }

    fn flops(&self, _: &Call<'_>, _: &[SymbolicType]) -> Result<Dim, DimError> {
        Ok(Dim::ZERO)
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        let mut x = call.input("from");
        let rank = call.output(0).rank();
        let (axes, shifts) = (call.ints("axes").unwrap_or_default(), call.ints("shifts").unwrap_or_default());
        for (axis, shift) in axes.into_iter().zip(shifts) {
            let axis = axis.rem_euclid(rank as i64) as usize;
            let size = builder.shape(x)[axis];
            let shift = shift.rem_euclid(size as i64) as usize;
            if shift != 0 {
                let end = builder.slice(x, axis, size - shift, shift, 1)?;
                let start = builder.slice(x, axis, 0, size - shift, 1)?;
                x = builder.concat(&[end, start], axis)?;
            }
        }
        Ok(smallvec![x])
    }
}
