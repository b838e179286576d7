//! `Square`: the input times itself.

use crate::catalogue::prelude::*;

/// The input times itself.
pub static SQUARE: Elementwise = Elementwise {
    schema: &Schema {
        name: "Square",
        doc: "`x * x`.",
        ports: &[Port::one("from", Accepts::Number, "`[...]`")],
        domain_rule: "NonNegative",
        pytorch: "torch.square",
        example: r#"Square(from: "x")"#,
        ..UNARY
    },
    formula: FormulaOf::One("x ** 2"),
    result: ResultOf::Promoted,
    ..ELEMENTWISE
};
