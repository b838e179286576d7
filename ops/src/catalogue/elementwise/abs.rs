//! `Abs`: the absolute value.

use crate::catalogue::prelude::*;

/// The absolute value.
pub static ABS: Elementwise = Elementwise {
    schema: &Schema {
        name: "Abs",
        doc: "The absolute value.",
        ports: &[Port::one("from", Accepts::Number, "`[...]`")],
        domain_rule: "NonNegative",
        pytorch: "torch.abs",
        example: r#"Abs(from: "x")"#,
        ..UNARY
    },
    formula: FormulaOf::One("abs(x)"),
    result: ResultOf::Promoted,
    ..ELEMENTWISE
};
