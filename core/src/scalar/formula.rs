//! From the expressions of graph files to scalar expressions.

use std::ops::Range;

use super::{ScalarGraph, ScalarId, ScalarKind, ScalarOp};
use crate::dim::DimError;
use crate::expr::{self, BinaryOp, Constant, Expr, ExprError, ExprErrorKind, ExprKind, Scope, UnaryOp};

/// What a name in a formula stands for.
#[derive(Clone, PartialEq, Debug)]
pub enum Operand {
    /// The element of an input tensor.
    Input {
        /// Which input.
        index: u32,
        /// What its elements are.
        kind: ScalarKind,
    },
    /// A parameter.
    Constant(Constant),
    /// An expression of the graph that is being built.
    Expression(ScalarId),
}

/// The names of a formula.
pub trait FormulaScope {
    /// What a name stands for.
    fn lookup(&self, name: &str) -> Option<Operand>;

    /// All names, for suggestions.
    fn names(&self) -> Vec<String>;
}

/// The functions of formulas, with what they take and do.
pub const FORMULA_FUNCTIONS: [(&str, &str); 27] = [
    ("exp", "exp(a): the exponential"),
    ("ln", "ln(a): the natural logarithm"),
    ("log1p", "log1p(a): ln(1 + a), exact near 0"),
    ("expm1", "expm1(a): exp(a) - 1, exact near 0"),
    ("sqrt", "sqrt(a): the square root"),
    ("rsqrt", "rsqrt(a): 1 / sqrt(a)"),
    ("pow", "pow(a, b): a to the power of b"),
    ("abs", "abs(a): the absolute value"),
    ("sign", "sign(a): -1, 0 or 1"),
    ("floor", "floor(a): rounded down"),
    ("round", "round(a): rounded to the nearest, halves to even"),
    ("min", "min(a, b, ...): the smallest"),
    ("max", "max(a, b, ...): the largest"),
    ("clamp", "clamp(a, low, high): a limited to low..high"),
    ("relu", "relu(a): 0 where a is negative"),
    ("sigmoid", "sigmoid(a): 1 / (1 + exp(-a))"),
    ("tanh", "tanh(a): the hyperbolic tangent"),
    ("softplus", "softplus(a): ln(1 + exp(a))"),
    ("erf", "erf(a): the error function"),
    ("lgamma", "lgamma(a): the logarithm of the gamma function"),
    ("digamma", "digamma(a): the derivative of lgamma"),
    ("sin", "sin(a): the sine"),
    ("cos", "cos(a): the cosine"),
    ("where", "where(condition, a, b): a where the condition holds, b elsewhere"),
    ("sum", "sum(list): the sum of a parameter that is a list"),
    ("len", "len(list): the length of a parameter that is a list"),
    ("ceil_div", "ceil_div(a, b): the quotient of whole parameters, rounded up"),
];

/// Reads an expression as elementwise arithmetic.
///
/// Every number is a float: `1 / 2` is a half, `//` rounds the quotient down and `%` has the sign of the divisor, as in
/// Python. Truth values are no numbers: `where` and comparisons connect the two.
///
/// # Errors
/// Names what was wrong and where.
///
/// ```
/// use sward_core::expr::{Constant, parse};
/// use sward_core::scalar::{FormulaScope, Operand, ScalarGraph, ScalarKind, from_expr};
///
/// struct Names;
/// impl FormulaScope for Names {
///     fn lookup(&self, name: &str) -> Option<Operand> {
///         match name {
///             "mean" => Some(Operand::Input { index: 0, kind: ScalarKind::Number }),
///             "power" => Some(Operand::Constant(Constant::Float(1.5))),
///             _ => None,
///         }
///     }
///     fn names(&self) -> Vec<String> {
///         vec!["mean".into(), "power".into()]
///     }
/// }
///
/// let mut graph = ScalarGraph::new();
/// let root = from_expr(&parse("pow(mean, 2 - power) / (2 - power)")?, &mut graph, &Names)?;
/// assert_eq!(graph.display(root).to_string(), "sqrt($0) * 2.0");
/// assert_eq!(graph.evaluate(root, &[4.0]), 4.0);
/// # Ok::<(), sward_core::expr::ExprError>(())
/// ```
pub fn from_expr(expr: &Expr, graph: &mut ScalarGraph, scope: &dyn FormulaScope) -> Result<ScalarId, ExprError> {
    Reader { graph, scope }.read(expr)
}

struct Reader<'a> {
    graph: &'a mut ScalarGraph,
    scope: &'a dyn FormulaScope,
}

