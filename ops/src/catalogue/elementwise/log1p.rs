//! `Log1p`: the logarithm of one more.

use crate::catalogue::prelude::*;

/// The logarithm of one more.
pub static LOG1P: Elementwise = Elementwise {
    schema: &Schema {
        name: "Log1p",
        doc: "`ln(1 + x)`, exact near 0.",
        pytorch: "torch.log1p",
        example: r#"Log1p(from: "x")"#,
        ..UNARY
    },
    formula: FormulaOf::One("log1p(x)"),
    ..ELEMENTWISE
};
