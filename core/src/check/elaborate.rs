//! Elaboration: from a module as written to the flat graph, with every type known.
//!
//! A module's nodes are put in order (petgraph; a cycle is an error with its path), then each is elaborated once: its fields are
//! evaluated in the instance's names, its op's rule for types runs on the types that arrive, a `Use` binds the placed module's
//! dimensions to the shapes that arrive and goes into it. A node that an error was reported for gives unknown tensors, and what reads
//! them is passed over: every error is reported once, at its origin, and independent ones all.

use super::checked::{Adapter, Edge, Graph, GraphInput, Node, Parameter, ResolvedParam, Source};
use super::instance::{Feed, Instance, Outcome, Tensor, join};
use super::overrides::Overrides;
use super::replay::Expansion;
use super::rules::KnownId;
use super::session::Session;
use super::values;
use crate::diagnostic::{Diagnostic, codes};
use crate::dim::Obligation;
use crate::language::Body;
use crate::op::{ParameterKind, ParameterSpec, SymbolicType};
use crate::source::{FileId, Span};
use indexmap::IndexMap;
use indexmap::map::Entry;
use petgraph::graph::{DiGraph, NodeIndex};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::sync::Arc;

/// How many nodes a graph may have after expansion.
pub const MAX_NODES: usize = 100_000;
/// How deep `Use` may nest.
pub const MAX_USE_DEPTH: usize = 64;

/// How many names are compared with misspelt ones, in all, for suggestions.
const MAX_COMPARISONS: usize = 400_000;

/// The graph while it grows.
pub struct Elaborator<'s, 'c> {
    pub(super) session: &'s mut Session<'c>,
    pub(super) overrides: &'s Overrides,
    pub(super) graph: Graph,
    pub(super) inputs: Vec<GraphInput>,
    pub(super) parameters: IndexMap<String, Parameter>,
    pub(super) params: Vec<ResolvedParam>,
    /// Adapters that rewrites added.
    pub(super) adapters: Vec<Adapter>,
    /// Whether the node that owns the parameter has been met, for parameters that others share.
    pub(super) owned: Vec<bool>,
    pub(super) obligations: Vec<(Obligation, Span)>,
    /// The obligations without their places, for proofs.
    pub(super) known: Vec<Obligation>,
    /// The same list, by number.
    pub(super) known_id: KnownId,
    /// The files whose modules are being placed, the root first, with the places of the `Use` nodes.
    pub(super) stack: Vec<(FileId, Span)>,
    /// Errors inside placed modules that were reported already: a module placed twelve times has its faults once.
    reported: rustc_hash::FxHashSet<(crate::diagnostic::Code, Span, String)>,
    /// Paths that `--set` and `--swap` could have meant, for suggestions: noted only where there are overrides.
    pub(super) settable: Vec<String>,
    /// Paths of `Use` nodes, likewise.
    pub(super) swappable: Vec<String>,
    /// What modules added when they were placed, by file.
    pub(super) expansions: FxHashMap<FileId, Vec<Expansion>>,
    /// How many names may still be compared with a misspelt one.
    pub(super) comparisons_left: usize,
    /// Set when the expansion limit was hit: everything stops.
    pub(super) stopped: bool,
}

impl<'s, 'c> Elaborator<'s, 'c> {
    pub(super) fn new(session: &'s mut Session<'c>, overrides: &'s Overrides) -> Elaborator<'s, 'c> {
        Elaborator {
            session,
            overrides,
            graph: DiGraph::new(),
            inputs: Vec::new(),
            parameters: IndexMap::new(),
            params: Vec::new(),
            adapters: Vec::new(),
            owned: Vec::new(),
            obligations: Vec::new(),
            known: Vec::new(),
            known_id: KnownId::default(),
            stack: Vec::new(),
            reported: Default::default(),
            comparisons_left: MAX_COMPARISONS,
            settable: Vec::new(),
            swappable: Vec::new(),
            expansions: FxHashMap::default(),
            stopped: false,
        }
    }

    pub(super) fn push(&mut self, diagnostic: Diagnostic) {
        self.session.diagnostics.push(diagnostic);
    }

    /// Reports an error of a placed module's inside: with the place of the outermost `Use`, so that one sees how it came there.
    pub(super) fn push_in(&mut self, instance: &Instance<'_>, diagnostic: Diagnostic) {
        if instance.placed_at.is_some()
            && let Some(span) = diagnostic.span()
            && !self.reported.insert((diagnostic.code, span, diagnostic.message.clone()))
        {
            return;
        }
        let diagnostic = match instance.placed_at {
            Some(placed) if diagnostic.span().is_some_and(|span| span.file != placed.file) => {
                diagnostic.label(placed, format!("in the module placed here as `{}`", instance.path))
            }
            _ => diagnostic,
        };
        self.push(diagnostic);
    }

