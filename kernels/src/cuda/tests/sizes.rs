//! Sizes beyond those of the random problems: where kernels change their ways (several warps for a row, packs, splits, tiles).

use sward_core::program::{DType, Primitive, Program, Role, TensorType};
use sward_core::scalar::{ScalarGraph, ScalarId, ScalarKind, special};
use sward_ops::primitives::problems::products_with_epilogues;
use sward_ops::primitives::{self as op, ReduceKind};

use super::{CudaEngine, check, host};
use crate::cpu::tests::{single, tensor};
use crate::engine::Engine;
use crate::tensor::Tensor;

pub(super) const FLOATS: [DType; 2] = [DType::F32, DType::BF16];

/// Numbers of a type; of bools, half are true.
pub(super) fn operand(tensor_type: &TensorType, salt: u64) -> Tensor {
    let mut array = tensor(&TensorType { dtype: DType::F32, ..tensor_type.clone() }, salt).to_array();
    array.dtype = tensor_type.dtype;
    match tensor_type.dtype {
        DType::Bool => array.data.iter_mut().for_each(|x| *x = f64::from(u8::from(*x > 0.0))),
        DType::I64 => array.data.iter_mut().for_each(|x| *x = (*x * 1000.0).trunc()),
        _ => {}
    }
    Tensor::from_array(&array)
}

/// Runs a primitive on operands of these types against the reference.
pub(super) fn agrees(op: impl Primitive, operands: &[TensorType], tolerance: f64) {
    let Some(engine) = host() else { return };
    runs(&engine, &single(op, operands), tolerance);
}

/// Runs a program on arguments of its types against the reference.
pub(super) fn runs(engine: &CudaEngine, program: &Program, tolerance: f64) {
    assert!(program.arguments.iter().all(|argument| argument.role == Role::Input));
    let arguments = program.arguments.iter().enumerate();
    let tensors: Vec<_> = arguments.map(|(index, argument)| operand(program.type_of(argument.value), index as u64 + 1)).collect();
    check(engine, program, &tensors, tolerance);
}

#[test]
fn rows_of_every_length_are_normalized() {
    for dtype in FLOATS {
        for width in [520, 1024, 1030, 2048, 9000] {
            let x = TensorType::new(dtype, &[3, width]);
            let weight = TensorType::f32(&[width]);
            agrees(op::Softmax { log: false, dtype }, std::slice::from_ref(&x), 2e-4);
            agrees(op::SoftmaxGradient { log: true }, &[x.clone(), x.clone()], 2e-4);
            let norm = op::LayerNorm { epsilon: 1e-5, centered: true, weight: true, bias: true };
            agrees(norm, &[x.clone(), weight.clone(), weight.clone()], 2e-4);
            let gradient = op::LayerNormGradient { centered: true, weight: true, weight_gradient: true, bias_gradient: true };
            let statistics = TensorType::f32(&[3, 1]);
            agrees(gradient, &[x.clone(), x, weight, statistics.clone(), statistics], 2e-4);
        }
    }
}

#[test]
fn norms_of_many_rows_and_every_share_of_a_row_agree() {
    // Lanes of a part of a warp, of a warp, of several; rows that do not fill the last turn; widths that no pack divides.
    for (rows, width) in
        [(2500, 8), (37, 12), (1100, 128), (61, 96), (131, 256), (45, 264), (29, 512), (19, 768), (70, 35), (3, 1)]
    {
        for dtype in FLOATS {
            let x = TensorType::new(dtype, &[rows, width]);
            let weight = TensorType::f32(&[width]);
            let norm = op::LayerNorm { epsilon: 1e-5, centered: true, weight: true, bias: true };
            agrees(norm, &[x.clone(), weight.clone(), weight.clone()], 2e-4);
            let gradient = op::LayerNormGradient { centered: true, weight: true, weight_gradient: true, bias_gradient: true };
            let statistics = TensorType::f32(&[rows, 1]);
            agrees(gradient, &[x.clone(), x, weight, statistics.clone(), statistics], 2e-4);
        }
    }
}

#[test]
fn many_rows_sum_to_the_gradient_of_a_norms_weight() {
    let x = TensorType::f32(&[1500, 24]);
    let statistics = TensorType::f32(&[1500, 1]);
    let gradient = op::LayerNormGradient { centered: false, weight: false, weight_gradient: false, bias_gradient: true };
    agrees(gradient, &[x.clone(), x, statistics.clone(), statistics], 2e-4);
}

