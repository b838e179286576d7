//! Each pass keeps a program's meaning, and does what it is there for.

use super::random;
use super::support::{arguments, assert_same, count, lowered, run};
use super::tokens;
use sward_core::program::{Builder, DType, Program, Role, TensorType, verify};
use sward_ops::passes::{PIPELINE, PassError, PassOptions, Stage, optimize, optimize_forward, parameter_only};
use sward_ops::primitives::{Convolution, EmitExt, MatMul};
use sward_ops::training::{GradientOptions, Loss, gradient_program};

pub fn all() -> PassOptions {
    PassOptions::default()
}

fn optimized(program: Program) -> Program {
    let program = optimize(program, &all()).unwrap_or_else(|error| panic!("{error}"));
    verify(&program).unwrap_or_else(|error| panic!("{error}\n{program}"));
    program
}

/// The gradients of all outputs, with the passes before differentiation or without.
pub fn gradients(mut builder: Builder, forward_passes: bool) -> Program {
    if forward_passes {
        optimize_forward(builder.program_mut(), &all()).unwrap_or_else(|error| panic!("{error}"));
    }
    let options = GradientOptions { loss: Loss::MeanOfSquares, parameters: true, inputs: true };
    gradient_program(builder, &options).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn names_are_distinct_and_every_pass_says_why_it_stands_there() {
    for (position, pass) in PIPELINE.iter().enumerate() {
        assert!(PIPELINE[..position].iter().all(|other| other.name != pass.name), "{}", pass.name);
        assert!(pass.reason.len() > 20, "{}", pass.name);
    }
    assert!(PIPELINE.iter().any(|pass| pass.stage == Stage::Final));
}

#[test]
fn the_page_on_passes_lists_them_in_their_order() {
    let page = include_str!("../../../docs/passes.md");
    let rows: Vec<&str> = page.lines().filter(|line| line.contains("| forward |") || line.contains("| final |")).collect();
    let wanted: Vec<String> = (PIPELINE.iter())
        .map(|pass| {
            let stage = if pass.stage == Stage::Forward { "forward" } else { "final" };
            format!("| `{}` | {stage} | {} |", pass.name, pass.reason)
        })
        .collect();
    assert_eq!(rows, wanted);
}

#[test]
fn a_pass_that_is_not_there_is_refused_with_the_names_that_are() {
    let options = PassOptions { stop_after: Some("layouts".to_string()), ..all() };
    let error = optimize(Program::default(), &options).expect_err("no such pass");
    assert!(matches!(error, PassError::Unknown { .. }));
    assert!(error.to_string().starts_with("there is no pass `layouts`; the passes are detach, unread, algebra, "), "{error}");
}

#[test]
fn random_programs_keep_their_meaning_after_each_pass() {
    for seed in 0..120 {
        let program = random::program(seed).finish();
        let arguments = arguments(&program, seed);
        let wanted = run(&program, &arguments);
        for pass in PIPELINE {
            let options = PassOptions { stop_after: Some(pass.name.to_string()), ..all() };
            let found = optimize(program.clone(), &options).unwrap_or_else(|error| panic!("seed {seed}: {error}\n{program}"));
            assert_same(&format!("seed {seed} after {}\n{program}\n{found}", pass.name), &wanted, &run(&found, &arguments), 1e-9);
        }
    }
}

#[test]
fn gradients_of_random_programs_keep_their_meaning() {
    for seed in 1000..1100 {
        let plain = gradients(random::program(seed), false);
        let arguments = arguments(&plain, seed);
        let wanted = run(&plain, &arguments);
        let found = optimized(gradients(random::program(seed), true));
        assert_same(&format!("seed {seed}\n{found}"), &wanted, &run(&found, &arguments), 1e-7);
    }
}

#[test]
fn attention_written_out_becomes_one_attention() {
    let text = r#"Module(
        inputs: { "q": F32(["b", 2, "t", 4]), "k": F32(["b", 2, "s", 4]), "v": F32(["b", 2, "s", 3]), "m": F32(["t", "s"]) },
        nodes: {
            "products": MatMul(left: "q", right: "k", transpose_right: true),
            "scores": Formula("products / 2 + m"),
            "weights": Softmax(from: "scores"),
            "y": MatMul(left: "weights", right: "v"),
        },
        outputs: { "y": "y" },
    )"#;
    let without_mask = text.replace(" + m", "").replace(r#", "m": F32(["t", "s"])"#, "");
    let masked_first = text.replace("products / 2 + m", "m + 0.25 * products * 3");
    // A factor after the mask scales it, too: that is another function.
    let scaled_mask = text.replace("products / 2 + m", "(products + m) * 3");
    for (text, attentions) in [(text, 1), (without_mask.as_str(), 1), (masked_first.as_str(), 1), (scaled_mask.as_str(), 0)] {
        let program = lowered(text, &[("b", 2), ("t", 3), ("s", 5)], false).finish();
        let found = optimized(program.clone());
        assert_eq!(count(&found, "attention"), attentions, "{found}");
        assert_eq!((count(&found, "softmax"), count(&found, "matmul")), (1 - attentions, 2 - 2 * attentions), "{found}");
        let arguments = arguments(&program, 1);
        assert_same("attention", &run(&program, &arguments), &run(&found, &arguments), 1e-12);
    }
}

const SINGLE_QUERY: &str = r#"Module(
    inputs: { "pool": F32(["b", 1, 16]), "x": F32(["b", "t", 24]) },
    nodes: { "cross": Use(module: "blocks/cross_attention.ron", inputs: { "tokens": "pool", "context": "x" }, params: { "heads": 2, "head_width": 8 }) },
    outputs: { "y": "cross" },
)"#;

