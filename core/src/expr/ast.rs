//! The tree of an expression, and its text.

use std::fmt;
use std::ops::Range;

/// An expression with its place. Equality compares the trees and not the places.
#[derive(Clone, Debug)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// The bytes of the text that it was read from.
    pub range: Range<usize>,
}

impl PartialEq for Expr {
    fn eq(&self, other: &Expr) -> bool {
        self.kind == other.kind
    }
}

/// The kinds of expressions.
#[derive(Clone, PartialEq, Debug)]
pub enum ExprKind {
    /// A whole number.
    Int(i64),
    /// A number with a point or an exponent.
    Float(f64),
    /// `true` or `false`.
    Bool(bool),
    /// A text in single quotes.
    Text(String),
    /// A name with its dots and port: `width`, `stages.0.blocks`, `halves:1`.
    Name(String),
    /// `[1, 2]`.
    List(Vec<Expr>),
    /// `depths[2]`.
    Index {
        /// What is indexed.
        list: Box<Expr>,
        /// The position, from 0.
        index: Box<Expr>,
    },
    /// `min(a, b)`.
    Call {
        /// The name of the function.
        function: String,
        /// The place of the name.
        function_range: Range<usize>,
        /// The arguments in order.
        arguments: Vec<Expr>,
    },
    /// `-a`, `not a`.
    Unary {
        /// The operator.
        op: UnaryOp,
        /// The operand.
        operand: Box<Expr>,
    },
    /// `a + b`.
    Binary {
        /// The operator.
        op: BinaryOp,
        /// The left operand.
        left: Box<Expr>,
        /// The right operand.
        right: Box<Expr>,
    },
}

/// Operators before their operand.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum UnaryOp {
    /// `-`
    Negate,
    /// `not`
    Not,
}

/// Operators between two operands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BinaryOp {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `//`
    FloorDivide,
    /// `%`
    Remainder,
    /// `**`
    Power,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
    /// `and`
    And,
    /// `or`
    Or,
}

impl BinaryOp {
    pub(crate) const ALL: [BinaryOp; 15] = [
        BinaryOp::Add,
        BinaryOp::Subtract,
        BinaryOp::Multiply,
        BinaryOp::Divide,
        BinaryOp::FloorDivide,
        BinaryOp::Remainder,
        BinaryOp::Power,
        BinaryOp::Equal,
        BinaryOp::NotEqual,
        BinaryOp::Less,
        BinaryOp::LessEqual,
        BinaryOp::Greater,
        BinaryOp::GreaterEqual,
        BinaryOp::And,
        BinaryOp::Or,
    ];

    /// The operator as written.
    pub fn sign(self) -> &'static str {
        match self {
            BinaryOp::Add => "+",
            BinaryOp::Subtract => "-",
            BinaryOp::Multiply => "*",
            BinaryOp::Divide => "/",
            BinaryOp::FloorDivide => "//",
            BinaryOp::Remainder => "%",
            BinaryOp::Power => "**",
            BinaryOp::Equal => "==",
            BinaryOp::NotEqual => "!=",
            BinaryOp::Less => "<",
            BinaryOp::LessEqual => "<=",
            BinaryOp::Greater => ">",
            BinaryOp::GreaterEqual => ">=",
            BinaryOp::And => "and",
            BinaryOp::Or => "or",
        }
    }

    /// Whether the operator compares its operands.
    pub fn is_comparison(self) -> bool {
        self.precedence() == COMPARISON
    }

    /// How tightly the operator binds: a larger number binds tighter.
    pub(crate) fn precedence(self) -> u8 {
        match self {
            BinaryOp::Or => 1,
            BinaryOp::And => 2,
            BinaryOp::Equal
            | BinaryOp::NotEqual
            | BinaryOp::Less
            | BinaryOp::LessEqual
            | BinaryOp::Greater
            | BinaryOp::GreaterEqual => COMPARISON,
            BinaryOp::Add | BinaryOp::Subtract => 5,
            BinaryOp::Multiply | BinaryOp::Divide | BinaryOp::FloorDivide | BinaryOp::Remainder => 6,
            BinaryOp::Power => POWER,
        }
    }
}

