//! Convolutions beyond the sizes of the random ones: of as many channels and results as engines have kernels of their own for.

use sward_core::program::{DType, Primitive};

use super::{Draw, Extent, Problem};
use crate::primitives::{Convolution, ConvolutionGeometry, ConvolutionInputGradient, ConvolutionWeightGradient};

/// Image, results, kernel, stride, zeros around it, dilation, groups.
type Case = ([usize; 4], usize, (usize, usize), usize, usize, usize, usize);

/// Tiles of every width with ends that are not whole; strides, dilation, groups; positions that share nothing but leave something out; kernels
/// that reach over the whole image; few channels and many taps; one row and column; strides with dilation; channels that no pack holds.
const CASES: [Case; 12] = [
    ([2, 12, 13, 64], 64, (3, 3), 1, 1, 1, 1),
    ([1, 15, 14, 72], 136, (3, 3), 2, 1, 1, 1),
    ([2, 10, 9, 128], 96, (3, 3), 1, 2, 2, 2),
    ([3, 11, 12, 80], 120, (1, 1), 2, 0, 1, 1),
    ([1, 9, 8, 40], 256, (5, 5), 1, 2, 1, 1),
    ([2, 14, 15, 48], 72, (2, 4), 3, 0, 1, 1),
    ([2, 7, 7, 72], 48, (7, 7), 1, 3, 1, 1),
    ([1, 16, 16, 48], 264, (3, 1), 1, 1, 1, 1),
    ([9, 3, 3, 64], 64, (3, 3), 1, 1, 1, 1),
    ([70, 1, 1, 64], 40, (3, 3), 1, 1, 1, 1),
    ([2, 16, 15, 64], 64, (3, 3), 3, 2, 2, 1),
    ([2, 22, 21, 3], 64, (7, 7), 2, 3, 1, 1),
];

/// Each of those of a dtype, and its gradients.
///
/// # Panics
/// Never: the operands fit.
pub fn wide_convolutions(dtype: DType) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (seed, (image, results, kernel, stride, padding, dilation, groups)) in CASES.into_iter().enumerate() {
        let geometry = ConvolutionGeometry {
            stride: (stride, stride),
            padding: ((padding, padding), (padding, padding)),
            dilation: (dilation, dilation),
            groups,
        };
        let mut draw = Draw::new(seed as u64, dtype, Extent::Large);
        let x = draw.floats(&image);
        let weight = draw.floats(&[results, kernel.0, kernel.1, image[3] / groups]);
        let forward = Convolution { geometry, dtype, epilogue: None };
        let shape = forward.infer(&[x.tensor_type(), weight.tensor_type()]).expect("fitting operands").remove(0).shape;
        let dy = draw.floats(&shape);
        let backward = ConvolutionInputGradient { geometry, input: (image[1], image[2]), dtype };
        problems.push(Problem::fixed(forward, vec![x.clone(), weight.clone()]));
        problems.push(Problem::fixed(backward, vec![dy.clone(), weight]));
        problems.push(Problem::fixed(ConvolutionWeightGradient { geometry, kernel }, vec![x, dy]));
    }
    problems
}
