//! A layered drawing of an acyclic graph: Sugiyama's steps with longest-path layers, barycenter orders and least-squares places.

use petgraph::algo::toposort;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;

/// Space between neighbours in a layer.
const GAP: f64 = 28.0;
/// Space on both sides of a line that passes a layer.
const LINE_GAP: f64 = 14.0;
/// Space between layers.
const LAYER_GAP: f64 = 40.0;
/// How often orders and places are refined, down and up.
const SWEEPS: usize = 12;

/// A box to be placed.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Extent {
    /// Its width.
    pub width: f64,
    /// Its height.
    pub height: f64,
}

/// A point of the drawing, y downwards.
pub type Point = (f64, f64);

/// Where everything is.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Drawing {
    /// The centre of each box.
    pub centres: Vec<Point>,
    /// For each edge in order: its way from the bottom of one box to the top of another, in vertical and slanted pieces.
    pub routes: Vec<Vec<Point>>,
    /// The width of the whole.
    pub width: f64,
    /// The height of the whole.
    pub height: f64,
}

/// A box or the place where a long edge passes a layer.
struct Slot {
    width: f64,
    passes: bool,
    layer: usize,
    before: Vec<usize>,
    after: Vec<usize>,
    x: f64,
}

/// Draws a graph. `None` where it has a cycle.
pub fn draw(graph: &DiGraph<Extent, ()>) -> Option<Drawing> {
    let order = toposort(graph, None).ok()?;
    let layer = layers(graph, &order);
    let mut slots: Vec<Slot> = graph
        .node_indices()
        .map(|node| Slot {
            width: graph[node].width,
            passes: false,
            layer: layer[node.index()],
            before: Vec::new(),
            after: Vec::new(),
            x: 0.0,
        })
        .collect();
    let chains: Vec<Vec<usize>> = graph
        .edge_references()
        .map(|edge| {
            let (from, to) = (edge.source().index(), edge.target().index());
            let mut chain = vec![from];
            for passed in layer[from] + 1..layer[to] {
                chain.push(slots.len());
                slots.push(Slot { width: 0.0, passes: true, layer: passed, before: Vec::new(), after: Vec::new(), x: 0.0 });
            }
            chain.push(to);
            for pair in chain.windows(2) {
                slots[pair[0]].after.push(pair[1]);
                slots[pair[1]].before.push(pair[0]);
            }
            chain
        })
        .collect();
    let rows = ordered(&slots);
    place(&mut slots, &rows);

    let left = slots.iter().map(|slot| slot.x - slot.width / 2.0).fold(f64::INFINITY, f64::min);
    let left = if left.is_finite() { left } else { 0.0 };
    slots.iter_mut().for_each(|slot| slot.x -= left);
    let heights: Vec<f64> = rows
        .iter()
        .map(|row| {
            row.iter().filter(|slot| !slots[**slot].passes).map(|slot| graph[NodeIndex::new(*slot)].height).fold(0.0, f64::max)
        })
        .collect();
    let mut tops = Vec::with_capacity(heights.len());
    let mut y = 0.0;
    for height in &heights {
        tops.push(y);
        y += height + LAYER_GAP;
    }
    let middle = |slot: &Slot| tops[slot.layer] + heights[slot.layer] / 2.0;
    let centres: Vec<Point> = slots[..graph.node_count()].iter().map(|slot| (slot.x, middle(slot))).collect();
    let half = |slot: usize| graph[NodeIndex::new(slot)].height / 2.0;
    let routes = chains
        .iter()
        .map(|chain| {
            let mut route = Vec::new();
            for (position, index) in chain.iter().enumerate() {
                let slot = &slots[*index];
                match (position, position + 1 == chain.len()) {
                    (0, _) => route.push((slot.x, middle(slot) + half(*index))),
                    (_, true) => route.push((slot.x, middle(slot) - half(*index))),
                    _ => route.extend([(slot.x, tops[slot.layer]), (slot.x, tops[slot.layer] + heights[slot.layer])]),
                }
            }
            route
        })
        .collect();
    let width = slots.iter().map(|slot| slot.x + slot.width / 2.0).fold(0.0, f64::max);
    Some(Drawing { centres, routes, width, height: (y - LAYER_GAP).max(0.0) })
}

