//! `Less`: whether the left element is less.

use crate::catalogue::prelude::*;

/// Whether the left element is less.
pub static LESS: Elementwise = Elementwise {
    schema: &Schema {
        name: "Less",
        doc: "`left < right`.",
        pytorch: "torch.lt",
        example: r#"Less(left: "a", right: "b")"#,
        ..COMPARISON
    },
    formula: FormulaOf::One("left < right"),
    result: ResultOf::Truth,
    ..ELEMENTWISE
};
