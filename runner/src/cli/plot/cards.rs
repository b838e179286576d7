//! What a picture of a graph shows: one card for an input, a node, a group of nodes below one path, an output.

use crate::cli::graph::{grouped, type_text};
use indexmap::{IndexMap, IndexSet};
use petgraph::algo::tarjan_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use sward_core::check::{Checked, NodeKind, Source};
use sward_core::dim::Dim;
use sward_core::op::ParameterKind;

/// What a card stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CardKind {
    /// An input.
    Input,
    /// One node.
    Node,
    /// Several nodes below one path.
    Group,
    /// An output.
    Output,
}

/// A box of the picture.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Card {
    /// What it stands for.
    pub kind: CardKind,
    /// Its name: a path.
    pub name: String,
    /// Ops, counts and shapes, a line each.
    pub lines: Vec<String>,
    /// The path that its neighbours of the same module share; empty at the top.
    pub module: String,
}

/// The cards of a graph with the edges between them. Nodes deeper than `depth` parts of their path form one card; parts that all paths
/// share do not count. Where that would draw a cycle, the groups on it are opened.
pub fn cards(checked: &Checked, depth: usize) -> DiGraph<Card, ()> {
    let graph = checked.graph();
    let parts: Vec<Vec<&str>> = graph.node_weights().map(|node| node.path.split('.').collect()).collect();
    let shared = shared_parts(checked, &parts);
    let mut depths = vec![shared + depth.max(1); parts.len()];
    loop {
        let keys: Vec<String> = graph
            .node_indices()
            .map(|node| match graph[node].kind {
                // An input has a card of its own, whatever nodes are called.
                NodeKind::Input { .. } => format!("input {}", graph[node].path),
                NodeKind::Op { .. } => {
                    let own = &parts[node.index()];
                    own[..depths[node.index()].min(own.len())].join(".")
                }
            })
            .collect();
        let mut members: IndexMap<&str, Vec<NodeIndex>> = IndexMap::new();
        for node in graph.node_indices() {
            members.entry(&keys[node.index()]).or_default().push(node);
        }
        let mut picture: DiGraph<Card, ()> = DiGraph::new();
        for nodes in members.values() {
            picture.add_node(card(checked, nodes, &keys));
        }
        let card_of =
            |node: NodeIndex| NodeIndex::new(members.get_index_of(keys[node.index()].as_str()).expect("every node has a key"));
        for edge in graph.edge_indices() {
            let (from, to) = graph.edge_endpoints(edge).expect("an edge of the graph");
            if card_of(from) != card_of(to) {
                picture.update_edge(card_of(from), card_of(to), ());
            }
        }
        let cycles: Vec<Vec<NodeIndex>> = tarjan_scc(&picture).into_iter().filter(|component| component.len() > 1).collect();
        if cycles.is_empty() {
            for output in checked.outputs() {
                let (kind, lines) = (CardKind::Output, vec![type_text(&output.tensor_type)]);
                let card = picture.add_node(Card { kind, name: output.name.to_string(), lines, module: String::new() });
                if let Source::Node { node, .. } = output.source {
                    picture.update_edge(card_of(node), card, ());
                }
            }
            return picture;
        }
        for card in cycles.into_iter().flatten() {
            for node in &members[card.index()] {
                depths[node.index()] += 1;
            }
        }
    }
}

/// How many first parts the paths of all ops have in common, the last part not counted.
fn shared_parts(checked: &Checked, parts: &[Vec<&str>]) -> usize {
    let graph = checked.graph();
    let mut ops =
        graph.node_indices().filter(|node| matches!(graph[*node].kind, NodeKind::Op { .. })).map(|node| &parts[node.index()]);
    let Some(first) = ops.next() else { return 0 };
    ops.fold(first.len() - 1, |shared, own| {
        let same = first.iter().zip(own).take_while(|(one, other)| one == other).count();
        shared.min(same).min(own.len() - 1)
    })
}

fn card(checked: &Checked, nodes: &[NodeIndex], keys: &[String]) -> Card {
    let graph = checked.graph();
    let first = &graph[nodes[0]];
    let mut parameters = Dim::ZERO;
    for node in nodes {
        for (_, index) in &graph[*node].parameters {
            let parameter = &checked.parameters()[*index];
            if parameter.spec.kind == ParameterKind::Trained && parameter.node == graph[*node].path {
                parameters = parameter.elements().and_then(|own| &parameters + &own).unwrap_or(parameters);
            }
        }
    }
    let count = |what: &str| match parameters == Dim::ZERO {
        true => what.to_string(),
        false => format!("{what}, {} parameters", grouped(&parameters)),
    };
    let (kind, name, head) = match (&first.kind, nodes) {
        (NodeKind::Input { .. }, _) => (CardKind::Input, first.path.to_string(), None),
        (NodeKind::Op { op, .. }, [_]) => (CardKind::Node, first.path.to_string(), Some(count(op.schema().name))),
        _ => (CardKind::Group, keys[nodes[0].index()].clone(), Some(count(&format!("{} nodes", nodes.len())))),
    };
    let mut lines: Vec<String> = head.into_iter().collect();
    lines.extend(types_that_leave(checked, nodes, keys));
    let module = name.rfind('.').map_or(String::new(), |dot| name[..dot].to_string());
    Card { kind, name, lines, module }
}

/// The types of what others read of a card, each once; at most two lines.
fn types_that_leave(checked: &Checked, nodes: &[NodeIndex], keys: &[String]) -> Vec<String> {
    let graph = checked.graph();
    let key = &keys[nodes[0].index()];
    let mut types: IndexSet<String> = IndexSet::new();
    for node in nodes {
        let is_output =
            |output: usize| checked.outputs().iter().any(|own| own.source == Source::Node { node: *node, output: output as u16 });
        let leaves = |output: usize| {
            graph.edges(*node).any(|edge| {
                use petgraph::visit::EdgeRef;
                edge.weight().output as usize == output && keys[edge.target().index()] != *key
            })
        };
        for (output, tensor_type) in graph[*node].outputs.iter().enumerate() {
            if nodes.len() == 1 || is_output(output) || leaves(output) {
                types.insert(type_text(tensor_type));
            }
        }
    }
    let mut lines: Vec<String> = types.iter().take(2).cloned().collect();
    if types.len() > 2 {
        lines[1] += &format!(" and {} more", types.len() - 2);
    }
    lines
}