/// The parameters of a formula as names of a constant expression, for what has no elementwise meaning: lists.
struct Parameters<'a>(&'a dyn FormulaScope);

impl Scope for Parameters<'_> {
    fn lookup(&self, name: &str) -> Option<Constant> {
        match self.0.lookup(name) {
            Some(Operand::Constant(constant)) => Some(constant),
            _ => None,
        }
    }

    fn names(&self) -> Vec<String> {
        self.0.names().into_iter().filter(|name| self.lookup(name).is_some()).collect()
    }
}

impl Reader<'_> {
    fn read(&mut self, expr: &Expr) -> Result<ScalarId, ExprError> {
        match &expr.kind {
            // Beyond 2^53 a float rounds, as it would in any framework.
            ExprKind::Int(value) => Ok(self.graph.number(*value as f64)),
            ExprKind::Float(value) => Ok(self.graph.number(*value)),
            ExprKind::Bool(value) => Ok(self.graph.bool(*value)),
            ExprKind::Name(name) => self.name(name, &expr.range),
            ExprKind::Text(_) | ExprKind::List(_) | ExprKind::Index { .. } => self.parameter(expr),
            ExprKind::Unary { op: UnaryOp::Negate, operand } => {
                let operand = self.number(operand)?;
                Ok(self.graph.negate(operand))
            }
            ExprKind::Unary { op: UnaryOp::Not, operand } => {
                let operand = self.truth(operand)?;
                Ok(self.graph.not(operand))
            }
            ExprKind::Binary { op, left, right } => self.binary(*op, left, right),
            ExprKind::Call { function, function_range, arguments } => self.call(function, function_range, arguments, expr),
        }
    }

    fn name(&mut self, name: &str, range: &Range<usize>) -> Result<ScalarId, ExprError> {
        match self.scope.lookup(name) {
            Some(Operand::Input { index, kind }) => Ok(self.graph.input(index, kind)),
            Some(Operand::Constant(constant)) => self.constant(&constant, range),
            Some(Operand::Expression(id)) => Ok(id),
            None => {
                let kind = ExprErrorKind::UnknownName { name: name.to_owned(), known: self.scope.names() };
                Err(ExprError::new(kind, range.clone(), format!("the name `{name}` is not known here")))
            }
        }
    }

    fn parameter(&mut self, expr: &Expr) -> Result<ScalarId, ExprError> {
        let value = expr::evaluate(expr, &Parameters(self.scope))?.value;
        self.constant(&value, &expr.range)
    }

    fn constant(&mut self, constant: &Constant, range: &Range<usize>) -> Result<ScalarId, ExprError> {
        if let Some(value) = constant.as_bool() {
            return Ok(self.graph.bool(value));
        }
        if let Some(value) = constant.as_float() {
            return Ok(self.graph.number(value));
        }
        let message = match constant {
            Constant::Int(dim) => format!("the value of `{dim}` is not known before the sizes are"),
            other => format!("a formula computes with numbers, not with {} ({other})", other.kind()),
        };
        Err(ExprError::new(ExprErrorKind::Type, range.clone(), message))
    }

    fn number(&mut self, expr: &Expr) -> Result<ScalarId, ExprError> {
        let id = self.read(expr)?;
        if self.graph.kind(id) == ScalarKind::Number {
            return Ok(id);
        }
        let message = format!("`{expr}` is true or false where a number should stand; `where({expr}, 1, 0)` makes it one");
        Err(ExprError::new(ExprErrorKind::Type, expr.range.clone(), message))
    }

    fn truth(&mut self, expr: &Expr) -> Result<ScalarId, ExprError> {
        let id = self.read(expr)?;
        if self.graph.kind(id) == ScalarKind::Bool {
            return Ok(id);
        }
        let message = format!("`{expr}` is a number where a condition should stand; compare it, as in `{expr} > 0`");
        Err(ExprError::new(ExprErrorKind::Type, expr.range.clone(), message))
    }

    fn binary(&mut self, op: BinaryOp, left: &Expr, right: &Expr) -> Result<ScalarId, ExprError> {
        if matches!(op, BinaryOp::And | BinaryOp::Or) {
            let (left, right) = (self.truth(left)?, self.truth(right)?);
            return Ok(if op == BinaryOp::And { self.graph.and(left, right) } else { self.graph.or(left, right) });
        }
        let divisor = right;
        let (left, right) = (self.number(left)?, self.number(right)?);
        let divides = matches!(op, BinaryOp::Divide | BinaryOp::FloorDivide | BinaryOp::Remainder);
        if divides && self.graph.as_number(right) == Some(0.0) {
            return Err(ExprError::new(
                ExprErrorKind::Arithmetic(Some(DimError::DivisionByZero)),
                divisor.range.clone(),
                "division by zero",
            ));
        }
        let graph = &mut *self.graph;
        Ok(match op {
            BinaryOp::Add => graph.add(left, right),
            BinaryOp::Subtract => graph.subtract(left, right),
            BinaryOp::Multiply => graph.multiply(left, right),
            BinaryOp::Divide => graph.divide(left, right),
            BinaryOp::FloorDivide => {
                let quotient = graph.divide(left, right);
                graph.floor(quotient)
            }
            BinaryOp::Remainder => {
                let quotient = graph.divide(left, right);
                let whole = graph.floor(quotient);
                let multiple = graph.multiply(whole, right);
                graph.subtract(left, multiple)
            }
            BinaryOp::Power => graph.power(left, right),
            BinaryOp::Equal => graph.equal(left, right),
            BinaryOp::NotEqual => graph.not_equal(left, right),
            BinaryOp::Less => graph.less(left, right),
            BinaryOp::LessEqual => graph.less_equal(left, right),
            BinaryOp::Greater => graph.greater(left, right),
            _ => graph.greater_equal(left, right),
        })
    }

    fn call(
        &mut self,
        function: &str,
        function_range: &Range<usize>,
        arguments: &[Expr],
        expr: &Expr,
    ) -> Result<ScalarId, ExprError> {
        let Some((_, usage)) = FORMULA_FUNCTIONS.iter().find(|(name, _)| *name == function) else {
            let known = FORMULA_FUNCTIONS.iter().map(|(name, _)| (*name).to_owned()).collect();
            let kind = ExprErrorKind::UnknownFunction { name: function.to_owned(), known };
            let message = format!("there is no function `{function}` in formulas");
            return Err(ExprError::new(kind, function_range.clone(), message));
        };
        if matches!(function, "sum" | "len" | "ceil_div") {
            return self.parameter(expr);
        }
        let expected = match function {
            "min" | "max" => 2..=usize::MAX,
            "pow" => 2..=2,
            "clamp" | "where" => 3..=3,
            _ => 1..=1,
        };
        if !expected.contains(&arguments.len()) {
            let message = format!("`{function}` does not take {} arguments; {usage}", arguments.len());
            return Err(ExprError::new(ExprErrorKind::Type, expr.range.clone(), message));
        }
        if function == "where" {
            return self.select(arguments);
        }
        let mut operands = Vec::with_capacity(arguments.len());
        for argument in arguments {
            operands.push(self.number(argument)?);
        }
        let (first, rest) = (operands[0], &operands[1..]);
        let graph = &mut *self.graph;
        Ok(match function {
            "min" => rest.iter().fold(first, |joined, operand| graph.minimum(joined, *operand)),
            "max" => rest.iter().fold(first, |joined, operand| graph.maximum(joined, *operand)),
            "pow" => graph.power(first, rest[0]),
            "clamp" => {
                if let (Some(low), Some(high)) = (graph.as_number(rest[0]), graph.as_number(rest[1]))
                    && low > high
                {
                    let message = format!("the limits of `clamp` are in the wrong order: {low:?} is above {high:?}");
                    return Err(ExprError::new(ExprErrorKind::Type, expr.range.clone(), message));
                }
                graph.clamp(first, rest[0], rest[1])
            }
            "relu" => graph.relu(first),
            unary => {
                let op = ScalarOp::ALL.into_iter().find(|op| op.name() == unary && op.arity() == 1);
                graph.apply(op.expect("every other function of formulas is an operation"), &[first])
            }
        })
    }

    fn select(&mut self, arguments: &[Expr]) -> Result<ScalarId, ExprError> {
        let condition = self.truth(&arguments[0])?;
        let then = self.read(&arguments[1])?;
        let otherwise = self.read(&arguments[2])?;
        match (self.graph.kind(then), self.graph.kind(otherwise)) {
            (ScalarKind::Number, ScalarKind::Number) => Ok(self.graph.select(condition, then, otherwise)),
            (ScalarKind::Bool, ScalarKind::Bool) => {
                // (condition and then) or (not condition and otherwise)
                let first = self.graph.and(condition, then);
                let opposite = self.graph.not(condition);
                let second = self.graph.and(opposite, otherwise);
                Ok(self.graph.or(first, second))
            }
            _ => {
                let message = "the two values of `where` are a number and a truth value; they must be of one kind";
                let range = arguments[1].range.start..arguments[2].range.end;
                Err(ExprError::new(ExprErrorKind::Type, range, message))
            }
        }
    }
}
