//! The operations of scalar expressions: names, types, cost and meaning.

use super::special;

/// What a scalar expression gives.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum ScalarKind {
    /// A number.
    Number,
    /// True or false; 1 and 0 where it is stored as a number.
    Bool,
}

/// An operation on numbers or truth values.
///
/// `Greater` and its kin are not here: `a > b` is `b < a`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum ScalarOp {
    /// `a + b`
    Add,
    /// `a - b`
    Subtract,
    /// `a * b`
    Multiply,
    /// `a / b`
    Divide,
    /// `a` to the power of `b`
    Power,
    /// The smaller one; NaN if either is.
    Minimum,
    /// The larger one; NaN if either is.
    Maximum,
    /// `-a`
    Negate,
    /// The absolute value.
    Absolute,
    /// -1, 0 or 1; 0 for NaN, as PyTorch has it.
    Sign,
    /// The largest whole number that is not above.
    Floor,
    /// The nearest whole number, halves to even.
    Round,
    /// The exponential.
    Exp,
    /// The natural logarithm.
    Ln,
    /// `ln(1 + a)`, exact near 0.
    Log1p,
    /// `exp(a) - 1`, exact near 0.
    Expm1,
    /// The square root.
    Sqrt,
    /// `1 / sqrt(a)`
    Rsqrt,
    /// `1 / (1 + exp(-a))`
    Sigmoid,
    /// The hyperbolic tangent.
    Tanh,
    /// `ln(1 + exp(a))`
    Softplus,
    /// The error function.
    Erf,
    /// The logarithm of the absolute value of the gamma function.
    Lgamma,
    /// The derivative of `lgamma`.
    Digamma,
    /// The derivative of `digamma`.
    Trigamma,
    /// The sine.
    Sin,
    /// The cosine.
    Cos,
    /// `a == b`
    Equal,
    /// `a != b`
    NotEqual,
    /// `a < b`
    Less,
    /// `a <= b`
    LessEqual,
    /// `a and b`
    And,
    /// `a or b`
    Or,
    /// `not a`
    Not,
    /// `b` where `a` holds, `c` elsewhere.
    Where,
}

impl ScalarOp {
    /// All operations.
    pub const ALL: [ScalarOp; 35] = [
        ScalarOp::Add,
        ScalarOp::Subtract,
        ScalarOp::Multiply,
        ScalarOp::Divide,
        ScalarOp::Power,
        ScalarOp::Minimum,
        ScalarOp::Maximum,
        ScalarOp::Negate,
        ScalarOp::Absolute,
        ScalarOp::Sign,
        ScalarOp::Floor,
        ScalarOp::Round,
        ScalarOp::Exp,
        ScalarOp::Ln,
        ScalarOp::Log1p,
        ScalarOp::Expm1,
        ScalarOp::Sqrt,
        ScalarOp::Rsqrt,
        ScalarOp::Sigmoid,
        ScalarOp::Tanh,
        ScalarOp::Softplus,
        ScalarOp::Erf,
        ScalarOp::Lgamma,
        ScalarOp::Digamma,
        ScalarOp::Trigamma,
        ScalarOp::Sin,
        ScalarOp::Cos,
        ScalarOp::Equal,
        ScalarOp::NotEqual,
        ScalarOp::Less,
        ScalarOp::LessEqual,
        ScalarOp::And,
        ScalarOp::Or,
        ScalarOp::Not,
        ScalarOp::Where,
    ];

