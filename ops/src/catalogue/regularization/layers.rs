//! What the dropouts share.

use crate::catalogue::prelude::*;
use crate::primitives::Map;
use std::sync::Arc;
use sward_core::program::Shape;
use sward_core::scalar::{ScalarGraph, ScalarId, ScalarKind};

/// The type of a tensor with elements dropped.
pub(super) fn dropped(call: &mut Call<'_>) -> Inferred {
    let p = float_within(call, "p", |value| (0.0..=1.0).contains(&value), "from 0 to 1")?;
    let x = call.input("from");
    if p == 0.0 {
        return Ok(smallvec![x.clone()]);
    }
    Ok(smallvec![x.clone().with_domain(summed(x.domain.join(&Domain::point(0.0))))])
}

/// `x` with each element of the sizes `drawn` (those of `x`, or 1 where all elements share a draw) set to 0 with probability p, the others divided by
/// 1 - p.
pub(super) fn drop(builder: &mut Builder, x: ValueId, drawn: &[usize], p: f64) -> Result<ValueId, BuildError> {
    let shape = builder.shape(x).to_vec();
    if p == 1.0 {
        return emit(builder, "x * 0", &[("x", x)], &[]);
    }
    let stream = builder.random_stream();
    let mut scalars = ScalarGraph::new();
    let share = kept_share(&mut scalars, stream, p);
    if drawn == shape {
        // One map: the backward pass draws the same numbers again and stores no mask.
        let element = scalars.input(0, ScalarKind::Number);
        let root = scalars.multiply(element, share);
        return builder.emit_one(Map::new(scalars, root, DType::F32), &[x]);
    }
    let kept = Map {
        scalars: Arc::new(scalars),
        roots: smallvec![share],
        dtypes: smallvec![DType::F32],
        shape: Some(Shape::from_slice(drawn)),
    };
    let kept = builder.emit_one(kept, &[])?;
    builder.mul(x, kept)
}

/// 0 with probability p, 1 / (1 - p) otherwise.
fn kept_share(scalars: &mut ScalarGraph, stream: u32, p: f64) -> ScalarId {
    let draw = scalars.random(stream);
    let threshold = scalars.number(p);
    let dropped = scalars.less(draw, threshold);
    let zero = scalars.number(0.0);
    let scale = scalars.number(1.0 / (1.0 - p));
    scalars.select(dropped, zero, scale)
}
