//! Scalar functions as finished values, which ops and programs hold.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::graph::Key;
use super::{LinearProgram, NoDerivative, ScalarGraph, ScalarId, ScalarKind, ScalarNode};
use crate::domain::Domain;

/// A function of scalars: one expression over inputs `$0`, `$1`, and so on. Immutable, and cheap to clone.
///
/// Two functions are equal when they compute the same expression, however they were built.
///
/// ```
/// use sward_core::scalar::{ScalarFunction, ScalarGraph, ScalarKind};
/// let silu = ScalarFunction::build(&[ScalarKind::Number], |graph, inputs| {
///     let gate = graph.sigmoid(inputs[0]);
///     graph.multiply(inputs[0], gate)
/// });
/// assert_eq!(silu.to_string(), "$0 * sigmoid($0)");
/// assert_eq!(silu.derivative(0)?.evaluate(&[0.0]), 0.5);
/// # Ok::<(), sward_core::scalar::NoDerivative>(())
/// ```
#[derive(Clone)]
pub struct ScalarFunction(Arc<Function>);

struct Function {
    graph: ScalarGraph,
    root: ScalarId,
    inputs: Vec<ScalarKind>,
    keys: Vec<Key>,
}

impl ScalarFunction {
    /// The expression `root` of a graph as a function of these inputs.
    ///
    /// # Panics
    /// When the expression reads an input beyond these, or as another kind.
    pub fn new(graph: &ScalarGraph, root: ScalarId, inputs: &[ScalarKind]) -> ScalarFunction {
        // Walking the steps in their order makes the numbering, and with it equality, independent of the building.
        let mut own = ScalarGraph::new();
        let arguments: Vec<ScalarId> = (0_u32..).zip(inputs).map(|(index, kind)| own.input(index, *kind)).collect();
        let root = own.import_in_order(graph, root, &arguments);
        let keys = own.keys();
        ScalarFunction(Arc::new(Function { graph: own, root, inputs: inputs.to_vec(), keys }))
    }

    /// A function from what builds its expression.
    pub fn build(inputs: &[ScalarKind], build: impl FnOnce(&mut ScalarGraph, &[ScalarId]) -> ScalarId) -> ScalarFunction {
        let mut graph = ScalarGraph::new();
        let arguments: Vec<ScalarId> = (0_u32..).zip(inputs).map(|(index, kind)| graph.input(index, *kind)).collect();
        let root = build(&mut graph, &arguments);
        ScalarFunction::new(&graph, root, inputs)
    }

    /// The graph that holds the expression.
    pub fn graph(&self) -> &ScalarGraph {
        &self.0.graph
    }

    /// The expression.
    pub fn root(&self) -> ScalarId {
        self.0.root
    }

    /// The kinds of the inputs.
    pub fn inputs(&self) -> &[ScalarKind] {
        &self.0.inputs
    }

    /// What it gives.
    pub fn kind(&self) -> ScalarKind {
        self.0.graph.kind(self.0.root)
    }

    /// Whether the value depends on an input.
    pub fn uses(&self, input: u32) -> bool {
        let reachable = self.0.graph.reachable(&[self.0.root]);
        reachable.iter().any(|id| matches!(self.0.graph.node(*id), ScalarNode::Input { index, .. } if *index == input))
    }

    /// The value; see [`ScalarGraph::evaluate`].
    ///
    /// # Panics
    /// When inputs are missing, or the function is random.
    pub fn evaluate(&self, inputs: &[f64]) -> f64 {
        self.0.graph.evaluate(self.0.root, inputs)
    }

    /// The derivative by an input, a function of the same inputs; see [`ScalarGraph::derivative`].
    ///
    /// # Errors
    /// When an operation on the way has none.
    pub fn derivative(&self, input: u32) -> Result<ScalarFunction, NoDerivative> {
        let mut graph = self.0.graph.clone();
        let slope = graph.derivative(self.0.root, input)?;
        Ok(ScalarFunction::new(&graph, slope, &self.0.inputs))
    }

    /// The values it can have; see [`ScalarGraph::domain`].
    pub fn domain(&self, inputs: &[Domain]) -> Domain {
        self.0.graph.domain(self.0.root, inputs)
    }

    /// Roughly how many operations one element costs.
    pub fn cost(&self) -> u64 {
        self.0.graph.cost(&[self.0.root])
    }

    /// The steps that compute it.
    pub fn linearize(&self) -> LinearProgram {
        self.0.graph.linearize(&[self.0.root])
    }

    /// The function as text with names for its inputs.
    pub fn display_with(&self, names: &[String]) -> String {
        self.0.graph.display_with(self.0.root, names).to_string()
    }
}

impl PartialEq for ScalarFunction {
    fn eq(&self, other: &ScalarFunction) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || self.0.inputs == other.0.inputs && self.0.root == other.0.root && self.0.keys == other.0.keys
    }
}

impl Eq for ScalarFunction {}

impl Hash for ScalarFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.inputs.hash(state);
        self.0.keys.hash(state);
    }
}

impl fmt::Display for ScalarFunction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.graph.display(self.0.root).fmt(formatter)
    }
}

impl fmt::Debug for ScalarFunction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ScalarFunction({self})")
    }
}