    /// Elaborates all nodes of an instance, then its outputs.
    pub(super) fn run(&mut self, instance: &mut Instance<'_>) -> Outcome {
        let module = instance.module;
        for name in &module.broken_inputs {
            instance.inputs.insert(name.clone(), None);
        }
        if !self.requirements(instance) {
            return Outcome::broken();
        }
        for index in self.order(instance).iter().copied() {
            if self.stopped {
                return Outcome::broken();
            }
            let node = &module.nodes[index];
            let outcome = self.body(instance, &node.body, &node.name.value, &node.name.value, Feed::None);
            instance.results.insert(node.name.value.clone(), outcome);
        }
        let mut outputs = Vec::with_capacity(module.outputs.len());
        for output in &module.outputs {
            if let Some(condition) = &output.condition {
                let mut obligations = Vec::new();
                match values::constant(condition, &instance.names, &mut obligations).map(|value| value.as_bool()) {
                    Ok(Some(true)) => {}
                    Ok(Some(false)) => continue,
                    Ok(None) => {
                        self.push_in(
                            instance,
                            Diagnostic::new(codes::EXPRESSION, "a condition is true or false", condition.span),
                        );
                        continue;
                    }
                    Err(diagnostic) => {
                        self.push_in(instance, diagnostic);
                        continue;
                    }
                }
            }
            let tensor =
                self.reference(instance, &output.source).and_then(|tensors| self.single(instance, &output.source, tensors));
            if let (Some(tensor), Some(stated)) = (&tensor, &output.tensor_type) {
                self.compare_stated(instance, stated, tensor, output.source.span);
            }
            let tensor = tensor.map(|mut tensor| {
                if let Some(stated) = &output.tensor_type {
                    tensor.tensor_type.domain = tighter(tensor.tensor_type.domain, stated.domain);
                }
                tensor
            });
            outputs.push((output.name.value.clone(), tensor));
        }
        Outcome::of(outputs)
    }

    /// Elaborates a node's or step's body.
    ///
    /// `name` is its name within the module (`stem.0`), `weights` the name that its parameters start with.
    pub(super) fn body(&mut self, instance: &mut Instance<'_>, body: &Body, name: &str, weights: &str, feed: Feed) -> Outcome {
        if self.stopped {
            return Outcome::broken();
        }
        match body {
            Body::Op(op) => self.op(instance, op, name, weights, feed),
            Body::Use(placed) => self.place(instance, placed, name, weights, feed),
            Body::Chain(chain) => {
                let mut feed = match &chain.from {
                    Some(_) if matches!(feed, Feed::Iteration(_)) => feed,
                    Some(source) => Feed::First(self.source(instance, source)),
                    None => feed,
                };
                let mut last = Outcome::broken();
                for (step, body) in &chain.steps {
                    let path = join(name, &step.value);
                    last = self.body(instance, body, &path, &join(weights, &step.value), feed);
                    instance.results.insert(path, last.clone());
                    feed = Feed::First(self.only(instance, &last, body.span(), &step.value));
                }
                last
            }
            Body::Repeat(repeat) => self.repeat(instance, repeat, name, weights, feed),
            Body::If(branches) => {
                let mut obligations = Vec::new();
                match values::constant(&branches.condition, &instance.names, &mut obligations) {
                    Ok(value) => match value.as_bool() {
                        Some(true) => self.body(instance, &branches.then, name, weights, feed),
                        Some(false) => self.body(instance, &branches.otherwise, name, weights, feed),
                        None => {
                            let text = format!("a condition is true or false, not {value}");
                            self.push_in(instance, Diagnostic::new(codes::EXPRESSION, text, branches.condition.span));
                            Outcome::broken()
                        }
                    },
                    Err(diagnostic) => {
                        self.push_in(instance, diagnostic);
                        Outcome::broken()
                    }
                }
            }
            Body::As(stated) => {
                let tensor = self.reference(instance, &stated.source);
                let mut tensor = tensor.and_then(|tensors| self.single(instance, &stated.source, tensors));
                if let Some(tensor) = &mut tensor {
                    self.compare_stated(instance, &stated.tensor_type, tensor, stated.source.span);
                    tensor.tensor_type.domain = tighter(tensor.tensor_type.domain, stated.tensor_type.domain);
                }
                Outcome::one("output", tensor)
            }
            Body::Broken { references, .. } => {
                for reference in references {
                    self.reference(instance, reference);
                }
                Outcome::broken()
            }
        }
    }

