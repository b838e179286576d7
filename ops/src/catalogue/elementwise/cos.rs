//! `Cos`: the cosine.

use crate::catalogue::prelude::*;

/// The cosine.
pub static COS: Elementwise = Elementwise {
    schema: &Schema {
        name: "Cos",
        doc: "The cosine.",
        domain_rule: "from -1 to 1",
        pytorch: "torch.cos",
        example: r#"Cos(from: "x")"#,
        ..UNARY
    },
    formula: FormulaOf::One("cos(x)"),
    ..ELEMENTWISE
};
