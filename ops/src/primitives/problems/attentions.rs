//! Attentions beyond the sizes of the random ones: where engines go over to other tiles, splits and kernels.

use sward_core::program::{Array, DType, Primitive, RunKey};

use super::{Draw, Extent, Problem};
use crate::primitives::{Attention, AttentionGradient, AttentionMask};

/// Tokens and widths: (queries, keys, width, value width, causal).
type Sizes = (usize, usize, usize, usize, bool);

/// One query, few, a tile and a bit, several tiles; widths that tensor cores take as they are and others.
const FORWARD: [(Sizes, AttentionMask); 17] = [
    ((1, 300, 64, 64, false), AttentionMask::None),
    ((1, 900, 32, 32, false), AttentionMask::Boolean),
    ((3, 77, 128, 128, true), AttentionMask::Additive),
    ((4, 500, 64, 64, true), AttentionMask::None),
    ((5, 5, 20, 12, true), AttentionMask::Additive),
    ((33, 257, 128, 128, false), AttentionMask::Boolean),
    ((70, 200, 32, 48, false), AttentionMask::None),
    ((70, 130, 32, 48, true), AttentionMask::Additive),
    ((130, 130, 64, 64, true), AttentionMask::None),
    ((200, 260, 64, 64, false), AttentionMask::None),
    ((65, 300, 64, 64, false), AttentionMask::Additive),
    ((70, 130, 64, 128, true), AttentionMask::Boolean),
    ((65, 257, 128, 128, false), AttentionMask::None),
    ((128, 64, 128, 64, true), AttentionMask::Additive),
    ((150, 150, 64, 64, true), AttentionMask::Boolean),
    ((80, 288, 48, 40, false), AttentionMask::None),
    ((81, 289, 36, 33, true), AttentionMask::Additive),
];

/// The same of gradients.
const GRADIENT: [(Sizes, AttentionMask); 9] = [
    ((130, 130, 64, 64, true), AttentionMask::None),
    ((200, 260, 64, 64, false), AttentionMask::None),
    ((140, 70, 64, 64, false), AttentionMask::Boolean),
    ((40, 150, 32, 32, false), AttentionMask::Additive),
    ((65, 70, 128, 128, false), AttentionMask::Boolean),
    ((70, 130, 64, 128, true), AttentionMask::None),
    ((128, 64, 128, 64, false), AttentionMask::None),
    ((80, 288, 48, 40, false), AttentionMask::None),
    ((81, 289, 33, 36, true), AttentionMask::Additive),
];

fn operands(
    draw: &mut Draw,
    ((queries, keys, width, value_width, causal), mask): (Sizes, AttentionMask),
) -> (Attention, Vec<Array>) {
    let (batch, heads) = (1, 2);
    let mut inputs = vec![
        draw.floats(&[batch, queries, heads, width]),
        draw.floats(&[batch, keys, heads, width]),
        draw.floats(&[batch, keys, heads, value_width]),
    ];
    match mask {
        AttentionMask::None => {}
        AttentionMask::Additive => inputs.push(draw.floats(&[1, heads, queries, keys])),
        AttentionMask::Boolean => inputs.push(draw.flags(&[1, 1, queries, keys])),
    }
    let scale = f64::from((1.0 / (width as f64).sqrt()) as f32);
    (Attention { scale, causal, mask }, inputs)
}

fn draw(seed: usize, dtype: DType) -> Draw {
    Draw::new(seed as u64, dtype, Extent::Large)
}

/// Attentions of a dtype.
pub fn attentions(dtype: DType) -> Vec<Problem> {
    let problem = |(seed, case): (usize, &_)| {
        let (op, inputs) = operands(&mut draw(seed, dtype), *case);
        Problem::new(op, inputs)
    };
    FORWARD.iter().enumerate().map(problem).collect()
}

/// Gradients of attentions of a dtype.
pub fn attention_gradients(dtype: DType) -> Vec<Problem> {
    let problem = |(seed, case): (usize, &_)| {
        let mut draw = draw(seed, dtype);
        let (attention, inputs) = operands(&mut draw, *case);
        gradient(&mut draw, attention, inputs)
    };
    GRADIENT.iter().enumerate().map(problem).collect()
}

/// The gradient of an attention: with a gradient of its result, its operands, and its results by the reference.
pub(super) fn gradient(draw: &mut Draw, attention: Attention, inputs: Vec<Array>) -> Problem {
    let forward = attention.reference(&inputs.iter().collect::<Vec<_>>(), RunKey::default());
    let dout = draw.floats(&forward[0].shape.clone());
    let mut all = vec![dout];
    all.extend_from_slice(&inputs[..3]);
    all.extend(forward.into_iter().map(|result| draw.round(result)));
    all.extend_from_slice(&inputs[3..]);
    let mask_gradient = attention.mask == AttentionMask::Additive && draw.flag();
    Problem::fixed(AttentionGradient { attention, mask_gradient }, all)
}
