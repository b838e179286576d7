//! `Round`: rounded to the nearest.

use crate::catalogue::prelude::*;

/// Rounded to the nearest.
pub static ROUND: Elementwise = Elementwise {
    schema: &Schema {
        name: "Round",
        doc: "The nearest whole number, halves to even.",
        ports: &[Port::one("from", Accepts::Number, "`[...]`")],
        gradient: "zero: the result jumps and is flat between",
        pytorch: "torch.round",
        example: r#"Round(from: "x")"#,
        ..UNARY
    },
    formula: FormulaOf::One("round(x)"),
    result: ResultOf::Promoted,
    ..ELEMENTWISE
};
