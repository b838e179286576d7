//! Placing a module again as it was placed before: the block of a `Repeat` is elaborated once, and its nodes are copied.
//!
//! What an expansion adds to the graph depends on the module, the values of its names, the types that arrive, which of its inputs are one
//! tensor, the obligations that are known and the files that are being placed. Where all of these are the same, the nodes are the same
//! but for their paths, the names of their parameters and the tensors that they read. Only expansions that had nothing to report and
//! made no new demand on sizes are copied; overrides and rewrites are about single paths, so that with them nothing is.

use super::checked::{Node, Parameter, Source};
use super::elaborate::Elaborator;
use super::instance::{Instance, Outcome, Tensor, join};
use super::rules::KnownId;
use super::values::Names;
use crate::op::SymbolicType;
use crate::source::FileId;
use petgraph::graph::NodeIndex;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::ops::Range;
use std::sync::Arc;

/// How many expansions of one file are kept: the newest ones, as repeated blocks stand in a row.
const KEPT: usize = 4;

/// How far the graph has grown.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    nodes: usize,
    parameters: usize,
    params: usize,
    findings: usize,
    known: KnownId,
}

/// What a placed module added to the graph, and under which conditions.
pub(super) struct Expansion {
    stack: SmallVec<[FileId; 4]>,
    names: Names,
    written_in: FxHashMap<Arc<str>, FileId>,
    types: SmallVec<[SymbolicType; 2]>,
    sources: SmallVec<[Source; 2]>,
    trained: bool,
    known: KnownId,
    path: Arc<str>,
    weights: Arc<str>,
    nodes: Range<usize>,
    parameters: Range<usize>,
    params: Range<usize>,
    outcome: Outcome,
}

impl Elaborator<'_, '_> {
    /// How far the graph has grown so far.
    pub(super) fn mark(&self) -> Mark {
        Mark {
            nodes: self.graph.node_count(),
            parameters: self.parameters.len(),
            params: self.params.len(),
            findings: self.session.diagnostics.len() + self.session.diagnostics.omitted(),
            known: self.known_id,
        }
    }

    /// Keeps what the module of `file` added since `start`, if it can be copied.
    pub(super) fn keep_expansion(&mut self, file: FileId, placed: Instance<'_>, start: Mark, outcome: &Outcome) {
        let end = self.mark();
        let is_sound = !outcome.broken && !self.stopped && outcome.outputs.iter().all(|(_, tensor)| tensor.is_some());
        if !is_sound || !self.copies(&placed) || end.findings != start.findings || end.known != start.known {
            return;
        }
        let Some((types, sources)) = arrived(&placed) else { return };
        let types = types.into_iter().cloned().collect();
        let kept = self.expansions.entry(file).or_default();
        if kept.len() >= KEPT {
            kept.remove(0);
        }
        kept.push(Expansion {
            stack: self.stack.iter().map(|(file, _)| *file).collect(),
            names: placed.names,
            written_in: placed.written_in,
            types,
            sources,
            trained: placed.trained,
            known: start.known,
            path: placed.path,
            weights: placed.weights,
            nodes: start.nodes..end.nodes,
            parameters: start.parameters..end.parameters,
            params: start.params..end.params,
            outcome: outcome.clone(),
        });
    }

    /// Adds to the graph what an earlier placing of the same module under the same conditions added. `None` where there was none.
    pub(super) fn replay(&mut self, file: FileId, placed: &Instance<'_>) -> Option<Outcome> {
        if !self.copies(placed) {
            return None;
        }
        let (types, sources) = arrived(placed)?;
        let known = self.known_id;
        let stack = &self.stack;
        let kept = self.expansions.get(&file)?;
        let position = kept.iter().rposition(|own| {
            own.known == known
                && own.trained == placed.trained
                && own.types.iter().eq(types.iter().copied())
                && same_pattern(&own.sources, &sources)
                && own.names == placed.names
                && own.written_in == placed.written_in
                && own.stack.iter().eq(stack.iter().map(|(file, _)| file))
        })?;
        // Taken out while the graph grows.
        let own = self.expansions.get_mut(&file)?.remove(position);
        let outcome = self.copy(&own, placed, &sources);
        self.expansions.get_mut(&file)?.insert(position, own);
        outcome
    }

    /// Whether expansions are copied at all.
    fn copies(&self, placed: &Instance<'_>) -> bool {
        let overrides = self.overrides;
        !placed.shared && overrides.sets.is_empty() && overrides.swaps.is_empty() && overrides.rewrites.is_empty()
    }

