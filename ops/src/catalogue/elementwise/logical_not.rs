//! `LogicalNot`: whether it is false.

use crate::catalogue::prelude::*;

/// Whether it is false.
pub static LOGICAL_NOT: Elementwise = Elementwise {
    schema: &Schema {
        name: "LogicalNot",
        doc: "Whether it is false.",
        ports: &[Port::one("from", Accepts::Bool, "`[...]`")],
        domain_rule: "true or false",
        gradient: "none is needed",
        pytorch: "torch.logical_not",
        example: r#"LogicalNot(from: "x")"#,
        ..UNARY
    },
    formula: FormulaOf::One("not x"),
    result: ResultOf::Truth,
    ..ELEMENTWISE
};
