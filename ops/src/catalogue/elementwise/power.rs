//! `Power`: the power.

use crate::catalogue::prelude::*;

/// The power.
pub static POWER: Elementwise = Elementwise {
    schema: &Schema {
        name: "Power",
        doc: "`left` to the power of `right`.",
        pytorch: "torch.pow",
        example: r#"Power(left: "a", right: "b")"#,
        ..BINARY
    },
    formula: FormulaOf::One("pow(left, right)"),
    result: ResultOf::Float,
    ..ELEMENTWISE
};
