//! Attention where its kernels change their ways: tiles, splits, widths, few queries, Hopper's warpgroup products.

use sward_core::program::{DType, Primitive, Program, TensorType};
use sward_ops::primitives::{self as op, AttentionMask};

use super::sizes::{FLOATS, agrees, operand};
use super::{check, host};
use crate::cpu::tests::{single, tensor};
use crate::cuda::CudaEngine;
use crate::engine::Engine;
use crate::tensor::Tensor;

#[test]
fn attentions_agree_over_several_tiles_and_splits() {
    // (queries, keys, width, value width, causal)
    let cases = [
        (1, 300, 64, 64, false),
        (70, 200, 32, 48, false),
        (150, 150, 64, 64, true),
        (33, 257, 128, 128, false),
        (5, 5, 20, 12, true),
    ];
    for dtype in FLOATS {
        for (queries, keys, width, value_width, causal) in cases {
            for mask in [AttentionMask::None, AttentionMask::Additive, AttentionMask::Boolean] {
                let q = TensorType::new(dtype, &[1, queries, 2, width]);
                let k = TensorType::new(dtype, &[1, keys, 2, width]);
                let v = TensorType::new(dtype, &[1, keys, 2, value_width]);
                let mut operands = vec![q, k, v];
                match mask {
                    AttentionMask::None => {}
                    AttentionMask::Additive => operands.push(TensorType::new(dtype, &[1, 2, 1, keys])),
                    AttentionMask::Boolean => operands.push(TensorType::new(DType::Bool, &[1, 1, queries, keys])),
                }
                agrees(op::Attention { scale: 1.0 / (width as f64).sqrt(), causal, mask }, &operands, 2e-4);
            }
        }
    }
}

/// The gradient of an attention with what it is given: a forward pass of the reference in the dtype of its operands.
fn gradient(
    dtype: DType,
    (queries, keys, width, value_width): (usize, usize, usize, usize),
    causal: bool,
    mask: AttentionMask,
) -> (Program, Vec<Tensor>) {
    let attention = op::Attention { scale: 1.0 / (width as f64).sqrt(), causal, mask };
    let own = |tokens, width| TensorType::new(dtype, &[1, tokens, 2, width]);
    let types = [own(queries, width), own(keys, width), own(keys, value_width)];
    let mut inputs: Vec<_> = types.iter().enumerate().map(|(i, t)| tensor(t, i as u64).to_array()).collect();
    match mask {
        AttentionMask::None => {}
        AttentionMask::Additive => inputs.push(tensor(&TensorType::f32(&[1, 2, queries, keys]), 9).to_array()),
        AttentionMask::Boolean => inputs.push(operand(&TensorType::new(DType::Bool, &[1, 1, 1, keys]), 9).to_array()),
    }
    let forward = attention.reference(&inputs.iter().collect::<Vec<_>>(), Default::default());
    let mut tensors = vec![tensor(&own(queries, value_width), 5)];
    tensors.extend(inputs[..3].iter().map(Tensor::from_array));
    tensors.extend(forward.iter().map(Tensor::from_array));
    tensors.extend(inputs[3..].iter().map(Tensor::from_array));
    let types: Vec<TensorType> = tensors.iter().map(Tensor::tensor_type).collect();
    (single(op::AttentionGradient { attention, mask_gradient: mask == AttentionMask::Additive }, &types), tensors)
}

#[test]
fn gradients_of_attentions_agree_over_several_tiles() {
    let Some(engine) = host() else { return };
    for dtype in FLOATS {
        for (sizes, causal, mask) in [
            ((130, 130, 64, 64), true, AttentionMask::None),
            ((40, 150, 32, 32), false, AttentionMask::Additive),
            ((65, 70, 128, 128), false, AttentionMask::Boolean),
        ] {
            let (program, tensors) = gradient(dtype, sizes, causal, mask);
            check(&engine, &program, &tensors, 5e-4);
        }
    }
}

fn kernel_of(engine: &CudaEngine, program: &Program) -> &'static str {
    engine.prepare(program).expect("a kernel").profile()[0].kernel
}

