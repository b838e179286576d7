//! The graph of scalar expressions: every distinct expression exists once.

use rustc_hash::FxHashMap;

use super::{ScalarKind, ScalarOp};

/// An expression in a [`ScalarGraph`]. Operands have smaller numbers than what is made of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ScalarId(u32);

impl ScalarId {
    /// The position in the graph.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What an expression is made of.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum ScalarNode {
    /// The element of an input tensor.
    Input {
        /// Which input.
        index: u32,
        /// What its elements are.
        kind: ScalarKind,
    },
    /// A number.
    Number(f64),
    /// True or false.
    Bool(bool),
    /// A uniform random number from 0 (included) to 1 (excluded), a new one for each output element.
    Random {
        /// Keeps several of them apart.
        stream: u32,
    },
    /// An operation. Operands beyond its arity repeat the first.
    Apply {
        /// The operation.
        op: ScalarOp,
        /// The operands; see [`ScalarNode::operands`].
        operands: [ScalarId; 3],
    },
}

impl ScalarNode {
    /// The operands, none for a leaf.
    pub fn operands(&self) -> &[ScalarId] {
        match self {
            ScalarNode::Apply { op, operands } => &operands[..op.arity()],
            _ => &[],
        }
    }

    /// What the expression gives.
    pub fn kind(&self) -> ScalarKind {
        match self {
            ScalarNode::Input { kind, .. } => *kind,
            ScalarNode::Number(_) | ScalarNode::Random { .. } => ScalarKind::Number,
            ScalarNode::Bool(_) => ScalarKind::Bool,
            ScalarNode::Apply { op, .. } => op.result_kind(),
        }
    }

    fn key(&self) -> Key {
        match *self {
            ScalarNode::Input { index, kind } => Key::Input(index, kind),
            ScalarNode::Number(value) => Key::Number(value.to_bits()),
            ScalarNode::Bool(value) => Key::Bool(value),
            ScalarNode::Random { stream } => Key::Random(stream),
            ScalarNode::Apply { op, operands } => Key::Apply(op, operands),
        }
    }
}

/// A node with its numbers as bits, so that it has a hash and NaN equals itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Key {
    Input(u32, ScalarKind),
    Number(u64),
    Bool(bool),
    Random(u32),
    Apply(ScalarOp, [ScalarId; 3]),
}

/// Scalar expressions that share their common parts.
///
/// Building an expression simplifies it, by rules that keep its value up to rounding for all inputs, NaN and infinities
/// included (of a zero, the sign may change): `x * 1` becomes `x`, `x * 0` stays.
///
/// ```
/// use sward_core::scalar::{ScalarGraph, ScalarKind};
/// let mut graph = ScalarGraph::new();
/// let x = graph.input(0, ScalarKind::Number);
/// let gate = graph.sigmoid(x);
/// let silu = graph.multiply(x, gate);
/// assert_eq!(graph.evaluate(silu, &[0.0]), 0.0);
/// let slope = graph.derivative(silu, 0)?;
/// assert_eq!(graph.evaluate(slope, &[0.0]), 0.5);
/// # Ok::<(), sward_core::scalar::NoDerivative>(())
/// ```
#[derive(Clone, Default, Debug)]
pub struct ScalarGraph {
    nodes: Vec<ScalarNode>,
    index: FxHashMap<Key, ScalarId>,
}

