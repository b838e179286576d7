//! `Log`: the natural logarithm.

use crate::catalogue::prelude::*;

/// The natural logarithm.
pub static LOG: Elementwise = Elementwise {
    schema: &Schema { name: "Log", doc: "The natural logarithm.", pytorch: "torch.log", example: r#"Log(from: "x")"#, ..UNARY },
    formula: FormulaOf::One("ln(x)"),
    ..ELEMENTWISE
};
