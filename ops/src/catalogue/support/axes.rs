//! Ranks and axes.

use crate::catalogue::prelude::*;

/// Complains unless the tensor at a port has exactly this many axes.
pub(crate) fn expect_rank(call: &mut Call<'_>, port: &str, rank: usize, form: &str) -> Result<(), Refused> {
    let own = call.input(port).rank();
    if own == rank {
        return Ok(());
    }
    let (name, message) = (port_name(call, port), axes_message(own, &format!("{rank}"), form));
    let complaint = call.port_error(port, 0, codes::WRONG_RANK, format!("{name} {message}"));
    let missing = rank.saturating_sub(own);
    complaint.help(if missing > 0 {
        format!("add {missing} axes of size 1 with Reshape or Expand, or feed a tensor {form}")
    } else {
        format!("take a mean over the axes that are too many, or join them with Reshape, to give {form}")
    });
    Err(Refused)
}

/// Complains unless the tensor at a port has one of two numbers of axes.
pub(crate) fn expect_rank_of_two(call: &mut Call<'_>, port: &str, ranks: [usize; 2], form: &str) -> Result<(), Refused> {
    let own = call.input(port).rank();
    if ranks.contains(&own) {
        return Ok(());
    }
    let (name, message) = (port_name(call, port), axes_message(own, &format!("{} or {}", ranks[0], ranks[1]), form));
    call.port_error(port, 0, codes::WRONG_RANK, format!("{name} {message}"));
    Err(Refused)
}

/// Complains unless the tensor at a port has at least this many axes.
pub(crate) fn expect_rank_from(call: &mut Call<'_>, port: &str, least: usize, form: &str) -> Result<(), Refused> {
    let own = call.input(port).rank();
    if own >= least {
        return Ok(());
    }
    let (name, message) = (port_name(call, port), axes_message(own, &format!("at least {least}"), form));
    call.port_error(port, 0, codes::WRONG_RANK, format!("{name} {message}"));
    Err(Refused)
}

fn port_name(call: &Call<'_>, port: &str) -> String {
    let written = call.inputs(port).first().map_or("", |input| &*input.name);
    if port == "from" { format!("`{written}`") } else { format!("`{written}`, the {port},") }
}

fn axes_message(own: usize, wanted: &str, form: &str) -> String {
    let plural = if own == 1 { "axis" } else { "axes" };
    format!("has {own} {plural}; {wanted} are needed, {form}")
}

/// The position of an axis that may count from the end.
pub(crate) fn wrap_axis(axis: i64, rank: usize) -> Option<usize> {
    let wrapped = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(wrapped).ok().filter(|axis| *axis < rank)
}

/// The position of the axis given by an `Int` field, in a tensor of this rank.
pub(crate) fn axis_field(call: &mut Call<'_>, field: &str, rank: usize) -> Result<usize, Refused> {
    let axis = call.int(field);
    wrap_axis(axis, rank).ok_or_else(|| refuse_axis(call, field, axis, rank))
}

fn refuse_axis(call: &mut Call<'_>, field: &str, axis: i64, rank: usize) -> Refused {
    let shape = call.all_inputs().next().map(|input| display_shape(&input.tensor_type.shape)).unwrap_or_default();
    let complaint = call.field_error(field, codes::NO_SUCH_AXIS, format!("there is no axis {axis} in a tensor of {rank} axes"));
    if rank > 0 {
        let last = rank as i64 - 1;
        complaint.help(format!("axes of {shape} are 0 to {last}, or -1 (the last) to -{rank}"));
    }
    Refused
}

/// The positions of the axes given by an `Ints` field, ascending; all axes where the field is absent.
pub(crate) fn axes_field(call: &mut Call<'_>, field: &str, rank: usize) -> Result<SmallVec<[usize; 6]>, Refused> {
    let Some(axes) = call.ints(field) else { return Ok((0..rank).collect()) };
    let mut positions: SmallVec<[usize; 6]> = listed_axes(call, field, &axes, rank)?;
    positions.sort_unstable();
    Ok(positions)
}

/// The positions of axes in the order they are written, each at most once.
pub(crate) fn listed_axes(call: &mut Call<'_>, field: &str, axes: &[i64], rank: usize) -> Result<SmallVec<[usize; 6]>, Refused> {
    let mut positions: SmallVec<[usize; 6]> = SmallVec::new();
    for axis in axes {
        let position = wrap_axis(*axis, rank).ok_or_else(|| refuse_axis(call, field, *axis, rank))?;
        if positions.contains(&position) {
            call.field_error(field, codes::REPEATED_AXIS, format!("axis {position} is named twice in `{field}: {axes:?}`"));
            return Err(Refused);
        }
        positions.push(position);
    }
    Ok(positions)
}

/// The same for a lowering: ascending positions of checked axes, all of them where the field is absent.
pub(crate) fn lowered_axes(call: &LowerCall<'_>, field: &str, rank: usize) -> SmallVec<[usize; 6]> {
    let Some(axes) = call.ints(field) else { return (0..rank).collect() };
    let mut positions: SmallVec<[usize; 6]> = axes.iter().map(|axis| checked_axis(*axis, rank)).collect();
    positions.sort_unstable();
    positions
}

/// The position of a checked axis in a lowering.
pub(crate) fn lowered_axis(call: &LowerCall<'_>, field: &str, rank: usize) -> usize {
    checked_axis(call.int(field), rank)
}

fn checked_axis(axis: i64, rank: usize) -> usize {
    wrap_axis(axis, rank).unwrap_or_else(|| panic!("axis {axis} of {rank} passed the check"))
}

/// The sizes after a reduction over `axes`.
pub(crate) fn reduced_shape(shape: &[Dim], axes: &[usize], keep: bool) -> Sizes {
    let kept = shape.iter().enumerate().filter_map(|(axis, dim)| match (axes.contains(&axis), keep) {
        (false, _) => Some(dim.clone()),
        (true, true) => Some(Dim::ONE),
        (true, false) => None,
    });
    kept.collect()
}
