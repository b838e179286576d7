//! `ArgMax`: where the greatest element stands.

use super::extremes::{POSITION, Position};
use crate::catalogue::prelude::*;
use crate::primitives::ArgReduceKind;

/// Where the greatest element stands.
pub static ARG_MAX: Position = Position {
    schema: &Schema {
        name: "ArgMax",
        doc: "The position of the greatest element along an axis; of equal ones, the first.",
        pytorch: "torch.argmax",
        example: r#"ArgMax(from: "logits")"#,
        ..POSITION
    },
    kind: ArgReduceKind::Max,
};
