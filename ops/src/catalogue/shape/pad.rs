//! `Pad`: a border around a tensor.

use crate::catalogue::prelude::*;
use crate::primitives;

/// A border around a tensor.
pub struct Pad;

static SCHEMA: Schema = Schema {
    name: "Pad",
    category: "Shape",
    doc: "Adds elements before (`low`) and after (`high`) the named axes: a number, the tensor mirrored without its border (`Reflect`), or its border repeated (`Replicate`).",
    ports: &[Port::one("from", Accepts::Any, "`[...]`")],
    fields: &[
        Field::required("axes", FieldKind::Ints, "the axes to pad; negative counts from the end"),
        Field::required("low", FieldKind::Dims, "how many elements before each of the axes"),
        Field::new("high", FieldKind::Dims, Default::Absent, "how many after; as many as before where it is left out"),
        Field::new(
            "mode",
            FieldKind::Choice(&["Constant", "Reflect", "Replicate"]),
            Default::Choice("Constant"),
            "what stands there",
        ),
        Field::new("value", FieldKind::Float, Default::Float(0.0), "the number of `mode: Constant`"),
    ],
    outputs: Outputs::Named(&["y"]),
    parameters: "",
    shape_rule: "[..., size, ...] -> [..., low + size + high, ...]",
    domain_rule: "the input's, joined with the number of `mode: Constant`",
    gradient: "by rule",
    pytorch: "torch.nn.functional.pad",
    example: r#"Pad(from: "image", axes: [2, 3], low: [1, 1], high: [2, 2], mode: Reflect)"#,
};

impl Op for Pad {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        let x = call.input("from");
        let written = call.ints("axes").unwrap_or_default();
        let axes = listed_axes(call, "axes", &written, x.rank())?;
        let low = side(call, "low", axes.len())?;
        let high = if call.dims("high").is_some() { side(call, "high", axes.len())? } else { low.clone() };
        let mode = call.choice("mode");
        if mode != "Constant" && call.is_written("value") && call.float("value") != 0.0 {
            call.field_error("value", codes::SETTINGS_CONFLICT, format!("`value` has no meaning with `mode: {mode}`"));
            return Err(Refused);
        }
        let mut shape = x.shape.clone();
        for (position, axis) in axes.iter().enumerate() {
            if mode == "Reflect" {
                mirror_fits(call, &shape[*axis].clone(), [("low", &low[position]), ("high", &high[position])])?;
            }
            shape[*axis] = call.checked(Dim::sum([&low[position], &shape[*axis], &high[position]]))?;
        }
        let padded = x.with_shape(shape);
        let value = call.float("value");
        Ok(smallvec![if mode == "Constant" {
            padded.clone().with_domain(padded.domain.join(&Domain::point(value)))
        } else {
            padded
        }])
    }

    fn flops(&self, _: &Call<'_>, _: &[SymbolicType]) -> Result<Dim, DimError> {
        Ok(Dim::ZERO)
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        let x = call.input("from");
        let shape = builder.shape(x).to_vec();
        let low = call.ints("low").unwrap_or_default();
        let high = call.ints("high").unwrap_or_else(|| low.clone());
        let mut pad = primitives::Pad {
            low: shape.iter().map(|_| 0).collect(),
            high: shape.iter().map(|_| 0).collect(),
            mode: match call.choice("mode") {
                "Reflect" => primitives::PadMode::Reflect,
                "Replicate" => primitives::PadMode::Replicate,
                _ => primitives::PadMode::Constant(call.float("value")),
            },
        };
        for (position, axis) in call.ints("axes").unwrap_or_default().iter().enumerate() {
            let axis = wrap_axis(*axis, shape.len()).unwrap_or(0);
            (pad.low[axis], pad.high[axis]) = (low[position] as usize, high[position] as usize);
            if pad.mode == primitives::PadMode::Reflect && pad.low[axis].max(pad.high[axis]) >= shape[axis] {
                return Err(call.refuse(builder, format!("a mirrored border must be smaller than its axis of {}", shape[axis])));
            }
        }
        Ok(smallvec![builder.emit_one(pad, &[x])?])
    }
}

fn side(call: &mut Call<'_>, field: &str, count: usize) -> Result<Vec<Dim>, Refused> {
    let sizes = call.dims(field).unwrap_or_default();
    if sizes.len() != count {
        let message = format!("`{field}` has {} sizes for {count} axes", sizes.len());
        call.field_error(field, codes::WRONG_LENGTH, message);
        return Err(Refused);
    }
    for dim in &sizes {
        at_least(call, field, dim, 0)?;
    }
    Ok(sizes)
}

fn mirror_fits(call: &mut Call<'_>, size: &Dim, sides: [(&str, &Dim); 2]) -> Result<(), Refused> {
    for (field, border) in sides {
        if let (Some(size), Some(border)) = (size.as_constant(), border.as_constant())
            && border >= size
        {
            let message =
                format!("a mirrored border of {border} needs an axis of more than {border} elements, and this one has {size}");
            call.field_error(field, codes::OUT_OF_BOUNDS, message);
            return Err(Refused);
        }
    }
    Ok(())
}
