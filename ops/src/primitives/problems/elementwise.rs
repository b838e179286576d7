//! Problems of elementwise arithmetic.

use super::reductions::reduction;
use super::{Draw, Family, Problem};
use crate::primitives::{Map, MapReduce, ReduceKind};
use smallvec::SmallVec;
use std::sync::Arc;
use sward_core::program::{Array, DType, Primitive, Shape};
use sward_core::scalar::{ScalarGraph, ScalarId, ScalarKind};

pub(super) const FAMILIES: &[Family] = &[Family::new("map", map), Family::new("map_reduce", map_reduce)];

/// An operand whose elements keep off 0 by 0.1, so that signs, roots and quotients are off their kinks.
fn operand(draw: &mut Draw, shape: &[usize]) -> Array {
    let mut array = draw.floats_in(shape, 0.1, 2.0);
    array.data.iter_mut().for_each(|value| {
        if draw.flag() {
            *value = -*value;
        }
    });
    array
}

/// A random smooth or piecewise smooth expression of two numbers and a truth value.
fn expression(draw: &mut Draw, graph: &mut ScalarGraph, [x, y, holds]: [ScalarId; 3]) -> ScalarId {
    let half = graph.number(0.5);
    let magnitude = graph.absolute(y);
    match draw.below(20) {
        0 => graph.add(x, y),
        1 => graph.multiply(x, y),
        2 => graph.divide(x, y),
        3 => graph.select(holds, x, y),
        4 => {
            // The operands differ where their signs do; where not, a shift keeps them apart.
            let three = graph.number(3.0);
            let shifted = graph.add(y, three);
            graph.maximum(x, shifted)
        }
        5 => graph.power(magnitude, x),
        6 => {
            let gate = graph.sigmoid(x);
            graph.multiply(x, gate)
        }
        7 => {
            // GELU by the error function.
            let root = graph.number(std::f64::consts::FRAC_1_SQRT_2);
            let scaled = graph.multiply(x, root);
            let bell = graph.erf(scaled);
            let one = graph.number(1.0);
            let sum = graph.add(one, bell);
            let product = graph.multiply(x, sum);
            graph.multiply(product, half)
        }
        8 => {
            let tanh = graph.tanh(x);
            graph.subtract(tanh, y)
        }
        9 => graph.softplus(x),
        10 => {
            let logarithm = graph.log1p(magnitude);
            graph.multiply(logarithm, x)
        }
        11 => {
            let root = graph.sqrt(magnitude);
            graph.add(root, x)
        }
        12 => graph.relu(x),
        13 => {
            let (low, high) = (graph.number(-1.05), graph.number(1.05));
            let clamped = graph.clamp(x, low, high);
            graph.multiply(clamped, y)
        }
        14 => {
            let (sine, cosine) = (graph.sin(x), graph.cos(y));
            graph.multiply(sine, cosine)
        }
        15 => {
            let shrunk = graph.multiply(x, half);
            let (growth, decay) = (graph.expm1(shrunk), graph.exp(y));
            graph.add(growth, decay)
        }
        16 => {
            let one = graph.number(1.0);
            let positive = graph.add(magnitude, one);
            let (left, right) = (graph.lgamma(positive), graph.digamma(positive));
            let sum = graph.add(left, right);
            graph.multiply(sum, x)
        }
        17 => graph.rsqrt(magnitude),
        18 => {
            // Dropout of one in four.
            let random = graph.random(5);
            let quarter = graph.number(0.25);
            let kept = graph.less_equal(quarter, random);
            let zero = graph.number(0.0);
            let gain = graph.number(4.0 / 3.0);
            let grown = graph.multiply(x, gain);
            graph.select(kept, grown, zero)
        }
        _ => {
            let sign = graph.sign(x);
            let logarithm = graph.ln(magnitude);
            graph.multiply(sign, logarithm)
        }
    }
}

/// The operands x, y and a truth value of one rank, and their broadcast.
fn operands(draw: &mut Draw) -> (Vec<Array>, Vec<usize>) {
    let rank = draw.between(0, 4);
    let shape = draw.shape(rank);
    let narrow = |draw: &mut Draw| if draw.flag() { shape.clone() } else { draw.narrowed(&shape) };
    let (x, y, holds) = (narrow(draw), narrow(draw), narrow(draw));
    (vec![operand(draw, &x), operand(draw, &y), draw.flags(&holds)], shape)
}

