//! Convolutions of sizes beyond those of the random problems, in every way that they are computed.

use sward_core::program::{DType, Primitive, Program, TensorType};
use sward_core::scalar::{ScalarFunction, ScalarKind};
use sward_ops::primitives::problems::wide_convolutions;
use sward_ops::primitives::{self as op, ConvolutionGeometry};

use super::sizes::{FLOATS, agrees, runs};
use super::{check, device, host};
use crate::cpu::tests::single;
use crate::cuda::CudaEngine;
use crate::engine::Engine;
use crate::tensor::Tensor;

#[test]
fn convolutions_agree_in_every_way_they_are_computed() {
    let geometry = |stride, pad, dilation, groups| ConvolutionGeometry {
        stride: (stride, stride),
        padding: ((pad, pad), (pad, pad)),
        dilation: (dilation, dilation),
        groups,
    };
    // (geometry, channels, results, kernel): dense wide, dense odd, patches, grouped, depthwise in packs and not, with a multiplier, 1 x 1.
    let cases = [
        (geometry(1, 1, 1, 1), 16, 24, 3),
        (geometry(2, 1, 1, 1), 3, 20, 3),
        (geometry(4, 0, 1, 1), 3, 16, 4),
        (geometry(1, 1, 2, 2), 16, 16, 3),
        (geometry(1, 3, 1, 16), 16, 16, 7),
        (geometry(2, 1, 1, 5), 5, 5, 3),
        (geometry(1, 1, 1, 4), 4, 12, 3),
        (geometry(1, 0, 1, 1), 16, 8, 1),
    ];
    for dtype in FLOATS {
        for (geometry, channels, results, kernel) in cases {
            let x = TensorType::new(dtype, &[2, 12, 13, channels]);
            let weight = TensorType::new(dtype, &[results, kernel, kernel, channels / geometry.groups]);
            let forward = op::Convolution { geometry, dtype, epilogue: None };
            let y = forward.infer(&[x.clone(), weight.clone()]).expect("fitting operands").remove(0);
            agrees(forward, &[x.clone(), weight.clone()], 2e-4);
            let backward = op::ConvolutionInputGradient { geometry, input: (12, 13), dtype };
            agrees(backward, &[y.clone(), weight], 2e-4);
            agrees(op::ConvolutionWeightGradient { geometry, kernel: (kernel, kernel) }, &[x, y], 2e-4);
        }
    }
}

#[test]
fn convolutions_of_many_channels_agree_on_tensor_cores_and_by_warpgroup_products() {
    let Some(engine) = host() else { return };
    let hopper = engine.clone().with_warpgroups(true).without_proof();
    let mut by_warpgroups = 0;
    for problem in wide_convolutions(DType::BF16) {
        let tensors: Vec<Tensor> = problem.inputs.iter().map(Tensor::from_array).collect();
        let program = problem.program();
        check(&engine, &program, &tensors, 5e-4);
        if hopper.prepare(&program).expect("a kernel").profile()[0].kernel == "implicit product by warpgroups" {
            check(&hopper, &program, &tensors, 5e-4);
            by_warpgroups += 1;
        }
    }
    assert!(by_warpgroups > 20, "only {by_warpgroups} of these convolutions go by warpgroup products");
}

#[test]
fn convolutions_by_warpgroup_products_are_proved_and_refused_where_a_compiler_spoils_them() {
    let image = TensorType::new(DType::BF16, &[1, 10, 10, 64]);
    let weight = TensorType::new(DType::BF16, &[64, 3, 3, 64]);
    let geometry = ConvolutionGeometry { padding: ((1, 1), (1, 1)), ..ConvolutionGeometry::default() };
    let program = single(op::Convolution { geometry, dtype: DType::BF16, epilogue: None }, &[image, weight]);
    let Some(engine) = host() else { return };
    let plan = engine.with_warpgroups(true).prepare(&program).expect("the kernels are right");
    assert_eq!(plan.profile()[0].kernel, "implicit product by warpgroups");
    let Some(device) = device() else { return };
    let spoiled = device.misreading("matrix_descriptor<!B::IS_K_SIDE>(b_tile", "matrix_descriptor<!B::IS_K_SIDE>(a_tile");
    let engine = CudaEngine::on(std::sync::Arc::new(spoiled)).with_warpgroups(true);
    let Err(error) = engine.prepare(&program) else { panic!("wrong kernels pass") };
    let error = error.to_string();
    assert!(error.contains("give wrong numbers") && error.contains("SWARD_CUDA_WARPGROUPS=0"), "{error}");
    assert!(engine.with_warpgroups(false).prepare(&program).is_ok());
}

