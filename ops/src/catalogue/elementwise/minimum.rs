//! `Minimum`: the lesser of two.

use crate::catalogue::prelude::*;

/// The lesser of two.
pub static MINIMUM: Elementwise = Elementwise {
    schema: &Schema {
        name: "Minimum",
        doc: "The lesser of two elements.",
        pytorch: "torch.minimum",
        example: r#"Minimum(left: "a", right: "b")"#,
        ..BINARY
    },
    formula: FormulaOf::One("min(left, right)"),
    result: ResultOf::Promoted,
    ..ELEMENTWISE
};
