//! `Sign`: the sign.

use crate::catalogue::prelude::*;

/// The sign.
pub static SIGN: Elementwise = Elementwise {
    schema: &Schema {
        name: "Sign",
        doc: "-1, 0 or 1.",
        ports: &[Port::one("from", Accepts::Number, "`[...]`")],
        domain_rule: "from -1 to 1",
        gradient: "zero: the result jumps and is flat between",
        pytorch: "torch.sign",
        example: r#"Sign(from: "x")"#,
        ..UNARY
    },
    formula: FormulaOf::One("sign(x)"),
    result: ResultOf::Promoted,
    ..ELEMENTWISE
};
