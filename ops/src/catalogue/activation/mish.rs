//! `Mish`: the input times the tanh of its softplus.

use crate::catalogue::prelude::*;

/// The input times the tanh of its softplus.
pub static MISH: Elementwise = Elementwise {
    schema: &Schema {
        name: "Mish",
        doc: "`x * tanh(softplus(x))` (Misra, 2019).",
        domain_rule: "at least -0.31",
        pytorch: "torch.nn.Mish",
        example: r#"Mish(from: "x")"#,
        ..ACTIVATION
    },
    formula: FormulaOf::One("x * tanh(softplus(x))"),
    range: Domain { low: -0.309, ..Domain::ANY },
    ..ELEMENTWISE
};
