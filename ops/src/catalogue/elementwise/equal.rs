//! `Equal`: whether the left element is equal.

use crate::catalogue::prelude::*;

/// Whether the left element is equal.
pub static EQUAL: Elementwise = Elementwise {
    schema: &Schema {
        name: "Equal",
        doc: "`left == right`.",
        pytorch: "torch.eq",
        example: r#"Equal(left: "a", right: "b")"#,
        ..COMPARISON
    },
    formula: FormulaOf::One("left == right"),
    result: ResultOf::Truth,
    ..ELEMENTWISE
};
