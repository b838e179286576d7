//! `Maximum`: the greater of two.

use crate::catalogue::prelude::*;

/// The greater of two.
pub static MAXIMUM: Elementwise = Elementwise {
    schema: &Schema {
        name: "Maximum",
        doc: "The greater of two elements.",
        pytorch: "torch.maximum",
        example: r#"Maximum(left: "a", right: "b")"#,
        ..BINARY
    },
    formula: FormulaOf::One("max(left, right)"),
    result: ResultOf::Promoted,
    ..ELEMENTWISE
};
