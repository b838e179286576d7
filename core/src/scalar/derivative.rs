//! Symbolic derivatives.
//!
//! They go forward, from an input to the expression, and not backward: the derivative of `where(c, a, b)` is then
//! `where(c, a', b')`, in which the branch that is not taken cannot spoil the other by `0 * infinity`.

use std::f64::consts::FRAC_2_SQRT_PI;

use rustc_hash::FxHashMap;

use super::{ScalarGraph, ScalarId, ScalarKind, ScalarNode, ScalarOp};

/// An operation has no derivative here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{}` has no derivative", .op.name())]
pub struct NoDerivative {
    /// The operation.
    pub op: ScalarOp,
}

impl ScalarGraph {
    /// The derivative of an expression by an input; at kinks PyTorch's subgradient.
    ///
    /// `min` and `max` give half to each side where both are equal, `abs` gives 0 at 0; rounding and `sign` give 0.
    ///
    /// # Errors
    /// When the input reaches the expression through `trigamma`.
    ///
    /// # Panics
    /// When the expression is a truth value.
    ///
    /// ```
    /// use sward_core::scalar::{ScalarGraph, ScalarKind};
    /// let mut graph = ScalarGraph::new();
    /// let x = graph.input(0, ScalarKind::Number);
    /// let tanh = graph.tanh(x);
    /// let slope = graph.derivative(tanh, 0)?;
    /// assert_eq!(graph.display(slope).to_string(), "1.0 - tanh($0) * tanh($0)");
    /// # Ok::<(), sward_core::scalar::NoDerivative>(())
    /// ```
    pub fn derivative(&mut self, root: ScalarId, input: u32) -> Result<ScalarId, NoDerivative> {
        assert_eq!(self.kind(root), ScalarKind::Number, "a truth value has no derivative");
        // What is absent has the derivative 0, which must not be multiplied out: 0 times infinity is NaN.
        let mut slopes: FxHashMap<ScalarId, ScalarId> = FxHashMap::default();
        for id in self.reachable(&[root]) {
            let slope = match *self.node(id) {
                ScalarNode::Input { index, kind: ScalarKind::Number } if index == input => Some(self.number(1.0)),
                ScalarNode::Apply { op, operands } => {
                    let slope_of = |position: usize| {
                        let in_use = position < op.arity() && op.operand_kind(position) == ScalarKind::Number;
                        slopes.get(&operands[position]).copied().filter(|_| in_use)
                    };
                    let operand_slopes = [slope_of(0), slope_of(1), slope_of(2)];
                    self.slope(id, op, operands, operand_slopes)?
                }
                _ => None,
            };
            if let Some(slope) = slope {
                slopes.insert(id, slope);
            }
        }
        Ok(slopes.get(&root).copied().unwrap_or_else(|| self.number(0.0)))
    }

    /// The derivative of one operation from those of its operands; nothing for 0.
    fn slope(
        &mut self,
        id: ScalarId,
        op: ScalarOp,
        [a, b, _]: [ScalarId; 3],
        [slope_a, slope_b, slope_c]: [Option<ScalarId>; 3],
    ) -> Result<Option<ScalarId>, NoDerivative> {
        if op.result_kind() == ScalarKind::Bool || [slope_a, slope_b, slope_c] == [None; 3] {
            return Ok(None);
        }
        Ok(match op {
            ScalarOp::Add => self.sum(slope_a, slope_b),
            ScalarOp::Subtract => {
                let negated = slope_b.map(|slope| self.negate(slope));
                self.sum(slope_a, negated)
            }
            ScalarOp::Multiply => {
                let left = slope_a.map(|slope| self.multiply(slope, b));
                let right = slope_b.map(|slope| self.multiply(a, slope));
                self.sum(left, right)
            }
            ScalarOp::Divide => {
                // a' / b - (a / b) / b * b'
                let left = slope_a.map(|slope| self.divide(slope, b));
                let right = slope_b.map(|slope| {
                    let ratio = self.divide(id, b);
                    let product = self.multiply(ratio, slope);
                    self.negate(product)
                });
                self.sum(left, right)
            }
            ScalarOp::Power => {
                let left = slope_a.map(|slope| {
                    let factor = self.power_by_base(a, b);
                    self.multiply(factor, slope)
                });
                let right = slope_b.map(|slope| {
                    let factor = self.power_by_exponent(id, a, b);
                    self.multiply(factor, slope)
                });
                self.sum(left, right)
            }
            ScalarOp::Minimum => {
                let (left, right) = (self.share(a, b, slope_a), self.share(b, a, slope_b));
                self.sum(left, right)
            }
            ScalarOp::Maximum => {
                let (left, right) = (self.share(b, a, slope_a), self.share(a, b, slope_b));
                self.sum(left, right)
            }
            ScalarOp::Where => {
                let zero = self.number(0.0);
                Some(self.select(a, slope_b.unwrap_or(zero), slope_c.unwrap_or(zero)))
            }
            ScalarOp::Sign | ScalarOp::Floor | ScalarOp::Round => None,
            ScalarOp::Trigamma => return Err(NoDerivative { op }),
            unary => {
                let Some(slope) = slope_a else { return Ok(None) };
                let factor = self.unary_slope(id, unary, a);
                Some(self.multiply(factor, slope))
            }
        })
    }