#[test]
fn long_reductions_are_split() {
    for (shape, axes) in
        [(vec![3, 20_000], vec![1]), (vec![9_000, 5], vec![0]), (vec![40_000], vec![0]), (vec![2, 3_000, 7], vec![0, 1])]
    {
        for kind in [ReduceKind::Sum, ReduceKind::Mean, ReduceKind::Max] {
            let op = op::Reduce { kind, axes: axes.iter().copied().collect(), dtype: DType::F32 };
            agrees(op, &[TensorType::f32(&shape)], 2e-4);
        }
    }
    // Sums over rows and over columns in packs, with a mask that repeats; parts that do not divide the rows.
    let mut graph = ScalarGraph::new();
    let [x, y, z] = [0, 1, 2].map(|input| graph.input(input, ScalarKind::Number));
    let product = graph.multiply(x, y);
    let root = graph.subtract(product, z);
    for dtype in FLOATS {
        for (shape, axes) in [
            (vec![1111, 264], vec![0]),
            (vec![7, 1003, 24], vec![0, 1]),
            (vec![5, 2056], vec![1]),
            (vec![3, 5, 9, 64], vec![1, 3]),
        ] {
            let reduce = op::Reduce { kind: ReduceKind::Sum, axes: axes.iter().copied().collect(), dtype: DType::F32 };
            let map = op::Map::new(graph.clone(), root, dtype);
            let mut rows = shape.clone();
            *rows.last_mut().unwrap() = 1;
            let columns: Vec<usize> =
                (0..shape.len()).map(|axis| if axis + 1 == shape.len() { shape[axis] } else { 1 }).collect();
            let operands = [TensorType::new(dtype, &shape), TensorType::f32(&rows), TensorType::f32(&columns)];
            agrees(op::MapReduce { map, reduce }, &operands, 2e-4);
        }
    }
    agrees(op::SquaredNorm, &[TensorType::f32(&[40_000]), TensorType::new(DType::BF16, &[7])], 2e-4);
}

#[test]
fn maps_take_packs_where_operands_allow() {
    let mut graph = ScalarGraph::new();
    let [x, y, z] = [0, 1, 2].map(|input| graph.input(input, ScalarKind::Number));
    let (product, random) = (graph.multiply(x, y), graph.random(4));
    let sum = graph.add(product, z);
    let root = graph.multiply(sum, random);
    let map = op::Map::new(graph, root, DType::BF16);
    let wide = TensorType::new(DType::BF16, &[64, 3, 64]);
    let operands = [wide, TensorType::f32(&[1, 1, 64]), TensorType::f32(&[64, 3, 1])];
    agrees(map, &operands, 2e-4);
}

#[test]
fn long_maps_have_two_packs_on_their_way() {
    let mut graph = ScalarGraph::new();
    let [x, y] = [0, 1].map(|input| graph.input(input, ScalarKind::Number));
    let root = graph.add(x, y);
    // Packs of one, and a last block that is not full; packs of four.
    for shape in [[515, 511], [1030, 1024]] {
        let map = op::Map::new(graph.clone(), root, DType::F32);
        agrees(map, &[TensorType::f32(&shape), TensorType::f32(&[1, shape[1]])], 1e-6);
    }
}