/// The longest way from a source; what nothing leads to stands just above its first reader.
fn layers(graph: &DiGraph<Extent, ()>, order: &[NodeIndex]) -> Vec<usize> {
    let mut layer = vec![0usize; graph.node_count()];
    for node in order {
        for reader in graph.neighbors(*node) {
            layer[reader.index()] = layer[reader.index()].max(layer[node.index()] + 1);
        }
    }
    for node in order {
        let is_source = graph.neighbors_directed(*node, petgraph::Direction::Incoming).next().is_none();
        if is_source && let Some(first) = graph.neighbors(*node).map(|reader| layer[reader.index()]).min() {
            layer[node.index()] = first.saturating_sub(1);
        }
    }
    layer
}

/// The slots of each layer from left to right, in the order with the fewest crossings that was met.
fn ordered(slots: &[Slot]) -> Vec<Vec<usize>> {
    let count = slots.iter().map(|slot| slot.layer + 1).max().unwrap_or(0);
    let mut rows: Vec<Vec<usize>> = vec![Vec::new(); count];
    for (index, slot) in slots.iter().enumerate() {
        rows[slot.layer].push(index);
    }
    let mut position = vec![0usize; slots.len()];
    let number = |rows: &[Vec<usize>], position: &mut Vec<usize>| {
        for row in rows {
            row.iter().enumerate().for_each(|(place, slot)| position[*slot] = place);
        }
    };
    number(&rows, &mut position);
    let mut best = (crossings(slots, &rows, &position), rows.clone());
    for sweep in 0..SWEEPS {
        let down = sweep % 2 == 0;
        let sequence: Vec<usize> = if down { (0..count).collect() } else { (0..count).rev().collect() };
        for row in sequence {
            let weight = |slot: usize| {
                let neighbours = if down { &slots[slot].before } else { &slots[slot].after };
                let sum: usize = neighbours.iter().map(|neighbour| position[*neighbour]).sum();
                if neighbours.is_empty() { position[slot] as f64 } else { sum as f64 / neighbours.len() as f64 }
            };
            let mut weighted: Vec<(f64, usize)> = rows[row].iter().map(|slot| (weight(*slot), *slot)).collect();
            weighted.sort_by(|left, right| left.0.total_cmp(&right.0));
            rows[row] = weighted.into_iter().map(|(_, slot)| slot).collect();
            rows[row].iter().enumerate().for_each(|(place, slot)| position[*slot] = place);
        }
        let found = crossings(slots, &rows, &position);
        if found < best.0 {
            best = (found, rows.clone());
        }
    }
    best.1
}

/// How many pairs of lines between neighbouring layers cross.
fn crossings(slots: &[Slot], rows: &[Vec<usize>], position: &[usize]) -> usize {
    let mut total = 0;
    for (row, next) in rows.iter().zip(rows.iter().skip(1)) {
        // A Fenwick tree over the lower layer counts the ends that lie to the right of each new one.
        let mut tree = vec![0usize; next.len() + 1];
        let mut seen = 0;
        for slot in row {
            let mut ends: Vec<usize> = slots[*slot].after.iter().map(|after| position[*after]).collect();
            ends.sort_unstable();
            for end in &ends {
                let (mut place, mut not_right) = (end + 1, 0);
                while place > 0 {
                    not_right += tree[place];
                    place -= place & place.wrapping_neg();
                }
                total += seen - not_right;
            }
            for end in ends {
                seen += 1;
                let mut place = end + 1;
                while place < tree.len() {
                    tree[place] += 1;
                    place += place & place.wrapping_neg();
                }
            }
        }
    }
    total
}

/// Gives every slot its x: near its neighbours, as the order and the space between slots allow.
fn place(slots: &mut [Slot], rows: &[Vec<usize>]) {
    for row in rows {
        let offsets = offsets(slots, row);
        let shift = offsets.last().copied().unwrap_or(0.0) / 2.0;
        row.iter().zip(&offsets).for_each(|(slot, offset)| slots[*slot].x = offset - shift);
    }
    for sweep in 0..2 * SWEEPS {
        // First from one side, down and up in turn; then from both, until lines and boxes have settled.
        let (above, below) = (sweep >= SWEEPS || sweep % 2 == 0, sweep >= SWEEPS || sweep % 2 == 1);
        let sequence: Vec<&Vec<usize>> = if below && !above { rows.iter().rev().collect() } else { rows.iter().collect() };
        for row in sequence {
            let desired: Vec<(f64, f64)> = row
                .iter()
                .map(|index| {
                    let slot = &slots[*index];
                    let neighbours = slot.before.iter().filter(|_| above).chain(slot.after.iter().filter(|_| below));
                    let (mut sum, mut weight) = (0.0, 0.0);
                    for neighbour in neighbours {
                        // Long lines are kept straight before all else.
                        let own = if slot.passes && slots[*neighbour].passes { 16.0 } else { 1.0 };
                        sum += own * slots[*neighbour].x;
                        weight += own;
                    }
                    if weight == 0.0 { (slot.x, 0.25) } else { (sum / weight, weight) }
                })
                .collect();
            let offsets = offsets(slots, row);
            for ((slot, x), offset) in row.iter().zip(isotonic(&desired, &offsets)).zip(&offsets) {
                slots[*slot].x = x + offset;
            }
        }
    }
}

