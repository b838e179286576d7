//! `LessEqual`: whether the left element is at most as large.

use crate::catalogue::prelude::*;

/// Whether the left element is at most as large.
pub static LESS_EQUAL: Elementwise = Elementwise {
    schema: &Schema {
        name: "LessEqual",
        doc: "`left <= right`.",
        pytorch: "torch.le",
        example: r#"LessEqual(left: "a", right: "b")"#,
        ..COMPARISON
    },
    formula: FormulaOf::One("left <= right"),
    result: ResultOf::Truth,
    ..ELEMENTWISE
};
