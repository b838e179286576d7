//! From tree to value.

use std::ops::Range;

use super::functions;
use super::{BinaryOp, Constant, Expr, ExprError, ExprErrorKind, UnaryOp};
use crate::dim::{Dim, DimError, Obligation, Verdict, compare};
use crate::expr::ExprKind;

/// What names stand for.
pub trait Scope {
    /// The value of a name.
    fn lookup(&self, name: &str) -> Option<Constant>;

    /// All names, for suggestions.
    fn names(&self) -> Vec<String>;
}

/// The value of an expression and the conditions that its exact divisions demand.
#[derive(Clone, PartialEq, Debug)]
pub struct Evaluated {
    /// The value.
    pub value: Constant,
    /// What must be divisible by what, without repetition.
    pub obligations: Vec<Obligation>,
}

/// Computes an expression.
///
/// Whole numbers are symbolic sizes: `/` divides them exactly and may add an obligation, `//` rounds down. A whole number
/// that meets a float becomes one, for which it must not depend on sizes. `where`, `and` and `or` compute only what they need.
///
/// # Errors
/// Names what was wrong and where.
pub fn evaluate(expr: &Expr, scope: &dyn Scope) -> Result<Evaluated, ExprError> {
    let mut evaluator = Evaluator { scope, obligations: Vec::new() };
    let value = evaluator.value(expr)?;
    Ok(Evaluated { value, obligations: evaluator.obligations })
}

/// The value of a name that expressions know by themselves, where nothing else has it: `pi`.
pub fn named_constant(name: &str) -> Option<Constant> {
    (name == "pi").then_some(Constant::Float(std::f64::consts::PI))
}

pub(super) struct Evaluator<'a> {
    scope: &'a dyn Scope,
    obligations: Vec<Obligation>,
}

