//! `Sigmoid`: the logistic function.

use crate::catalogue::prelude::*;

/// The logistic function.
pub static SIGMOID: Elementwise = Elementwise {
    schema: &Schema {
        name: "Sigmoid",
        doc: "`1 / (1 + exp(-x))`.",
        domain_rule: "Probability, 0 and 1 left out",
        pytorch: "torch.nn.Sigmoid",
        example: r#"Sigmoid(from: "x")"#,
        ..ACTIVATION
    },
    formula: FormulaOf::One("sigmoid(x)"),
    ..ELEMENTWISE
};
