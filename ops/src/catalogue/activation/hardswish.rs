//! `Hardswish`: siLU from straight lines.

use crate::catalogue::prelude::*;

/// SiLU from straight lines.
pub static HARDSWISH: Elementwise = Elementwise {
    schema: &Schema {
        name: "Hardswish",
        doc: "`x * clamp(x + 3, 0, 6) / 6` (MobileNetV3).",
        domain_rule: "at least -0.375",
        pytorch: "torch.nn.Hardswish",
        example: r#"Hardswish(from: "x")"#,
        ..ACTIVATION
    },
    formula: FormulaOf::One("x * clamp(x + 3, 0, 6) / 6"),
    range: Domain { low: -0.375, ..Domain::ANY },
    ..ELEMENTWISE
};
