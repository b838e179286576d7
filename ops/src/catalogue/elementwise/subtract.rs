//! `Subtract`: the difference.

use crate::catalogue::prelude::*;

/// The difference.
pub static SUBTRACT: Elementwise = Elementwise {
    schema: &Schema {
        name: "Subtract",
        doc: "`left - right`.",
        pytorch: "torch.sub",
        example: r#"Subtract(left: "a", right: "b")"#,
        ..BINARY
    },
    formula: FormulaOf::One("left - right"),
    result: ResultOf::Promoted,
    ..ELEMENTWISE
};