/// Zeros around an image: ((top, bottom), (left, right)).
type Padding = ((usize, usize), (usize, usize));

/// Depthwise convolutions that the strips' kernels take: (image, kernel, zeros).
const STRIPS: [([usize; 4], (usize, usize), Padding); 12] = [
    // Whole rows of strips, a tail of columns, a tail of channels.
    ([2, 14, 14, 32], (7, 7), ((3, 3), (3, 3))),
    ([1, 9, 16, 40], (7, 7), ((3, 3), (3, 3))),
    ([2, 7, 7, 16], (7, 7), ((3, 3), (3, 3))),
    // Images smaller than the kernel; no zeros around them; as many as there can be.
    ([1, 3, 4, 32], (7, 7), ((3, 3), (3, 3))),
    ([1, 9, 15, 32], (7, 7), ((0, 0), (0, 0))),
    ([1, 5, 6, 20], (5, 5), ((4, 4), (4, 4))),
    // Several warps along a column; strips of 8 with a tail.
    ([1, 40, 9, 32], (3, 3), ((1, 1), (1, 1))),
    ([2, 11, 24, 48], (5, 5), ((2, 2), (2, 2))),
    // Kernels of even, unequal and single sizes with unequal zeros.
    ([2, 8, 9, 32], (4, 4), ((1, 2), (3, 0))),
    ([1, 10, 8, 32], (2, 6), ((0, 1), (5, 2))),
    ([1, 12, 8, 32], (7, 1), ((2, 6), (0, 0))),
    ([1, 8, 12, 32], (1, 7), ((0, 0), (1, 4))),
];

/// A depthwise convolution that moves by one.
fn depthwise_geometry(channels: usize, padding: Padding) -> ConvolutionGeometry {
    ConvolutionGeometry { padding, groups: channels, ..ConvolutionGeometry::default() }
}

/// Each of those in f32 and in bf16, and its gradients.
pub(super) fn depthwise_programs() -> Vec<Program> {
    let of = |dtype, (image, kernel, padding): ([usize; 4], (usize, usize), _)| {
        let channels = image[3];
        let geometry = depthwise_geometry(channels, padding);
        let x = TensorType::new(dtype, &image);
        let weight = TensorType::new(dtype, &[channels, kernel.0, kernel.1, 1]);
        let forward = op::Convolution { geometry, dtype, epilogue: None };
        let y = forward.infer(&[x.clone(), weight.clone()]).expect("fitting operands").remove(0);
        let backward = op::ConvolutionInputGradient { geometry, input: (image[1], image[2]), dtype };
        let weights = op::ConvolutionWeightGradient { geometry, kernel };
        [single(forward, &[x.clone(), weight.clone()]), single(backward, &[y.clone(), weight]), single(weights, &[x, y])]
    };
    FLOATS.into_iter().flat_map(|dtype| STRIPS.into_iter().flat_map(move |case| of(dtype, case))).collect()
}

/// `product + bias`.
fn bias() -> ScalarFunction {
    ScalarFunction::build(&[ScalarKind::Number; 2], |graph, inputs| graph.add(inputs[0], inputs[1]))
}

/// Whether every instruction of a program is run by this kernel.
fn runs_by(program: &Program, kernel: &str) {
    let Some(engine) = host() else { return };
    let plan = engine.prepare(program).unwrap();
    assert!(plan.profile().iter().all(|part| part.kernel == kernel), "{:?}\n{program}", plan.profile());
}

#[test]
fn depthwise_convolutions_agree_by_strips_of_every_kernel_and_border() {
    let Some(engine) = host() else { return };
    let programs = depthwise_programs();
    engine.compile_ahead(&programs).unwrap();
    for program in &programs {
        runs_by(program, "depthwise by strips");
        runs(&engine, program, 2e-4);
    }
}

#[test]
fn depthwise_convolutions_agree_where_warps_walk_several_whole_strips() {
    let (geometry, dtype) = (depthwise_geometry(128, ((1, 1), (1, 1))), DType::BF16);
    let x = TensorType::new(dtype, &[264, 5, 9, 128]);
    let weight = TensorType::new(dtype, &[128, 3, 3, 1]);
    agrees(op::Convolution { geometry, dtype, epilogue: None }, &[x.clone(), weight.clone()], 2e-4);
    agrees(op::ConvolutionInputGradient { geometry, input: (5, 9), dtype }, &[x.clone(), weight], 2e-4);
    agrees(op::ConvolutionWeightGradient { geometry, kernel: (3, 3) }, &[x.clone(), x], 2e-4);
}

