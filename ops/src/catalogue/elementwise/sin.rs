//! `Sin`: the sine.

use crate::catalogue::prelude::*;

/// The sine.
pub static SIN: Elementwise = Elementwise {
    schema: &Schema {
        name: "Sin",
        doc: "The sine.",
        domain_rule: "from -1 to 1",
        pytorch: "torch.sin",
        example: r#"Sin(from: "x")"#,
        ..UNARY
    },
    formula: FormulaOf::One("sin(x)"),
    ..ELEMENTWISE
};
