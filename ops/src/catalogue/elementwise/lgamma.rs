//! `Lgamma`: the logarithm of the gamma function.

use crate::catalogue::prelude::*;

/// The logarithm of the gamma function.
pub static LGAMMA: Elementwise = Elementwise {
    schema: &Schema {
        name: "Lgamma",
        doc: "The logarithm of the gamma function.",
        pytorch: "torch.lgamma",
        example: r#"Lgamma(from: "x")"#,
        ..UNARY
    },
    formula: FormulaOf::One("lgamma(x)"),
    ..ELEMENTWISE
};