#[test]
fn depthwise_convolutions_take_a_bias_and_operands_of_several_dtypes() {
    let geometry = depthwise_geometry(32, ((3, 3), (3, 3)));
    for (x, weight, extra, dtype) in [
        (DType::BF16, DType::F32, DType::F32, DType::BF16),
        (DType::BF16, DType::BF16, DType::F32, DType::F32),
        (DType::F32, DType::BF16, DType::BF16, DType::BF16),
    ] {
        let x = TensorType::new(x, &[2, 8, 9, 32]);
        let operands = [x.clone(), TensorType::new(weight, &[32, 7, 7, 1]), TensorType::new(extra, &[1, 1, 1, 32])];
        agrees(op::Convolution { geometry, dtype, epilogue: Some(bias()) }, &operands, 2e-4);
        // Extras that are no bias are computed beside the kernel.
        let whole = [operands[0].clone(), operands[1].clone(), TensorType::new(extra, &[2, 8, 9, 32])];
        agrees(op::Convolution { geometry, dtype, epilogue: Some(bias()) }, &whole, 2e-4);
        agrees(op::ConvolutionInputGradient { geometry, input: (8, 9), dtype }, &operands[..2], 2e-4);
        let dy = TensorType::new(dtype, &[2, 8, 9, 32]);
        agrees(op::ConvolutionWeightGradient { geometry, kernel: (7, 7) }, &[x, dy], 2e-4);
    }
}

#[test]
fn patches_are_products_of_the_library() {
    // (image, kernel, results, whether the library takes it in bf16)
    let cases = [
        ([2, 32, 16, 3], (16, 16), 24, true),
        ([3, 8, 12, 3], (4, 4), 16, true),
        ([2, 6, 4, 8], (2, 2), 8, true),
        ([1, 6, 8, 4], (3, 4), 8, true),
        ([2, 5, 3, 16], (1, 1), 8, true),
        // Rows that do not begin at multiples of 16 bytes, and images that the kernel does not divide.
        ([2, 6, 6, 5], (2, 2), 8, false),
        ([2, 7, 6, 8], (2, 2), 8, false),
    ];
    for dtype in FLOATS {
        for (image, kernel, results, is_taken) in cases {
            let geometry = ConvolutionGeometry { stride: kernel, ..ConvolutionGeometry::default() };
            let x = TensorType::new(dtype, &image);
            let weight = TensorType::new(dtype, &[results, kernel.0, kernel.1, image[3]]);
            let forward = op::Convolution { geometry, dtype, epilogue: None };
            let y = forward.infer(&[x.clone(), weight.clone()]).expect("fitting operands").remove(0);
            let backward = op::ConvolutionInputGradient { geometry, input: (image[1], image[2]), dtype };
            let weights = op::ConvolutionWeightGradient { geometry, kernel };
            if is_taken {
                runs_by(&single(forward.clone(), &[x.clone(), weight.clone()]), "cublasLt");
                runs_by(&single(backward, &[y.clone(), weight.clone()]), "cublasLt");
                runs_by(&single(weights, &[x.clone(), y.clone()]), "cublasLt");
            }
            agrees(forward, &[x.clone(), weight.clone()], 2e-4);
            agrees(backward, &[y.clone(), weight.clone()], 2e-4);
            agrees(weights, &[x.clone(), y], 2e-4);
            // A bias of another dtype is rounded to the result's first.
            for extra in FLOATS {
                let operands = [x.clone(), weight.clone(), TensorType::new(extra, &[1, 1, 1, results])];
                agrees(op::Convolution { geometry, dtype, epilogue: Some(bias()) }, &operands, 2e-4);
            }
        }
    }
}

#[test]
fn weight_gradients_of_many_positions_are_split() {
    let geometry = ConvolutionGeometry { padding: ((1, 1), (1, 1)), ..ConvolutionGeometry::default() };
    for dtype in FLOATS {
        let x = TensorType::new(dtype, &[3, 20, 20, 8]);
        agrees(op::ConvolutionWeightGradient { geometry, kernel: (3, 3) }, &[x.clone(), x], 2e-4);
    }
}
