//! `LogicalAnd`: whether both are true.

use crate::catalogue::prelude::*;

/// Whether both are true.
pub static LOGICAL_AND: Elementwise = Elementwise {
    schema: &Schema {
        name: "LogicalAnd",
        doc: "Whether both are true.",
        pytorch: "torch.logical_and",
        example: r#"LogicalAnd(left: "a", right: "b")"#,
        ..LOGICAL
    },
    formula: FormulaOf::One("left and right"),
    result: ResultOf::Truth,
    ..ELEMENTWISE
};
