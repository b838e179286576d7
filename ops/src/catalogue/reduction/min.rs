//! `Min`: the least element over axes.

use super::extremes::{EXTREME, Extreme};
use crate::catalogue::prelude::*;
use crate::primitives::ReduceKind;

/// The least element over axes.
pub static MIN: Extreme = Extreme {
    schema: &Schema {
        name: "Min",
        doc: "The least element over `axes`, of all where they are not given.",
        pytorch: "torch.amin",
        example: r#"Min(from: "x", axes: [1])"#,
        ..EXTREME
    },
    kind: ReduceKind::Min,
};
