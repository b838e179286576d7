//! The result of checking: a graph that is proved well-formed for all sizes.

use crate::dim::{Dim, DimError, Obligation, Sizes};
use crate::expr::Constant;
use crate::language::{FieldExpression, ParamDeclaration};
use crate::op::{Differentiable, FieldValue, Fields, FormulaName, Op, ParameterSpec, SymbolicType};
use crate::source::{Sources, Span};
use indexmap::IndexMap;
use petgraph::graph::{DiGraph, NodeIndex};
use smallvec::SmallVec;
use std::sync::Arc;

/// The graph of a checked module: nodes stand in an order in which everything comes after what it reads.
pub type Graph = DiGraph<Node, Edge>;

/// A node of a checked graph.
#[derive(Debug)]
pub struct Node {
    /// Its path, unique in the graph: `stages.0.blocks.1.conv_dw`.
    pub path: Arc<str>,
    /// What it computes.
    pub kind: NodeKind,
    /// What arrives: for every port of the op, its sources in order.
    pub inputs: SmallVec<[SmallVec<[Source; 1]>; 2]>,
    /// The types of its outputs.
    pub outputs: SmallVec<[SymbolicType; 1]>,
    /// Its parameters: the last part of the name as the op knows it, and the position in [`Checked::parameters`].
    pub parameters: SmallVec<[(&'static str, usize); 2]>,
    /// Where it was written.
    pub span: Span,
    /// The `Use` nodes of the root file that lead to it: the outermost first.
    pub placed_at: Option<Span>,
}

/// What a node computes. Nearly every node is an op, so the size of that variant is no waste.
#[allow(clippy::large_enum_variant)]
#[derive(Clone)]
pub enum NodeKind {
    /// An input of the module.
    Input {
        /// Its position in [`Checked::inputs`].
        index: usize,
    },
    /// An op.
    Op {
        /// The op.
        op: &'static dyn Op,
        /// Its fields' values.
        fields: Fields,
        /// Floating point operations of the forward pass.
        flops: Dim,
        /// Whether and how gradients pass, for every port.
        gradients: SmallVec<[Differentiable; 2]>,
    },
}

impl std::fmt::Debug for NodeKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NodeKind::Input { index } => write!(f, "Input({index})"),
            NodeKind::Op { op, .. } => f.write_str(op.schema().name),
        }
    }
}

/// Where a tensor comes from.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Source {
    /// An output of a node.
    Node {
        /// The node.
        node: NodeIndex,
        /// The output's position.
        output: u16,
    },
    /// A number written in the file.
    Number(f64),
}

/// A tensor on its way from one node to another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Edge {
    /// The output of the first node.
    pub output: u16,
    /// The port of the second.
    pub port: u16,
}

/// An input of a checked module.
#[derive(Clone, Debug)]
pub struct GraphInput {
    /// Its name.
    pub name: Arc<str>,
    /// Its type.
    pub tensor_type: SymbolicType,
    /// Where it was declared.
    pub span: Span,
    /// Its node.
    pub node: NodeIndex,
}

/// An output of a checked module.
#[derive(Clone, Debug)]
pub struct GraphOutput {
    /// Its name.
    pub name: Arc<str>,
    /// Where it comes from.
    pub source: Source,
    /// Its type.
    pub tensor_type: SymbolicType,
    /// Where it was declared.
    pub span: Span,
}

/// A parameter of a checked module.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Shape, start and kind.
    pub spec: ParameterSpec,
    /// Whether training changes it: trained by its op and not frozen by the graph.
    pub trained: bool,
    /// The place of the node that owns it.
    pub span: Span,
    /// The path of the node that owns it.
    pub node: Arc<str>,
}

impl Parameter {
    /// Number of elements.
    ///
    /// # Errors
    /// On overflow.
    pub fn elements(&self) -> Result<Dim, DimError> {
        Dim::product(self.spec.shape.iter())
    }
}