    fn copy(&mut self, own: &Expansion, placed: &Instance<'_>, sources: &[Source]) -> Option<Outcome> {
        let names = self.copied_names(own, placed)?;
        let is_inside = |index: &usize| own.parameters.contains(index);
        let nodes = self.graph.node_indices().skip(own.nodes.start).take(own.nodes.len());
        if !nodes.into_iter().all(|node| self.graph[node].parameters.iter().all(|(_, index)| is_inside(index))) {
            return None;
        }
        let below = |path: &str| rebased(path, &own.path, &placed.path);
        let (nodes, parameters) = (self.graph.node_count(), self.parameters.len());
        let moved = |source: Source| match source {
            Source::Node { node, output } if own.nodes.contains(&node.index()) => {
                Source::Node { node: NodeIndex::new(node.index() - own.nodes.start + nodes), output }
            }
            outside => own.sources.iter().position(|known| *known == outside).map_or(outside, |position| sources[position]),
        };
        for (name, index) in names.into_iter().zip(own.parameters.clone()) {
            let Parameter { spec, trained, span, node } = &self.parameters[index];
            let parameter = Parameter { spec: spec.clone(), trained: *trained, span: *span, node: below(node)? };
            self.parameters.insert(name, parameter);
            self.owned.push(true);
        }
        for index in own.params.clone() {
            let mut param = self.params[index].clone();
            param.instance = below(&param.instance)?;
            self.params.push(param);
        }
        for index in own.nodes.clone() {
            let node = &self.graph[NodeIndex::new(index)];
            let node = Node {
                path: below(&node.path)?,
                kind: node.kind.clone(),
                inputs: node.inputs.iter().map(|port| port.iter().map(|source| moved(*source)).collect()).collect(),
                outputs: node.outputs.clone(),
                parameters: node
                    .parameters
                    .iter()
                    .map(|(key, own_index)| (*key, own_index - own.parameters.start + parameters))
                    .collect(),
                span: node.span,
                placed_at: placed.placed_at,
            };
            if self.add_node(placed, node).is_none() {
                return Some(Outcome::broken());
            }
        }
        let outputs = own.outcome.outputs.iter().map(|(name, tensor)| {
            let tensor = tensor.clone().map(|tensor| Tensor { source: moved(tensor.source), ..tensor });
            (name.clone(), tensor)
        });
        Some(Outcome::of(outputs.collect()))
    }

    /// The names that the parameters of a copy have. `None` where one of them is taken, belongs to nobody yet or stands elsewhere.
    fn copied_names(&self, own: &Expansion, placed: &Instance<'_>) -> Option<Vec<String>> {
        let mut names = Vec::with_capacity(own.parameters.len());
        for index in own.parameters.clone() {
            let (name, _) = self.parameters.get_index(index)?;
            let name = String::from(&*rebased(name, &own.weights, &placed.weights)?);
            if self.parameters.contains_key(&name) || !self.owned[index] {
                return None;
            }
            names.push(name);
        }
        Some(names)
    }
}

/// The types and sources of a placed module's inputs, in its order.
#[allow(clippy::type_complexity)]
fn arrived<'p>(placed: &'p Instance<'_>) -> Option<(SmallVec<[&'p SymbolicType; 2]>, SmallVec<[Source; 2]>)> {
    let mut both = (SmallVec::new(), SmallVec::new());
    for input in &placed.module.inputs {
        let tensor = placed.inputs.get(&input.name.value)?.as_ref()?;
        both.0.push(&tensor.tensor_type);
        both.1.push(tensor.source);
    }
    Some(both)
}

/// Whether the same inputs are one tensor on both sides.
fn same_pattern(left: &[Source], right: &[Source]) -> bool {
    let first = |sources: &[Source], index: usize| sources.iter().position(|own| *own == sources[index]);
    (0..left.len()).all(|index| first(left, index) == first(right, index))
}

/// The path that stands below `to` as `path` stands below `from`.
fn rebased(path: &str, from: &str, to: &str) -> Option<Arc<str>> {
    if from.is_empty() {
        return Some(join(to, path));
    }
    let rest = path.strip_prefix(from)?;
    match rest.strip_prefix('.') {
        Some(rest) => Some(join(to, rest)),
        None if rest.is_empty() => Some(Arc::from(to)),
        None => None,
    }
}
