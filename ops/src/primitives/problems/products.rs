//! Problems of matrix products, convolutions and attention.

use super::{Draw, Extent, Family, Problem, attentions};
use crate::primitives::{
    Attention, AttentionMask, Convolution, ConvolutionGeometry, ConvolutionInputGradient, ConvolutionWeightGradient, MatMul,
    gelu_tanh,
};
use sward_core::program::{Array, DType, Primitive};
use sward_core::scalar::{ScalarFunction, ScalarKind};

pub(super) const FAMILIES: &[Family] = &[
    Family::new("matmul", matmul),
    Family::new("convolution", convolution),
    Family::new("convolution_input_gradient", convolution_input_gradient),
    Family::new("convolution_weight_gradient", convolution_weight_gradient),
    Family::new("attention", attention),
    Family::new("attention_gradient", attention_gradient),
];

fn result_dtype(draw: &mut Draw) -> DType {
    draw.choose(&[DType::F32, draw.float()])
}

/// Nothing, `gate * (product + bias)` or `residual + (product + bias)` with their operands: a bias over the last axis and a gate of some of the axes.
fn epilogue(draw: &mut Draw, result: &[usize]) -> (Option<ScalarFunction>, Vec<Array>) {
    let kind = draw.below(4);
    if kind < 2 {
        return (None, Vec::new());
    }
    let mut bias = vec![1; result.len()];
    bias[result.len() - 1] = result[result.len() - 1];
    let is_gated = kind == 2;
    let other = if is_gated { draw.narrowed(result) } else { result.to_vec() };
    let function = ScalarFunction::build(&[ScalarKind::Number; 3], |graph, inputs| {
        let sum = graph.add(inputs[0], inputs[1]);
        if !is_gated {
            return graph.add(inputs[2], sum);
        }
        let gate = graph.sigmoid(inputs[2]);
        graph.multiply(gate, sum)
    });
    (Some(function), vec![draw.floats(&bias), draw.floats(&other)])
}

fn matmul(draw: &mut Draw) -> Problem {
    let (m, k, n) = (draw.long_size(), draw.long_size(), draw.long_size());
    let (transpose_a, transpose_b) = (draw.flag(), draw.flag());
    let batch_rank = draw.below(3);
    let batch: Vec<usize> = (0..batch_rank).map(|_| draw.choose(&[1, 2, 3])).collect();
    let mut operand = |rows: usize, columns: usize, transposed: bool| {
        // Half of the operands keep the batch whole, others repeat parts of it.
        let mut shape = if draw.flag() { batch.clone() } else { draw.narrowed(&batch) };
        shape.extend(if transposed { [columns, rows] } else { [rows, columns] });
        draw.floats_in(&shape, -1.0, 1.0)
    };
    let (a, b) = (operand(m, k, transpose_a), operand(k, n, transpose_b));
    let dtype = result_dtype(draw);
    let mut op = MatMul { transpose_a, transpose_b, dtype, epilogue: None };
    let result = op.infer(&[a.tensor_type(), b.tensor_type()]).expect("fitting operands")[0].shape.clone();
    let (epilogue, extras) = epilogue(draw, &result);
    op.epilogue = epilogue;
    Problem::new(op, [vec![a, b], extras].concat())
}

/// Products with epilogues that a library may compute itself: sums with a bias of either dtype and a residual, in two orders, bare and under an
/// activation; and two that look like them.
pub fn products_with_epilogues(dtype: DType) -> Vec<Problem> {
    let kinds = [ScalarKind::Number; 3];
    let functions = [
        ScalarFunction::build(&kinds, |graph, x| {
            let biased = graph.add(x[0], x[1]);
            graph.add(x[2], biased)
        }),
        ScalarFunction::build(&kinds, |graph, x| {
            let both = graph.add(x[1], x[2]);
            let sum = graph.add(both, x[0]);
            graph.relu(sum)
        }),
        ScalarFunction::build(&kinds, |graph, x| {
            let biased = graph.add(x[0], x[1]);
            let sum = graph.add(x[2], biased);
            gelu_tanh(graph, sum)
        }),
        // Twice the bias is no sum of each addend once.
        ScalarFunction::build(&kinds, |graph, x| {
            let [first, second] = [x[0], x[2]].map(|term| graph.add(term, x[1]));
            graph.add(first, second)
        }),
    ];
    let mut problems = Vec::new();
    for (seed, function) in functions.iter().enumerate() {
        for bias in [DType::F32, DType::BF16] {
            // A residual that repeats is no matrix of a library's.
            for residual in [[72, 136], [72, 1]] {
                let mut draw = Draw::new(seed as u64, dtype, Extent::Large);
                let op = MatMul { transpose_a: false, transpose_b: true, dtype, epilogue: Some(function.clone()) };
                let inputs = vec![
                    draw.floats_in(&[72, 40], -1.0, 1.0),
                    draw.floats_in(&[136, 40], -1.0, 1.0),
                    draw.floats_of(bias, &[1, 136], -1.0, 1.0),
                    draw.floats(&residual),
                ];
                problems.push(Problem::new(op, inputs));
            }
        }
    }
    problems
}

