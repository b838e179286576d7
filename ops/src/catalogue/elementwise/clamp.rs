//! `Clamp`: the input limited to a range.

use crate::catalogue::prelude::*;

/// The input limited to a range.
pub static CLAMP: Elementwise = Elementwise {
    schema: &Schema {
        name: "Clamp",
        doc: "`x` limited to `low` to `high`.",
        ports: &[Port::one("from", Accepts::Number, "`[...]`")],
        fields: &[
            Field::required("low", FieldKind::Float, "the least value"),
            Field::required("high", FieldKind::Float, "the greatest value"),
        ],
        domain_rule: "from `low` to `high`",
        pytorch: "torch.clamp",
        example: r#"Clamp(from: "x", low: 0.0, high: 1.0)"#,
        ..UNARY
    },
    formula: FormulaOf::One("clamp(x, low, high)"),
    result: ResultOf::Promoted,
    ..ELEMENTWISE
};
