//! Attention where its kernels change their ways: tiles, splits, widths, few queries, Hopper's warpgroup products.

use sward_core::program::{DType, Program, TensorType};
use sward_ops::primitives::problems::{Problem, attention_gradients, attentions};
use sward_ops::primitives::{self as op, AttentionMask};

use super::sizes::{FLOATS, agrees};
use super::{check, host};
use crate::cpu::tests::single;
use crate::cuda::CudaEngine;
use crate::engine::Engine;
use crate::tensor::Tensor;

/// What warpgroup products take of these problems.
fn by_warpgroups(engine: &CudaEngine) -> Vec<Problem> {
    let hopper = engine.clone().with_warpgroups(true);
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
    let hopper = engine.with_warpgroups(true);
    problems.iter().for_each(|problem| compare(&hopper, problem));
}

#[test]
fn kernels_are_chosen_by_dtype_width_queries_and_scale() {
    let Some(engine) = host() else { return };
    let hopper = engine.with_warpgroups(true);
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
