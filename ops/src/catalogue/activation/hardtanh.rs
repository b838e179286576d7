//! `Hardtanh`: the input limited to a range.

use crate::catalogue::prelude::*;

/// The input limited to a range.
pub static HARDTANH: Elementwise = Elementwise {
    schema: &Schema {
        name: "Hardtanh",
        doc: "`x` limited to `low` to `high`.",
        fields: &[
            Field::new("low", FieldKind::Float, Default::Float(-1.0), "the least value"),
            Field::new("high", FieldKind::Float, Default::Float(1.0), "the greatest value"),
        ],
        domain_rule: "from `low` to `high`",
        pytorch: "torch.nn.Hardtanh",
        example: r#"Hardtanh(from: "x")"#,
        ..ACTIVATION
    },
    formula: FormulaOf::One("clamp(x, low, high)"),
    ..ELEMENTWISE
};
