//! Settings of an op and their ranges, and counts of operations.

use crate::catalogue::prelude::*;

/// A size given by a field, at least 1 where it is known.
pub(crate) fn size_field(call: &mut Call<'_>, field: &str) -> Result<Dim, Refused> {
    let dim = call.dim(field);
    at_least(call, field, &dim, 1)?;
    Ok(dim)
}

/// Complains where a size is known and below a minimum.
pub(crate) fn at_least(call: &mut Call<'_>, field: &str, dim: &Dim, minimum: i64) -> Result<(), Refused> {
    match dim.as_constant() {
        Some(value) if value < minimum => {
            let message = format!("`{field}` is {value}, and must be at least {minimum}");
            call.field_error(field, codes::SETTING_OUT_OF_RANGE, message);
            Err(Refused)
        }
        _ => Ok(()),
    }
}

/// A number given by a field, within a closed or half-open range in words.
pub(crate) fn float_within(call: &mut Call<'_>, field: &str, allowed: impl Fn(f64) -> bool, range: &str) -> Result<f64, Refused> {
    let value = call.float(field);
    if allowed(value) {
        return Ok(value);
    }
    call.field_error(field, codes::SETTING_OUT_OF_RANGE, format!("`{field}` is {value}, and must be {range}"));
    Err(Refused)
}

/// The epsilon of a normalization: finite and at least 0.
pub(crate) fn epsilon(call: &mut Call<'_>) -> Result<f64, Refused> {
    float_within(call, "epsilon", |value| value >= 0.0 && value.is_finite(), "at least 0")
}

/// How many elements a tensor has.
pub(crate) fn elements(tensor: &SymbolicType) -> Result<Dim, DimError> {
    Dim::product(&tensor.shape)
}

/// A fixed number of operations for each element.
pub(crate) fn per_element(tensor: &SymbolicType, operations: i64) -> Result<Dim, DimError> {
    elements(tensor)? * operations
}

/// Complains where the indices at a port are known to lie outside of an axis, as far as domains tell.
pub(crate) fn expect_indices(call: &mut Call<'_>, port: &str, size: &Dim) -> Result<(), Refused> {
    let domain = call.input(port).domain;
    let below = domain.high < 0.0;
    let above = size.as_constant().is_some_and(|size| domain.low >= size as f64);
    if !below && !above {
        return Ok(());
    }
    let message = format!("indices of the domain {domain} lie outside of an axis of {size}");
    call.port_error(port, 0, codes::OUT_OF_BOUNDS, message);
    Err(Refused)
}

/// A shape given by a field, every size at least 1 where it is known.
pub(crate) fn shape_field(call: &mut Call<'_>, field: &str) -> Result<Sizes, Refused> {
    let shape: Sizes = call.dims(field).unwrap_or_default().into();
    for dim in &shape {
        at_least(call, field, dim, 1)?;
    }
    Ok(shape)
}