/// A low-rank adapter that a rewrite added at a `Linear`.
#[derive(Clone, PartialEq, Debug)]
pub struct Adapter {
    /// The path of the Linear.
    pub node: Arc<str>,
    /// The name of its weight `[units, in]`, which is frozen.
    pub weight: String,
    /// The name of the parameter `[rank, in]`.
    pub a: String,
    /// The name of the parameter `[units, rank]`.
    pub b: String,
    /// The width between them.
    pub rank: i64,
    /// The factor `alpha / rank` of what they add.
    pub scale: f64,
}

/// A param of a placed module, with the value it has there.
#[derive(Clone, Debug)]
pub struct ResolvedParam {
    /// The path of the node that places the module; empty for the file itself.
    pub instance: Arc<str>,
    /// Its name in the module.
    pub name: Arc<str>,
    /// Its value; a size of the same name where the file is checked for every value.
    pub value: Constant,
    /// Where the value was written: in an override, in the placing node, or as the default. `None` where it was left open.
    pub span: Option<Span>,
    /// Whether the value is the declaration's default.
    pub is_default: bool,
    /// Where it is declared.
    pub declared: Span,
}

impl ResolvedParam {
    /// The value of a declared param; `given` is what replaced the default.
    pub(super) fn new(
        instance: &Arc<str>,
        declaration: &ParamDeclaration,
        given: Option<&FieldExpression>,
        value: Constant,
    ) -> ResolvedParam {
        ResolvedParam {
            instance: instance.clone(),
            name: declaration.name.value.clone(),
            value,
            span: given.or(declaration.default.as_ref()).map(|expression| expression.span),
            is_default: given.is_none(),
            declared: declaration.span,
        }
    }
}

/// A graph that checks. Only [`crate::check`] makes one: it is the proof that later stages ask for.
#[derive(Debug)]
pub struct Checked {
    pub(super) name: String,
    pub(super) doc: Option<String>,
    pub(super) graph: Graph,
    pub(super) inputs: Vec<GraphInput>,
    pub(super) outputs: Vec<GraphOutput>,
    pub(super) parameters: IndexMap<String, Parameter>,
    pub(super) params: Vec<ResolvedParam>,
    pub(super) obligations: Vec<(Obligation, Span)>,
    pub(super) adapters: Vec<Adapter>,
    /// The texts that it was read from.
    pub(super) sources: Sources,
}

impl Checked {
    /// The file's name, without folder and ending.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The module's doc.
    pub fn doc(&self) -> Option<&str> {
        self.doc.as_deref()
    }

    /// The graph; node indices ascend along all edges.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The inputs in the file's order.
    pub fn inputs(&self) -> &[GraphInput] {
        &self.inputs
    }

    /// The outputs in the file's order.
    pub fn outputs(&self) -> &[GraphOutput] {
        &self.outputs
    }

    /// The parameters by full name, in the order of their nodes.
    pub fn parameters(&self) -> &IndexMap<String, Parameter> {
        &self.parameters
    }

    /// The low-rank adapters that rewrites added, in the order of their nodes; each weight once.
    pub fn adapters(&self) -> &[Adapter] {
        &self.adapters
    }

    /// The params of the file and of every module placed in it, in the order of placing.
    pub fn params(&self) -> &[ResolvedParam] {
        &self.params
    }

    /// What sizes must satisfy, with the places that demand it.
    pub fn obligations(&self) -> &[(Obligation, Span)] {
        &self.obligations
    }

    /// `file:line:column` of a node's span.
    pub fn place(&self, span: Span) -> String {
        self.sources.place(span)
    }

