//! `Expm1`: the exponential less one.

use crate::catalogue::prelude::*;

/// The exponential less one.
pub static EXPM1: Elementwise = Elementwise {
    schema: &Schema {
        name: "Expm1",
        doc: "`exp(x) - 1`, exact near 0.",
        domain_rule: "above -1",
        pytorch: "torch.expm1",
        example: r#"Expm1(from: "x")"#,
        ..UNARY
    },
    formula: FormulaOf::One("expm1(x)"),
    ..ELEMENTWISE
};