pub(crate) const NOT: u8 = 3;
pub(crate) const COMPARISON: u8 = 4;
pub(crate) const NEGATION: u8 = 7;
pub(crate) const POWER: u8 = 8;
const POSTFIX: u8 = 9;

impl Expr {
    fn precedence(&self) -> u8 {
        match &self.kind {
            ExprKind::Binary { op, .. } => op.precedence(),
            ExprKind::Unary { op: UnaryOp::Not, .. } => NOT,
            ExprKind::Unary { op: UnaryOp::Negate, .. } => NEGATION,
            _ => POSTFIX,
        }
    }

    fn write(&self, formatter: &mut fmt::Formatter<'_>, least: u8) -> fmt::Result {
        if self.precedence() >= least {
            return write!(formatter, "{self}");
        }
        write!(formatter, "({self})")
    }
}

/// The expression in its shortest spelling, which reads back as the same tree.
impl Expr {
    /// A whole number, as if it were written at the start of a text.
    pub fn integer(value: i64) -> Expr {
        Expr { kind: ExprKind::Int(value), range: 0..value.to_string().len() }
    }

    /// Calls `visit` with every name in the expression and its place in the text, from left to right. Functions are no names.
    pub fn for_each_name<'e>(&'e self, visit: &mut dyn FnMut(&'e str, Range<usize>)) {
        match &self.kind {
            ExprKind::Name(name) => visit(name, self.range.clone()),
            ExprKind::List(items) => items.iter().for_each(|item| item.for_each_name(visit)),
            ExprKind::Index { list, index } => {
                list.for_each_name(visit);
                index.for_each_name(visit);
            }
            ExprKind::Call { arguments, .. } => arguments.iter().for_each(|argument| argument.for_each_name(visit)),
            ExprKind::Unary { operand, .. } => operand.for_each_name(visit),
            ExprKind::Binary { left, right, .. } => {
                left.for_each_name(visit);
                right.for_each_name(visit);
            }
            ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::Bool(_) | ExprKind::Text(_) => {}
        }
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |formatter: &mut fmt::Formatter<'_>, items: &[Expr]| {
            for (position, item) in items.iter().enumerate() {
                write!(formatter, "{}{item}", if position == 0 { "" } else { ", " })?;
            }
            Ok(())
        };
        match &self.kind {
            ExprKind::Int(value) => write!(formatter, "{value}"),
            ExprKind::Float(value) => write!(formatter, "{value:?}"),
            ExprKind::Bool(value) => write!(formatter, "{value}"),
            ExprKind::Text(text) => write!(formatter, "'{}'", text.replace('\\', r"\\").replace('\'', r"\'")),
            ExprKind::Name(name) => formatter.write_str(name),
            ExprKind::List(items) => {
                formatter.write_str("[")?;
                list(formatter, items)?;
                formatter.write_str("]")
            }
            ExprKind::Index { list, index } => {
                list.write(formatter, POSTFIX)?;
                write!(formatter, "[{index}]")
            }
            ExprKind::Call { function, arguments, .. } => {
                write!(formatter, "{function}(")?;
                list(formatter, arguments)?;
                formatter.write_str(")")
            }
            ExprKind::Unary { op: UnaryOp::Negate, operand } => {
                formatter.write_str("-")?;
                operand.write(formatter, NEGATION)
            }
            ExprKind::Unary { op: UnaryOp::Not, operand } => {
                formatter.write_str("not ")?;
                operand.write(formatter, NOT)
            }
            ExprKind::Binary { op, left, right } => {
                let own = op.precedence();
                // Powers group to the right, comparisons do not group, everything else groups to the left.
                let (least_left, least_right) = match own {
                    POWER => (POSTFIX, NEGATION),
                    COMPARISON => (own + 1, own + 1),
                    _ => (own, own + 1),
                };
                left.write(formatter, least_left)?;
                write!(formatter, " {} ", op.sign())?;
                right.write(formatter, least_right)
            }
        }
    }
}