#[test]
fn a_single_query_is_projected_instead_of_every_token() {
    let sizes = [("b", 2), ("t", 9)];
    let program = lowered(SINGLE_QUERY, &sizes, false).finish();
    let found = optimized(program.clone());
    assert_eq!(count(&found, "attention"), 0, "{found}");
    assert!(found.flops() < 0.6 * program.flops(), "{} of {}", found.flops(), program.flops());
    let given = arguments(&program, 2);
    assert_same("folded", &run(&program, &given), &run(&found, &given), 1e-12);
    let plain = gradients(lowered(SINGLE_QUERY, &sizes, true), false);
    let folded = optimized(gradients(lowered(SINGLE_QUERY, &sizes, true), true));
    assert_eq!(count(&folded, "attention_gradient"), 0, "{folded}");
    let given = arguments(&plain, 3);
    assert_same("folded gradients", &run(&plain, &given), &run(&folded, &given), 1e-10);
}

#[test]
fn many_queries_keep_their_attention() {
    let text = SINGLE_QUERY.replace(r#"["b", 1, 16]"#, r#"["b", "q", 16]"#);
    let found = optimized(lowered(&text, &[("b", 2), ("t", 9), ("q", 12)], false).finish());
    assert_eq!(count(&found, "attention"), 1, "{found}");
}

const CLASS_TOKEN: &str = r#"Module(
    inputs: { "image": F32(["b", 3, 8, 12]) },
    nodes: {
        "model": Use(
            module: "backbones/vit.ron",
            from: "image",
            params: { "embedding": 8, "depth": 2, "heads": 2, "hidden": 32, "patch": 4, "grid": 2, "layers": [0, 1], "drop_path": 0.0, "classes": 3 },
        ),
    },
    outputs: { "logits": "model:logits" },
)"#;

#[test]
fn only_the_class_token_goes_through_the_last_block() {
    let sizes = [("b", 3)];
    let program = lowered(CLASS_TOKEN, &sizes, false).finish();
    let found = optimized(program.clone());
    // Of six patches and a class token: the first block's four products see all, the last block's, whose keys and values move to the query, none.
    let rows: Vec<usize> = (found.instructions.iter())
        .filter(|own| own.op.downcast::<MatMul>().is_some())
        .map(|own| found.type_of(own.outputs[0]).shape[0])
        .collect();
    assert_eq!((rows.len(), rows.iter().filter(|rows| **rows == 21).count()), (13, 4), "{found}");
    let given = arguments(&program, 6);
    assert_same("class token", &run(&program, &given), &run(&found, &given), 1e-12);
    let plain = gradients(lowered(CLASS_TOKEN, &sizes, true), false);
    let narrowed = optimized(gradients(lowered(CLASS_TOKEN, &sizes, true), true));
    assert!(narrowed.flops() < 0.65 * optimized(plain.clone()).flops(), "{narrowed}");
    let given = arguments(&plain, 7);
    assert_same("gradients of the class token", &run(&plain, &given), &run(&narrowed, &given), 1e-9);
}

#[test]
fn random_chains_over_tokens_keep_their_meaning_where_few_are_read() {
    let mut cheaper = 0;
    for seed in 0..300 {
        let program = tokens::program(seed).finish();
        let given = arguments(&program, seed);
        let found = optimized(program.clone());
        cheaper += usize::from(found.flops() < 0.7 * program.flops());
        assert_same(&format!("seed {seed}\n{found}"), &run(&program, &given), &run(&found, &given), 1e-9);
        let plain = gradients(tokens::program(seed), false);
        let given = arguments(&plain, seed);
        let found = optimized(gradients(tokens::program(seed), true));
        assert_same(&format!("gradients, seed {seed}\n{found}"), &run(&plain, &given), &run(&found, &given), 1e-7);
    }
    assert!(cheaper > 60, "{cheaper}");
}

