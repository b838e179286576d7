//! The reference semantics of every primitive against PyTorch's f64 results (`fixtures/primitives/make.py`).

use smallvec::smallvec;
use std::collections::{BTreeMap, BTreeSet};
use sward_core::program::{Array, DType, Primitive, RunKey, Shape, TensorType};
use sward_ops::primitives::*;

const FIXTURE: &str = include_str!("fixtures/primitives/primitives.json");

struct Case {
    inputs: Vec<Array>,
    outputs: Vec<Array>,
}

fn array(value: &serde_json::Value) -> Array {
    let dtype = match value["dtype"].as_str() {
        Some("f32") => DType::F32,
        Some("i64") => DType::I64,
        Some("bool") => DType::Bool,
        other => panic!("dtype {other:?}"),
    };
    let shape: Vec<usize> =
        value["shape"].as_array().expect("sizes").iter().map(|size| size.as_u64().expect("a size") as usize).collect();
    let number = |value: &serde_json::Value| match value.as_str() {
        Some(text) => text.parse().expect("nan or inf"),
        None => value.as_f64().expect("a number"),
    };
    Array::new(dtype, &shape, value["data"].as_array().expect("elements").iter().map(number).collect())
}

fn cases() -> BTreeMap<String, Case> {
    let fixture: serde_json::Map<String, serde_json::Value> = serde_json::from_str(FIXTURE).expect("the fixture is JSON");
    let arrays = |value: &serde_json::Value| value.as_array().expect("tensors").iter().map(array).collect();
    fixture
        .iter()
        .map(|(name, case)| (name.clone(), Case { inputs: arrays(&case["inputs"]), outputs: arrays(&case["outputs"]) }))
        .collect()
}

fn assert_equal(name: &str, given: &Array, expected: &Array) {
    assert_eq!(given.tensor_type(), expected.tensor_type(), "{name}");
    for (position, (given, expected)) in given.data.iter().zip(&expected.data).enumerate() {
        let is_equal = given == expected
            || given.is_nan() && expected.is_nan()
            || (given - expected).abs() <= 1e-10 * (1.0 + expected.abs());
        assert!(is_equal, "{name}: element {position} is {given}, PyTorch gives {expected}");
    }
}

/// Compares the leading results of a primitive; `layer_norm` and its like give more than PyTorch does.
fn check(name: &str, case: &Case, op: &dyn Primitive) {
    let types: Vec<TensorType> = case.inputs.iter().map(Array::tensor_type).collect();
    let inferred = op.infer(&types).unwrap_or_else(|reason| panic!("{name}: {reason}"));
    let inputs: Vec<&Array> = case.inputs.iter().collect();
    let outputs = op.reference(&inputs, RunKey::default());
    assert_eq!(outputs.len(), inferred.len(), "{name}");
    assert!(outputs.len() >= case.outputs.len(), "{name}");
    for ((given, expected), inferred) in outputs.iter().zip(&case.outputs).zip(inferred) {
        assert_eq!(given.tensor_type(), inferred, "{name}: the rule for types");
        assert_equal(name, given, expected);
    }
}

const F32: DType = DType::F32;

fn shape(sizes: &[usize]) -> Shape {
    Shape::from_slice(sizes)
}

