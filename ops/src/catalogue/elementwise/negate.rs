//! `Negate`: the input with its sign turned.

use crate::catalogue::prelude::*;

/// The input with its sign turned.
pub static NEGATE: Elementwise = Elementwise {
    schema: &Schema {
        name: "Negate",
        doc: "`-x`.",
        ports: &[Port::one("from", Accepts::Number, "`[...]`")],
        pytorch: "torch.neg",
        example: r#"Negate(from: "x")"#,
        ..UNARY
    },
    formula: FormulaOf::One("-x"),
    result: ResultOf::Promoted,
    ..ELEMENTWISE
};
