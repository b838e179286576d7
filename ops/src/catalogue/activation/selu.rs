//! `Selu`: eLU scaled so that depth keeps mean and variance.

use crate::catalogue::prelude::*;

/// ELU scaled so that depth keeps mean and variance.
pub static SELU: Elementwise = Elementwise {
    schema: &Schema {
        name: "Selu",
        doc: "ELU scaled so that depth keeps mean and variance (Klambauer et al., 2017).",
        pytorch: "torch.nn.SELU",
        example: r#"Selu(from: "x")"#,
        ..ACTIVATION
    },
    formula: FormulaOf::One("1.0507009873554805 * where(x > 0, x, 1.6732632423543772 * expm1(x))"),
    ..ELEMENTWISE
};