/// A convolution's sizes: geometry, image, weight and result.
struct Sizes {
    geometry: ConvolutionGeometry,
    x: [usize; 4],
    weight: [usize; 4],
    y: [usize; 4],
}

fn convolution_sizes(draw: &mut Draw) -> Sizes {
    loop {
        let kernel = (draw.choose(&[1, 1, 2, 3, 5, 7]), draw.choose(&[1, 1, 2, 3, 5, 7]));
        let groups = draw.choose(&[1, 1, 1, 2, 3]);
        let (input_channels, output_channels) = (groups * draw.choose(&[1, 2, 3, 8]), groups * draw.choose(&[1, 1, 2, 3, 8]));
        let geometry = ConvolutionGeometry {
            stride: (draw.choose(&[1, 1, 2, 3]), draw.choose(&[1, 1, 2, 3])),
            padding: ((draw.below(3), draw.below(3)), (draw.below(3), draw.below(3))),
            dilation: (draw.choose(&[1, 1, 1, 2]), draw.choose(&[1, 1, 1, 2])),
            groups,
        };
        let x = [draw.choose(&[0, 1, 1, 2, 3]), draw.positive_size(), draw.positive_size(), input_channels];
        let weight = [output_channels, kernel.0, kernel.1, input_channels / groups];
        if let Ok((height, width)) = geometry.output_size((x[1], x[2]), kernel) {
            let y = [x[0], height, width, output_channels];
            return Sizes { geometry, x, weight, y };
        }
    }
}

fn convolution(draw: &mut Draw) -> Problem {
    let sizes = convolution_sizes(draw);
    let (x, weight) = (draw.floats_in(&sizes.x, -1.0, 1.0), draw.floats_in(&sizes.weight, -1.0, 1.0));
    let dtype = result_dtype(draw);
    let (epilogue, extras) = epilogue(draw, &sizes.y);
    Problem::new(Convolution { geometry: sizes.geometry, dtype, epilogue }, [vec![x, weight], extras].concat())
}

fn convolution_input_gradient(draw: &mut Draw) -> Problem {
    let sizes = convolution_sizes(draw);
    let (dy, weight) = (draw.floats_in(&sizes.y, -1.0, 1.0), draw.floats_in(&sizes.weight, -1.0, 1.0));
    let dtype = result_dtype(draw);
    let input = (sizes.x[1], sizes.x[2]);
    Problem::new(ConvolutionInputGradient { geometry: sizes.geometry, input, dtype }, vec![dy, weight])
}

fn convolution_weight_gradient(draw: &mut Draw) -> Problem {
    let sizes = convolution_sizes(draw);
    let (x, dy) = (draw.floats_in(&sizes.x, -1.0, 1.0), draw.floats_in(&sizes.y, -1.0, 1.0));
    let kernel = (sizes.weight[1], sizes.weight[2]);
    Problem::new(ConvolutionWeightGradient { geometry: sizes.geometry, kernel }, vec![x, dy])
}

fn attention_operands(draw: &mut Draw) -> (Attention, Vec<Array>) {
    let (batch, heads) = (draw.choose(&[0, 1, 1, 2]), draw.choose(&[1, 2, 3]));
    let (queries, keys) = (draw.long_size(), draw.long_size());
    let (width, value_width) = (draw.long_size().max(1), draw.positive_size());
    let q = draw.floats(&[batch, queries, heads, width]);
    let k = draw.floats(&[batch, keys, heads, width]);
    let v = draw.floats(&[batch, keys, heads, value_width]);
    let mask = draw.choose(&[AttentionMask::None, AttentionMask::Additive, AttentionMask::Boolean]);
    let scale = 1.0 / (width as f64).sqrt();
    let op = Attention { scale: f64::from(scale as f32), causal: draw.below(3) == 0, mask };
    let mut inputs = vec![q, k, v];
    let mut mask_shape = draw.narrowed(&[batch, heads, queries]);
    mask_shape.push(keys);
    match mask {
        AttentionMask::None => {}
        AttentionMask::Additive => inputs.push(draw.floats(&mask_shape)),
        AttentionMask::Boolean => inputs.push(draw.flags(&mask_shape)),
    }
    (op, inputs)
}

fn attention(draw: &mut Draw) -> Problem {
    let (op, inputs) = attention_operands(draw);
    Problem::new(op, inputs)
}

fn attention_gradient(draw: &mut Draw) -> Problem {
    let (attention, inputs) = attention_operands(draw);
    attentions::gradient(draw, attention, inputs)
}
