//! `Constant`: known numbers.

use crate::catalogue::prelude::*;
use crate::primitives;

/// Known numbers.
pub struct Constant;

static SCHEMA: Schema = Schema {
    name: "Constant",
    category: "Sources",
    doc: "Known numbers: one for all elements, or one for each in row-major order (then every size of `shape` is a known number). Without `shape`, a list is a vector and a single number a tensor without axes.",
    ports: &[],
    fields: &[
        Field::required("value", FieldKind::Floats, "a number, or a list of numbers"),
        Field::new("shape", FieldKind::Dims, Default::Absent, "the sizes"),
        Field::new(
            "dtype",
            FieldKind::DType,
            Default::DType(DType::F32),
            "the dtype; whole numbers for `I64`, 0 and 1 for `Bool`",
        ),
    ],
    outputs: Outputs::Named(&["y"]),
    parameters: "",
    shape_rule: "-> shape",
    domain_rule: "from the least to the greatest number",
    gradient: "none is needed",
    pytorch: "torch.full, torch.tensor",
    example: r#"Constant(value: [0.485, 0.456, 0.406], shape: [3, 1, 1])"#,
};

impl Op for Constant {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        let values = call.floats("value").unwrap_or_default();
        let dtype = call.dtype("dtype").unwrap_or(DType::F32);
        values_fit(call, &values, dtype)?;
        let shape = match call.dims("shape") {
            Some(_) => shape_field(call, "shape")?,
            None if values.len() == 1 => Sizes::new(),
            None => smallvec![Dim::constant(values.len() as i64)],
        };
        if values.len() != 1 {
            let count = call.checked(Dim::product(&shape))?;
            if count.as_constant() != Some(values.len() as i64) {
                let message = format!("{} numbers for the {count} elements of {}", values.len(), display_shape(&shape));
                call.field_error("value", codes::WRONG_LENGTH, message).help("one number fills a tensor of any shape");
                return Err(Refused);
            }
        }
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Ok(smallvec![SymbolicType::new(dtype, shape).with_domain(Domain::closed(low, high))])
    }

    fn flops(&self, _: &Call<'_>, _: &[SymbolicType]) -> Result<Dim, DimError> {
        Ok(Dim::ZERO)
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        let values = call.floats("value").unwrap_or_default();
        let TensorType { dtype, shape } = call.output(0);
        if let [value] = values[..] {
            return Ok(smallvec![builder.fill(*dtype, shape, value)?]);
        }
        Ok(smallvec![builder.emit_one(primitives::Constant::new(*dtype, shape, values), &[])?])
    }
}

fn values_fit(call: &mut Call<'_>, values: &[f64], dtype: DType) -> Result<(), Refused> {
    if values.is_empty() {
        call.field_error("value", codes::WRONG_LENGTH, "`value` holds no number");
        return Err(Refused);
    }
    let fits = |value: f64| match dtype {
        DType::F32 | DType::BF16 => value.is_finite(),
        DType::I64 => value.fract() == 0.0,
        DType::Bool => value == 0.0 || value == 1.0,
    };
    if let Some(value) = values.iter().find(|value| !fits(**value)) {
        let message = format!("{value} is not a number of {}", language_dtype(dtype));
        call.field_error("value", codes::SETTING_OUT_OF_RANGE, message);
        return Err(Refused);
    }
    Ok(())
}
