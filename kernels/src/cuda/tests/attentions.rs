//! Attention where its kernels change their ways: tiles, splits, widths, few queries, Hopper's warpgroup products.

use sward_core::program::{Array, DType, Program, TensorType};
use sward_ops::primitives::problems::{Problem, attention_gradients, attentions};
use sward_ops::primitives::{self as op, AttentionMask};

use super::sizes::{FLOATS, agrees, operand};
use super::{check, device, host};
use crate::cpu::tests::single;
use crate::cuda::CudaEngine;
use crate::engine::Engine;
use crate::tensor::Tensor;

/// What warpgroup products take of these problems.
fn by_warpgroups(engine: &CudaEngine) -> Vec<Problem> {
    let hopper = engine.clone().with_warpgroups(true).without_proof();
    let all = attentions(DType::BF16).into_iter().chain(attention_gradients(DType::BF16));
    all.filter(|problem| kernel_of(&hopper, &problem.program()) == "attention by warpgroups").collect()
}

fn kernel_of(engine: &CudaEngine, program: &Program) -> &'static str {
    engine.prepare(program).expect("a kernel").profile()[0].kernel
}

fn compare(engine: &CudaEngine, problem: &Problem) {
    let tensors: Vec<Tensor> = problem.inputs.iter().map(Tensor::from_array).collect();
    check(engine, &problem.program(), &tensors, 5e-4);
}

#[test]
fn attentions_agree_over_tiles_splits_and_widths() {
    let Some(engine) = host() else { return };
    for dtype in FLOATS {
        attentions(dtype).iter().chain(&attention_gradients(dtype)).for_each(|problem| compare(&engine, problem));
    }
}

#[test]
fn attentions_by_warpgroup_products_agree_with_the_reference() {
    let Some(engine) = host() else { return };
    let problems = by_warpgroups(&engine);
    assert!(problems.len() > 8, "only {} problems have as many queries", problems.len());
    let hopper = engine.with_warpgroups(true).without_proof();
    problems.iter().for_each(|problem| compare(&hopper, problem));
}

#[test]
fn kernels_are_chosen_by_dtype_width_queries_and_scale() {
    let Some(engine) = host() else { return };
    let hopper = engine.with_warpgroups(true).without_proof();
    for (dtype, queries, width, scale, kernel) in [
        (DType::BF16, 70, 64, 1.0, "attention by warpgroups"),
        (DType::BF16, 70, 32, 1.0, "attention on tensor cores"),
        (DType::BF16, 20, 64, 1.0, "attention on tensor cores"),
        (DType::BF16, 1, 64, 1.0, "attention of few queries"),
        (DType::F32, 4, 32, -1.0, "attention of few queries"),
        (DType::F32, 70, 64, 1.0, "attention"),
        (DType::BF16, 70, 64, -1.0, "attention"),
    ] {
        let own = |tokens| TensorType::new(dtype, &[1, tokens, 1, width]);
        let operands = [own(queries), own(70), own(70)];
        let attention = op::Attention { scale, causal: false, mask: AttentionMask::None };
        assert_eq!(kernel_of(&hopper, &single(attention, &operands)), kernel);
        agrees(attention, &operands, 2e-4);
    }
}

/// Masks in use: the least number, which leaves a query with nothing else all keys alike, and -inf, which leaves it none.
#[test]
fn additive_masks_of_the_least_number_and_of_infinity_differ_in_every_kernel() {
    let Some(engine) = host() else { return };
    let hopper = engine.with_warpgroups(true).without_proof();
    let keys = 70;
    for (dtype, queries, width, kernel) in [
        (DType::BF16, 70, 64, "attention by warpgroups"),
        (DType::BF16, 70, 32, "attention on tensor cores"),
        (DType::BF16, 4, 64, "attention of few queries"),
        (DType::F32, 4, 32, "attention of few queries"),
        (DType::F32, 4, 8, "attention"),
    ] {
        // The largest number of bf16 is an even multiple of its unit in f32 as well.
        let least = f64::from(f32::from_bits(0xff7f_0000));
        let mask = (0..queries * keys).map(|at| match (at / keys, at % keys) {
            (0, _) => least,
            (1, key) if key != 2 => f64::NEG_INFINITY,
            (2, _) => f64::NEG_INFINITY,
            (3, key) if key > 9 => least,
            _ => 0.0,
        });
        let mask = Array::new(dtype, &[1, 1, queries, keys], mask.collect());
        let types = [queries, keys, keys].map(|tokens| TensorType::new(dtype, &[1, tokens, 1, width]));
        let types = [&types[..], &[mask.tensor_type()]].concat();
        let attention = op::Attention { scale: 0.125, causal: false, mask: AttentionMask::Additive };
        let mut program = single(attention, &types);
        assert_eq!(kernel_of(&hopper, &program), kernel);
        // The logarithm of a sum so small is the kernel's own affair.
        program.outputs.truncate(1);
        let mut tensors: Vec<Tensor> = (0..3).map(|at| operand(&types[at], at as u64 + 1)).collect();
        tensors.push(Tensor::from_array(&mask));
        check(&hopper, &program, &tensors, 5e-4);
    }
}

/// An attention of a few tokens that warpgroup products take, and its gradient.
fn small_attentions() -> [Program; 2] {
    let own = TensorType::new(DType::BF16, &[1, 70, 1, 64]);
    let attention = op::Attention { scale: 0.125, causal: true, mask: AttentionMask::None };
    let gradient = op::AttentionGradient { attention, mask_gradient: false };
    let statistics = TensorType::f32(&[1, 1, 70]);
    let [q, k, v] = [&own; 3].map(Clone::clone);
    [single(attention, &[q.clone(), k.clone(), v.clone()]), single(gradient, &[own.clone(), q, k, v, own, statistics])]
}

#[test]
fn warpgroup_products_are_proved_before_a_plan_uses_them() {
    let Some(engine) = host() else { return };
    let hopper = engine.with_warpgroups(true);
    for program in small_attentions() {
        assert_eq!(kernel_of(&hopper, &program), "attention by warpgroups");
    }
}

#[test]
fn the_proof_of_an_attention_over_no_samples_passes() {
    let Some(engine) = host() else { return };
    let own = TensorType::new(DType::BF16, &[0, 70, 2, 64]);
    let attention = op::Attention { scale: 0.125, causal: false, mask: AttentionMask::Additive };
    let mask = TensorType::new(DType::BF16, &[0, 1, 1, 70]);
    let program = single(attention, &[own.clone(), own.clone(), own, mask]);
    assert!(engine.with_warpgroups(true).prepare(&program).is_ok());
}

#[test]
fn kernels_that_a_compiler_spoils_are_refused_with_the_way_around_them() {
    // The second product reads keys for values, and the scores for the slopes.
    for (position, (text, as_text)) in [
        ("multiply_weights(sums, weights, stage + K_TILE)", "multiply_weights(sums, weights, stage)"),
        ("pack_rows(packed_slopes, slopes)", "pack_rows(packed_slopes, weights)"),
    ]
    .into_iter()
    .enumerate()
    {
        let Some(device) = device() else { return };
        let engine = CudaEngine::on(std::sync::Arc::new(device.misreading(text, as_text))).with_warpgroups(true);
        let program = &small_attentions()[position];
        let Err(error) = engine.prepare(program) else { panic!("wrong kernels pass") };
        let error = error.to_string();
        assert!(error.contains("give wrong numbers") && error.contains("SWARD_CUDA_WARPGROUPS=0"), "{error}");
        assert_eq!(kernel_of(&engine.with_warpgroups(false), program), "attention on tensor cores");
    }
}
