//! Elaboration: from a module as written to the flat graph, with every type known.
//!
//! A module's nodes are put in order (petgraph; a cycle is an error with its path), then each is elaborated once: its fields are
//! evaluated in the instance's names, its op's rule for types runs on the types that arrive, a `Use` binds the placed module's
//! dimensions to the shapes that arrive and goes into it. A node that an error was reported for gives unknown tensors, and what reads
//! them is passed over: every error is reported once, at its origin, and independent ones all.

use super::checked::{Adapter, Edge, Graph, GraphInput, Node, Parameter, ResolvedParam, Source};
use super::instance::{Feed, Instance, Outcome, ReferenceText, Tensor, for_each_reference, join};
use super::overrides::Overrides;
use super::replay::Expansion;
use super::rules::KnownId;
use super::session::Session;
use super::values;
use crate::diagnostic::{Diagnostic, codes};
use crate::dim::Obligation;
use crate::language::{Body, Module, NodeDeclaration, Reference, SourceExpression};
use crate::op::{ParameterKind, ParameterSpec, SymbolicType};
use crate::source::{FileId, Span};
use crate::suggest::nearest;
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
    comparisons_left: usize,
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
        Outcome { outputs, broken: false }
    }

    /// The order in which the nodes are elaborated: after what they read, else as written.
    ///
    /// It is the same wherever the module is placed, and kept with it; not where there are cycles, which are reported at every place.
    fn order(&mut self, instance: &Instance<'_>) -> Arc<[usize]> {
        let module = instance.module;
        if let Some(known) = module.order.get() {
            return known.clone();
        }
        let mut dependencies: Vec<SmallVec<[usize; 4]>> = vec![SmallVec::new(); module.nodes.len()];
        let mut in_order = true;
        for (index, node) in module.nodes.iter().enumerate() {
            for_each_reference(&node.body, &mut |reference| {
                if let ReferenceText::Written(written) = reference
                    && instance.inputs.contains_key(&written.text)
                {
                    return;
                }
                for dependency in module.candidates(reference) {
                    // Steps of a chain may name earlier steps of their own node.
                    if dependency != index || is_exact(module, node, reference) {
                        in_order &= dependency < index;
                        dependencies[index].push(dependency);
                    }
                }
            });
        }
        if in_order {
            return module.order.get_or_init(|| (0..module.nodes.len()).collect()).clone();
        }
        let mut graph: DiGraph<usize, ()> = DiGraph::with_capacity(module.nodes.len(), module.nodes.len());
        for index in 0..module.nodes.len() {
            graph.add_node(index);
        }
        for (index, sources) in dependencies.iter().enumerate() {
            for source in sources {
                graph.update_edge(NodeIndex::new(*source), NodeIndex::new(index), ());
            }
        }
        let mut order = Vec::with_capacity(module.nodes.len());
        let mut has_cycles = false;
        // Tarjan gives components after those that they lead to: reversed, every component stands after what it reads.
        for component in petgraph::algo::tarjan_scc(&graph).into_iter().rev() {
            let is_cycle = component.len() > 1 || graph.find_edge(component[0], component[0]).is_some();
            if is_cycle {
                self.report_cycle(instance, &graph, &component);
                has_cycles = true;
            } else {
                order.push(component[0].index());
            }
        }
        // Components that do not depend on each other come in no particular order; the file's order makes results stable.
        let order: Arc<[usize]> = stable_topological(&dependencies, &order).into();
        if has_cycles { order } else { module.order.get_or_init(|| order).clone() }
    }

    fn report_cycle(&mut self, instance: &Instance<'_>, graph: &DiGraph<usize, ()>, component: &[NodeIndex]) {
        let module = instance.module;
        let start = *component.iter().min().expect("a component has a node");
        let mut path = vec![start];
        let mut seen = rustc_hash::FxHashSet::default();
        seen.insert(start);
        // Follow readers within the component until a node comes back: every node of a component lies on a cycle.
        loop {
            let here = *path.last().expect("the path has a start");
            let mut next: Vec<NodeIndex> = graph.neighbors(here).filter(|node| component.contains(node)).collect();
            next.sort();
            let Some(next) =
                next.iter().find(|node| **node == start).or(next.iter().find(|node| !seen.contains(node))).or(next.first())
            else {
                break;
            };
            if let Some(position) = path.iter().position(|node| node == next) {
                path.drain(..position);
                break;
            }
            seen.insert(*next);
            path.push(*next);
        }
        let name = |node: &NodeIndex| module.nodes[node.index()].name.value.to_string();
        let mut text: Vec<String> = path.iter().map(name).collect();
        text.push(name(&path[0]));
        let mut diagnostic = Diagnostic::new(
            codes::CYCLE,
            format!("the nodes form a cycle: {}", text.join(" -> ")),
            module.nodes[path[0].index()].name.span,
        )
        .text("this node reads, in the end, its own output");
        for node in path.iter().skip(1).take(8) {
            diagnostic = diagnostic.label(module.nodes[node.index()].name.span, "through this one");
        }
        self.push_in(
            instance,
            diagnostic.help("a graph runs from inputs to outputs; Repeat places the same block several times"),
        );
        // What depends on the cycle is passed over: their inputs are unknown.
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

    /// What an input field names: a tensor, or nothing where an error was reported.
    pub(super) fn source(&mut self, instance: &Instance<'_>, source: &SourceExpression) -> Option<Tensor> {
        match source {
            SourceExpression::Number(number, span) => Some(number_tensor(*number, *span)),
            SourceExpression::Reference(reference) => {
                let tensors = self.reference(instance, reference)?;
                self.single(instance, reference, tensors)
            }
        }
    }

    /// The tensors that a reference means: several where its template gives a list. `None` where an error was reported.
    pub(super) fn reference(&mut self, instance: &Instance<'_>, reference: &Reference) -> Option<Vec<Tensor>> {
        if !reference.is_template {
            return Some(vec![self.named(instance, &reference.text, reference.span)?]);
        }
        match crate::expr::interpolate(&reference.text, &instance.names) {
            Ok(crate::expr::Interpolated::One(text)) => Some(vec![self.named(instance, &text, reference.span)?]),
            Ok(crate::expr::Interpolated::Many(texts)) => {
                texts.iter().map(|text| self.named(instance, text, reference.span)).collect()
            }
            Err(error) => {
                let diagnostic = values::expression_error(&error, &reference.text, reference.span);
                self.push_in(instance, diagnostic);
                None
            }
        }
    }

    fn single(&mut self, instance: &Instance<'_>, reference: &Reference, mut tensors: Vec<Tensor>) -> Option<Tensor> {
        if tensors.len() != 1 {
            let text = format!("`{}` stands for {} tensors where one is expected", reference.text, tensors.len());
            self.push_in(instance, Diagnostic::new(codes::FIELD_FORM, text, reference.span));
            return None;
        }
        tensors.pop()
    }

    /// The tensor of that name: an input, a node's only output, or `node:port`.
    pub(super) fn named(&mut self, instance: &Instance<'_>, text: &str, span: Span) -> Option<Tensor> {
        let (node, port) = match text.split_once(':') {
            Some((node, port)) => (node, Some(port)),
            None => (text, None),
        };
        if let Some(input) = instance.inputs.get(node) {
            if let Some(port) = port {
                let text = format!("`{node}` is an input: it has no port `{port}`");
                self.push_in(instance, Diagnostic::new(codes::UNKNOWN_PORT, text, span).help(format!("write \"{node}\"")));
                return None;
            }
            return input.clone();
        }
        let Some(outcome) = instance.results.get(node) else {
            self.unknown_node(instance, node, span);
            return None;
        };
        if outcome.broken {
            return None;
        }
        match port {
            Some(port) => match outcome.outputs.iter().find(|(own, _)| &**own == port) {
                Some((_, tensor)) => tensor.clone(),
                None => {
                    let known: Vec<&str> = outcome.outputs.iter().map(|(own, _)| &**own).collect();
                    let mut diagnostic = Diagnostic::new(codes::UNKNOWN_PORT, format!("`{node}` has no output `{port}`"), span);
                    diagnostic = match (nearest(port, known.iter().copied()), known.as_slice()) {
                        (_, [_]) => diagnostic.help(format!("it has one output: write \"{node}\"")),
                        (Some(near), _) => diagnostic.suggest(Some(near)),
                        (None, _) => diagnostic.help(format!("its outputs are {}", known.join(", "))),
                    };
                    self.push_in(instance, diagnostic);
                    None
                }
            },
            None => match outcome.outputs.as_slice() {
                [(_, tensor)] => tensor.clone(),
                [] => {
                    self.push_in(instance, Diagnostic::new(codes::UNKNOWN_PORT, format!("`{node}` has no outputs"), span));
                    None
                }
                several => {
                    let names: Vec<String> = several.iter().map(|(own, _)| format!("\"{node}:{own}\"")).collect();
                    let diagnostic = Diagnostic::new(
                        codes::SEVERAL_OUTPUTS,
                        format!("`{node}` has {} outputs: say which", several.len()),
                        span,
                    )
                    .help(format!("write one of {}", names.join(", ")));
                    self.push_in(instance, diagnostic);
                    None
                }
            },
        }
    }

    fn unknown_node(&mut self, instance: &Instance<'_>, node: &str, span: Span) {
        let module = instance.module;
        // A declared node without a result stands on a cycle or reads something unknown: reported there.
        if module.node_index.contains_key(node)
            || module.candidates(ReferenceText::Formula(node)).iter().any(|index| {
                let name = &module.nodes[*index].name.value;
                instance.results.get(name).is_none_or(|outcome| outcome.broken)
            })
        {
            return;
        }
        // To compare with every name of a large file takes time, and a file may have many faults: what is left is for the first ones.
        let names = instance.inputs.len() + instance.results.len();
        if self.session.diagnostics.is_full() || names > self.comparisons_left {
            self.push_in(
                instance,
                Diagnostic::new(codes::UNKNOWN_NODE, format!("there is no node or input called `{node}`"), span),
            );
            return;
        }
        self.comparisons_left -= names;
        let mut known: Vec<&str> = instance.inputs.keys().chain(instance.results.keys()).map(|name| &**name).collect();
        known.sort_unstable();
        let diagnostic = Diagnostic::new(codes::UNKNOWN_NODE, format!("there is no node or input called `{node}`"), span);
        let diagnostic = match nearest(node, known.iter().copied()) {
            Some(near) => diagnostic.suggest(Some(near)),
            None if known.len() <= 12 && !known.is_empty() => diagnostic.help(format!("the names here are {}", known.join(", "))),
            None => diagnostic,
        };
        self.push_in(instance, diagnostic);
    }

    /// The only output of a step, which feeds the next one.
    pub(super) fn only(&mut self, instance: &Instance<'_>, outcome: &Outcome, span: Span, name: &str) -> Option<Tensor> {
        if outcome.broken {
            return None;
        }
        match outcome.outputs.as_slice() {
            [(_, tensor)] => tensor.clone(),
            several => {
                let text = format!("the step `{name}` has {} outputs; a chain goes on with exactly one", several.len());
                self.push_in(
                    instance,
                    Diagnostic::new(codes::SEVERAL_OUTPUTS, text, span)
                        .help("make it a node of its own and name the output that goes on"),
                );
                None
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

fn is_exact(module: &Module, node: &NodeDeclaration, reference: ReferenceText<'_>) -> bool {
    let (prefix, is_template) = reference.node_prefix();
    !is_template && module.node_index.contains_key(prefix) && *prefix == *node.name.value
}

/// The file's order, changed only where a node would stand before what it reads. `kept` are the nodes on no cycle.
fn stable_topological(dependencies: &[SmallVec<[usize; 4]>], kept: &[usize]) -> Vec<usize> {
    let mut is_kept = vec![false; dependencies.len()];
    kept.iter().for_each(|index| is_kept[*index] = true);
    let mut waiting: Vec<usize> = vec![0; dependencies.len()];
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); dependencies.len()];
    for (index, sources) in dependencies.iter().enumerate() {
        for source in sources {
            if is_kept[*source] {
                waiting[index] += 1;
                readers[*source].push(index);
            }
        }
    }
    let mut ready: std::collections::BTreeSet<usize> = kept.iter().copied().filter(|index| waiting[*index] == 0).collect();
    let mut order = Vec::with_capacity(kept.len());
    while let Some(next) = ready.pop_first() {
        order.push(next);
        for reader in &readers[next] {
            waiting[*reader] -= 1;
            if waiting[*reader] == 0 && is_kept[*reader] {
                ready.insert(*reader);
            }
        }
    }
    order
}
