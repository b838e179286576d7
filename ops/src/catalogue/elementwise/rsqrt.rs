//! `Rsqrt`: one over the square root.

use crate::catalogue::prelude::*;

/// One over the square root.
pub static RSQRT: Elementwise = Elementwise {
    schema: &Schema {
        name: "Rsqrt",
        doc: "One over the square root.",
        domain_rule: "Positive",
        pytorch: "torch.rsqrt",
        example: r#"Rsqrt(from: "x")"#,
        ..UNARY
    },
    formula: FormulaOf::One("rsqrt(x)"),
    ..ELEMENTWISE
};
