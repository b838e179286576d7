//! `Hardsigmoid`: the sigmoid from straight lines.

use crate::catalogue::prelude::*;

/// The sigmoid from straight lines.
pub static HARDSIGMOID: Elementwise = Elementwise {
    schema: &Schema {
        name: "Hardsigmoid",
        doc: "`clamp(x + 3, 0, 6) / 6` (MobileNetV3).",
        domain_rule: "Probability",
        pytorch: "torch.nn.Hardsigmoid",
        example: r#"Hardsigmoid(from: "x")"#,
        ..ACTIVATION
    },
    formula: FormulaOf::One("clamp(x + 3, 0, 6) / 6"),
    ..ELEMENTWISE
};
