//! `Elu`: negative elements saturate at -alpha.

use crate::catalogue::prelude::*;

/// Negative elements saturate at -alpha.
pub static ELU: Elementwise = Elementwise {
    schema: &Schema {
        name: "Elu",
        doc: "`x` where it is positive, `alpha * (exp(x) - 1)` elsewhere (Clevert et al., 2016).",
        fields: &[Field::new("alpha", FieldKind::Float, Default::Float(1.0), "the depth of the negative side")],
        domain_rule: "above -alpha",
        pytorch: "torch.nn.ELU",
        example: r#"Elu(from: "x")"#,
        ..ACTIVATION
    },
    formula: FormulaOf::One("where(x > 0, x, alpha * expm1(x))"),
    ..ELEMENTWISE
};
