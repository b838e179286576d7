//! `Silu`: the input times its sigmoid.

use crate::catalogue::prelude::*;

/// The input times its sigmoid.
pub static SILU: Elementwise = Elementwise {
    schema: &Schema {
        name: "Silu",
        doc: "`x * sigmoid(x)`, also called swish.",
        domain_rule: "at least -0.28",
        pytorch: "torch.nn.SiLU",
        example: r#"Silu(from: "x")"#,
        ..ACTIVATION
    },
    formula: FormulaOf::One("x * sigmoid(x)"),
    range: Domain { low: -0.279, ..Domain::ANY },
    ..ELEMENTWISE
};
