//! `Gelu`: the input times the normal distribution below it.

use crate::catalogue::prelude::*;

/// The input times the normal distribution below it.
pub static GELU: Elementwise = Elementwise {
    schema: &Schema {
        name: "Gelu",
        doc: "`x` times the share of a standard normal distribution that lies below `x` (Hendrycks and Gimpel, 2016); `approximate: Tanh` is the older approximation.",
        fields: &[Field::new(
            "approximate",
            FieldKind::Choice(&["None", "Tanh"]),
            Default::Choice("None"),
            "`None` is exact; `Tanh` approximates",
        )],
        domain_rule: "at least -0.17",
        pytorch: "torch.nn.GELU",
        example: r#"Gelu(from: "x")"#,
        ..ACTIVATION
    },
    formula: FormulaOf::Choice {
        field: "approximate",
        formulas: &[
            ("None", "0.5 * x * (1 + erf(x * 0.7071067811865476))"),
            ("Tanh", "0.5 * x * (1 + tanh(0.7978845608028654 * (x + 0.044715 * x ** 3)))"),
        ],
    },
    range: Domain { low: -0.171, ..Domain::ANY },
    ..ELEMENTWISE
};
