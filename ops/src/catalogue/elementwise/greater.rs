//! `Greater`: whether the left element is greater.

use crate::catalogue::prelude::*;

/// Whether the left element is greater.
pub static GREATER: Elementwise = Elementwise {
    schema: &Schema {
        name: "Greater",
        doc: "`left > right`.",
        pytorch: "torch.gt",
        example: r#"Greater(left: "a", right: "b")"#,
        ..COMPARISON
    },
    formula: FormulaOf::One("left > right"),
    result: ResultOf::Truth,
    ..ELEMENTWISE
};
