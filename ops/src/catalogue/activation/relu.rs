//! `Relu`: the greater of the input and 0.

use crate::catalogue::prelude::*;

/// The greater of the input and 0.
pub static RELU: Elementwise = Elementwise {
    schema: &Schema {
        name: "Relu",
        doc: "The greater of `x` and 0.",
        domain_rule: "NonNegative",
        pytorch: "torch.nn.ReLU",
        example: r#"Relu(from: "x")"#,
        ..ACTIVATION
    },
    formula: FormulaOf::One("relu(x)"),
    ..ELEMENTWISE
};
