//! Problems of pooling and resizing.

use super::{Draw, Family, Problem};
use crate::primitives::{
    AdaptiveAveragePool, AdaptiveAveragePoolGradient, AveragePool, AveragePoolGradient, MaxPool, MaxPoolGradient, Resize,
    ResizeGradient, ResizeMode,
};
use sward_core::program::{Primitive, RunKey, TensorType};

pub(super) const FAMILIES: &[Family] = &[
    Family::new("max_pool", max_pool),
    Family::new("max_pool_gradient", max_pool_gradient),
    Family::new("average_pool", average_pool),
    Family::new("average_pool_gradient", average_pool_gradient),
    Family::new("adaptive_average_pool", adaptive_average_pool),
    Family::new("adaptive_average_pool_gradient", adaptive_average_pool_gradient),
    Family::new("resize", resize),
    Family::new("resize_gradient", resize_gradient),
];

fn image(draw: &mut Draw) -> [usize; 4] {
    [draw.choose(&[0, 1, 1, 2]), draw.positive_size(), draw.positive_size(), draw.choose(&[1, 2, 3, 8, 17])]
}

/// The sizes of a primitive's result, where the operand fits it.
fn result_shape(op: &impl Primitive, x: &[usize]) -> Option<Vec<usize>> {
    op.infer(&[TensorType::f32(x)]).ok().map(|types| types[0].shape.to_vec())
}

fn max_pooling(draw: &mut Draw) -> (MaxPool, [usize; 4], Vec<usize>) {
    loop {
        let kernel = (draw.between(1, 3), draw.between(1, 3));
        let op = MaxPool {
            kernel,
            stride: (draw.between(1, 3), draw.between(1, 3)),
            padding: (draw.below(kernel.0 / 2 + 1), draw.below(kernel.1 / 2 + 1)),
            dilation: (draw.choose(&[1, 1, 2]), draw.choose(&[1, 1, 2])),
            ceil_mode: draw.flag(),
        };
        let x = image(draw);
        if let Some(y) = result_shape(&op, &x) {
            return (op, x, y);
        }
    }
}

fn max_pool(draw: &mut Draw) -> Problem {
    let (op, x, _) = max_pooling(draw);
    let x = draw.distinct(&x);
    // A dilated window over a small image may hold padding alone: its -inf has no differences.
    let is_finite = op.reference(&[&x], RunKey::default())[0].data.iter().all(|value| value.is_finite());
    if is_finite { Problem::new(op, vec![x]) } else { Problem::fixed(op, vec![x]) }
}

fn max_pool_gradient(draw: &mut Draw) -> Problem {
    let (pool, x, y) = max_pooling(draw);
    let (dy, x) = (draw.floats(&y), draw.distinct(&x));
    Problem::fixed(MaxPoolGradient { pool }, vec![dy, x])
}

fn average_pooling(draw: &mut Draw) -> (AveragePool, [usize; 4], Vec<usize>) {
    loop {
        let kernel = (draw.between(1, 4), draw.between(1, 4));
        let op = AveragePool {
            kernel,
            stride: (draw.between(1, 3), draw.between(1, 3)),
            padding: (draw.below(kernel.0 / 2 + 1), draw.below(kernel.1 / 2 + 1)),
            ceil_mode: draw.flag(),
            count_include_pad: draw.flag(),
        };
        let x = image(draw);
        if let Some(y) = result_shape(&op, &x) {
            return (op, x, y);
        }
    }
}

fn average_pool(draw: &mut Draw) -> Problem {
    let (op, x, _) = average_pooling(draw);
    let x = draw.floats(&x);
    Problem::new(op, vec![x])
}

fn average_pool_gradient(draw: &mut Draw) -> Problem {
    let (pool, x, y) = average_pooling(draw);
    let dy = draw.floats(&y);
    Problem::new(AveragePoolGradient { pool, input: (x[1], x[2]) }, vec![dy])
}

fn adaptive_average_pool(draw: &mut Draw) -> Problem {
    let x = image(draw);
    let op = AdaptiveAveragePool { output: (draw.positive_size(), draw.positive_size()) };
    let x = draw.floats(&x);
    Problem::new(op, vec![x])
}

fn adaptive_average_pool_gradient(draw: &mut Draw) -> Problem {
    let dy = image(draw);
    let op = AdaptiveAveragePoolGradient { input: (draw.positive_size(), draw.positive_size()) };
    let dy = draw.floats(&dy);
    Problem::new(op, vec![dy])
}

fn resizing(draw: &mut Draw) -> Resize {
    let mode = draw.choose(&[ResizeMode::Nearest, ResizeMode::Bilinear, ResizeMode::Bicubic]);
    let filtered = mode != ResizeMode::Nearest;
    Resize {
        mode,
        output: (draw.positive_size(), draw.positive_size()),
        align_corners: filtered && draw.flag(),
        antialias: filtered && draw.flag(),
    }
}

fn resize(draw: &mut Draw) -> Problem {
    let x = image(draw);
    let op = resizing(draw);
    let x = draw.floats(&x);
    Problem::new(op, vec![x])
}

fn resize_gradient(draw: &mut Draw) -> Problem {
    let [batch, height, width, channels] = image(draw);
    let resize = resizing(draw);
    let dy = draw.floats(&[batch, resize.output.0, resize.output.1, channels]);
    Problem::new(ResizeGradient { resize, input: (height, width) }, vec![dy])
}
