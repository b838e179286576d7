//! `Add`: the sum.

use crate::catalogue::prelude::*;

/// The sum.
pub static ADD: Elementwise = Elementwise {
    schema: &Schema {
        name: "Add",
        doc: "`left + right`.",
        pytorch: "torch.add",
        example: r#"Add(left: "a", right: "b")"#,
        ..BINARY
    },
    formula: FormulaOf::One("left + right"),
    result: ResultOf::Promoted,
    ..ELEMENTWISE
};