/// Single functions over the whole range of floats, element by element.
#[test]
fn scalar_functions_are_right_to_a_few_units_of_the_last_place_and_at_the_ends() {
    let Some(engine) = host() else { return };
    let mut x: Vec<f32> = (0..0x7f80).map(|upper| f32::from_bits((upper << 16) | 0x5a5a)).collect();
    x.extend((0..4000).map(|step| step as f32 / 400.0));
    x.extend([0.0, f32::MIN_POSITIVE, 1e-45, f32::MAX, f32::INFINITY]);
    x = x.iter().flat_map(|x| [*x, -*x]).chain([f32::NAN]).collect();
    let given = Tensor::f32(&[x.len()], x.clone());
    type Function = fn(&mut ScalarGraph, ScalarId) -> ScalarId;
    type Reference = fn(f64) -> f64;
    let functions: [(&str, Function, Reference); 5] = [
        ("sigmoid", |graph, x| graph.sigmoid(x), special::sigmoid),
        ("tanh", |graph, x| graph.tanh(x), f64::tanh),
        ("softplus", |graph, x| graph.softplus(x), special::softplus),
        ("erf", |graph, x| graph.erf(x), special::erf),
        (
            "division by 3",
            |graph, x| {
                let three = graph.number(3.0);
                graph.divide(x, three)
            },
            |x| x / 3.0,
        ),
    ];
    for (name, function, reference) in functions {
        let mut graph = ScalarGraph::new();
        let input = graph.input(0, ScalarKind::Number);
        let root = function(&mut graph, input);
        let program = single(op::Map::new(graph, root, DType::F32), &[TensorType::f32(&[x.len()])]);
        let mut plan = engine.prepare(&program).unwrap();
        plan.set("0", &given).unwrap();
        plan.run(Default::default()).unwrap();
        let got = plan.output("0").unwrap().to_array();
        for (x, got) in x.iter().zip(&got.data) {
            let want = reference(f64::from(*x));
            let is_near = (want - got).abs() <= 6e-7 * want.abs() + 1e-44 || want == *got || want.is_nan() && got.is_nan();
            assert!(is_near, "{name}({x:e}) is {got:e}, not {want:e}");
        }
    }
}

#[test]
fn transposes_and_copies_of_every_element_size_agree() {
    for dtype in [DType::F32, DType::BF16, DType::I64, DType::Bool] {
        agrees(op::Permute { axes: [0, 3, 1, 2].into_iter().collect() }, &[TensorType::new(dtype, &[2, 5, 7, 40])], 0.0);
        agrees(op::Permute { axes: [0, 2, 3, 1].into_iter().collect() }, &[TensorType::new(dtype, &[2, 40, 5, 7])], 0.0);
        agrees(op::Permute { axes: [2, 0, 1].into_iter().collect() }, &[TensorType::new(dtype, &[3, 33, 64])], 0.0);
        agrees(op::Permute { axes: [1, 0, 2].into_iter().collect() }, &[TensorType::new(dtype, &[3, 33, 64])], 0.0);
        // By pairs where elements have 2 bytes: even sizes, tiles that are not full; and one size that is odd.
        for (rows, columns) in [(66, 130), (130, 34), (65, 64), (64, 67)] {
            agrees(op::Permute { axes: [0, 2, 1].into_iter().collect() }, &[TensorType::new(dtype, &[2, rows, columns])], 0.0);
        }
        let part = TensorType::new(dtype, &[3, 32]);
        agrees(op::Concat { axis: 1 }, &[part.clone(), TensorType::new(dtype, &[3, 5]), part], 0.0);
    }
}

#[test]
fn products_agree_by_the_library_and_by_our_own_kernels() {
    for dtype in FLOATS {
        for (transpose_a, transpose_b) in [(false, false), (false, true), (true, false), (true, true)] {
            // Rows of bf16 at multiples of 16 bytes go to the library; 67 columns do not, nor do two batch axes that repeat in turn.
            for (batch_a, batch_b, m, k, n) in [
                (vec![], vec![], 72, 40, 136),
                (vec![], vec![], 130, 67, 70),
                (vec![2], vec![1], 16, 8, 24),
                (vec![2, 1], vec![1, 3], 9, 16, 8),
            ] {
                let shape = |batch: &[usize], rows, columns, transposed| {
                    let mut shape = batch.to_vec();
                    shape.extend(if transposed { [columns, rows] } else { [rows, columns] });
                    TensorType::new(dtype, &shape)
                };
                let op = op::MatMul { transpose_a, transpose_b, dtype: DType::F32, epilogue: None };
                agrees(op, &[shape(&batch_a, m, k, transpose_a), shape(&batch_b, k, n, transpose_b)], 2e-4);
            }
        }
    }
}

#[test]
fn products_end_with_sums_and_activations() {
    let Some(engine) = host() else { return };
    for problem in FLOATS.into_iter().flat_map(products_with_epilogues) {
        let tensors: Vec<Tensor> = problem.inputs.iter().map(Tensor::from_array).collect();
        check(&engine, &problem.program(), &tensors, 2e-4);
    }
}
