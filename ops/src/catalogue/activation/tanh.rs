//! `Tanh`: the hyperbolic tangent.

use crate::catalogue::prelude::*;

/// The hyperbolic tangent.
pub static TANH: Elementwise = Elementwise {
    schema: &Schema {
        name: "Tanh",
        doc: "The hyperbolic tangent.",
        domain_rule: "from -1 to 1",
        pytorch: "torch.nn.Tanh",
        example: r#"Tanh(from: "x")"#,
        ..ACTIVATION
    },
    formula: FormulaOf::One("tanh(x)"),
    ..ELEMENTWISE
};
