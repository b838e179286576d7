//! `Sqrt`: the square root.

use crate::catalogue::prelude::*;

/// The square root.
pub static SQRT: Elementwise = Elementwise {
    schema: &Schema {
        name: "Sqrt",
        doc: "The square root.",
        domain_rule: "NonNegative",
        pytorch: "torch.sqrt",
        example: r#"Sqrt(from: "x")"#,
        ..UNARY
    },
    formula: FormulaOf::One("sqrt(x)"),
    ..ELEMENTWISE
};
