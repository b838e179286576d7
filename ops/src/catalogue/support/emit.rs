//! What lowerings share beyond the short forms of the primitives.

use crate::catalogue::prelude::*;
use crate::primitives;

/// The order that undoes an order of axes.
pub(crate) fn inverse(axes: &[usize]) -> Vec<usize> {
    let mut inverse = vec![0; axes.len()];
    for (position, axis) in axes.iter().enumerate() {
        inverse[*axis] = position;
    }
    inverse
}

/// The order of axes with one moved to the end.
pub(crate) fn axis_last(rank: usize, axis: usize) -> Vec<usize> {
    (0..rank).filter(|own| *own != axis).chain([axis]).collect()
}

/// Applies what works on the last axis to another one.
pub(crate) fn with_axis_last(
    builder: &mut Builder,
    x: ValueId,
    axis: usize,
    apply: impl FnOnce(&mut Builder, ValueId) -> Result<ValueId, BuildError>,
) -> Result<ValueId, BuildError> {
    let order = axis_last(builder.shape(x).len(), axis);
    let moved = builder.permute(x, &order)?;
    let result = apply(builder, moved)?;
    builder.permute(result, &inverse(&order))
}

/// Applies what works on `[n, h, w, c]` to an image `[n, c, h, w]`.
pub(crate) fn channels_last(
    builder: &mut Builder,
    image: ValueId,
    apply: impl FnOnce(&mut Builder, ValueId) -> Result<ValueId, BuildError>,
) -> Result<ValueId, BuildError> {
    let moved = builder.permute(image, &[0, 2, 3, 1])?;
    let result = apply(builder, moved)?;
    builder.permute(result, &[0, 3, 1, 2])
}

/// Applies what works on an image `[n, 1, length, c]` to a sequence `[n, c, length]`.
pub(crate) fn as_image(
    builder: &mut Builder,
    sequence: ValueId,
    apply: impl FnOnce(&mut Builder, ValueId) -> Result<ValueId, BuildError>,
) -> Result<ValueId, BuildError> {
    let moved = builder.permute(sequence, &[0, 2, 1])?;
    let image = builder.unsqueeze(moved, 1)?;
    let result = apply(builder, image)?;
    let shape = builder.shape(result).to_vec();
    let flat = builder.reshape(result, &[shape[0], shape[2], shape[3]])?;
    builder.permute(flat, &[0, 2, 1])
}

/// A vector along one axis of a tensor of this rank.
pub(crate) fn along_axis(builder: &mut Builder, vector: ValueId, axis: usize, rank: usize) -> Result<ValueId, BuildError> {
    let mut shape = vec![1; rank];
    shape[axis] = builder.shape(vector)[0];
    builder.reshape(vector, &shape)
}

/// A tensor with a vector added along one axis.
pub(crate) fn add_along(builder: &mut Builder, x: ValueId, vector: ValueId, axis: usize) -> Result<ValueId, BuildError> {
    let vector = along_axis(builder, vector, axis, builder.shape(x).len())?;
    builder.add(x, vector)
}

/// The same tensor, through which no gradient flows.
pub(crate) fn detach(builder: &mut Builder, x: ValueId) -> Result<ValueId, BuildError> {
    builder.emit_one(primitives::Detach, &[x])
}
