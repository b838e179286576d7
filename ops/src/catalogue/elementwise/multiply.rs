//! `Multiply`: the product.

use crate::catalogue::prelude::*;

/// The product.
pub static MULTIPLY: Elementwise = Elementwise {
    schema: &Schema {
        name: "Multiply",
        doc: "`left * right`.",
        pytorch: "torch.mul",
        example: r#"Multiply(left: "a", right: "b")"#,
        ..BINARY
    },
    formula: FormulaOf::One("left * right"),
    result: ResultOf::Promoted,
    ..ELEMENTWISE
};
