//! `LogicalOr`: whether one is true, or both.

use crate::catalogue::prelude::*;

/// Whether one is true, or both.
pub static LOGICAL_OR: Elementwise = Elementwise {
    schema: &Schema {
        name: "LogicalOr",
        doc: "Whether one is true, or both.",
        pytorch: "torch.logical_or",
        example: r#"LogicalOr(left: "a", right: "b")"#,
        ..LOGICAL
    },
    formula: FormulaOf::One("left or right"),
    result: ResultOf::Truth,
    ..ELEMENTWISE
};
