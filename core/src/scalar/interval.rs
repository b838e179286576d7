//! Which values an expression can have, from those of its inputs.
//!
//! The rules are those of exact arithmetic on ordinary input: an input of [`Domain::ANY`] counts as any real number, so
//! that softplus of it is positive. What is then unbounded on both sides stays [`Domain::ANY`].

use rustc_hash::FxHashMap;

use super::{ScalarGraph, ScalarId, ScalarKind, ScalarNode, ScalarOp};
use crate::domain::Domain;

/// How often a condition may narrow what stands inside it: each time the branches are looked at anew.
const LARGEST_NARROWING: usize = 3;

/// What conditions around a branch say about expressions.
type Narrowed = Vec<(ScalarId, Domain)>;

impl ScalarGraph {
    /// The values of an expression; those of truth values are 0 and 1. Inputs without a domain may be anything.
    ///
    /// ```
    /// use sward_core::domain::Domain;
    /// use sward_core::scalar::{ScalarGraph, ScalarKind};
    /// let mut graph = ScalarGraph::new();
    /// let x = graph.input(0, ScalarKind::Number);
    /// let (relu, softplus) = (graph.relu(x), graph.softplus(x));
    /// assert_eq!(graph.domain(relu, &[Domain::ANY]), Domain::NON_NEGATIVE);
    /// assert_eq!(graph.domain(softplus, &[Domain::ANY]), Domain::POSITIVE);
    /// ```
    pub fn domain(&self, root: ScalarId, inputs: &[Domain]) -> Domain {
        self.narrowed_domain(root, inputs, &Narrowed::new())
    }

    fn narrowed_domain(&self, root: ScalarId, inputs: &[Domain], narrowed: &Narrowed) -> Domain {
        let mut domains: FxHashMap<ScalarId, Domain> = FxHashMap::default();
        for id in self.reachable(&[root]) {
            let own = match *self.node(id) {
                ScalarNode::Input { index, kind: ScalarKind::Number } => {
                    inputs.get(index as usize).copied().unwrap_or(Domain::ANY)
                }
                ScalarNode::Number(value) if value.is_nan() => Domain::ANY,
                ScalarNode::Number(value) => Domain::point(value),
                ScalarNode::Random { .. } => Domain { high_open: true, ..Domain::UNIT },
                ScalarNode::Apply { op: ScalarOp::Where, operands: [condition, then, otherwise] } => {
                    if narrowed.len() < LARGEST_NARROWING {
                        self.where_domain(condition, [then, otherwise], inputs, narrowed, &domains)
                    } else {
                        domains[&then].join(&domains[&otherwise])
                    }
                }
                ScalarNode::Apply { op, operands: [a, b, _] } if op.result_kind() == ScalarKind::Number => {
                    operation(op, domains[&a], domains[&b], a == b, self.as_number(b))
                }
                _ => Domain::PROBABILITY,
            };
            // An expression that is bounded on one side counts as finite on the other.
            let own = if own.low.is_infinite() && own.high.is_infinite() { own } else { opened(own) };
            let own = narrowed.iter().filter(|(other, _)| *other == id).fold(own, |own, (_, by)| intersect(own, *by));
            domains.insert(id, own);
        }
        domains[&root]
    }

    fn where_domain(
        &self,
        condition: ScalarId,
        branches: [ScalarId; 2],
        inputs: &[Domain],
        narrowed: &Narrowed,
        domains: &FxHashMap<ScalarId, Domain>,
    ) -> Domain {
        let ScalarNode::Apply { op: op @ (ScalarOp::Less | ScalarOp::LessEqual), operands: [a, b, _] } = *self.node(condition)
        else {
            return domains[&branches[0]].join(&domains[&branches[1]]);
        };
        let strict = op == ScalarOp::Less;
        let (below, above) = (domains[&b], domains[&a]);
        // Where `a < b` holds, `a` stays under the top of `b` and `b` over the bottom of `a`.
        let under = |top: Domain, open: bool| Domain {
            low: f64::NEG_INFINITY,
            low_open: false,
            high: top.high,
            high_open: top.high_open || open,
        };
        let over = |bottom: Domain, open: bool| Domain {
            low: bottom.low,
            low_open: bottom.low_open || open,
            high: f64::INFINITY,
            high_open: false,
        };
        let holds = [(a, under(below, strict)), (b, over(above, strict))];
        let fails = [(a, over(below, !strict)), (b, under(above, !strict))];
        let branch = |branch: ScalarId, facts: [(ScalarId, Domain); 2]| {
            let mut inner = narrowed.clone();
            inner.extend(facts.into_iter().filter(|(id, _)| self.as_number(*id).is_none()));
            self.narrowed_domain(branch, inputs, &inner)
        };
        branch(branches[0], holds).join(&branch(branches[1], fails))
    }
}

