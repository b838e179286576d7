//! `Relu6`: the input limited to 0 to 6.

use crate::catalogue::prelude::*;

/// The input limited to 0 to 6.
pub static RELU6: Elementwise = Elementwise {
    schema: &Schema {
        name: "Relu6",
        doc: "`x` limited to 0 to 6.",
        domain_rule: "from 0 to 6",
        pytorch: "torch.nn.ReLU6",
        example: r#"Relu6(from: "x")"#,
        ..ACTIVATION
    },
    formula: FormulaOf::One("clamp(x, 0, 6)"),
    ..ELEMENTWISE
};
