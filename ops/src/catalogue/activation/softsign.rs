//! `Softsign`: the input over one more than its size.

use crate::catalogue::prelude::*;

/// The input over one more than its size.
pub static SOFTSIGN: Elementwise = Elementwise {
    schema: &Schema {
        name: "Softsign",
        doc: "`x / (1 + abs(x))`.",
        domain_rule: "from -1 to 1",
        pytorch: "torch.nn.Softsign",
        example: r#"Softsign(from: "x")"#,
        ..ACTIVATION
    },
    formula: FormulaOf::One("x / (1 + abs(x))"),
    range: Domain::closed(-1.0, 1.0),
    ..ELEMENTWISE
};