    /// The name in program texts, or the function's name in a `Formula`.
    pub fn name(self) -> &'static str {
        match self {
            ScalarOp::Add => "add",
            ScalarOp::Subtract => "sub",
            ScalarOp::Multiply => "mul",
            ScalarOp::Divide => "div",
            ScalarOp::Power => "pow",
            ScalarOp::Minimum => "min",
            ScalarOp::Maximum => "max",
            ScalarOp::Negate => "neg",
            ScalarOp::Absolute => "abs",
            ScalarOp::Sign => "sign",
            ScalarOp::Floor => "floor",
            ScalarOp::Round => "round",
            ScalarOp::Exp => "exp",
            ScalarOp::Ln => "ln",
            ScalarOp::Log1p => "log1p",
            ScalarOp::Expm1 => "expm1",
            ScalarOp::Sqrt => "sqrt",
            ScalarOp::Rsqrt => "rsqrt",
            ScalarOp::Sigmoid => "sigmoid",
            ScalarOp::Tanh => "tanh",
            ScalarOp::Softplus => "softplus",
            ScalarOp::Erf => "erf",
            ScalarOp::Lgamma => "lgamma",
            ScalarOp::Digamma => "digamma",
            ScalarOp::Trigamma => "trigamma",
            ScalarOp::Sin => "sin",
            ScalarOp::Cos => "cos",
            ScalarOp::Equal => "eq",
            ScalarOp::NotEqual => "ne",
            ScalarOp::Less => "lt",
            ScalarOp::LessEqual => "le",
            ScalarOp::And => "and",
            ScalarOp::Or => "or",
            ScalarOp::Not => "not",
            ScalarOp::Where => "where",
        }
    }

    /// How many operands it takes.
    pub fn arity(self) -> usize {
        use ScalarOp::*;
        match self {
            Where => 3,
            Add | Subtract | Multiply | Divide | Power | Minimum | Maximum | Equal | NotEqual | Less | LessEqual | And | Or => 2,
            _ => 1,
        }
    }

    /// The kind of an operand.
    pub fn operand_kind(self, position: usize) -> ScalarKind {
        match self {
            ScalarOp::And | ScalarOp::Or | ScalarOp::Not => ScalarKind::Bool,
            ScalarOp::Where if position == 0 => ScalarKind::Bool,
            _ => ScalarKind::Number,
        }
    }

    /// The kind of the result.
    pub fn result_kind(self) -> ScalarKind {
        use ScalarOp::*;
        match self {
            Equal | NotEqual | Less | LessEqual | And | Or | Not => ScalarKind::Bool,
            _ => ScalarKind::Number,
        }
    }

    /// Whether the operands may be exchanged.
    pub fn is_commutative(self) -> bool {
        use ScalarOp::*;
        matches!(self, Add | Multiply | Minimum | Maximum | Equal | NotEqual | And | Or)
    }

    /// Roughly how many multiply-adds of the machine it costs.
    pub fn cost(self) -> u64 {
        use ScalarOp::*;
        match self {
            Divide | Sqrt | Rsqrt => 4,
            Exp | Ln | Log1p | Expm1 | Sigmoid | Tanh | Sin | Cos => 12,
            Power | Softplus | Erf => 24,
            Lgamma | Digamma | Trigamma => 60,
            _ => 1,
        }
    }

    /// The value for these operands; truth values are 0 and 1. Operands beyond the arity are ignored.
    pub fn apply(self, a: f64, b: f64, c: f64) -> f64 {
        let truth = |value: bool| f64::from(u8::from(value));
        match self {
            ScalarOp::Add => a + b,
            ScalarOp::Subtract => a - b,
            ScalarOp::Multiply => a * b,
            ScalarOp::Divide => a / b,
            ScalarOp::Power => a.powf(b),
            ScalarOp::Minimum if a.is_nan() || b.is_nan() => f64::NAN,
            ScalarOp::Minimum => a.min(b),
            ScalarOp::Maximum if a.is_nan() || b.is_nan() => f64::NAN,
            ScalarOp::Maximum => a.max(b),
            ScalarOp::Negate => -a,
            ScalarOp::Absolute => a.abs(),
            ScalarOp::Sign => truth(a > 0.0) - truth(a < 0.0),
            ScalarOp::Floor => a.floor(),
            ScalarOp::Round => a.round_ties_even(),
            ScalarOp::Exp => a.exp(),
            ScalarOp::Ln => a.ln(),
            ScalarOp::Log1p => a.ln_1p(),
            ScalarOp::Expm1 => a.exp_m1(),
            ScalarOp::Sqrt => a.sqrt(),
            ScalarOp::Rsqrt => 1.0 / a.sqrt(),
            ScalarOp::Sigmoid => special::sigmoid(a),
            ScalarOp::Tanh => a.tanh(),
            ScalarOp::Softplus => special::softplus(a),
            ScalarOp::Erf => special::erf(a),
            ScalarOp::Lgamma => special::lgamma(a),
            ScalarOp::Digamma => special::digamma(a),
            ScalarOp::Trigamma => special::trigamma(a),
            ScalarOp::Sin => a.sin(),
            ScalarOp::Cos => a.cos(),
            ScalarOp::Equal => truth(a == b),
            ScalarOp::NotEqual => truth(a != b),
            ScalarOp::Less => truth(a < b),
            ScalarOp::LessEqual => truth(a <= b),
            ScalarOp::And => truth(a != 0.0 && b != 0.0),
            ScalarOp::Or => truth(a != 0.0 || b != 0.0),
            ScalarOp::Not => truth(a == 0.0),
            ScalarOp::Where => {
                if a != 0.0 {
                    b
                } else {
                    c
                }
            }
        }
    }
}
