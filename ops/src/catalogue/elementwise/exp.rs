//! `Exp`: the exponential.

use crate::catalogue::prelude::*;

/// The exponential.
pub static EXP: Elementwise = Elementwise {
    schema: &Schema {
        name: "Exp",
        doc: "The exponential.",
        domain_rule: "Positive",
        pytorch: "torch.exp",
        example: r#"Exp(from: "x")"#,
        ..UNARY
    },
    formula: FormulaOf::One("exp(x)"),
    ..ELEMENTWISE
};
