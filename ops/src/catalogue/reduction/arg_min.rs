//! `ArgMin`: where the least element stands.

use super::extremes::{POSITION, Position};
use crate::catalogue::prelude::*;
use crate::primitives::ArgReduceKind;

/// Where the least element stands.
pub static ARG_MIN: Position = Position {
    schema: &Schema {
        name: "ArgMin",
        doc: "The position of the least element along an axis; of equal ones, the first.",
        pytorch: "torch.argmin",
        example: r#"ArgMin(from: "logits")"#,
        ..POSITION
    },
    kind: ArgReduceKind::Min,
};
