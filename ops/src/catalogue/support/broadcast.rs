//! The rule for broadcasts: sizes of 1 and missing leading axes repeat, and a named size never meets a different one.

use crate::catalogue::prelude::*;

/// The common shape of tensors that meet elementwise.
pub(crate) fn broadcast(call: &mut Call<'_>, places: &[Place<'_>]) -> Result<Sizes, Refused> {
    let mut common: Vec<(Dim, Place<'_>)> = Vec::new();
    for place in places {
        let shape = &call.inputs(place.0)[place.1].tensor_type.shape;
        // `common` is kept from the last axis to the first.
        for (position, dim) in shape.iter().rev().enumerate() {
            match common.get_mut(position) {
                None => common.push((dim.clone(), *place)),
                Some(known) if known.0.is_one() => *known = (dim.clone(), *place),
                Some(known) => {
                    let (known, first) = known.clone();
                    if !dim.is_one() {
                        meet(call, (&known, first), (dim, *place), position)?;
                    }
                }
            }
        }
    }
    Ok(common.into_iter().rev().map(|(dim, _)| dim).collect())
}

fn meet(call: &mut Call<'_>, left: (&Dim, Place<'_>), right: (&Dim, Place<'_>), position: usize) -> Result<(), Refused> {
    let Some(reason) = difference(call, left.0, right.0) else { return Ok(()) };
    let shape_of = |place: Place<'_>| call.inputs(place.0)[place.1].tensor_type.shape.clone();
    let (first, second) = (shape_of(left.1), shape_of(right.1));
    let message = format!(
        "{} and {} do not broadcast: axis -{} is {} on one side and {} on the other{reason}",
        display_shape(&first),
        display_shape(&second),
        position + 1,
        left.0,
        right.0,
    );
    let help = mend(&first, &second);
    let complaint = pair_error(call, left.1, right.1, codes::NO_BROADCAST, message);
    complaint
        .help(help.unwrap_or_else(|| "sizes of 1 and missing leading axes repeat; any other size must be the same".to_string()));
    Err(Refused)
}

/// How one shape could be made to meet the other: by axes of size 1 where its own axes are found in the other in order.
fn mend(first: &[Dim], second: &[Dim]) -> Option<String> {
    let (short, long) = if first.len() <= second.len() { (first, second) } else { (second, first) };
    let mut rest = short.iter().peekable();
    let target: Vec<String> = long
        .iter()
        .map(|dim| {
            rest.next_if_eq(&dim)
                .map_or("1".to_string(), |own| own.as_constant().map_or(format!("\"{own}\""), |own| own.to_string()))
        })
        .collect();
    let found = rest.peek().is_none() && short.iter().any(|dim| !dim.is_one());
    let sorted = |shape: &[Dim]| {
        let mut dims = shape.to_vec();
        dims.sort();
        dims
    };
    if found {
        Some(format!("give {} axes of size 1: Reshape(shape: [{}])", display_shape(short), target.join(", ")))
    } else if sorted(first) == sorted(second) {
        Some(format!("the same sizes in another order: add Permute(axes: {:?})", order(second, first)))
    } else {
        None
    }
}

/// The axes of `from` in the order of `to`, which holds the same sizes.
pub(crate) fn order(from: &[Dim], to: &[Dim]) -> Vec<usize> {
    let mut taken = vec![false; from.len()];
    to.iter()
        .filter_map(|dim| {
            let axis = (0..from.len()).find(|axis| !taken[*axis] && from[*axis] == *dim)?;
            taken[axis] = true;
            Some(axis)
        })
        .collect()
}
