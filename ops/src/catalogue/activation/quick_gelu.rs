//! `QuickGelu`: the GELU of CLIP.

use crate::catalogue::prelude::*;

/// The GELU of CLIP.
pub static QUICK_GELU: Elementwise = Elementwise {
    schema: &Schema {
        name: "QuickGelu",
        doc: "`x * sigmoid(1.702 * x)`, the GELU of CLIP.",
        domain_rule: "at least -0.17",
        pytorch: "x * torch.sigmoid(1.702 * x)",
        example: r#"QuickGelu(from: "x")"#,
        ..ACTIVATION
    },
    formula: FormulaOf::One("x * sigmoid(1.702 * x)"),
    range: Domain { low: -0.171, ..Domain::ANY },
    ..ELEMENTWISE
};