/// Both at once; where that is empty, the first.
fn intersect(left: Domain, right: Domain) -> Domain {
    let (low, low_open) = later((left.low, left.low_open), (right.low, right.low_open));
    let (high, high_open) = later((-left.high, left.high_open), (-right.high, right.high_open));
    let both = Domain { low, low_open, high: -high, high_open };
    if both.low > both.high || both.low == both.high && (both.low_open || both.high_open) { left } else { both }
}

/// The larger of two lower ends; of equal ones the open one.
fn later(left: (f64, bool), right: (f64, bool)) -> (f64, bool) {
    if left.0 == right.0 {
        (left.0, left.1 || right.1)
    } else if left.0 > right.0 {
        left
    } else {
        right
    }
}

/// An end of an interval: its place and whether it is left out. Infinite ends are left out.
type End = (f64, bool);

fn ends(domain: Domain) -> (End, End) {
    let open = |value: f64, open: bool| (value, open || value.is_infinite());
    (open(domain.low, domain.low_open), open(domain.high, domain.high_open))
}

/// The interval without infinities.
fn opened(domain: Domain) -> Domain {
    let (low, high) = ends(domain);
    Domain { low_open: low.1, high_open: high.1, ..domain }
}

fn between(low: End, high: End) -> Domain {
    if low.0.is_nan() || high.0.is_nan() {
        return Domain::ANY;
    }
    let open = |end: End| end.1 || end.0.is_infinite();
    Domain { low: low.0, low_open: open(low), high: high.0, high_open: open(high) }
}

/// What is unbounded on both sides and comes from what may be infinite may be infinite.
fn settle(result: Domain, finite: bool) -> Domain {
    if result == Domain::FINITE && !finite { Domain::ANY } else { result }
}

fn operation(op: ScalarOp, a: Domain, b: Domain, same: bool, number_b: Option<f64>) -> Domain {
    let finite = a.is_finite() && (op.arity() == 1 || b.is_finite());
    let (low_a, high_a) = ends(a);
    let (low_b, high_b) = ends(b);
    let rising = |function: fn(f64) -> f64| between((function(low_a.0), low_a.1), (function(high_a.0), high_a.1));
    let falling = |function: fn(f64) -> f64| between((function(high_a.0), high_a.1), (function(low_a.0), low_a.1));
    let positive = low_a.0 > 0.0 || low_a.0 == 0.0 && low_a.1;
    let result = match op {
        ScalarOp::Add => between(plus(low_a, low_b), plus(high_a, high_b)),
        ScalarOp::Subtract => between(plus(low_a, negated(high_b)), plus(high_a, negated(low_b))),
        ScalarOp::Negate => between(negated(high_a), negated(low_a)),
        ScalarOp::Multiply if same => square(a),
        ScalarOp::Multiply => product(a, b),
        ScalarOp::Divide => match reciprocal(b) {
            Some(inverse) => product(a, inverse),
            None => Domain::ANY,
        },
        ScalarOp::Power => power(a, number_b),
        ScalarOp::Minimum => {
            let low = later(negated(low_a), negated(low_b));
            let high = later(negated(high_a), negated(high_b));
            // The minimum reaches a shared low end if either side does, a shared high end only if both do.
            let low_open = if low_a.0 == low_b.0 { low_a.1 && low_b.1 } else { low.1 };
            between((-low.0, low_open), negated(high))
        }
        ScalarOp::Maximum => {
            let (low, high) = (later(low_a, low_b), later(high_a, high_b));
            let high_open = if high_a.0 == high_b.0 { high_a.1 && high_b.1 } else { high.1 };
            between(low, (high.0, high_open))
        }
        ScalarOp::Absolute if low_a.0 >= 0.0 => a,
        ScalarOp::Absolute => {
            let top = if -low_a.0 == high_a.0 {
                (high_a.0, low_a.1 && high_a.1)
            } else if -low_a.0 > high_a.0 {
                negated(low_a)
            } else {
                high_a
            };
            let bottom = if high_a.0 < 0.0 { negated(high_a) } else { (0.0, high_a == (0.0, true)) };
            between(bottom, top)
        }
        ScalarOp::Sign => {
            let low = if positive {
                1.0
            } else if low_a.0 >= 0.0 {
                0.0
            } else {
                -1.0
            };
            let negative = high_a.0 < 0.0 || high_a == (0.0, true);
            let high = if negative {
                -1.0
            } else if high_a.0 <= 0.0 {
                0.0
            } else {
                1.0
            };
            Domain::closed(low, high)
        }
        ScalarOp::Floor => {
            // Just below an open end that is whole, the floor is one less.
            let high = if high_a.1 && high_a.0.fract() == 0.0 { high_a.0 - 1.0 } else { high_a.0.floor() };
            between((low_a.0.floor(), false), (high, false))
        }
        ScalarOp::Round => between((low_a.0.round_ties_even(), false), (high_a.0.round_ties_even(), false)),
        ScalarOp::Exp => rising(f64::exp),
        ScalarOp::Expm1 => rising(f64::exp_m1),
        ScalarOp::Ln if positive => rising(f64::ln),
        ScalarOp::Log1p if low_a.0 > -1.0 || low_a == (-1.0, true) => rising(f64::ln_1p),
        ScalarOp::Sqrt if low_a.0 >= 0.0 => rising(f64::sqrt),
        ScalarOp::Rsqrt if positive => falling(|value| 1.0 / value.sqrt()),
        ScalarOp::Sigmoid => rising(super::special::sigmoid),
        ScalarOp::Tanh => rising(f64::tanh),
        ScalarOp::Softplus => rising(super::special::softplus),
        ScalarOp::Erf => rising(super::special::erf),
        ScalarOp::Lgamma | ScalarOp::Digamma if positive => Domain::FINITE,
        ScalarOp::Trigamma if positive => falling(super::special::trigamma),
        ScalarOp::Sin | ScalarOp::Cos => Domain::closed(-1.0, 1.0),
        _ => Domain::ANY,
    };
    settle(widen(result), finite)
}

