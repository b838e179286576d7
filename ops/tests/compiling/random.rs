//! Random programs of many primitives.

use sward_core::program::{Builder, DType, Role, TensorType, ValueId, element_count};
use sward_ops::primitives::problems::{Draw, Extent};
use sward_ops::primitives::{ConvolutionGeometry, EmitExt, LayerNorm, PadMode, ReduceKind};

const MOST_ELEMENTS: usize = 400;

/// A random program: four inputs, two parameters, some twenty instructions, every third value an output.
pub fn program(seed: u64) -> Builder {
    let mut draw = Draw::new(seed, DType::F32, Extent::Small);
    let mut builder = Builder::new();
    let mut values: Vec<ValueId> = Vec::new();
    for (name, shape) in [("a", &[2, 3, 4, 5][..]), ("b", &[2, 3, 4, 5]), ("c", &[2, 12, 5]), ("d", &[6, 4])] {
        values.push(builder.argument(name, Role::Input, TensorType::f32(shape)));
    }
    for (name, shape) in [("weight", &[1, 3, 1, 1][..]), ("scale", &[1, 1, 5])] {
        values.push(builder.argument(name, Role::Parameter { trained: true }, TensorType::f32(shape)));
    }
    for _ in 0..20 {
        let x = values[draw.below(values.len())];
        let other = values[draw.below(values.len())];
        if let Some(value) = step(&mut builder, &mut draw, x, other)
            && builder.type_of(value).elements() <= MOST_ELEMENTS
        {
            values.push(value);
        }
    }
    for (position, value) in values.iter().enumerate().skip(6) {
        if position % 3 == 0 || position + 1 == values.len() {
            builder.output(&format!("y{position}"), *value);
        }
    }
    builder
}

fn step(builder: &mut Builder, draw: &mut Draw, x: ValueId, other: ValueId) -> Option<ValueId> {
    let shape = builder.shape(x).to_vec();
    let rank = shape.len();
    let axis = draw.below(rank);
    let emitted = match draw.below(17) {
        0 | 1 => builder.add(x, other),
        2 => builder.mul(x, other),
        3 => builder.map1(x, |graph, x| graph.sigmoid(x)),
        4 => builder.scale(x, 0.5),
        5 | 6 => {
            let mut axes: Vec<usize> = (0..rank).collect();
            for last in (1..rank).rev() {
                axes.swap(last, draw.below(last + 1));
            }
            builder.permute(x, &axes)
        }
        7 | 8 => {
            let target = reshaped(draw, &shape);
            builder.reshape(x, &target)
        }
        9 => {
            let kind = draw.choose(&[ReduceKind::Sum, ReduceKind::Mean, ReduceKind::Max]);
            builder.reduce(kind, x, &[axis])
        }
        10 => {
            let mut target = shape.clone();
            target.iter_mut().filter(|size| **size == 1).for_each(|size| *size = draw.between(1, 3));
            builder.expand(x, &target)
        }
        11 => {
            let length = draw.between(1, shape[axis]);
            let start = draw.below(shape[axis] - length + 1);
            builder.slice(x, axis, start, length, 1)
        }
        12 => builder.concat(&[x, x], axis),
        13 => {
            let mut low = vec![0; rank];
            low[axis] = 1;
            builder.pad(x, &low, &vec![0; rank], PadMode::Constant(0.5))
        }
        14 => builder.softmax(x),
        15 => {
            let norm = LayerNorm { epsilon: 1e-3, centered: true, weight: false, bias: false };
            builder.emit(norm, &[x]).map(|results| results[0])
        }
        _ if rank == 4 => {
            // A pointwise convolution with its own result as weight: sizes that always fit.
            let last = shape[3];
            let weight = builder.slice(x, 0, 0, 1, 1).ok()?;
            let weight = builder.slice(weight, 1, 0, 1, 1).ok()?;
            let weight = builder.permute(weight, &[2, 0, 1, 3]).ok()?;
            debug_assert_eq!(builder.shape(weight)[3], last);
            builder.convolution(x, weight, ConvolutionGeometry::default())
        }
        _ if rank >= 2 => builder.matmul_transposed(x, false, x, true),
        _ => return None,
    };
    emitted.ok()
}

/// Other sizes of as many elements: two neighbours joined, or an axis split, or a new axis of size 1.
fn reshaped(draw: &mut Draw, shape: &[usize]) -> Vec<usize> {
    let mut target = shape.to_vec();
    let axis = draw.below(shape.len());
    if axis + 1 < shape.len() && draw.flag() {
        let joined = target.remove(axis) * target[axis];
        target[axis] = joined;
    } else if shape.len() < 5 {
        let factor = [2, 3].into_iter().find(|factor| shape[axis].is_multiple_of(*factor)).unwrap_or(1);
        target[axis] /= factor;
        target.insert(axis, factor);
    }
    debug_assert_eq!(element_count(shape), element_count(&target));
    target
}
