//! `LogSigmoid`: the logarithm of the sigmoid.

use crate::catalogue::prelude::*;

/// The logarithm of the sigmoid.
pub static LOG_SIGMOID: Elementwise = Elementwise {
    schema: &Schema {
        name: "LogSigmoid",
        doc: "The logarithm of the sigmoid, safe far below 0.",
        domain_rule: "below 0",
        pytorch: "torch.nn.LogSigmoid",
        example: r#"LogSigmoid(from: "x")"#,
        ..ACTIVATION
    },
    formula: FormulaOf::One("-softplus(-x)"),
    ..ELEMENTWISE
};