/// Moves computed ends out by their rounding, unless they are whole and hence exact in practice.
fn widen(domain: Domain) -> Domain {
    let exact = |value: f64| value.is_infinite() || value.fract() == 0.0 || (value * 1024.0).fract() == 0.0;
    let slack = |value: f64| if exact(value) { 0.0 } else { value.abs() * 4.0 * f64::EPSILON };
    Domain { low: domain.low - slack(domain.low), high: domain.high + slack(domain.high), ..domain }
}

fn negated(end: End) -> End {
    (-end.0, end.1)
}

fn plus(left: End, right: End) -> End {
    (left.0 + right.0, left.1 || right.1)
}

fn square(a: Domain) -> Domain {
    let magnitude = operation(ScalarOp::Absolute, a, a, true, None);
    let (low, high) = ends(magnitude);
    between((low.0 * low.0, low.1), (high.0 * high.0, high.1))
}

fn product(a: Domain, b: Domain) -> Domain {
    let (low_a, high_a) = ends(a);
    let (low_b, high_b) = ends(b);
    let corner = |left: End, right: End| {
        // A zero that is reached makes the product zero whatever the other side is.
        if left == (0.0, false) || right == (0.0, false) {
            return (0.0, false);
        }
        let value = if left.0 == 0.0 || right.0 == 0.0 { 0.0 } else { left.0 * right.0 };
        (value, left.1 || right.1)
    };
    let corners = [corner(low_a, low_b), corner(low_a, high_b), corner(high_a, low_b), corner(high_a, high_b)];
    let mut low = corners[0];
    let mut high = corners[0];
    for end in corners {
        if end.0 < low.0 || end.0 == low.0 && !end.1 {
            low = end;
        }
        if end.0 > high.0 || end.0 == high.0 && !end.1 {
            high = end;
        }
    }
    between(low, high)
}

/// The inverses of a domain without 0.
fn reciprocal(domain: Domain) -> Option<Domain> {
    let (low, high) = ends(domain);
    let positive = low.0 > 0.0 || low == (0.0, true);
    let negative = high.0 < 0.0 || high == (0.0, true);
    if positive {
        // An open end at 0 has the inverse infinity, whatever the sign of its zero.
        let top = if low.0 == 0.0 { f64::INFINITY } else { 1.0 / low.0 };
        return Some(between((1.0 / high.0, high.1), (top, low.1)));
    }
    if negative {
        let bottom = if high.0 == 0.0 { f64::NEG_INFINITY } else { 1.0 / high.0 };
        return Some(between((bottom, high.1), (1.0 / low.0, low.1)));
    }
    None
}

fn power(base: Domain, exponent: Option<f64>) -> Domain {
    let (low, high) = ends(base);
    let positive = low.0 > 0.0 || low == (0.0, true);
    let Some(exponent) = exponent else {
        return if positive { Domain::POSITIVE } else { Domain::ANY };
    };
    if positive || low.0 == 0.0 && exponent > 0.0 {
        let (first, last) = ((low.0.powf(exponent), low.1), (high.0.powf(exponent), high.1));
        return if exponent >= 0.0 { between(first, last) } else { between(last, first) };
    }
    let whole = exponent.fract() == 0.0 && exponent > 0.0;
    if whole && exponent % 2.0 == 0.0 {
        let (low, high) = ends(operation(ScalarOp::Absolute, base, base, true, None));
        return between((low.0.powf(exponent), low.1), (high.0.powf(exponent), high.1));
    }
    if whole {
        return between((low.0.powf(exponent), low.1), (high.0.powf(exponent), high.1));
    }
    Domain::ANY
}