    /// The names of the dimensions that need a size before the graph can be lowered, in order: those of inputs, parameters and nodes, of
    /// what is required of them, and `Int` params without a value.
    pub fn dimensions(&self) -> Vec<String> {
        let mut names = std::collections::BTreeSet::new();
        let mut add = |dim: &Dim| names.extend(dim.names().into_iter().map(|name| name.as_str().to_string()));
        let required = self.obligations.iter().flat_map(|(obligation, _)| [&obligation.dividend, &obligation.divisor]);
        required.chain(self.parameters.values().flat_map(|parameter| &parameter.spec.shape)).for_each(&mut add);
        for node in self.graph.node_weights() {
            node.outputs.iter().flat_map(|output| &output.shape).for_each(&mut add);
            if let NodeKind::Op { fields, .. } = &node.kind {
                fields.values.iter().for_each(|value| for_each_size(value, &mut add));
            }
        }
        names.into_iter().collect()
    }

    /// Number of elements of all trained and frozen parameters, buffers not counted.
    ///
    /// # Errors
    /// On overflow.
    pub fn parameter_count(&self) -> Result<Dim, DimError> {
        let mut total = Dim::ZERO;
        for parameter in self.parameters.values().filter(|parameter| parameter.spec.kind == crate::op::ParameterKind::Trained) {
            total = (&total + &parameter.elements()?)?;
        }
        Ok(total)
    }

    /// Floating point operations of a forward pass.
    ///
    /// # Errors
    /// On overflow.
    pub fn flops(&self) -> Result<Dim, DimError> {
        let mut total = Dim::ZERO;
        for node in self.graph.node_weights() {
            if let NodeKind::Op { flops, .. } = &node.kind {
                total = (&total + flops)?;
            }
        }
        Ok(total)
    }

    /// Peak bytes of the tensors of a forward pass that runs node by node in the graph's order and frees what nobody reads any more;
    /// inputs counted, weights not.
    ///
    /// # Errors
    /// Where a size cannot be evaluated at `sizes`.
    pub fn forward_memory_bytes(&self, sizes: &Sizes) -> Result<u64, DimError> {
        let mut last_use: Vec<usize> = (0..self.graph.node_count()).collect();
        for index in self.graph.node_indices() {
            for source in self.graph[index].inputs.iter().flatten() {
                if let Source::Node { node, .. } = source {
                    last_use[node.index()] = last_use[node.index()].max(index.index());
                }
            }
        }
        for output in &self.outputs {
            if let Source::Node { node, .. } = output.source {
                last_use[node.index()] = usize::MAX;
            }
        }
        let mut bytes = Vec::with_capacity(self.graph.node_count());
        for node in self.graph.node_weights() {
            let mut total = 0u64;
            for output in &node.outputs {
                let mut elements = 1u64;
                for dim in &output.shape {
                    elements = elements.saturating_mul(dim.evaluate(sizes)?.max(0) as u64);
                }
                total = total.saturating_add(elements.saturating_mul(output.dtype.bytes() as u64));
            }
            bytes.push(total);
        }
        let mut ends: Vec<Vec<usize>> = vec![Vec::new(); self.graph.node_count()];
        for (node, end) in last_use.iter().enumerate() {
            if *end != usize::MAX {
                ends[*end].push(node);
            }
        }
        let (mut live, mut peak) = (0u64, 0u64);
        for node in 0..bytes.len() {
            live = live.saturating_add(bytes[node]);
            peak = peak.max(live);
            for ended in &ends[node] {
                live = live.saturating_sub(bytes[*ended]);
            }
        }
        Ok(peak)
    }
}

/// Calls `visit` with every size in a field's value.
fn for_each_size(value: &FieldValue, visit: &mut dyn FnMut(&Dim)) {
    match value {
        FieldValue::Dim(dim) => visit(dim),
        FieldValue::List(items) => items.iter().for_each(|item| for_each_size(item, visit)),
        FieldValue::Formula(formula) => formula.names.iter().for_each(|(_, name)| {
            if let FormulaName::Size(dim) = name {
                visit(dim);
            }
        }),
        _ => {}
    }
}
