//! Problems that normalize rows.

use super::{Draw, Family, Problem};
use crate::primitives::{LayerNorm, LayerNormGradient, Softmax, SoftmaxGradient};
use sward_core::program::{Array, DType, Primitive, RunKey};

pub(super) const FAMILIES: &[Family] = &[
    Family::new("layer_norm", layer_norm),
    Family::new("layer_norm_gradient", layer_norm_gradient),
    Family::new("softmax", softmax),
    Family::new("softmax_gradient", softmax_gradient),
];

/// Some rows of a worked-on length.
fn row_shape(draw: &mut Draw) -> Vec<usize> {
    let rank = draw.below(3);
    let mut shape: Vec<usize> = (0..rank).map(|_| draw.size()).collect();
    shape.push(draw.long_size());
    shape
}

fn norm_operands(draw: &mut Draw) -> (LayerNorm, Vec<Array>) {
    let shape = row_shape(draw);
    let width = shape[shape.len() - 1];
    // Short rows may be nearly constant: a tiny epsilon would make a kink of that.
    let epsilon = draw.choose(if width < 5 { &[1e-2, 0.1] } else { &[1e-5, 1e-3] });
    let op = LayerNorm { epsilon, centered: draw.flag(), weight: draw.flag(), bias: draw.flag() };
    let mut inputs = vec![draw.floats(&shape)];
    if op.weight {
        inputs.push(draw.floats_in(&[width], 0.5, 1.5));
    }
    if op.bias {
        inputs.push(draw.floats(&[width]));
    }
    (op, inputs)
}

fn layer_norm(draw: &mut Draw) -> Problem {
    let (op, inputs) = norm_operands(draw);
    Problem::new(op, inputs)
}

fn layer_norm_gradient(draw: &mut Draw) -> Problem {
    let (norm, inputs) = norm_operands(draw);
    let operands: Vec<&Array> = inputs.iter().collect();
    let forward = norm.reference(&operands, RunKey::default());
    let dy = draw.floats(&forward[0].shape.clone());
    let mut all = vec![dy, inputs[0].clone()];
    if norm.weight {
        all.push(inputs[1].clone());
    }
    all.extend(forward[1..].iter().map(|result| draw.round(result.clone())));
    let op = LayerNormGradient {
        centered: norm.centered,
        weight: norm.weight,
        weight_gradient: norm.weight && draw.flag(),
        bias_gradient: draw.flag(),
    };
    Problem::fixed(op, all)
}

fn softmax(draw: &mut Draw) -> Problem {
    let shape = row_shape(draw);
    let x = draw.floats_in(&shape, -4.0, 4.0);
    let dtype = draw.choose(&[DType::F32, draw.float()]);
    Problem::new(Softmax { log: draw.flag(), dtype }, vec![x])
}

fn softmax_gradient(draw: &mut Draw) -> Problem {
    let shape = row_shape(draw);
    let (dy, x) = (draw.floats(&shape), draw.floats_in(&shape, -4.0, 4.0));
    let log = draw.flag();
    let y = Softmax { log, dtype: draw.float() }.reference(&[&x], RunKey::default()).remove(0);
    Problem::fixed(SoftmaxGradient { log }, vec![dy, draw.round(y)])
}
