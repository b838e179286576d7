//! `Softplus`: a smooth ReLU.

use crate::catalogue::prelude::*;

/// A smooth ReLU.
pub static SOFTPLUS: Elementwise = Elementwise {
    schema: &Schema {
        name: "Softplus",
        doc: "`ln(1 + exp(beta * x)) / beta`, a smooth ReLU; `x` itself where `beta * x` is above `threshold`.",
        fields: &[
            Field::new("beta", FieldKind::Float, Default::Float(1.0), "the sharpness"),
            Field::new("threshold", FieldKind::Float, Default::Float(20.0), "where the identity takes over"),
        ],
        domain_rule: "Positive",
        pytorch: "torch.nn.Softplus",
        example: r#"Softplus(from: "x")"#,
        ..ACTIVATION
    },
    formula: FormulaOf::One("where(beta * x > threshold, x, softplus(beta * x) / beta)"),
    range: Domain::POSITIVE,
    positive: &["beta"],
    ..ELEMENTWISE
};