/// Methods that build one operation each.
macro_rules! builders {
    ($($(#[$doc:meta])* $method:ident($($operand:ident),+) => $op:ident;)*) => {
        impl ScalarGraph {
            $($(#[$doc])*
            pub fn $method(&mut self, $($operand: ScalarId),+) -> ScalarId {
                self.apply(ScalarOp::$op, &[$($operand),+])
            })*
        }
    };
}

builders! {
    /// `a + b`
    add(a, b) => Add;
    /// `a - b`
    subtract(a, b) => Subtract;
    /// `a * b`
    multiply(a, b) => Multiply;
    /// `a / b`
    divide(a, b) => Divide;
    /// `a` to the power of `b`
    power(a, b) => Power;
    /// The smaller one; NaN if either is.
    minimum(a, b) => Minimum;
    /// The larger one; NaN if either is.
    maximum(a, b) => Maximum;
    /// `-a`
    negate(a) => Negate;
    /// The absolute value.
    absolute(a) => Absolute;
    /// -1, 0 or 1.
    sign(a) => Sign;
    /// Rounded down.
    floor(a) => Floor;
    /// Rounded to the nearest, halves to even.
    round(a) => Round;
    /// The exponential.
    exp(a) => Exp;
    /// The natural logarithm.
    ln(a) => Ln;
    /// `ln(1 + a)`
    log1p(a) => Log1p;
    /// `exp(a) - 1`
    expm1(a) => Expm1;
    /// The square root.
    sqrt(a) => Sqrt;
    /// `1 / sqrt(a)`
    rsqrt(a) => Rsqrt;
    /// The logistic function.
    sigmoid(a) => Sigmoid;
    /// The hyperbolic tangent.
    tanh(a) => Tanh;
    /// `ln(1 + exp(a))`
    softplus(a) => Softplus;
    /// The error function.
    erf(a) => Erf;
    /// The logarithm of the gamma function.
    lgamma(a) => Lgamma;
    /// The derivative of `lgamma`.
    digamma(a) => Digamma;
    /// The derivative of `digamma`.
    trigamma(a) => Trigamma;
    /// The sine.
    sin(a) => Sin;
    /// The cosine.
    cos(a) => Cos;
    /// `a == b`
    equal(a, b) => Equal;
    /// `a != b`
    not_equal(a, b) => NotEqual;
    /// `a < b`
    less(a, b) => Less;
    /// `a <= b`
    less_equal(a, b) => LessEqual;
    /// `a and b`
    and(a, b) => And;
    /// `a or b`
    or(a, b) => Or;
    /// `not a`
    not(a) => Not;
    /// `then` where the condition holds, `otherwise` elsewhere.
    select(condition, then, otherwise) => Where;
}

impl ScalarGraph {
    /// An empty graph.
    pub fn new() -> ScalarGraph {
        ScalarGraph::default()
    }

    /// What an expression is made of.
    pub fn node(&self, id: ScalarId) -> &ScalarNode {
        &self.nodes[id.index()]
    }

    /// What an expression gives.
    pub fn kind(&self, id: ScalarId) -> ScalarKind {
        self.node(id).kind()
    }

    /// How many distinct expressions there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no expression yet.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The element of an input.
    pub fn input(&mut self, index: u32, kind: ScalarKind) -> ScalarId {
        self.intern(ScalarNode::Input { index, kind })
    }

    /// A number.
    pub fn number(&mut self, value: f64) -> ScalarId {
        self.intern(ScalarNode::Number(value))
    }

    /// True or false.
    pub fn bool(&mut self, value: bool) -> ScalarId {
        self.intern(ScalarNode::Bool(value))
    }

    /// A uniform random number in [0, 1).
    pub fn random(&mut self, stream: u32) -> ScalarId {
        self.intern(ScalarNode::Random { stream })
    }

    /// `a > b`
    pub fn greater(&mut self, a: ScalarId, b: ScalarId) -> ScalarId {
        self.less(b, a)
    }

    /// `a >= b`
    pub fn greater_equal(&mut self, a: ScalarId, b: ScalarId) -> ScalarId {
        self.less_equal(b, a)
    }

    /// `a * a`
    pub fn square(&mut self, a: ScalarId) -> ScalarId {
        self.multiply(a, a)
    }

    /// `value` limited to `low..=high`; the derivative is 0 at the limits and NaN passes, as in PyTorch's `clamp`.
    pub fn clamp(&mut self, value: ScalarId, low: ScalarId, high: ScalarId) -> ScalarId {
        let below = self.less_equal(value, low);
        let raised = self.select(below, low, value);
        let above = self.less_equal(high, raised);
        self.select(above, high, raised)
    }

    /// 0 for negative values; the derivative at 0 is 0 and NaN passes, as in PyTorch's `relu`.
    pub fn relu(&mut self, value: ScalarId) -> ScalarId {
        let zero = self.number(0.0);
        let below = self.less_equal(value, zero);
        self.select(below, zero, value)
    }

    /// An operation, simplified.
    ///
    /// # Panics
    /// When the number or the kinds of the operands are not those of the operation.
    pub fn apply(&mut self, op: ScalarOp, operands: &[ScalarId]) -> ScalarId {
        assert_eq!(operands.len(), op.arity(), "{} takes {} operands", op.name(), op.arity());
        for (position, operand) in operands.iter().enumerate() {
            let (expected, found) = (op.operand_kind(position), self.kind(*operand));
            assert_eq!(expected, found, "operand {position} of {}", op.name());
        }
        if let Some(simpler) = self.simplify(op, operands) {
            return simpler;
        }
        self.intern_apply(op, operands)
    }

    /// An operation as it stands.
    pub(super) fn intern_apply(&mut self, op: ScalarOp, operands: &[ScalarId]) -> ScalarId {
        let mut padded = [operands[0]; 3];
        padded[..operands.len()].copy_from_slice(operands);
        if op.is_commutative() {
            // The order as written stays, but both orders are one expression.
            let swapped = Key::Apply(op, [padded[1], padded[0], padded[1]]);
            if let Some(found) = self.index.get(&swapped) {
                return *found;
            }
        }
        self.intern(ScalarNode::Apply { op, operands: padded })
    }

    fn intern(&mut self, node: ScalarNode) -> ScalarId {
        if let Some(found) = self.index.get(&node.key()) {
            return *found;
        }
        let number = u32::try_from(self.nodes.len()).expect("a scalar expression has fewer than 2^32 parts");
        self.nodes.push(node);
        self.index.insert(node.key(), ScalarId(number));
        ScalarId(number)
    }

    /// The value of a leaf that is a number.
    pub fn as_number(&self, id: ScalarId) -> Option<f64> {
        match self.node(id) {
            ScalarNode::Number(value) => Some(*value),
            _ => None,
        }
    }

    /// All expressions that these depend on, themselves included, operands first.
    pub fn reachable(&self, roots: &[ScalarId]) -> Vec<ScalarId> {
        let mut used = vec![false; self.nodes.len()];
        for root in roots {
            used[root.index()] = true;
        }
        for position in (0..self.nodes.len()).rev() {
            if used[position] {
                self.nodes[position].operands().iter().for_each(|operand| used[operand.index()] = true);
            }
        }
        (0_u32..).zip(used).filter(|(_, used)| *used).map(|(number, _)| ScalarId(number)).collect()
    }

    /// The expression with inputs replaced; those for which the function gives nothing stay.
    ///
    /// # Panics
    /// When a replacement's kind differs from its input's.
    pub fn substitute(&mut self, root: ScalarId, replacement: &dyn Fn(u32) -> Option<ScalarId>) -> ScalarId {
        let order = self.reachable(&[root]);
        let mut replaced: FxHashMap<ScalarId, ScalarId> = FxHashMap::default();
        for id in order {
            let node = *self.node(id);
            let image = match node {
                ScalarNode::Input { index, kind } => match replacement(index) {
                    Some(other) => {
                        assert_eq!(self.kind(other), kind, "what replaces input {index}");
                        other
                    }
                    None => id,
                },
                ScalarNode::Apply { op, .. } => {
                    let operands: Vec<ScalarId> = node.operands().iter().map(|operand| replaced[operand]).collect();
                    self.apply(op, &operands)
                }
                _ => id,
            };
            replaced.insert(id, image);
        }
        replaced[&root]
    }

    /// Copies an expression of another graph, whose input `i` becomes `inputs[i]` and whose random streams move up.
    ///
    /// This is how operations are fused: the producer's expression becomes the consumer's input.
    ///
    /// # Panics
    /// When an input of the expression has no replacement here or one of the other kind.
    pub fn import(&mut self, other: &ScalarGraph, root: ScalarId, inputs: &[ScalarId], first_stream: u32) -> ScalarId {
        let mut copies: FxHashMap<ScalarId, ScalarId> = FxHashMap::default();
        for id in other.reachable(&[root]) {
            let node = *other.node(id);
            let copy = match node {
                ScalarNode::Input { index, kind } => {
                    let input = inputs[index as usize];
                    assert_eq!(self.kind(input), kind, "what replaces input {index}");
                    input
                }
                ScalarNode::Random { stream } => self.random(stream + first_stream),
                ScalarNode::Apply { op, .. } => {
                    let operands: Vec<ScalarId> = node.operands().iter().map(|operand| copies[operand]).collect();
                    self.apply(op, &operands)
                }
                leaf => self.intern(leaf),
            };
            copies.insert(id, copy);
        }
        copies[&root]
    }

    /// As [`ScalarGraph::import`] without moving streams, in the order of a walk from the root.
    pub(super) fn import_in_order(&mut self, other: &ScalarGraph, root: ScalarId, inputs: &[ScalarId]) -> ScalarId {
        let mut copies: FxHashMap<ScalarId, ScalarId> = FxHashMap::default();
        for id in other.schedule(&[root]) {
            let copy = match *other.node(id) {
                ScalarNode::Input { index, kind } => {
                    let input = inputs[index as usize];
                    assert_eq!(self.kind(input), kind, "input {index}");
                    input
                }
                ScalarNode::Apply { op, operands } => {
                    // Already simplified: taken over as it stands.
                    let operands: Vec<ScalarId> = operands[..op.arity()].iter().map(|operand| copies[operand]).collect();
                    self.intern_apply(op, &operands)
                }
                leaf => self.intern(leaf),
            };
            copies.insert(id, copy);
        }
        copies[&root]
    }

    pub(super) fn keys(&self) -> Vec<Key> {
        self.nodes.iter().map(ScalarNode::key).collect()
    }

    /// Roughly how many operations one element costs, shared parts counted once.
    pub fn cost(&self, roots: &[ScalarId]) -> u64 {
        let cost = |id: ScalarId| match self.node(id) {
            ScalarNode::Apply { op, .. } => op.cost(),
            ScalarNode::Random { .. } => 10,
            _ => 0,
        };
        self.reachable(roots).into_iter().map(cost).sum()
    }
}
