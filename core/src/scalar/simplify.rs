//! Rules that make an expression smaller without changing its value beyond rounding.
//!
//! Not among them, since NaN and infinities must stay: `x * 0`, `x - x`, `x / x`, `x == x`.

use super::{ScalarGraph, ScalarId, ScalarNode, ScalarOp};

impl ScalarGraph {
    /// A simpler expression of the same value, if a rule applies.
    pub(super) fn simplify(&mut self, op: ScalarOp, operands: &[ScalarId]) -> Option<ScalarId> {
        if let Some(folded) = self.fold(op, operands) {
            return Some(folded);
        }
        let a = operands[0];
        let b = operands.get(1).copied().unwrap_or(a);
        let (number_a, number_b) = (self.as_number(a), self.as_number(b));
        match op {
            ScalarOp::Add => match (number_a, number_b) {
                (Some(0.0), _) => Some(b),
                (_, Some(0.0)) => Some(a),
                _ => match (self.operand_of(ScalarOp::Negate, a), self.operand_of(ScalarOp::Negate, b)) {
                    (_, Some(inner)) => Some(self.subtract(a, inner)),
                    (Some(inner), None) => Some(self.subtract(b, inner)),
                    (None, None) => None,
                },
            },
            ScalarOp::Subtract => match (number_a, number_b) {
                (_, Some(0.0)) => Some(a),
                (Some(0.0), _) => Some(self.negate(b)),
                _ => {
                    let inner = self.operand_of(ScalarOp::Negate, b)?;
                    Some(self.add(a, inner))
                }
            },
            ScalarOp::Multiply => self.simplify_product(a, b),
            ScalarOp::Divide => self.simplify_quotient(a, b),
            ScalarOp::Power => self.simplify_power(a, number_b?),
            ScalarOp::Minimum | ScalarOp::Maximum | ScalarOp::And | ScalarOp::Or if a == b => Some(a),
            ScalarOp::And | ScalarOp::Or => {
                let neutral = op == ScalarOp::And;
                match (self.as_bool(a), self.as_bool(b)) {
                    (Some(value), _) => Some(if value == neutral { b } else { a }),
                    (_, Some(value)) => Some(if value == neutral { a } else { b }),
                    _ => None,
                }
            }
            ScalarOp::Negate => self.operand_of(ScalarOp::Negate, a),
            ScalarOp::Not => self.operand_of(ScalarOp::Not, a),
            ScalarOp::Absolute => match self.operand_of(ScalarOp::Negate, a) {
                Some(inner) => Some(self.absolute(inner)),
                None => self.operand_of(ScalarOp::Absolute, a).map(|_| a),
            },
            ScalarOp::Floor | ScalarOp::Round => {
                let whole = self.operand_of(ScalarOp::Floor, a).or(self.operand_of(ScalarOp::Round, a));
                whole.map(|_| a)
            }
            ScalarOp::Where => self.simplify_where(a, b, operands[2]),
            _ => None,
        }
    }

    /// The value of an operation whose operands are all known.
    fn fold(&mut self, op: ScalarOp, operands: &[ScalarId]) -> Option<ScalarId> {
        let mut values = [0.0; 3];
        for (value, operand) in values.iter_mut().zip(operands) {
            *value = match self.node(*operand) {
                ScalarNode::Number(number) => *number,
                ScalarNode::Bool(truth) => f64::from(u8::from(*truth)),
                _ => return None,
            };
        }
        let result = op.apply(values[0], values[1], values[2]);
        Some(match op.result_kind() {
            super::ScalarKind::Number => self.number(result),
            super::ScalarKind::Bool => self.bool(result != 0.0),
        })
    }

    fn simplify_product(&mut self, a: ScalarId, b: ScalarId) -> Option<ScalarId> {
        for (value, other) in [(self.as_number(a), b), (self.as_number(b), a)] {
            match value {
                Some(1.0) => return Some(other),
                Some(-1.0) => return Some(self.negate(other)),
                Some(factor) => {
                    if let Some(joined) = self.join_factors(factor, other) {
                        return Some(joined);
                    }
                    if let Some(inner) = self.operand_of(ScalarOp::Negate, other) {
                        let negated = self.number(-factor);
                        return Some(self.multiply(inner, negated));
                    }
                }
                None => {}
            }
        }
        if self.as_number(a).is_some() || self.as_number(b).is_some() {
            return None;
        }
        self.move_sign_out(ScalarOp::Multiply, a, b)
    }