impl Evaluator<'_> {
    pub fn value(&mut self, expr: &Expr) -> Result<Constant, ExprError> {
        match &expr.kind {
            ExprKind::Int(value) => Ok(Constant::from(*value)),
            ExprKind::Float(value) => Ok(Constant::Float(*value)),
            ExprKind::Bool(value) => Ok(Constant::Bool(*value)),
            ExprKind::Text(text) => Ok(Constant::Text(text.clone())),
            ExprKind::Name(name) => self.scope.lookup(name).or_else(|| named_constant(name)).ok_or_else(|| {
                let kind = ExprErrorKind::UnknownName { name: name.clone(), known: self.scope.names() };
                ExprError::new(kind, expr.range.clone(), format!("the name `{name}` is not known here"))
            }),
            ExprKind::List(items) => items.iter().map(|item| self.value(item)).collect::<Result<_, _>>().map(Constant::List),
            ExprKind::Index { list, index } => self.index(list, index),
            ExprKind::Call { function, function_range, arguments } => {
                functions::call(self, function, function_range, arguments, &expr.range)
            }
            ExprKind::Unary { op, operand } => self.unary(*op, operand, &expr.range),
            ExprKind::Binary { op: op @ (BinaryOp::And | BinaryOp::Or), left, right } => {
                let left = self.truth(left)?;
                if left == (*op == BinaryOp::Or) { Ok(Constant::Bool(left)) } else { self.truth(right).map(Constant::Bool) }
            }
            ExprKind::Binary { op, left, right } => {
                let (left, right) = (self.value(left)?, self.value(right)?);
                self.binary(*op, left, right, &expr.range)
            }
        }
    }

    pub fn truth(&mut self, expr: &Expr) -> Result<bool, ExprError> {
        let value = self.value(expr)?;
        value.as_bool().ok_or_else(|| {
            let message = format!("true or false should stand here, not {} ({value})", value.kind());
            ExprError::type_error(expr.range.clone(), message)
        })
    }

    fn index(&mut self, list: &Expr, index: &Expr) -> Result<Constant, ExprError> {
        let value = self.value(list)?;
        let Constant::List(items) = value else {
            let message = format!("only a list has elements, and this is {} ({value})", value.kind());
            return Err(ExprError::type_error(list.range.clone(), message));
        };
        let position = self.value(index)?;
        let Some(position) = position.as_int() else {
            let message = format!("an index must be a known whole number, not {position}");
            return Err(ExprError::type_error(index.range.clone(), message));
        };
        let found = usize::try_from(position).ok().and_then(|position| items.get(position));
        found.cloned().ok_or_else(|| {
            let message = format!("index {position} lies outside the list, which has {} elements", items.len());
            ExprError::new(ExprErrorKind::Index, index.range.clone(), message)
        })
    }

    fn unary(&mut self, op: UnaryOp, operand: &Expr, range: &Range<usize>) -> Result<Constant, ExprError> {
        if op == UnaryOp::Not {
            return self.truth(operand).map(|value| Constant::Bool(!value));
        }
        match self.value(operand)? {
            Constant::Int(dim) => exact(Dim::ZERO - dim, range),
            Constant::Float(value) => Ok(Constant::Float(-value)),
            other => {
                let message = format!("`-` takes a number, not {} ({other})", other.kind());
                Err(ExprError::type_error(operand.range.clone(), message))
            }
        }
    }

    pub fn binary(&mut self, op: BinaryOp, left: Constant, right: Constant, range: &Range<usize>) -> Result<Constant, ExprError> {
        match (op, left, right) {
            (_, Constant::Int(left), Constant::Int(right)) => self.whole(op, &left, &right, range),
            (BinaryOp::Equal, left, right) if !is_number(&left) || !is_number(&right) => {
                same_kind(op, &left, &right, range)?;
                Ok(Constant::Bool(left == right))
            }
            (BinaryOp::NotEqual, left, right) if !is_number(&left) || !is_number(&right) => {
                same_kind(op, &left, &right, range)?;
                Ok(Constant::Bool(left != right))
            }
            (BinaryOp::Add, Constant::Text(left), Constant::Text(right)) => {
                within_limit(left.len() + right.len(), MAX_TEXT_BYTES, "bytes", range)?;
                Ok(Constant::Text(left + &right))
            }
            (BinaryOp::Add, Constant::List(mut left), Constant::List(right)) => {
                within_limit(left.len() + right.len(), MAX_LIST, "elements", range)?;
                left.extend(right);
                Ok(Constant::List(left))
            }
            (op, left, right) => {
                let number = |value: &Constant| {
                    value.as_float().ok_or_else(|| ExprError::type_error(range.clone(), not_a_number(op, value)))
                };
                float(op, number(&left)?, number(&right)?, range)
            }
        }
    }

    fn whole(&mut self, op: BinaryOp, left: &Dim, right: &Dim, range: &Range<usize>) -> Result<Constant, ExprError> {
        match op {
            BinaryOp::Add => exact(left + right, range),
            BinaryOp::Subtract => exact(left - right, range),
            BinaryOp::Multiply => exact(left * right, range),
            BinaryOp::FloorDivide => exact(left.floor_div(right), range),
            BinaryOp::Remainder => exact(left.modulo(right), range),
            BinaryOp::Power => match (left.as_constant(), right.as_constant()) {
                (Some(base), Some(exponent)) if exponent < 0 => float(op, base as f64, exponent as f64, range),
                _ => exact(left.power(right), range),
            },
            BinaryOp::Divide => {
                let (quotient, obligation) = left.exact_div(right).map_err(|error| inexact(error, range))?;
                if let Some(obligation) = obligation
                    && !self.obligations.contains(&obligation)
                {
                    self.obligations.push(obligation);
                }
                Ok(Constant::Int(quotient))
            }
            _ => compare_whole(op, left, right, &self.obligations, range).map(Constant::Bool),
        }
    }
}

/// The longest list that an expression makes.
const MAX_LIST: usize = 100_000;

/// The longest text that expressions make.
pub(super) const MAX_TEXT_BYTES: usize = 1 << 20;

/// Refuses what grows too long: a file of a few lines can double a text forty times.
pub(super) fn within_limit(length: usize, limit: usize, unit: &str, range: &Range<usize>) -> Result<(), ExprError> {
    if length <= limit {
        return Ok(());
    }
    Err(ExprError::type_error(range.clone(), format!("this makes {length} {unit}; at most {limit} are allowed")))
}

fn is_number(value: &Constant) -> bool {
    matches!(value, Constant::Int(_) | Constant::Float(_))
}

fn same_kind(op: BinaryOp, left: &Constant, right: &Constant, range: &Range<usize>) -> Result<(), ExprError> {
    if std::mem::discriminant(left) == std::mem::discriminant(right) {
        return Ok(());
    }
    let message = format!("`{}` compares values of one kind, and gets {} and {}", op.sign(), left.kind(), right.kind());
    Err(ExprError::type_error(range.clone(), message))
}

