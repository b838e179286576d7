//! `Max`: the greatest element over axes.

use super::extremes::{EXTREME, Extreme};
use crate::catalogue::prelude::*;
use crate::primitives::ReduceKind;

/// The greatest element over axes.
pub static MAX: Extreme = Extreme {
    schema: &Schema {
        name: "Max",
        doc: "The greatest element over `axes`, of all where they are not given.",
        pytorch: "torch.amax",
        example: r#"Max(from: "x", axes: [1])"#,
        ..EXTREME
    },
    kind: ReduceKind::Max,
};