fn movement() -> Vec<(&'static str, Box<dyn Primitive>)> {
    let pad = |low: &[usize], high: &[usize], mode| Pad { low: shape(low), high: shape(high), mode };
    let image_pad = |mode| pad(&[0, 2, 1, 0], &[0, 1, 2, 0], mode);
    vec![
        ("iota_7", Box::new(Iota { length: 7 })),
        ("reshape", Box::new(Reshape { shape: shape(&[5, 6]) })),
        ("permute", Box::new(Permute { axes: smallvec![2, 0, 1] })),
        ("expand", Box::new(Expand { shape: shape(&[2, 4, 3, 2]) })),
        ("slice", Box::new(Slice { axis: 1, start: 1, length: 3, step: 2 })),
        ("slice_backwards", Box::new(Slice { axis: 1, start: 5, length: 2, step: -3 })),
        ("pad_constant", Box::new(pad(&[0, 0, 1], &[0, 3, 2], PadMode::Constant(-0.5)))),
        ("pad_reflect", Box::new(pad(&[0, 0, 2], &[0, 0, 1], PadMode::Reflect))),
        ("pad_replicate", Box::new(pad(&[0, 0, 1], &[0, 0, 3], PadMode::Replicate))),
        ("pad_gradient_reflect", Box::new(PadGradient { pad: image_pad(PadMode::Reflect) })),
        ("pad_gradient_replicate", Box::new(PadGradient { pad: image_pad(PadMode::Replicate) })),
        ("concat", Box::new(Concat { axis: 1 })),
    ]
}

fn reductions() -> Vec<(&'static str, Box<dyn Primitive>)> {
    let reduce = |kind, axes: &[usize]| Box::new(Reduce { kind, axes: axes.into(), dtype: F32 });
    let arg = |kind, axis| Box::new(ArgReduce { kind, axis });
    vec![
        ("reduce_sum", reduce(ReduceKind::Sum, &[0, 2])),
        ("reduce_mean", reduce(ReduceKind::Mean, &[1])),
        ("reduce_max", reduce(ReduceKind::Max, &[1, 2])),
        ("reduce_min", reduce(ReduceKind::Min, &[0])),
        ("reduce_sum_bool", Box::new(Reduce { kind: ReduceKind::Sum, axes: smallvec![1], dtype: DType::I64 })),
        ("reduce_max_nan", reduce(ReduceKind::Max, &[1])),
        ("reduce_sum_empty", reduce(ReduceKind::Sum, &[1])),
        ("reduce_mean_empty", reduce(ReduceKind::Mean, &[1])),
        ("arg_reduce_max_nan", arg(ArgReduceKind::Max, 1)),
        ("arg_reduce_min_nan", arg(ArgReduceKind::Min, 0)),
        ("arg_reduce_max_ties", arg(ArgReduceKind::Max, 1)),
        ("arg_reduce_min_ties", arg(ArgReduceKind::Min, 1)),
        ("cumulative_sum", Box::new(CumulativeSum { axis: 1, reverse: false })),
        ("cumulative_sum_reverse", Box::new(CumulativeSum { axis: 2, reverse: true })),
        ("squared_norm", Box::new(SquaredNorm)),
    ]
}

fn products() -> Vec<(&'static str, Box<dyn Primitive>)> {
    let matmul = |transpose_a, transpose_b| Box::new(MatMul { transpose_a, transpose_b, dtype: F32, epilogue: None });
    let attention = |scale: f64, causal, mask| Attention { scale, causal, mask };
    let gradient = |attention, mask_gradient| Box::new(AttentionGradient { attention, mask_gradient });
    let plain = attention(0.5, false, AttentionMask::None);
    let causal = attention(0.75, true, AttentionMask::None);
    let additive = attention(0.5f64.sqrt(), false, AttentionMask::Additive);
    let boolean = attention(0.5f64.sqrt(), false, AttentionMask::Boolean);
    vec![
        ("matmul", matmul(false, false)),
        ("matmul_transposed", matmul(true, true)),
        ("matmul_linear", matmul(false, true)),
        ("matmul_empty_inner", matmul(false, false)),
        ("attention_plain", Box::new(plain)),
        ("attention_gradient_plain", gradient(plain, false)),
        ("attention_causal", Box::new(causal)),
        ("attention_gradient_causal", gradient(causal, false)),
        ("attention_additive", Box::new(additive)),
        ("attention_gradient_additive", gradient(additive, true)),
        ("attention_additive_keys", Box::new(additive)),
        ("attention_gradient_additive_keys", gradient(additive, true)),
        ("attention_boolean", Box::new(boolean)),
        ("attention_gradient_boolean", gradient(boolean, false)),
    ]
}