    /// Adds a node to the graph; `None` once the limit is passed.
    pub(super) fn add_node(&mut self, instance: &Instance<'_>, node: Node) -> Option<NodeIndex> {
        if self.graph.node_count() >= MAX_NODES {
            if !self.stopped {
                self.stopped = true;
                let text = format!("the graph has more than {MAX_NODES} nodes after expansion");
                let span = instance.placed_at.unwrap_or(node.span);
                self.push(Diagnostic::new(codes::EXPANSION, text, span).help("look for a Repeat whose count is too large"));
            }
            return None;
        }
        let inputs: SmallVec<[(Source, u16); 4]> = node
            .inputs
            .iter()
            .enumerate()
            .flat_map(|(port, sources)| sources.iter().map(move |source| (*source, port as u16)))
            .collect();
        let index = self.graph.add_node(node);
        for (source, port) in inputs {
            if let Source::Node { node, output } = source {
                self.graph.add_edge(node, index, Edge { output, port });
            }
        }
        Some(index)
    }

    /// Declares or shares a parameter; returns its position.
    pub(super) fn parameter(
        &mut self,
        instance: &Instance<'_>,
        name: String,
        spec: ParameterSpec,
        trained: bool,
        is_shared: bool,
        node: &Arc<str>,
        span: Span,
    ) -> Option<usize> {
        let trained = trained && spec.kind == ParameterKind::Trained;
        let owns = !is_shared;
        let entry = match self.parameters.entry(name) {
            Entry::Vacant(entry) => {
                let index = entry.index();
                entry.insert(Parameter { spec, trained, span, node: node.clone() });
                self.owned.push(owns);
                return Some(index);
            }
            Entry::Occupied(entry) => entry,
        };
        let (index, name) = (entry.index(), entry.key().clone());
        let existing = entry.into_mut();
        {
            if owns && self.owned[index] {
                let diagnostic = Diagnostic::new(codes::NAME_TAKEN, format!("two parameters are called `{name}`"), span)
                    .label(existing.span, "the first one")
                    .help("give one of the nodes another name, or say shares: \"other\" to use one set of parameters twice");
                self.push_in(instance, diagnostic);
                return None;
            }
            if existing.spec.shape != spec.shape || existing.spec.dtype != spec.dtype {
                let (ours, theirs) = (crate::op::display_shape(&spec.shape), crate::op::display_shape(&existing.spec.shape));
                let diagnostic = Diagnostic::new(
                    codes::SHARES,
                    format!("the shared parameter `{name}` is {theirs} there and {ours} here"),
                    span,
                )
                .label(existing.span, "shared with this node");
                self.push_in(instance, diagnostic);
                return None;
            }
            if owns {
                self.owned[index] = true;
                existing.trained = trained;
                existing.span = span;
                existing.node = node.clone();
            }
            Some(index)
        }
    }

    /// Parameters that were shared with a node that does not make them.
    pub(super) fn report_unowned(&mut self) {
        let unowned: Vec<(String, Span)> = self
            .parameters
            .iter()
            .zip(&self.owned)
            .filter(|(_, owned)| !**owned)
            .map(|((name, parameter), _)| (name.clone(), parameter.span))
            .collect();
        for (name, span) in unowned {
            self.push(
                Diagnostic::new(codes::SHARES, format!("no node makes the parameter `{name}` that is shared here"), span)
                    .help("`shares` names a node of the same file that places the same op or module"),
            );
        }
    }

    pub(super) fn oblige(&mut self, obligations: impl IntoIterator<Item = (Obligation, Span)>) {
        for (obligation, span) in obligations {
            if !self.known.contains(&obligation) {
                self.known_id = self.session.rules.extend(self.known_id, &obligation);
                self.known.push(obligation.clone());
                self.obligations.push((obligation, span));
            }
        }
    }
}

/// A number written where a tensor may stand.
pub(super) fn number_tensor(number: f64, span: Span) -> Tensor {
    let tensor_type = SymbolicType::new(crate::program::DType::F32, []).with_domain(crate::domain::Domain::point(number));
    Tensor { source: Source::Number(number), tensor_type, span }
}

/// The better known of an inferred and a stated domain.
fn tighter(inferred: crate::domain::Domain, stated: crate::domain::Domain) -> crate::domain::Domain {
    if stated.contains(&inferred) { inferred } else { stated }
}
