//! `Digamma`: the derivative of the logarithm of the gamma function.

use crate::catalogue::prelude::*;

/// The derivative of the logarithm of the gamma function.
pub static DIGAMMA: Elementwise = Elementwise {
    schema: &Schema {
        name: "Digamma",
        doc: "The derivative of the logarithm of the gamma function.",
        pytorch: "torch.digamma",
        example: r#"Digamma(from: "x")"#,
        ..UNARY
    },
    formula: FormulaOf::One("digamma(x)"),
    ..ELEMENTWISE
};
