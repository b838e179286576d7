//! `Slice`: a part of one axis.

use crate::catalogue::prelude::*;

/// A part of one axis.
pub struct Slice;

static SCHEMA: Schema = Schema {
    name: "Slice",
    category: "Shape",
    doc: "Takes the elements `start`, `start + step`, ... of an axis, up to `end` (which is left out) or `length` of them, or to the end of the axis. Negative numbers count from the end.",
    ports: &[Port::one("from", Accepts::Any, "`[..., size, ...]`")],
    fields: &[
        Field::required("axis", FieldKind::Int, "the axis; negative counts from the end"),
        Field::new("start", FieldKind::Dim, Default::Int(0), "the first element"),
        Field::new("length", FieldKind::Dim, Default::Absent, "how many elements"),
        Field::new("end", FieldKind::Dim, Default::Absent, "the first element after the part, instead of `length`"),
        Field::new("step", FieldKind::Int, Default::Int(1), "distance of the elements, at least 1; Flip turns an axis around"),
    ],
    outputs: Outputs::Named(&["y"]),
    parameters: "",
    shape_rule: "[..., size, ...] -> [..., length, ...]; with `end`: ceil((end - start) / step)",
    domain_rule: "the input's",
    gradient: "by rule",
    pytorch: "x[start:end:step] of one axis",
    example: r#"Slice(from: "tokens", axis: 1, start: 1)"#,
};

impl Op for Slice {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        let x = call.input("from");
        let axis = axis_field(call, "axis", x.rank())?;
        let size = x.shape[axis].clone();
        let step = call.dim("step");
        at_least(call, "step", &step, 1)?;
        let start = from_end(call, call.dim("start"), &size)?;
        let (field, end, length) = match (call.optional_dim("length"), call.optional_dim("end")) {
            (Some(_), Some(_)) => {
                call.field_error("end", codes::SETTINGS_CONFLICT, "`length` and `end` say the same; one of them is enough");
                return Err(Refused);
            }
            (Some(length), None) => {
                at_least(call, "length", &length, 1)?;
                let last = call.checked(last_of(&start, &length, &step))?;
                ("length", last, length)
            }
            (None, end) => {
                let field = if end.is_some() { "end" } else { "start" };
                let end = end.map_or_else(|| Ok(size.clone()), |end| from_end(call, end, &size))?;
                let length = call.checked((&end - &start).and_then(|span| span.ceil_div(&step)))?;
                (field, end, length)
            }
        };
        stays_inside(call, field, axis, &size, [&start, &end])?;
        let mut shape = x.shape.clone();
        shape[axis] = length;
        Ok(smallvec![x.with_shape(shape)])
    }

    fn flops(&self, _: &Call<'_>, _: &[SymbolicType]) -> Result<Dim, DimError> {
        Ok(Dim::ZERO)
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        let x = call.input("from");
        let axis = lowered_axis(call, "axis", builder.shape(x).len());
        let size = builder.shape(x)[axis] as i64;
        let start = call.int("start");
        let start = if start < 0 { start + size } else { start };
        let step = call.int("step");
        let length = call.output(0).shape[axis] as i64;
        let end = call.optional_int("end").map_or(size, |end| if end < 0 { end + size } else { end });
        let last = start + (length - 1) * step;
        if start < 0 || length < 1 || last >= size || end > size {
            return Err(call.refuse(
                builder,
                format!("{length} elements from {start} on in steps of {step} lie outside of an axis of {size}"),
            ));
        }
        Ok(smallvec![builder.slice(x, axis, start as usize, length as usize, step as isize)?])
    }
}

/// A position, from the start of the axis.
fn from_end(call: &mut Call<'_>, position: Dim, size: &Dim) -> Result<Dim, Refused> {
    match position.as_constant() {
        Some(value) if value < 0 => call.checked(size + value),
        _ => Ok(position),
    }
}

/// One after the last element of a part.
fn last_of(start: &Dim, length: &Dim, step: &Dim) -> Result<Dim, DimError> {
    (start + ((length - 1)? * step)?)? + 1
}

/// Complains where the part is known to leave the axis; sizes known by name are looked at again when they have values.
fn stays_inside(call: &mut Call<'_>, field: &str, axis: usize, size: &Dim, [start, end]: [&Dim; 2]) -> Result<(), Refused> {
    let known_negative =
        |difference: Result<Dim, DimError>| difference.is_ok_and(|dim| dim.as_constant().is_some_and(|value| value < 0));
    let before = start.as_constant().is_some_and(|start| start < 0);
    let after = known_negative(size - end);
    let empty = known_negative((end - start).and_then(|span| span - 1));
    if !before && !after && !empty {
        return Ok(());
    }
    let input = &call.inputs("from")[0];
    let (span, text) = (input.span, described(input));
    let message = if empty {
        format!("the part from {start} to {end} of axis {axis} is empty")
    } else {
        format!("the part from {start} to {end} leaves axis {axis}, which has {size} elements")
    };
    call.field_error(field, codes::OUT_OF_BOUNDS, message).also(span, text);
    Err(Refused)
}