/// The cases `convolution_NAME` and those of both gradients, whose sizes the fixture's tensors give.
fn check_convolution(cases: &BTreeMap<String, Case>, name: &str, geometry: ConvolutionGeometry) -> Vec<String> {
    let forward = &cases[&format!("convolution_{name}")];
    let (x, weight) = (&forward.inputs[0].shape, &forward.inputs[1].shape);
    let ops: [(&str, Box<dyn Primitive>); 3] = [
        ("convolution", Box::new(Convolution { geometry, dtype: F32, epilogue: None })),
        ("convolution_input_gradient", Box::new(ConvolutionInputGradient { geometry, input: (x[1], x[2]), dtype: F32 })),
        ("convolution_weight_gradient", Box::new(ConvolutionWeightGradient { geometry, kernel: (weight[1], weight[2]) })),
    ];
    let mut names = Vec::new();
    for (prefix, op) in ops {
        let name = format!("{prefix}_{name}");
        check(&name, &cases[&name], &*op);
        names.push(name);
    }
    names
}

fn convolutions(cases: &BTreeMap<String, Case>) -> Vec<String> {
    let plain = ConvolutionGeometry::default();
    let strided = ConvolutionGeometry { stride: (2, 3), padding: ((1, 1), (2, 2)), ..plain };
    let dilated = ConvolutionGeometry { dilation: (2, 3), padding: ((2, 2), (1, 1)), ..plain };
    let grouped = ConvolutionGeometry { groups: 2, padding: ((1, 1), (1, 1)), ..plain };
    let depthwise = ConvolutionGeometry { groups: 3, padding: ((1, 1), (1, 1)), ..plain };
    let settings = [("plain", plain), ("strided", strided), ("dilated", dilated), ("grouped", grouped), ("depthwise", depthwise)];
    let mut names: Vec<String> =
        settings.into_iter().flat_map(|(name, geometry)| check_convolution(cases, name, geometry)).collect();
    let asymmetric = ConvolutionGeometry { padding: ((1, 3), (0, 2)), ..plain };
    let transposed = ConvolutionGeometry { stride: (2, 2), padding: ((1, 1), (1, 1)), ..plain };
    let others: [(&str, Box<dyn Primitive>); 2] = [
        ("convolution_asymmetric", Box::new(Convolution { geometry: asymmetric, dtype: F32, epilogue: None })),
        (
            "convolution_transpose",
            // 3 x 4 pixels, kernel 3, stride 2, padding 1 and output padding 1 give 6 x 8.
            Box::new(ConvolutionInputGradient { geometry: transposed, input: (6, 8), dtype: F32 }),
        ),
    ];
    for (name, op) in others {
        check(name, &cases[name], &*op);
        names.push(name.to_string());
    }
    names
}

fn normalizations() -> Vec<(&'static str, Box<dyn Primitive>)> {
    vec![
        ("layer_norm", Box::new(LayerNorm { epsilon: 1e-3, centered: true, weight: true, bias: true })),
        ("rms_norm", Box::new(LayerNorm { epsilon: 1e-5, centered: false, weight: true, bias: false })),
        ("softmax", Box::new(Softmax { log: false, dtype: F32 })),
        ("log_softmax", Box::new(Softmax { log: true, dtype: F32 })),
        ("softmax_gradient", Box::new(SoftmaxGradient { log: false })),
        ("log_softmax_gradient", Box::new(SoftmaxGradient { log: true })),
    ]
}

