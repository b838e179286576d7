//! What the dropouts share.

use crate::catalogue::prelude::*;
use crate::primitives::Map;
use std::sync::Arc;
use sward_core::program::Shape;
use sward_core::scalar::ScalarGraph;

/// The type of a tensor with elements dropped.
pub(super) fn dropped(call: &mut Call<'_>) -> Inferred {
    let p = float_within(call, "p", |value| (0.0..=1.0).contains(&value), "from 0 to 1")?;
    let x = call.input("from");
    if p == 0.0 {
        return Ok(smallvec![x.clone()]);
    }
    Ok(smallvec![x.clone().with_domain(summed(x.domain.join(&Domain::point(0.0))))])
}

/// A tensor of zeros with probability p, of 1 / (1 - p) otherwise.
pub(super) fn kept_share(builder: &mut Builder, shape: &[usize], p: f64) -> Result<ValueId, BuildError> {
    if p == 1.0 {
        return builder.fill(DType::F32, shape, 0.0);
    }
    let stream = builder.random_stream();
    let mut scalars = ScalarGraph::new();
    let draw = scalars.random(stream);
    let threshold = scalars.number(p);
    let dropped = scalars.less(draw, threshold);
    let zero = scalars.number(0.0);
    let scale = scalars.number(1.0 / (1.0 - p));
    let root = scalars.select(dropped, zero, scale);
    let map = Map {
        scalars: Arc::new(scalars),
        roots: smallvec![root],
        dtypes: smallvec![DType::F32],
        shape: Some(Shape::from_slice(shape)),
    };
    builder.emit_one(map, &[])
}
