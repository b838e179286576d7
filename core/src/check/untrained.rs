//! Trained parameters that no output depends on, or that no gradient reaches.

use super::checked::{GraphOutput, NodeKind, Source};
use super::elaborate::Elaborator;
use crate::diagnostic::{Diagnostic, codes};
use crate::op::Differentiable;
use crate::source::Span;
use indexmap::IndexMap;
use petgraph::Direction;
use petgraph::graph::NodeIndex;
use petgraph::visit::EdgeRef;
use rustc_hash::{FxHashMap, FxHashSet};

/// Trained parameters that no output depends on, or that no gradient reaches.
pub(super) fn report_untrained(elaborator: &mut Elaborator<'_, '_>, outputs: &[GraphOutput]) {
    if elaborator.session.diagnostics.errors() > 0 {
        return;
    }
    let graph = &elaborator.graph;
    let mut reached = vec![false; graph.node_count()];
    let mut trained = vec![false; graph.node_count()];
    let mut blocked: FxHashMap<NodeIndex, (NodeIndex, &'static str, Span)> = FxHashMap::default();
    let start = |flags: &mut Vec<bool>| -> Vec<NodeIndex> {
        outputs
            .iter()
            .filter_map(|output| match output.source {
                Source::Node { node, .. } if !std::mem::replace(&mut flags[node.index()], true) => Some(node),
                _ => None,
            })
            .collect()
    };
    let mut waiting = start(&mut reached);
    while let Some(node) = waiting.pop() {
        for source in graph.neighbors_directed(node, Direction::Incoming) {
            if !std::mem::replace(&mut reached[source.index()], true) {
                waiting.push(source);
            }
        }
    }
    let mut waiting = start(&mut trained);
    while let Some(node) = waiting.pop() {
        let NodeKind::Op { gradients, .. } = &graph[node].kind else { continue };
        for edge in graph.edges_directed(node, Direction::Incoming) {
            match gradients[edge.weight().port as usize] {
                Differentiable::Rule => {
                    if !std::mem::replace(&mut trained[edge.source().index()], true) {
                        waiting.push(edge.source());
                    }
                }
                Differentiable::Zero(reason) | Differentiable::None(reason) => {
                    blocked.entry(edge.source()).or_insert((node, reason, graph[node].span));
                }
            }
        }
    }
    // A module that stands forty times has its fault once, with the number of parameters that it concerns.
    let mut found: IndexMap<(bool, Span), (Diagnostic, usize)> = IndexMap::new();
    for node in graph.node_indices() {
        let owns = graph[node].parameters.iter().find(|(_, index)| elaborator.parameters[*index].trained);
        let Some((_, index)) = owns else { continue };
        let span = graph[node].span;
        let is_reached = reached[node.index()];
        if is_reached && trained[node.index()] {
            continue;
        }
        if let Some((_, count)) = found.get_mut(&(is_reached, span)) {
            *count += 1;
            continue;
        }
        let (name, _) = elaborator.parameters.get_index(*index).expect("an index of the map");
        let mut diagnostic = if is_reached {
            let mut diagnostic =
                Diagnostic::new(codes::NO_GRADIENT, format!("no gradient reaches the trained parameter `{name}`"), span);
            if let Some((reason, place)) = first_block(graph, node, &trained, &blocked) {
                diagnostic = diagnostic.label(place, format!("gradients end here: {reason}"));
            }
            diagnostic.help("say trained: false at the node or the Use that places it, or take another op")
        } else {
            let text = format!("no output depends on the trained parameter `{name}`");
            Diagnostic::new(codes::PARAMETER_UNUSED, text, span)
                .help("connect the node to an output, remove it, or say trained: false")
        };
        if let Some(placed) = graph[node].placed_at.filter(|placed| placed.file != span.file) {
            let path = &graph[node].path;
            diagnostic = diagnostic.label(placed, format!("in the module placed here: the node is `{path}`"));
        }
        found.insert((is_reached, span), (diagnostic, 0));
    }
    for (mut diagnostic, more) in found.into_values() {
        if more > 0 {
            diagnostic.message += &format!(" (and {more} more, where the node stands again)");
        }
        elaborator.push(diagnostic);
    }
}

/// The first op after a node through which no gradient comes back.
fn first_block(
    graph: &super::checked::Graph,
    node: NodeIndex,
    trained: &[bool],
    blocked: &FxHashMap<NodeIndex, (NodeIndex, &'static str, Span)>,
) -> Option<(&'static str, Span)> {
    let mut seen = FxHashSet::default();
    let mut waiting = std::collections::VecDeque::from([node]);
    while let Some(node) = waiting.pop_front() {
        if let Some((_, reason, span)) = blocked.get(&node) {
            return Some((reason, *span));
        }
        for reader in graph.neighbors_directed(node, Direction::Outgoing) {
            if !trained[reader.index()] && seen.insert(reader) {
                waiting.push_back(reader);
            }
        }
    }
    None
}