fn poolings(cases: &BTreeMap<String, Case>) -> Vec<String> {
    let plain = MaxPool { kernel: (2, 2), stride: (2, 2), padding: (0, 0), dilation: (1, 1), ceil_mode: false };
    let max_pools = [
        ("plain", plain),
        ("stem", MaxPool { kernel: (3, 3), padding: (1, 1), ..plain }),
        ("ceil", MaxPool { kernel: (3, 2), stride: (2, 3), padding: (1, 0), ceil_mode: true, ..plain }),
        ("dilated", MaxPool { stride: (1, 2), padding: (1, 1), dilation: (3, 2), ..plain }),
        ("ties", MaxPool { stride: (1, 1), ..plain }),
    ];
    let mut names = Vec::new();
    let mut run = |name: String, op: Box<dyn Primitive>| {
        check(&name, &cases[&name], &*op);
        names.push(name);
    };
    for (name, pool) in max_pools {
        run(format!("max_pool_{name}"), Box::new(pool));
        run(format!("max_pool_gradient_{name}"), Box::new(MaxPoolGradient { pool }));
    }
    let plain = AveragePool { kernel: (2, 2), stride: (2, 2), padding: (0, 0), ceil_mode: false, count_include_pad: true };
    let ceil = AveragePool { kernel: (3, 2), stride: (2, 3), padding: (1, 1), ceil_mode: true, count_include_pad: true };
    let average_pools = [
        ("plain", plain),
        ("padded", AveragePool { kernel: (3, 3), padding: (1, 1), ..plain }),
        ("unpadded", AveragePool { kernel: (3, 3), padding: (1, 1), count_include_pad: false, ..plain }),
        ("ceil", ceil),
        ("ceil_unpadded", AveragePool { count_include_pad: false, ..ceil }),
    ];
    for (name, pool) in average_pools {
        let input = &cases[&format!("average_pool_{name}")].inputs[0].shape;
        run(format!("average_pool_{name}"), Box::new(pool));
        let gradient = AveragePoolGradient { pool, input: (input[1], input[2]) };
        run(format!("average_pool_gradient_{name}"), Box::new(gradient));
    }
    for (name, output, input) in [("down", (3, 2), (7, 5)), ("up", (5, 7), (3, 4))] {
        run(format!("adaptive_average_pool_{name}"), Box::new(AdaptiveAveragePool { output }));
        run(format!("adaptive_average_pool_gradient_{name}"), Box::new(AdaptiveAveragePoolGradient { input }));
    }
    names
}

fn resizings(cases: &BTreeMap<String, Case>) -> Vec<String> {
    let mut names = Vec::new();
    for name in cases.keys().filter(|name| name.starts_with("resize_") && !name.starts_with("resize_gradient")) {
        let case = &cases[name];
        let (x, y) = (&case.inputs[0].shape, &case.outputs[0].shape);
        let resize = Resize {
            mode: match name.split('_').nth(1) {
                Some("nearest") => ResizeMode::Nearest,
                Some("bilinear") => ResizeMode::Bilinear,
                _ => ResizeMode::Bicubic,
            },
            output: (y[1], y[2]),
            align_corners: name.contains("corners"),
            antialias: name.contains("antialias"),
        };
        let gradient_name = name.replacen("resize_", "resize_gradient_", 1);
        check(name, case, &resize);
        check(&gradient_name, &cases[&gradient_name], &ResizeGradient { resize, input: (x[1], x[2]) });
        names.extend([name.clone(), gradient_name]);
    }
    names
}

fn picks() -> Vec<(&'static str, Box<dyn Primitive>)> {
    vec![
        ("take_rows", Box::new(Take { axis: 0 })),
        ("take_gradient_rows", Box::new(TakeGradient { axis: 0, size: 5 })),
        ("take_columns", Box::new(Take { axis: 1 })),
        ("take_along", Box::new(TakeAlong { axis: 1 })),
        ("take_along_gradient", Box::new(TakeAlongGradient { axis: 1, size: 4 })),
        ("top_k", Box::new(TopK { k: 3, largest: true })),
        ("top_k_smallest", Box::new(TopK { k: 7, largest: false })),
        ("top_k_nan", Box::new(TopK { k: 2, largest: true })),
    ]
}

