//! The order in which a module's nodes are elaborated (petgraph), and the cycles that leave it without one.

use super::elaborate::Elaborator;
use super::instance::{Instance, ReferenceText, for_each_reference};
use crate::diagnostic::{Diagnostic, codes};
use crate::language::{Module, NodeDeclaration};
use petgraph::graph::{DiGraph, NodeIndex};
use smallvec::SmallVec;
use std::sync::Arc;

impl Elaborator<'_, '_> {
    /// The order in which the nodes are elaborated: after what they read, else as written.
    ///
    /// It is the same wherever the module is placed, and kept with it; not where there are cycles, which are reported at every place.
    pub(super) fn order(&mut self, instance: &Instance<'_>) -> Arc<[usize]> {
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