#[test]
fn what_is_read_as_a_whole_or_at_several_places_is_computed_as_a_whole() {
    let part =
        |name: &str, start: usize, end: usize| format!(r#""{name}": Slice(from: "h", axis: 1, start: {start}, end: {end}),"#);
    let cases = [
        (part("y", 0, 2), 4),
        (part("y", 4, 6), 4),
        (part("y", 0, 5), 12),
        (format!(r#"{} {} "y": Formula("a * b"),"#, part("a", 0, 2), part("b", 4, 6)), 12),
        (format!(r#"{} "m": Mean(from: "h", axes: [1], keep: true), "y": Formula("a * m"),"#, part("a", 0, 2)), 12),
    ];
    for (nodes, rows) in cases {
        let text = format!(
            r#"Module(
                inputs: {{ "x": F32(["b", 6, 4]) }},
                nodes: {{ "h": Chain(from: "x", layers: {{ "fc": Linear(units: 5), "act": Gelu }}), {nodes} }},
                outputs: {{ "y": "y" }},
            )"#
        );
        let program = lowered(&text, &[("b", 2)], false).finish();
        let found = optimized(program.clone());
        let product = found.instructions.iter().find(|own| own.op.downcast::<MatMul>().is_some()).expect("a product");
        assert_eq!(found.type_of(product.outputs[0]).shape[0], rows, "{nodes}: {found}");
        let given = arguments(&program, 8);
        assert_same(&nodes, &run(&program, &given), &run(&found, &given), 1e-12);
    }
}

#[test]
fn gradients_of_a_splits_parts_are_joined() {
    let text = r#"Module(
        inputs: { "x": F32(["b", 9]) },
        nodes: {
            "parts": Split(from: "x", axis: 1, parts: 3),
            "y": Formula("tanh(parts:0) * parts:1 + parts:2"),
        },
        outputs: { "y": "y" },
    )"#;
    let plain = gradients(lowered(text, &[("b", 2)], true), false);
    let found = optimized(gradients(lowered(text, &[("b", 2)], true), true));
    assert_eq!((count(&plain, "slice_gradient"), count(&found, "slice_gradient"), count(&found, "concat")), (3, 0, 1), "{found}");
    let given = arguments(&plain, 4);
    assert_same("split", &run(&plain, &given), &run(&found, &given), 1e-12);
}

#[test]
fn batch_norm_at_inference_is_part_of_the_convolution_and_takes_roots_once_a_channel() {
    let text = r#"Module(
        inputs: { "x": F32(["b", 3, 40, 40]) },
        nodes: { "y": Chain(from: "x", layers: { "conv": Conv2d(channels: 4, kernel: 3, padding: 1, bias: false), "bn": BatchNorm2d, "act": Relu }) },
        outputs: { "y": "y" },
    )"#;
    let program = lowered(text, &[("b", 1)], false).finish();
    let found = optimized(program.clone());
    let convolution = found.instructions.iter().find_map(|own| own.op.downcast::<Convolution>()).expect("a convolution");
    let epilogue = convolution.epilogue.as_ref().expect("an epilogue").to_string();
    assert!(!epilogue.contains("rsqrt") && epilogue.contains("where"), "{epilogue}");
    let given = arguments(&program, 5);
    assert_same("batch norm", &run(&program, &given), &run(&found, &given), 1e-10);
    let fixed = parameter_only(&found);
    let names = |wanted: bool| -> Vec<&str> {
        let chosen = found.instructions.iter().zip(&fixed).filter(|(_, fixed)| **fixed == wanted);
        chosen.map(|(own, _)| own.op.name()).collect()
    };
    assert_eq!(names(false), ["permute", "convolution", "permute"], "{found}");
    assert!(names(true).contains(&"map") && names(true).contains(&"permute"), "{found}");
}

#[test]
fn the_backward_pass_of_a_batch_norm_sums_over_the_batch_twice() {
    let text = r#"Module(
        inputs: { "x": F32(["b", 3, 4, 5]) },
        nodes: { "bn": BatchNorm2d(from: "x"), "y": Formula("sin(bn)") },
        outputs: { "y": "y" },
    )"#;
    let plain = gradients(lowered(text, &[("b", 4)], true), false);
    let found = optimized(gradients(lowered(text, &[("b", 4)], true), true));
    // Mean and variance forward, the loss, and two sums backward.
    assert_eq!(count(&found, "reduce") + count(&found, "map_reduce"), 5, "{found}");
    let given = arguments(&plain, 10);
    assert_same("batch norm", &run(&plain, &given), &run(&found, &given), 1e-9);
}

#[test]
fn equal_random_draws_are_one_and_different_ones_stay_two() {
    let text = r#"Module(
        inputs: { "x": F32(["b", 6]) },
        nodes: { "one": Dropout(from: "x", p: 0.5), "two": Dropout(from: "x", p: 0.5), "y": Formula("one - 2 * two") },
        outputs: { "y": "y" },
    )"#;
    let program = lowered(text, &[("b", 8)], true).finish();
    let found = optimized(program.clone());
    let given = arguments(&program, 6);
    let results = run(&program, &given);
    assert!(results.0["y"].data.iter().zip(&given["x"].data).any(|(y, x)| (y + 2.0 * x).abs() > 0.1), "the masks differ");
    assert_same("dropout", &results, &run(&found, &given), 1e-12);
    assert_eq!(found.instructions.len(), 1, "{found}");
}

