//! `Divide`: the quotient.

use crate::catalogue::prelude::*;

/// The quotient.
pub static DIVIDE: Elementwise = Elementwise {
    schema: &Schema {
        name: "Divide",
        doc: "`left / right`, a float also for whole numbers.",
        pytorch: "torch.div",
        example: r#"Divide(left: "a", right: "b")"#,
        ..BINARY
    },
    formula: FormulaOf::One("left / right"),
    result: ResultOf::Float,
    ..ELEMENTWISE
};