#[test]
fn few_queries_read_keys_and_values_once() {
    let Some(engine) = host() else { return };
    for dtype in FLOATS {
        for (queries, keys, width, causal) in
            [(1, 300, 64, false), (3, 77, 32, true), (2, 130, 128, false), (1, 1, 32, false), (4, 700, 64, true), (1, 5000, 32, false)]
        {
            for mask in [AttentionMask::None, AttentionMask::Additive, AttentionMask::Boolean] {
                let own = |tokens| TensorType::new(dtype, &[2, tokens, 2, width]);
                let mut operands = vec![own(queries), own(keys), own(keys)];
                match mask {
                    AttentionMask::None => {}
                    AttentionMask::Additive => operands.push(TensorType::new(dtype, &[1, 2, 1, keys])),
                    AttentionMask::Boolean => operands.push(TensorType::new(DType::Bool, &[1, 1, queries, keys])),
                }
                let attention = op::Attention { scale: 1.0 / (width as f64).sqrt(), causal, mask };
                assert_eq!(kernel_of(&engine, &single(attention, &operands)), "attention of few queries");
                agrees(attention, &operands, 2e-4);
            }
        }
    }
}

/// Attentions that the kernels by warpgroup products take: (attention, operands).
pub(super) fn warpgroup_attentions() -> Vec<(op::Attention, Vec<TensorType>)> {
    // (queries, keys, width, value width, causal)
    let cases = [
        (300, 300, 64, 64, true),
        (150, 600, 64, 64, false),
        (65, 257, 128, 128, false),
        (70, 130, 64, 128, false),
        (128, 64, 128, 64, true),
    ];
    let masks = [AttentionMask::None, AttentionMask::Additive, AttentionMask::Boolean];
    let of = |(queries, keys, width, value_width, causal): (usize, usize, usize, usize, bool), mask| {
        let half = |tokens, width| TensorType::new(DType::BF16, &[2, tokens, 2, width]);
        let mut operands = vec![half(queries, width), half(keys, width), half(keys, value_width)];
        match mask {
            AttentionMask::None => {}
            AttentionMask::Additive => operands.push(TensorType::new(DType::BF16, &[1, 2, 1, keys])),
            AttentionMask::Boolean => operands.push(TensorType::new(DType::Bool, &[2, 1, queries, keys])),
        }
        (op::Attention { scale: 1.0 / (width as f64).sqrt(), causal, mask }, operands)
    };
    cases.into_iter().flat_map(|case| masks.into_iter().map(move |mask| of(case, mask))).collect()
}

/// Gradients that they take.
pub(super) fn warpgroup_gradients() -> Vec<(Program, Vec<Tensor>)> {
    [
        ((300, 300, 64, 64), true, AttentionMask::None),
        ((150, 400, 64, 64), false, AttentionMask::Boolean),
        ((333, 129, 64, 64), false, AttentionMask::None),
        ((65, 257, 128, 128), false, AttentionMask::None),
        ((70, 130, 64, 128), true, AttentionMask::Boolean),
        ((128, 64, 128, 64), false, AttentionMask::None),
    ]
    .map(|(sizes, causal, mask)| gradient(DType::BF16, sizes, causal, mask))
    .into()
}

#[test]
fn attentions_by_warpgroup_products_agree_with_the_reference() {
    let Some(engine) = host() else { return };
    let hopper = engine.with_warpgroups(true);
    for (attention, operands) in warpgroup_attentions() {
        let program = single(attention, &operands);
        let inputs: Vec<Tensor> = operands.iter().enumerate().map(|(index, t)| operand(t, index as u64 + 1)).collect();
        assert_eq!(kernel_of(&hopper, &program), "attention by warpgroups");
        check(&hopper, &program, &inputs, 2e-4);
    }
}

#[test]
fn gradients_by_warpgroup_products_agree_with_the_reference() {
    let Some(engine) = host() else { return };
    let hopper = engine.with_warpgroups(true);
    for (program, tensors) in warpgroup_gradients() {
        assert_eq!(kernel_of(&hopper, &program), "attention by warpgroups");
        check(&hopper, &program, &tensors, 5e-4);
    }
}

#[test]
fn attentions_that_warpgroup_products_do_not_take_keep_their_kernel() {
    let Some(engine) = host() else { return };
    let hopper = engine.with_warpgroups(true);
    for (dtype, width, scale, kernel) in [
        (DType::BF16, 32, 1.0, "attention on tensor cores"),
        (DType::F32, 64, 1.0, "attention"),
        (DType::BF16, 64, -1.0, "attention"),
    ] {
        let q = TensorType::new(dtype, &[1, 70, 1, width]);
        let attention = op::Attention { scale, causal: false, mask: AttentionMask::None };
        assert_eq!(kernel_of(&hopper, &single(attention, &[q.clone(), q.clone(), q.clone()])), kernel);
        agrees(attention, &[q.clone(), q.clone(), q], 2e-4);
    }
}