/// Twenty steps; the case's operands are the parameter, all gradients and the clipping scales.
fn check_optimizer(name: &str, case: &Case, op: OptimizerUpdate, learning_rate: f64) {
    let sizes = &case.inputs[0].shape;
    let elements = case.inputs[0].data.len();
    let mut state = vec![case.inputs[0].clone()];
    state.extend((0..op.rule.moments()).map(|_| Array::filled(&TensorType::f32(sizes), 0.0)));
    for step in 0..20 {
        let part = |all: &Array| Array::f32(sizes, all.data[step * elements..(step + 1) * elements].to_vec());
        let gradient = part(&case.inputs[1]);
        let settings = op.rule.settings_at(step as u64 + 1, learning_rate, case.inputs[2].data[step]);
        let settings = Array::f32(&[settings.len()], settings);
        let mut inputs = vec![&state[0], &gradient, &settings];
        inputs.extend(&state[1..]);
        state = op.reference(&inputs, RunKey::default());
        assert_equal(&format!("{name} after step {}", step + 1), &state[0], &part(&case.outputs[0]));
    }
}

fn optimizers(cases: &BTreeMap<String, Case>) -> Vec<String> {
    let sgd = |momentum, nesterov, dampening| OptimizerRule::Sgd { momentum, nesterov, dampening };
    let settings = [
        ("sgd", sgd(0.0, false, 0.0), 0.0, 0.1),
        ("sgd_momentum", sgd(0.9, false, 0.0), 0.01, 0.1),
        ("sgd_nesterov", sgd(0.8, true, 0.0), 0.0, 0.1),
        ("sgd_dampening", sgd(0.8, false, 0.3), 0.0, 0.1),
        ("adam", OptimizerRule::Adam { beta1: 0.9, beta2: 0.99, epsilon: 1e-8 }, 0.1, 0.01),
        ("adamw", OptimizerRule::AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }, 0.05, 0.01),
        ("adamw_clipped", OptimizerRule::AdamW { beta1: 0.8, beta2: 0.95, epsilon: 1e-4 }, 0.0, 0.01),
    ];
    for (name, rule, weight_decay, learning_rate) in settings {
        check_optimizer(name, &cases[name], OptimizerUpdate { rule, weight_decay }, learning_rate);
    }
    settings.iter().map(|(name, ..)| name.to_string()).collect()
}

/// The gradient of the largest element, shared by equal ones, is several primitives.
fn check_tied_maximum(cases: &BTreeMap<String, Case>) -> String {
    use sward_core::program::{Builder, Role, differentiate, interpret};
    let name = "reduce_max_ties_gradient";
    let case = &cases[name];
    let mut builder = Builder::new();
    let x = builder.argument("x", Role::Input, case.inputs[0].tensor_type());
    let seed = builder.argument("seed", Role::Input, case.inputs[1].tensor_type());
    let y = builder.reduce_max(x, &[1]).expect("fitting operands");
    let gradients = differentiate(&mut builder, &[(y, seed)], &[x], &AddAlgebra).expect("a gradient");
    builder.output("dx", gradients.of(x).expect("not zero"));
    let arguments = BTreeMap::from([("x".to_string(), case.inputs[0].clone()), ("seed".to_string(), case.inputs[1].clone())]);
    let (outputs, _) = interpret(&builder.finish(), &arguments, RunKey::default()).expect("given arguments");
    assert_equal(name, &outputs["dx"], &case.outputs[0]);
    name.to_string()
}

#[test]
fn references_give_what_pytorch_gives() {
    let cases = cases();
    let mut checked: BTreeSet<String> = BTreeSet::new();
    for (name, op) in [movement(), reductions(), products(), normalizations(), picks()].into_iter().flatten() {
        check(name, &cases[name], &*op);
        checked.insert(name.to_string());
    }
    checked.extend(convolutions(&cases));
    checked.extend(poolings(&cases));
    checked.extend(resizings(&cases));
    checked.extend(optimizers(&cases));
    checked.insert(check_tied_maximum(&cases));
    assert_eq!(checked, cases.keys().cloned().collect(), "every case of the fixture is checked");
}
