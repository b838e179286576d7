//! `Floor`: rounded down.

use crate::catalogue::prelude::*;

/// Rounded down.
pub static FLOOR: Elementwise = Elementwise {
    schema: &Schema {
        name: "Floor",
        doc: "The greatest whole number that is not above `x`.",
        ports: &[Port::one("from", Accepts::Number, "`[...]`")],
        gradient: "zero: the result jumps and is flat between",
        pytorch: "torch.floor",
        example: r#"Floor(from: "x")"#,
        ..UNARY
    },
    formula: FormulaOf::One("floor(x)"),
    result: ResultOf::Promoted,
    ..ELEMENTWISE
};