fn inputs(graph: &mut ScalarGraph) -> [ScalarId; 3] {
    [graph.input(0, ScalarKind::Number), graph.input(1, ScalarKind::Number), graph.input(2, ScalarKind::Bool)]
}

/// A map of these operands with sizes stated, as the expressions need not read every operand.
fn mapped(draw: &mut Draw, count: usize) -> (Map, Vec<Array>) {
    let (operands, shape) = operands(draw);
    let mut graph = ScalarGraph::new();
    let inputs = inputs(&mut graph);
    let roots: SmallVec<[ScalarId; 2]> = (0..count).map(|_| expression(draw, &mut graph, inputs)).collect();
    let map = Map {
        scalars: Arc::new(graph),
        roots,
        dtypes: (0..count).map(|_| DType::F32).collect(),
        shape: Some(Shape::from_vec(shape)),
    };
    (map, operands)
}

fn map(draw: &mut Draw) -> Problem {
    match draw.below(8) {
        0 => {
            let (operands, _) = operands(draw);
            comparison(draw, operands)
        }
        1 => cast(draw),
        2 => fill(draw),
        choice => {
            let count = if choice == 3 { 2 } else { 1 };
            let (mut map, operands) = mapped(draw, count);
            if draw.below(3) == 0 {
                let shapes = operands.iter().map(|operand| operand.shape.as_slice());
                // Without stated sizes where the operands alone give them.
                if (Map { shape: None, ..map.clone() }).result_shape(shapes).ok() == map.shape {
                    map.shape = None;
                }
            }
            map.dtypes[0] = draw.choose(&[DType::F32, draw.float()]);
            Problem { differentiable: (0..count).collect(), ..Problem::new(map, operands) }
        }
    }
}

fn comparison(draw: &mut Draw, operands: Vec<Array>) -> Problem {
    let mut graph = ScalarGraph::new();
    let [x, y, holds] = inputs(&mut graph);
    let less = graph.less(x, y);
    let not = graph.not(holds);
    let root = graph.or(less, not);
    Problem::fixed(Map::new(graph, root, draw.choose(&[DType::Bool, DType::I64, DType::F32])), operands)
}

/// A number of any dtype as another.
fn cast(draw: &mut Draw) -> Problem {
    let rank = draw.between(0, 3);
    let shape = draw.shape(rank);
    let dtype = draw.choose(&[DType::F32, draw.float(), DType::I64, DType::Bool]);
    let x = if draw.flag() { operand(draw, &shape) } else { draw.any(&shape) };
    let mut graph = ScalarGraph::new();
    let root = graph.input(0, ScalarKind::Number);
    let map = Map::new(graph, root, dtype);
    if x.dtype.is_float() && dtype.is_float() { Problem::new(map, vec![x]) } else { Problem::fixed(map, vec![x]) }
}

/// No operands: numbers and random ones.
fn fill(draw: &mut Draw) -> Problem {
    let rank = draw.between(0, 3);
    let shape = draw.shape(rank);
    let mut graph = ScalarGraph::new();
    let root = if draw.flag() { graph.random(3) } else { graph.number(-1.5) };
    Problem::fixed(Map { shape: Some(shape.into()), ..Map::new(graph, root, draw.float()) }, Vec::new())
}

fn map_reduce(draw: &mut Draw) -> Problem {
    let (map, operands) = mapped(draw, 1);
    let shape =
        map.infer(&operands.iter().map(Array::tensor_type).collect::<Vec<_>>()).expect("fitting operands")[0].shape.clone();
    let mut reduce = reduction(draw, &shape);
    // Elements of a map may be equal: the extremes are left to `reduce`.
    reduce.kind = draw.choose(&[ReduceKind::Sum, ReduceKind::Mean]);
    if reduce.count(&shape) == 0 {
        // The mean of nothing is NaN, also where the operands themselves are not empty.
        reduce.kind = ReduceKind::Sum;
    }
    Problem::new(MapReduce { map, reduce }, operands)
}
