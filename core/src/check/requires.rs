//! What a module requires of its sizes and params: `requires: ["height % 16 == 0"]`.
//!
//! A divisibility becomes an obligation of the graph; every other condition is decided when the graph is read.

use super::elaborate::Elaborator;
use super::instance::Instance;
use super::values;
use crate::diagnostic::{Diagnostic, codes};
use crate::dim::{Dim, DimError};
use crate::expr::{self, BinaryOp, Constant, Expr, ExprKind};
use crate::language::Condition;

impl Elaborator<'_, '_> {
    /// Takes in what the module of an instance requires. `false` where it cannot hold; the reason is reported.
    pub(super) fn requirements(&mut self, instance: &Instance<'_>) -> bool {
        let mut sound = true;
        for condition in &instance.module.requires {
            sound &= self.requirement(instance, condition, &condition.expression);
        }
        sound
    }

    fn requirement(&mut self, instance: &Instance<'_>, condition: &Condition, expression: &Expr) -> bool {
        let span = crate::language::within(condition.span, &condition.text, expression.range.clone());
        if let ExprKind::Binary { op: BinaryOp::And, left, right } = &expression.kind {
            // Both halves are looked at: each may be wrong by itself.
            let left = self.requirement(instance, condition, left);
            return self.requirement(instance, condition, right) && left;
        }
        let broken =
            |found: String| Diagnostic::new(codes::REQUIREMENT, format!("`{expression}` is required, and {found}"), span);
        if let Some((dividend, divisor)) = divisibility(expression) {
            let mut obligations = Vec::new();
            let mut size = |part: &Expr| match values::evaluate(
                part,
                Some(&condition.text),
                condition.span,
                &instance.names,
                &mut obligations,
            ) {
                Ok(Constant::Int(dim)) => Ok(dim),
                Ok(other) => Err(Diagnostic::new(codes::EXPRESSION, format!("a size is a whole number, not {other}"), span)),
                Err(diagnostic) => Err(diagnostic),
            };
            let sizes = size(dividend).and_then(|dividend| Ok((dividend, size(divisor)?)));
            let (dividend, divisor) = match sizes {
                Ok(sizes) => sizes,
                Err(diagnostic) => {
                    self.push_in(instance, diagnostic);
                    return false;
                }
            };
            self.oblige(obligations);
            return match dividend.exact_div(&divisor) {
                Ok((_, obligation)) => {
                    self.oblige(obligation.map(|obligation| (obligation, span)));
                    true
                }
                Err(DimError::NotDivisible { .. }) => {
                    self.push_in(instance, broken(remainder(&dividend, &divisor)));
                    false
                }
                Err(error) => {
                    self.push_in(instance, Diagnostic::new(codes::SIZE_ARITHMETIC, error.to_string(), span));
                    false
                }
            };
        }
        let diagnostic = match expr::evaluate(expression, &instance.names) {
            Ok(evaluated) => match evaluated.value {
                Constant::Bool(true) => {
                    self.oblige(evaluated.obligations.into_iter().map(|obligation| (obligation, span)));
                    return true;
                }
                Constant::Bool(false) => broken(values_of(expression, instance)),
                other => Diagnostic::new(codes::EXPRESSION, format!("a requirement is true or false, not {other}"), span),
            },
            Err(error) => values::expression_error(&error, &condition.text, condition.span).help(
                "what sizes must satisfy is written as a divisibility, \"height % 16 == 0\"; other conditions are about params",
            ),
        };
        self.push_in(instance, diagnostic);
        false
    }
}

/// The two sides of `a % b == 0`.
fn divisibility(expression: &Expr) -> Option<(&Expr, &Expr)> {
    let ExprKind::Binary { op: BinaryOp::Equal, left, right } = &expression.kind else { return None };
    let (remainder, zero) = if matches!(left.kind, ExprKind::Int(0)) { (right, left) } else { (left, right) };
    match (&remainder.kind, &zero.kind) {
        (ExprKind::Binary { op: BinaryOp::Remainder, left, right }, ExprKind::Int(0)) => Some((left, right)),
        _ => None,
    }
}

fn remainder(dividend: &Dim, divisor: &Dim) -> String {
    match (dividend.as_constant(), divisor.as_constant()) {
        (Some(dividend), Some(divisor)) => format!("{dividend} leaves {} on division by {divisor}", dividend.rem_euclid(divisor)),
        _ => format!("no sizes make {dividend} divisible by {divisor}"),
    }
}

/// The values of the names of a condition: `planes is 7, groups is 2`.
fn values_of(expression: &Expr, instance: &Instance<'_>) -> String {
    let mut found: Vec<String> = Vec::new();
    expression.for_each_name(&mut |name, _| {
        if let Some(value) = expr::Scope::lookup(&instance.names, name) {
            let text = format!("{name} is {value}");
            if !found.contains(&text) {
                found.push(text);
            }
        }
    });
    if found.is_empty() { "it is false".to_string() } else { found.join(", ") }
}