fn not_a_number(op: BinaryOp, value: &Constant) -> String {
    match value {
        Constant::Int(dim) => {
            format!("`{}` mixes a float with `{dim}`, whose value is not known before the sizes are", op.sign())
        }
        other => format!("`{}` takes numbers, not {} ({other})", op.sign(), other.kind()),
    }
}

pub(super) fn exact(result: Result<Dim, DimError>, range: &Range<usize>) -> Result<Constant, ExprError> {
    result.map(Constant::Int).map_err(|error| ExprError::arithmetic(range.clone(), error))
}

fn inexact(error: DimError, range: &Range<usize>) -> ExprError {
    let mut described = ExprError::arithmetic(range.clone(), error);
    if let ExprErrorKind::Arithmetic(Some(DimError::NotDivisible { .. })) = described.kind {
        described.message += "; `//` rounds down, and a float on either side (`1.0 / 2`) gives a fraction";
    }
    described
}

fn float(op: BinaryOp, left: f64, right: f64, range: &Range<usize>) -> Result<Constant, ExprError> {
    let divides = matches!(op, BinaryOp::Divide | BinaryOp::FloorDivide | BinaryOp::Remainder);
    if divides && right == 0.0 {
        return Err(ExprError::arithmetic(range.clone(), DimError::DivisionByZero));
    }
    let value = match op {
        BinaryOp::Add => left + right,
        BinaryOp::Subtract => left - right,
        BinaryOp::Multiply => left * right,
        BinaryOp::Divide => left / right,
        BinaryOp::FloorDivide => (left / right).floor(),
        BinaryOp::Remainder => left - (left / right).floor() * right,
        BinaryOp::Power => left.powf(right),
        BinaryOp::Equal => return Ok(Constant::Bool(left == right)),
        BinaryOp::NotEqual => return Ok(Constant::Bool(left != right)),
        BinaryOp::Less => return Ok(Constant::Bool(left < right)),
        BinaryOp::LessEqual => return Ok(Constant::Bool(left <= right)),
        BinaryOp::Greater => return Ok(Constant::Bool(left > right)),
        BinaryOp::GreaterEqual => return Ok(Constant::Bool(left >= right)),
        BinaryOp::And | BinaryOp::Or => {
            return Err(ExprError::type_error(range.clone(), format!("`{}` takes true or false", op.sign())));
        }
    };
    finite(value, range)
}

pub(super) fn finite(value: f64, range: &Range<usize>) -> Result<Constant, ExprError> {
    if value.is_finite() {
        return Ok(Constant::Float(value));
    }
    Err(ExprError::new(ExprErrorKind::Arithmetic(None), range.clone(), format!("the result is not finite ({value})")))
}

/// Compares whole numbers where the outcome is the same at all sizes.
fn compare_whole(op: BinaryOp, left: &Dim, right: &Dim, known: &[Obligation], range: &Range<usize>) -> Result<bool, ExprError> {
    let undecided = || {
        let message = format!("whether {left} {} {right} depends on the sizes", op.sign());
        ExprError::new(ExprErrorKind::Undecided, range.clone(), message)
    };
    if let (Some(left), Some(right)) = (left.as_constant(), right.as_constant()) {
        return Ok(match op {
            BinaryOp::Equal => left == right,
            BinaryOp::NotEqual => left != right,
            BinaryOp::Less => left < right,
            BinaryOp::LessEqual => left <= right,
            BinaryOp::Greater => left > right,
            _ => left >= right,
        });
    }
    let at_least = |larger: &Dim, smaller: &Dim, margin: i64| {
        (larger - smaller).ok().and_then(|margin| margin.lower_bound()).is_some_and(|bound| bound >= margin)
    };
    let (smaller, larger, strict) = match op {
        BinaryOp::Equal | BinaryOp::NotEqual => {
            if compare(left, right, known) == Verdict::Equal {
                return Ok(op == BinaryOp::Equal);
            }
            if at_least(left, right, 1) || at_least(right, left, 1) {
                return Ok(op == BinaryOp::NotEqual);
            }
            return Err(undecided());
        }
        BinaryOp::Less => (left, right, true),
        BinaryOp::LessEqual => (left, right, false),
        BinaryOp::Greater => (right, left, true),
        _ => (right, left, false),
    };
    if at_least(larger, smaller, i64::from(strict)) {
        Ok(true)
    } else if at_least(smaller, larger, i64::from(!strict)) {
        Ok(false)
    } else {
        Err(undecided())
    }
}
