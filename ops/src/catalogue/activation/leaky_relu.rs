//! `LeakyRelu`: negative elements shrink.

use crate::catalogue::prelude::*;

/// Negative elements shrink.
pub static LEAKY_RELU: Elementwise = Elementwise {
    schema: &Schema {
        name: "LeakyRelu",
        doc: "`x` where it is positive, `negative_slope * x` elsewhere.",
        fields: &[Field::new("negative_slope", FieldKind::Float, Default::Float(0.01), "the factor of negative elements")],
        pytorch: "torch.nn.LeakyReLU",
        example: r#"LeakyRelu(from: "x")"#,
        ..ACTIVATION
    },
    formula: FormulaOf::One("where(x > 0, x, negative_slope * x)"),
    ..ELEMENTWISE
};
