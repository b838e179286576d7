//! Values in 64-bit floats: the reference for every engine.

use super::{ScalarGraph, ScalarId, ScalarNode};

impl ScalarGraph {
    /// The value of an expression; truth values are 0 and 1.
    ///
    /// # Panics
    /// When the expression has an input beyond those given, or is random; see [`ScalarGraph::evaluate_with`].
    pub fn evaluate(&self, root: ScalarId, inputs: &[f64]) -> f64 {
        self.evaluate_with(root, inputs, &|stream| panic!("random stream {stream} has no source"))
    }

    /// The value of an expression with a source of random numbers by stream.
    ///
    /// # Panics
    /// When the expression has an input beyond those given.
    pub fn evaluate_with(&self, root: ScalarId, inputs: &[f64], random: &dyn Fn(u32) -> f64) -> f64 {
        let mut values = vec![0.0; self.len()];
        for id in self.reachable(&[root]) {
            values[id.index()] = match *self.node(id) {
                ScalarNode::Input { index, .. } => inputs[index as usize],
                ScalarNode::Number(value) => value,
                ScalarNode::Bool(value) => f64::from(u8::from(value)),
                ScalarNode::Random { stream } => random(stream),
                ScalarNode::Apply { op, operands: [a, b, c] } => {
                    op.apply(values[a.index()], values[b.index()], values[c.index()])
                }
            };
        }
        values[root.index()]
    }
}