    /// `(x * 2) * 3` is `x * 6`, as long as the joint factor is an ordinary number.
    fn join_factors(&mut self, factor: f64, other: ScalarId) -> Option<ScalarId> {
        let ScalarNode::Apply { op: ScalarOp::Multiply, operands } = *self.node(other) else { return None };
        let (inner, own) = match (self.as_number(operands[0]), self.as_number(operands[1])) {
            (Some(own), _) => (operands[1], own),
            (_, Some(own)) => (operands[0], own),
            _ => return None,
        };
        // Within the range of 32-bit floats, so that it holds for engines that compute in them.
        let ordinary = |value: f64| (1e-30..1e30).contains(&value.abs());
        if !ordinary(factor) || !ordinary(own) || !ordinary(factor * own) {
            return None;
        }
        let joint = self.number(factor * own);
        Some(self.multiply(inner, joint))
    }

    fn simplify_quotient(&mut self, a: ScalarId, b: ScalarId) -> Option<ScalarId> {
        if let Some(divisor) = self.as_number(b) {
            if divisor == 1.0 {
                return Some(a);
            }
            // Only the inverse of a power of two is exact.
            let inverse = 1.0 / divisor;
            if divisor.is_normal() && inverse.is_normal() && divisor.abs().log2().fract() == 0.0 && divisor * inverse == 1.0 {
                let inverse = self.number(inverse);
                return Some(self.multiply(a, inverse));
            }
        }
        if self.as_number(a) == Some(1.0)
            && let Some(inner) = self.operand_of(ScalarOp::Sqrt, b)
        {
            return Some(self.rsqrt(inner));
        }
        self.move_sign_out(ScalarOp::Divide, a, b)
    }

    /// `-a * b` is `-(a * b)`, and two signs cancel.
    fn move_sign_out(&mut self, op: ScalarOp, a: ScalarId, b: ScalarId) -> Option<ScalarId> {
        match (self.operand_of(ScalarOp::Negate, a), self.operand_of(ScalarOp::Negate, b)) {
            (Some(left), Some(right)) => Some(self.apply(op, &[left, right])),
            (Some(left), None) => {
                let positive = self.apply(op, &[left, b]);
                Some(self.negate(positive))
            }
            (None, Some(right)) => {
                let positive = self.apply(op, &[a, right]);
                Some(self.negate(positive))
            }
            (None, None) => None,
        }
    }

    /// Powers that products, quotients and roots compute faster, the same ones as in PyTorch.
    fn simplify_power(&mut self, base: ScalarId, exponent: f64) -> Option<ScalarId> {
        if exponent == 0.0 {
            return Some(self.number(1.0));
        }
        if exponent == 1.0 {
            return Some(base);
        }
        if exponent == 2.0 {
            return Some(self.square(base));
        }
        if exponent == 3.0 {
            let square = self.square(base);
            return Some(self.multiply(square, base));
        }
        if exponent == 0.5 {
            return Some(self.sqrt(base));
        }
        if exponent == -0.5 {
            return Some(self.rsqrt(base));
        }
        if exponent == -1.0 || exponent == -2.0 {
            let one = self.number(1.0);
            let divisor = if exponent == -1.0 { base } else { self.square(base) };
            return Some(self.divide(one, divisor));
        }
        None
    }

    fn simplify_where(&mut self, condition: ScalarId, then: ScalarId, otherwise: ScalarId) -> Option<ScalarId> {
        if then == otherwise {
            return Some(then);
        }
        if let Some(known) = self.as_bool(condition) {
            return Some(if known { then } else { otherwise });
        }
        let inner = self.operand_of(ScalarOp::Not, condition)?;
        Some(self.select(inner, otherwise, then))
    }

    fn as_bool(&self, id: ScalarId) -> Option<bool> {
        match self.node(id) {
            ScalarNode::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The operand of an operation with one.
    fn operand_of(&self, op: ScalarOp, id: ScalarId) -> Option<ScalarId> {
        match self.node(id) {
            ScalarNode::Apply { op: own, operands } if *own == op => Some(operands[0]),
            _ => None,
        }
    }
}