/// The least distance of each slot's centre from the first one's.
fn offsets(slots: &[Slot], row: &[usize]) -> Vec<f64> {
    let mut offsets = Vec::with_capacity(row.len());
    let mut at = 0.0;
    for (place, index) in row.iter().enumerate() {
        if place > 0 {
            let previous = &slots[row[place - 1]];
            let slot = &slots[*index];
            let gap = if slot.passes || previous.passes { LINE_GAP } else { GAP };
            at += previous.width / 2.0 + gap + slot.width / 2.0;
        }
        offsets.push(at);
    }
    offsets
}

/// The rising sequence nearest to the desired places less the offsets, by weighted least squares (pool adjacent violators).
fn isotonic(desired: &[(f64, f64)], offsets: &[f64]) -> Vec<f64> {
    let mut pools: Vec<(f64, f64, usize)> = Vec::new();
    for ((wish, weight), offset) in desired.iter().zip(offsets) {
        let mut pool = (wish - offset, *weight, 1);
        while let Some(last) = pools.last().filter(|last| last.0 > pool.0) {
            let weight = last.1 + pool.1;
            pool = ((last.0 * last.1 + pool.0 * pool.1) / weight, weight, last.2 + pool.2);
            pools.pop();
        }
        pools.push(pool);
    }
    pools.into_iter().flat_map(|(place, _, count)| std::iter::repeat_n(place, count)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn boxes_never_overlap_and_lines_lead_down(count in 1usize..40, pairs in prop::collection::vec((0usize..40, 0usize..40), 0..80)) {
            let mut graph = DiGraph::new();
            for index in 0..count {
                graph.add_node(Extent { width: 40.0 + (index * 37 % 160) as f64, height: 30.0 + (index % 3) as f64 * 15.0 });
            }
            for (one, other) in pairs {
                let (one, other) = (one % count, other % count);
                if one != other {
                    graph.update_edge(NodeIndex::new(one.min(other)), NodeIndex::new(one.max(other)), ());
                }
            }
            let drawing = draw(&graph).expect("edges ascend");
            let rectangle = |index: usize| {
                let (extent, (x, y)) = (graph[NodeIndex::new(index)], drawing.centres[index]);
                (x - extent.width / 2.0, x + extent.width / 2.0, y - extent.height / 2.0, y + extent.height / 2.0)
            };
            for one in 0..count {
                let a = rectangle(one);
                prop_assert!(a.0 >= -1e-6 && a.1 <= drawing.width + 1e-6 && a.2 >= -1e-6 && a.3 <= drawing.height + 1e-6);
                for other in 0..one {
                    let b = rectangle(other);
                    prop_assert!(a.1 <= b.0 + 1e-6 || b.1 <= a.0 + 1e-6 || a.3 <= b.2 + 1e-6 || b.3 <= a.2 + 1e-6);
                }
            }
            for route in &drawing.routes {
                prop_assert!(route.windows(2).all(|two| two[0].1 <= two[1].1));
            }
        }
    }

    #[test]
    fn an_order_without_crossings_is_found() {
        // Two chains whose second layers stand the wrong way round.
        let mut graph = DiGraph::new();
        let nodes: Vec<NodeIndex> = (0..4).map(|_| graph.add_node(Extent { width: 50.0, height: 20.0 })).collect();
        graph.add_edge(nodes[0], nodes[3], ());
        graph.add_edge(nodes[1], nodes[2], ());
        let drawing = draw(&graph).expect("no cycle");
        let x = |index: usize| drawing.centres[index].0;
        assert_eq!(x(0) < x(1), x(3) < x(2));
    }

    #[test]
    fn a_cycle_has_no_drawing() {
        let mut graph = DiGraph::new();
        let (a, b) = (graph.add_node(Extent { width: 1.0, height: 1.0 }), graph.add_node(Extent { width: 1.0, height: 1.0 }));
        graph.add_edge(a, b, ());
        graph.add_edge(b, a, ());
        assert_eq!(draw(&graph), None);
    }
}
