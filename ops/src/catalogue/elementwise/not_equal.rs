//! `NotEqual`: whether the left element is different.

use crate::catalogue::prelude::*;

/// Whether the left element is different.
pub static NOT_EQUAL: Elementwise = Elementwise {
    schema: &Schema {
        name: "NotEqual",
        doc: "`left != right`.",
        pytorch: "torch.ne",
        example: r#"NotEqual(left: "a", right: "b")"#,
        ..COMPARISON
    },
    formula: FormulaOf::One("left != right"),
    result: ResultOf::Truth,
    ..ELEMENTWISE
};
