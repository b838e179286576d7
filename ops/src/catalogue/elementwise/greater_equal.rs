//! `GreaterEqual`: whether the left element is at least as large.

use crate::catalogue::prelude::*;

/// Whether the left element is at least as large.
pub static GREATER_EQUAL: Elementwise = Elementwise {
    schema: &Schema {
        name: "GreaterEqual",
        doc: "`left >= right`.",
        pytorch: "torch.ge",
        example: r#"GreaterEqual(left: "a", right: "b")"#,
        ..COMPARISON
    },
    formula: FormulaOf::One("left >= right"),
    result: ResultOf::Truth,
    ..ELEMENTWISE
};
