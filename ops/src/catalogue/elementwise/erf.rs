//! `Erf`: the error function.

use crate::catalogue::prelude::*;

/// The error function.
pub static ERF: Elementwise = Elementwise {
    schema: &Schema {
        name: "Erf",
        doc: "The error function.",
        domain_rule: "from -1 to 1",
        pytorch: "torch.erf",
        example: r#"Erf(from: "x")"#,
        ..UNARY
    },
    formula: FormulaOf::One("erf(x)"),
    ..ELEMENTWISE
};