    fn sum(&mut self, left: Option<ScalarId>, right: Option<ScalarId>) -> Option<ScalarId> {
        match (left, right) {
            (Some(left), Some(right)) => Some(self.add(left, right)),
            (one, other) => one.or(other),
        }
    }

    /// `b * a^(b - 1)`, and 0 where `b` is 0.
    fn power_by_base(&mut self, a: ScalarId, b: ScalarId) -> ScalarId {
        let one = self.number(1.0);
        let lower = self.subtract(b, one);
        let power = self.power(a, lower);
        let product = self.multiply(b, power);
        let zero = self.number(0.0);
        let constant = self.equal(b, zero);
        self.select(constant, zero, product)
    }

    /// `a^b * ln(a)`, and 0 where `a` is 0 and `b` is not negative.
    fn power_by_exponent(&mut self, power: ScalarId, a: ScalarId, b: ScalarId) -> ScalarId {
        let logarithm = self.ln(a);
        let product = self.multiply(power, logarithm);
        let zero = self.number(0.0);
        let (base_is_zero, not_negative) = (self.equal(a, zero), self.less_equal(zero, b));
        let flat = self.and(base_is_zero, not_negative);
        self.select(flat, zero, product)
    }

    /// All of a slope where `first < second` or either is NaN, half of it where they are equal, none elsewhere.
    fn share(&mut self, first: ScalarId, second: ScalarId, slope: Option<ScalarId>) -> Option<ScalarId> {
        let slope = slope?;
        let zero = self.number(0.0);
        let half = self.number(0.5);
        let halved = self.multiply(slope, half);
        let tie = self.equal(first, second);
        let kept = self.select(tie, halved, slope);
        let beaten = self.less(second, first);
        Some(self.select(beaten, zero, kept))
    }

    /// The derivative of an operation with one operand by that operand; `id` is its value.
    fn unary_slope(&mut self, id: ScalarId, op: ScalarOp, a: ScalarId) -> ScalarId {
        let one = self.number(1.0);
        match op {
            ScalarOp::Negate => self.number(-1.0),
            ScalarOp::Absolute => self.sign(a),
            ScalarOp::Exp => id,
            ScalarOp::Ln => self.divide(one, a),
            ScalarOp::Log1p => {
                let above = self.add(one, a);
                self.divide(one, above)
            }
            ScalarOp::Expm1 => self.exp(a),
            ScalarOp::Sqrt => {
                let half = self.number(0.5);
                self.divide(half, id)
            }
            ScalarOp::Rsqrt => {
                let factor = self.number(-0.5);
                let ratio = self.divide(id, a);
                self.multiply(ratio, factor)
            }
            ScalarOp::Sigmoid => {
                let rest = self.subtract(one, id);
                self.multiply(id, rest)
            }
            ScalarOp::Tanh => {
                let square = self.square(id);
                self.subtract(one, square)
            }
            ScalarOp::Softplus => self.sigmoid(a),
            ScalarOp::Erf => {
                let square = self.square(a);
                let negated = self.negate(square);
                let bell = self.exp(negated);
                let factor = self.number(FRAC_2_SQRT_PI);
                self.multiply(bell, factor)
            }
            ScalarOp::Lgamma => self.digamma(a),
            ScalarOp::Digamma => self.trigamma(a),
            ScalarOp::Sin => self.cos(a),
            ScalarOp::Cos => {
                let sine = self.sin(a);
                self.negate(sine)
            }
            other => unreachable!("{} is handled by its caller", other.name()),
        }
    }
}
