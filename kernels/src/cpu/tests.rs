//! The engine against the reference interpreter.

use std::collections::BTreeMap;

use proptest::prelude::*;
use sward_core::program::{Array, Builder, DType, Primitive, Program, Role, RunKey, TensorType, interpret};
use sward_ops::primitives as op;

use super::features::Features;
use super::*;
use crate::engine::RunError;
use crate::tensor::Tensor;

/// Numbers in -1 .. 1 with all bits in use.
pub(crate) fn numbers(n: usize, salt: u64) -> Vec<f64> {
    let scramble = |i: u64| {
        let x = (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ salt.wrapping_mul(0xd1b5_4a32_d192_ed03);
        (x ^ (x >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40
    };
    (0..n as u64).map(|i| scramble(i) as f64 / 8_388_608.0 - 1.0).collect()
}

/// A program of one instruction with all its results as outputs `0`, `1`, ... of arguments `0`, `1`, ...
pub(crate) fn single(op: impl Primitive, operands: &[TensorType]) -> Program {
    let mut builder = Builder::new();
    let arguments: Vec<_> =
        operands.iter().enumerate().map(|(i, t)| builder.argument(&i.to_string(), Role::Input, t.clone())).collect();
    let results = builder.emit(op, &arguments).expect("operands fit");
    for (i, value) in results.into_iter().enumerate() {
        builder.output(&i.to_string(), value);
    }
    builder.finish()
}

/// Runs the program on the reference and, for every set of features, on one, two, three and five threads: equal bits, close to the reference.
pub(crate) fn check(program: &Program, arguments: &[Tensor], tolerance: f64) {
    let key = RunKey { seed: 7, step: 3 };
    let arrays: BTreeMap<String, Array> =
        arguments.iter().enumerate().map(|(i, t)| (program.arguments[i].name.clone(), t.to_array())).collect();
    let (want, _) = interpret(program, &arrays, key).expect("arguments fit");
    for features in Features::available() {
        let mut first: Option<Vec<Tensor>> = None;
        for threads in [1, 2, 3, 5] {
            let engine = CpuEngine::new(threads).expect("threads").with_features(features);
            let mut plan = engine.prepare(program).expect("a kernel");
            for (argument, tensor) in program.arguments.iter().zip(arguments) {
                plan.set(&argument.name, tensor).expect("it fits");
            }
            plan.run(key).expect("it runs");
            let outputs: Vec<Tensor> =
                program.outputs.iter().map(|output| plan.output(&output.name).expect("it is there")).collect();
            match &first {
                None => {
                    for (output, got) in program.outputs.iter().zip(&outputs) {
                        assert_near(
                            &want[&output.name],
                            &got.to_array(),
                            tolerance,
                            &format!("output {} of\n{program}{features:?}", output.name),
                        );
                    }
                    first = Some(outputs);
                }
                Some(first) => {
                    for (a, b) in first.iter().zip(&outputs) {
                        assert!(a.bytes() == b.bytes(), "bits differ on {threads} threads:\n{program}{features:?}");
                    }
                }
            }
        }
    }
}

/// Every element near the wanted one, relative to the largest of the tensor and itself.
pub(crate) fn assert_near(want: &Array, got: &Array, tolerance: f64, place: &str) {
    assert_eq!(want.tensor_type(), got.tensor_type(), "{place}");
    let scale = want.data.iter().filter(|x| x.is_finite()).fold(0.0f64, |m, x| m.max(x.abs()));
    // bf16 results may come from bf16 intermediates: judged against the largest element.
    let (tolerance, share) = if want.dtype == DType::BF16 { (tolerance.max(2e-2), 1.0) } else { (tolerance, 0.1) };
    for (i, (want, got)) in want.data.iter().zip(&got.data).enumerate() {
        let near = (want - got).abs() <= tolerance * (share * scale + want.abs()) + 2e-6;
        let close = near || want == got || (want.is_nan() && got.is_nan());
        assert!(close, "element {i} is {got}, not {want}: {place}");
    }
}

/// A tensor of numbers, rounded to its dtype.
pub(crate) fn tensor(tensor_type: &TensorType, salt: u64) -> Tensor {
    let x = numbers(tensor_type.elements(), salt);
    Tensor::from_array(&Array::new(tensor_type.dtype, &tensor_type.shape, x))
}

pub(crate) fn sizes() -> impl Strategy<Value = usize> {
    prop_oneof![1 => Just(0usize), 2 => Just(1), 1 => Just(16), 1 => Just(63), 4 => 1..40usize]
}

pub(crate) fn float() -> impl Strategy<Value = DType> {
    prop_oneof![Just(DType::F32), Just(DType::BF16)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn matmul_agrees_with_the_reference(
        (m, n, k) in (sizes(), sizes(), sizes()),
        batch in prop_oneof![Just((vec![], vec![])), Just((vec![3], vec![1])), Just((vec![1], vec![2])), Just((vec![2, 1], vec![1, 3])), Just((vec![2], vec![2]))],
        (transpose_a, transpose_b) in any::<(bool, bool)>(),
        (a, b, dtype) in (float(), float(), float()),
    ) {
        let shape = |batch: &[usize], rows, columns, transposed| {
            let mut shape = batch.to_vec();
            shape.extend(if transposed { [columns, rows] } else { [rows, columns] });
            shape
        };
        let operands = [
            TensorType::new(a, &shape(&batch.0, m, k, transpose_a)),
            TensorType::new(b, &shape(&batch.1, k, n, transpose_b)),
        ];
        let program = single(op::MatMul { transpose_a, transpose_b, dtype, epilogue: None }, &operands);
        check(&program, &[tensor(&operands[0], 1), tensor(&operands[1], 2)], 1e-5);
    }
}

fn shapes() -> TensorType {
    TensorType::f32(&[3, 5])
}

#[test]
fn a_plan_refuses_what_does_not_fit() {
    let program =
        single(op::MatMul { transpose_a: false, transpose_b: true, dtype: DType::F32, epilogue: None }, &[shapes(), shapes()]);
    let engine = CpuEngine::new(1).unwrap();
    let mut plan = engine.prepare(&program).unwrap();
    let missing = plan.run(RunKey::default()).unwrap_err();
    assert_eq!(missing, RunError::Missing { name: "0".into() });
    assert!(matches!(plan.set("2", &tensor(&shapes(), 1)), Err(RunError::Unknown { .. })));
    let wrong = plan.set("0", &tensor(&TensorType::f32(&[5, 3]), 1)).unwrap_err();
    assert_eq!(wrong.to_string(), "`0` is f32[3,5], f32[5,3] was given");
    assert!(matches!(plan.output("loss"), Err(RunError::Unknown { kind: "output", .. })));
    let refused = engine.with_memory_limit(100).prepare(&program).err().expect("too large");
    assert!(matches!(refused, PrepareError::Memory { available: 100, .. }), "{refused}");
}

#[test]
fn a_trap_names_the_first_node_that_is_not_finite() {
    let mut builder = Builder::new();
    let a = builder.argument("a", Role::Input, shapes());
    builder.set_origin(sward_core::program::Origin { path: "head.linear".into(), place: Some("model.ron:3:5".into()) });
    let product = builder
        .emit_one(op::MatMul { transpose_a: false, transpose_b: true, dtype: DType::F32, epilogue: None }, &[a, a])
        .unwrap();
    builder.output("product", product);
    let mut plan = CpuEngine::new(1).unwrap().prepare(&builder.finish()).unwrap();
    let mut x = vec![1.0; 15];
    x[7] = f32::INFINITY;
    plan.set("a", &Tensor::f32(&[3, 5], x)).unwrap();
    assert!(plan.run(RunKey::default()).is_ok());
    plan.trap_nonfinite(true);
    let error = plan.run(RunKey::default()).unwrap_err();
    assert_eq!(error.to_string(), "node `head.linear` (model.ron:3:5): matmul gives inf at element 1");
}

/// A step on two parameters and an index that is read after the first of them has stepped.
#[test]
fn a_failed_run_says_which_parameters_it_tore_and_setting_them_mends_the_plan() {
    let mut builder = Builder::new();
    let rule = op::OptimizerRule::Sgd { momentum: 0.0, nesterov: false, dampening: 0.0 };
    let settings = builder.argument("settings", Role::Setting, TensorType::f32(&[rule.settings()]));
    let gradient = builder.argument("gradient", Role::Input, TensorType::f32(&[4]));
    let index = builder.argument("index", Role::Input, TensorType::new(DType::I64, &[1]));
    let trained = Role::Parameter { trained: true };
    let [first, last] = ["first", "last"].map(|name| builder.argument(name, trained, TensorType::f32(&[4])));
    let update = op::OptimizerUpdate { rule, weight_decay: 0.0 };
    let next_first = builder.emit_one(update, &[first, gradient, settings]).unwrap();
    let picked = builder.emit_one(op::Take { axis: 0 }, &[gradient, index]).unwrap();
    let next_last = builder.emit_one(update, &[last, gradient, settings]).unwrap();
    builder.output("picked", picked);
    builder.update(first, next_first);
    builder.update(last, next_last);
    let mut plan = CpuEngine::new(1).unwrap().prepare(&builder.finish()).unwrap();
    let ones = Tensor::f32(&[4], vec![1.0; 4]);
    let place = |plan: &mut Box<dyn Plan>, index| plan.set("index", &Tensor::new(&[1], crate::Data::I64(vec![index]))).unwrap();
    for name in ["first", "last", "gradient"] {
        plan.set(name, &ones).unwrap();
    }
    let numbers = rule.settings_at(1, 0.25, 1.0).into_iter().map(|x| x as f32).collect();
    plan.set("settings", &Tensor::f32(&[rule.settings()], numbers)).unwrap();
    place(&mut plan, 7);
    assert!(matches!(plan.run(RunKey::default()), Err(RunError::Instruction { instruction: "take", .. })));
    let torn = RunError::Torn { name: "first".into() };
    assert_eq!(plan.get("first"), Err(torn.clone()));
    assert_eq!(plan.get("last"), Ok(ones.clone()), "it was not reached");
    place(&mut plan, 3);
    assert_eq!(plan.run(RunKey::default()), Err(torn));
    plan.set("first", &ones).unwrap();
    plan.run(RunKey::default()).unwrap();
    for name in ["first", "last"] {
        assert_eq!(plan.get(name).unwrap(), Tensor::f32(&[4], vec![0.75; 4]), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, ..ProptestConfig::default() })]

    #[test]
    fn layer_norm_and_its_gradient_agree_with_the_reference(
        (rows, width) in (sizes(), prop_oneof![1..70usize, Just(513)]),
        (centered, weight, bias) in any::<(bool, bool, bool)>(),
        (dtype, parameter) in (float(), float()),
    ) {
        let x = TensorType::new(dtype, &[2, rows, width]);
        let mut operands = vec![x.clone()];
        operands.extend((0..usize::from(weight) + usize::from(bias)).map(|_| TensorType::new(parameter, &[width])));
        let program = single(op::LayerNorm { epsilon: 1e-5, centered, weight, bias }, &operands);
        let tensors: Vec<Tensor> = operands.iter().enumerate().map(|(i, t)| tensor(t, i as u64)).collect();
        check(&program, &tensors, 2e-4);

        let statistics = TensorType::f32(&[2, rows, 1]);
        let mut operands = vec![x.clone(), x];
        operands.extend(weight.then(|| TensorType::new(parameter, &[width])));
        operands.extend([statistics.clone(), statistics]);
        let rule = op::LayerNormGradient { centered, weight, weight_gradient: weight, bias_gradient: bias };
        let program = single(rule, &operands);
        let tensors: Vec<Tensor> = operands.iter().enumerate().map(|(i, t)| tensor(t, i as u64)).collect();
        check(&program, &tensors, 2e-4);
    }

    #[test]
    fn softmax_and_its_gradient_agree_with_the_reference(
        (rows, width) in (sizes(), prop_oneof![0..70usize, Just(1025)]),
        log in any::<bool>(),
        (x, y) in (float(), float()),
    ) {
        let x = TensorType::new(x, &[rows, width]);
        check(&single(op::Softmax { log, dtype: y }, std::slice::from_ref(&x)), &[tensor(&x, 1)], 1e-5);
        let y = TensorType::new(y, &[rows, width]);
        check(&single(op::SoftmaxGradient { log }, &[x.clone(), y.clone()]), &[tensor(&x, 1), tensor(&y, 2)], 1e-4);
    }

    #[test]
    fn optimizer_updates_agree_with_the_reference(
        n in sizes(),
        rule in prop_oneof![
            Just(op::OptimizerRule::Sgd { momentum: 0.0, nesterov: false, dampening: 0.0 }),
            Just(op::OptimizerRule::Sgd { momentum: 0.9, nesterov: true, dampening: 0.0 }),
            Just(op::OptimizerRule::Sgd { momentum: 0.9, nesterov: false, dampening: 0.3 }),
            Just(op::OptimizerRule::Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }),
            Just(op::OptimizerRule::AdamW { beta1: 0.9, beta2: 0.99, epsilon: 1e-6 }),
        ],
        (weight_decay, step) in (prop_oneof![Just(0.0), Just(0.05)], 1..20u64),
        gradient in float(),
    ) {
        let parameter = TensorType::f32(&[3, n]);
        let mut operands = vec![parameter.clone(), TensorType::new(gradient, &[3, n]), TensorType::f32(&[rule.settings()])];
        operands.extend((0..rule.moments()).map(|_| parameter.clone()));
        let mut tensors: Vec<Tensor> = operands.iter().enumerate().map(|(i, t)| tensor(t, i as u64)).collect();
        tensors[2] = Tensor::f32(&[rule.settings()], rule.settings_at(step, 1e-2, 0.5).into_iter().map(|x| x as f32).collect());
        if let Some(squares) = tensors.get_mut(4) {
            *squares = Tensor::f32(&[3, n], numbers(3 * n, 9).into_iter().map(|x| (x * x) as f32).collect());
        }
        check(&single(op::OptimizerUpdate { rule, weight_decay }, &operands), &tensors, 2e-5);
    }
}

#[derive(Clone, Debug)]
struct ConvolutionProblem {
    x: TensorType,
    weight: TensorType,
    geometry: op::ConvolutionGeometry,
}

fn convolutions() -> impl Strategy<Value = ConvolutionProblem> {
    let pair = |low: usize, high: usize| (low..=high, low..=high);
    let groups =
        prop_oneof![3 => Just((1usize, 0usize, 0usize)), 1 => Just((2, 0, 0)), 3 => (1..50usize).prop_map(|c| (c, 1, 1))];
    let sizes = (0..3usize, pair(1, 13), pair(1, 5), pair(1, 3), (pair(0, 3), pair(0, 3)), pair(1, 2));
    (sizes, groups, (1..20usize, 1..20usize), float(), float()).prop_filter_map(
        "the kernel fits",
        |((batch, size, kernel, stride, padding, dilation), (groups, each, results), (channels, outputs), x, weight)| {
            let (each, results) = if each == 1 && groups > 1 { (each, results) } else { (channels, outputs) };
            let geometry = op::ConvolutionGeometry { stride, padding, dilation, groups };
            geometry.output_size(size, kernel).ok()?;
            Some(ConvolutionProblem {
                x: TensorType::new(x, &[batch, size.0, size.1, groups * each]),
                weight: TensorType::new(weight, &[groups * results, kernel.0, kernel.1, each]),
                geometry,
            })
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn convolutions_and_their_gradients_agree_with_the_reference(problem in convolutions(), y in float()) {
        let ConvolutionProblem { x, weight, geometry } = problem;
        let program = single(op::Convolution { geometry, dtype: y, epilogue: None }, &[x.clone(), weight.clone()]);
        check(&program, &[tensor(&x, 1), tensor(&weight, 2)], 1e-5);
        let dy = TensorType::new(y, &program.type_of(program.outputs[0].value).shape);
        let rule = op::ConvolutionInputGradient { geometry, input: (x.shape[1], x.shape[2]), dtype: x.dtype };
        check(&single(rule, &[dy.clone(), weight.clone()]), &[tensor(&dy, 3), tensor(&weight, 2)], 1e-5);
        let rule = op::ConvolutionWeightGradient { geometry, kernel: (weight.shape[1], weight.shape[2]) };
        check(&single(rule, &[x.clone(), dy.clone()]), &[tensor(&x, 1), tensor(&dy, 3)], 1e-5);
    }
}

/// Every primitive's problems on the engine: values as the reference has them, equal bits on any number of threads.
#[test]
fn every_family_agrees_with_the_reference() {
    let agrees = |family: &op::problems::Family| {
        for dtype in [DType::F32, DType::BF16] {
            for seed in 0..12 {
                let extent = if seed % 2 == 0 { op::problems::Extent::Small } else { op::problems::Extent::Large };
                let problem = family.problem(op::problems::Draw::new(seed, dtype, extent));
                let tensors: Vec<Tensor> = problem.inputs.iter().map(Tensor::from_array).collect();
                check(&problem.program(), &tensors, 2e-4);
            }
        }
    };
    let failed: Vec<&str> = op::problems::families()
        .iter()
        .filter(|family| std::panic::catch_unwind(|| agrees(family)).is_err())
        .map(|family| family.name)
        .collect();
    assert!(failed.is_empty(), "families that disagree: {failed:?}");
}

/// Attentions of several blocks of queries and keys, and of widths that fill no tile.
#[test]
fn attentions_of_many_tokens_agree_with_the_reference() {
    for dtype in [DType::F32, DType::BF16] {
        for problem in op::problems::attentions(dtype).iter().chain(&op::problems::attention_gradients(dtype)) {
            let tensors: Vec<Tensor> = problem.inputs.iter().map(Tensor::from_array).collect();
            check(&problem.program(), &tensors, 2e-4);
        }
    }
}

/// Masks in use: the least number, which leaves a query with nothing else all keys alike, and -inf, which leaves it none.
#[test]
fn additive_masks_of_the_least_number_and_of_infinity_differ() {
    let (queries, keys, width) = (4, 19, 8);
    let mask: Vec<f64> = (0..queries * keys)
        .map(|i| match (i / keys, i % keys) {
            (0, _) => f64::from(f32::MIN),
            (1, key) if key != 2 => f64::NEG_INFINITY,
            (2, _) => f64::NEG_INFINITY,
            (3, key) if key > 9 => f64::from(f32::MIN),
            _ => 0.0,
        })
        .collect();
    let operand = |tokens, salt| tensor(&TensorType::new(DType::F32, &[1, tokens, 1, width]), salt);
    let operands = [
        operand(queries, 1),
        operand(keys, 2),
        operand(keys, 3),
        Tensor::from_array(&Array::new(DType::F32, &[1, 1, queries, keys], mask)),
    ];
    let attention = op::Attention { scale: 0.5, causal: false, mask: op::AttentionMask::Additive };
    let types: Vec<TensorType> = operands.iter().map(|operand| operand.to_array().tensor_type()).collect();
    check(&single(attention, &types), &operands, 1e-5);
}
