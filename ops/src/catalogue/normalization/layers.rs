//! What the normalizations share.

use crate::catalogue::prelude::*;
use crate::primitives;

/// The axes to normalize over, ascending; at least one.
pub(super) fn normalized_axes(call: &mut Call<'_>) -> Result<SmallVec<[usize; 6]>, Refused> {
    let rank = call.input("from").rank();
    let axes = axes_field(call, "axes", rank)?;
    if axes.is_empty() {
        call.field_error("axes", codes::SETTING_OUT_OF_RANGE, "`axes` names no axis")
            .help("leave it out to normalize the last axis");
        return Err(Refused);
    }
    Ok(axes)
}

/// Layer norm (`centered`) or RMS norm over the `axes` of the call: they are moved to the end and joined, and put back after.
pub(super) fn normalize(call: &LowerCall<'_>, builder: &mut Builder, centered: bool) -> Result<ValueId, BuildError> {
    let x = call.input("from");
    let shape = builder.shape(x).to_vec();
    let axes = lowered_axes(call, "axes", shape.len());
    let order: Vec<usize> = (0..shape.len()).filter(|axis| !axes.contains(axis)).chain(axes.iter().copied()).collect();
    let moved = builder.permute(x, &order)?;
    let moved_shape = builder.shape(moved).to_vec();
    let outer = shape.len() - axes.len();
    let width: usize = moved_shape[outer..].iter().product();
    let rows: Vec<usize> = moved_shape[..outer].iter().copied().chain([width]).collect();
    let rows = builder.reshape(moved, &rows)?;
    let mut operands = vec![rows];
    for name in ["weight", "bias"] {
        if let Some(parameter) = call.optional_parameter(name) {
            operands.push(builder.reshape(parameter, &[width])?);
        }
    }
    let norm = primitives::LayerNorm {
        epsilon: call.float("epsilon"),
        centered,
        weight: call.optional_parameter("weight").is_some(),
        bias: call.optional_parameter("bias").is_some(),
    };
    let y = builder.emit(norm, &operands)?[0];
    let y = builder.reshape(y, &moved_shape)?;
    builder.permute(y, &inverse(&order))
}