#[test]
fn gradients_end_at_detach_although_it_is_no_step() {
    let text = r#"Module(
        inputs: { "x": F32(["b"]) },
        nodes: { "still": Detach(from: "x"), "y": Formula("x * still") },
        outputs: { "y": "y" },
    )"#;
    let plain = gradients(lowered(text, &[("b", 3)], true), false);
    let found = optimized(gradients(lowered(text, &[("b", 3)], true), true));
    assert_eq!(count(&found, "detach"), 0);
    let given = arguments(&plain, 7);
    assert_same("detach", &run(&plain, &given), &run(&found, &given), 1e-12);
}

#[test]
fn mixed_precision_keeps_masters_statistics_and_losses_in_f32() {
    let text = r#"Module(
        inputs: { "x": F32(["b", 3, 8, 8]), "target": F32(["b", 2]) },
        nodes: {
            "features": Chain(from: "x", layers: { "conv": Conv2d(channels: 8, kernel: 3), "bn": BatchNorm2d, "act": Gelu, "conv2": Conv2d(channels: 4, kernel: 1) }),
            "pooled": Mean(from: "features", axes: [2, 3]),
            "head": Linear(from: "pooled", units: 2),
            "loss": Chain(from: "squares", layers: [Mean]),
            "squares": Formula("(head - target) ** 2"),
        },
        outputs: { "loss": "loss", "head": "head" },
    )"#;
    let options = PassOptions { dtype: DType::BF16, ..all() };
    let mut builder = lowered(text, &[("b", 2)], true);
    let plain = gradients(lowered(text, &[("b", 2)], true), false);
    optimize_forward(builder.program_mut(), &options).expect("passes");
    let gradient = GradientOptions { loss: Loss::MeanOfSquares, parameters: true, inputs: true };
    let found = optimize(gradient_program(builder, &gradient).expect("gradients"), &options).expect("passes");
    for argument in &found.arguments {
        assert_ne!(found.type_of(argument.value).dtype, DType::BF16, "{}", argument.name);
    }
    for output in &found.outputs {
        assert_eq!(found.type_of(output.value).dtype, DType::F32, "{}", output.name);
    }
    for instruction in &found.instructions {
        let types: Vec<DType> = instruction.inputs.iter().map(|input| found.type_of(*input).dtype).collect();
        let result = found.type_of(instruction.outputs[0]).dtype;
        match instruction.op.name() {
            "matmul" | "convolution" | "convolution_weight_gradient" | "convolution_input_gradient" => {
                assert_eq!(types[..2], [DType::BF16, DType::BF16], "{}\n{found}", instruction.op.name());
            }
            "reduce" | "map_reduce" | "squared_norm" => assert_eq!(result, DType::F32, "{found}"),
            _ => {}
        }
    }
    let given = arguments(&plain, 8);
    // The interpreter does not round: what is compared is where the casts stand.
    assert_same("bf16", &run(&plain, &given), &run(&found, &given), 1e-9);
    let stored: Vec<&str> = (found.instructions.iter())
        .filter(|own| {
            own.outputs.iter().any(|output| found.type_of(*output).dtype == DType::BF16 && found.type_of(*output).rank() == 4)
        })
        .map(|own| own.op.name())
        .collect();
    assert!(stored.contains(&"convolution"), "{found}");
}

#[test]
fn a_transposed_operand_is_read_in_place() {
    let mut builder = Builder::new();
    let a = builder.argument("a", Role::Input, TensorType::f32(&[5, 3]));
    let b = builder.argument("b", Role::Input, TensorType::f32(&[5, 4]));
    let turned = builder.transpose(a, 0, 1).expect("fits");
    let product = builder.matmul(turned, b).expect("fits");
    builder.output("y", product);
    let program = builder.finish();
    let found = optimized(program.clone());
    assert_eq!(found.instructions.len(), 1);
    assert!(found.instructions[0].op.downcast::<MatMul>().is_some_and(|matmul| matmul.transpose_a));
    let given = arguments(&program, 9);
    assert_same("transpose", &run(&program, &given), &run(&found, &given), 1e-12);
}
