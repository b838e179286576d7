//! Blocks and backbones of the library through the whole pipeline.

use super::passes::{all, gradients};
use super::support::{arguments, assert_same, count, lowered, run};
use std::time::Instant;
use sward_core::program::{DType, Instruction, Program, Role, ValueId, verify};
use sward_ops::passes::{PIPELINE, PassOptions, optimize, optimize_forward};
use sward_ops::primitives::OptimizerRule;
use sward_ops::training::{Loss, TrainOptions, training_program};

fn placed(module: &str, inputs: &str, wired: &str, params: &str) -> String {
    format!(
        r#"Module(inputs: {{ {inputs} }}, nodes: {{ "placed": Use(module: "{module}", inputs: {{ {wired} }}, params: {{ {params} }}) }}, outputs: {{ "y": "placed" }})"#
    )
}

/// Small placements of blocks with their sizes.
fn blocks() -> Vec<(String, Vec<(&'static str, i64)>)> {
    let map = r#""x": F32(["b", 6, "h", "w"])"#;
    let tokens = r#""x": F32(["b", "t", 8])"#;
    let small_map = vec![("b", 2), ("h", 4), ("w", 6)];
    let few_tokens = vec![("b", 2), ("t", 5)];
    vec![
        (placed("blocks/convnext.ron", map, r#""features": "x""#, r#""drop_path": 0.3"#), small_map.clone()),
        (placed("blocks/convnext_v2.ron", map, r#""features": "x""#, ""), small_map.clone()),
        (
            placed("blocks/bottleneck.ron", map, r#""features": "x""#, r#""planes": 3, "stride": 2, "project": true"#),
            small_map.clone(),
        ),
        (placed("blocks/squeeze_excite.ron", map, r#""features": "x""#, r#""squeezed": 2"#), small_map),
        (
            placed("blocks/vit.ron", tokens, r#""tokens": "x""#, r#""heads": 2, "hidden": 12, "layer_scale": 0.5"#),
            few_tokens.clone(),
        ),
        (placed("blocks/swiglu.ron", tokens, r#""tokens": "x""#, r#""hidden": 12"#), few_tokens),
        (
            placed(
                "fusion/film.ron",
                r#""x": F32(["b", 6, "h", "w"]), "c": F32(["b", 5])"#,
                r#""features": "x", "context": "c""#,
                r#""hidden": 7"#,
            ),
            vec![("b", 2), ("h", 3), ("w", 2)],
        ),
    ]
}

#[test]
fn blocks_and_their_gradients_keep_their_meaning_after_each_pass() {
    for (position, (text, sizes)) in blocks().into_iter().enumerate() {
        let plain = gradients(lowered(&text, &sizes, true), false);
        let given = arguments(&plain, position as u64);
        let wanted = run(&plain, &given);
        let found = optimize(gradients(lowered(&text, &sizes, true), true), &all()).unwrap_or_else(|error| panic!("{error}"));
        verify(&found).unwrap_or_else(|error| panic!("{error}"));
        assert_same(&format!("{text}\n{found}"), &wanted, &run(&found, &given), 1e-8);
        let narrow = PassOptions { dtype: DType::BF16, ..all() };
        let mut builder = lowered(&text, &sizes, true);
        optimize_forward(builder.program_mut(), &narrow).unwrap_or_else(|error| panic!("{error}"));
        let found = optimize(gradients(builder, false), &narrow).unwrap_or_else(|error| panic!("{error}"));
        verify(&found).unwrap_or_else(|error| panic!("{error}"));
        // The interpreter does not round: what is compared is where the casts stand.
        assert_same(&format!("bf16 {text}\n{found}"), &wanted, &run(&found, &given), 1e-8);
        let inference = lowered(&text, &sizes, false).finish();
        let wanted = run(&inference, &given);
        for pass in PIPELINE {
            let options = PassOptions { stop_after: Some(pass.name.to_string()), dtype: DType::BF16 };
            let found = optimize(inference.clone(), &options).unwrap_or_else(|error| panic!("{error}"));
            verify(&found).unwrap_or_else(|error| panic!("{error}"));
            assert_same(&format!("{text}\nafter {}\n{found}", pass.name), &wanted, &run(&found, &given), 1e-8);
        }
    }
}

fn backbone(module: &str, size: i64) -> String {
    format!(
        r#"Module(inputs: {{ "image": F32(["batch", 3, {size}, {size}]) }}, nodes: {{ "body": Use(module: "backbones/{module}.ron", from: "image") }}, outputs: {{ "pooled": "body:pooled" }})"#
    )
}

/// The training step of a backbone with AdamW, optimized; prints what it took, and writes its text to a folder named by `SWARD_PRINT_PROGRAMS`.
fn step(module: &str, size: i64, dtype: DType) -> Program {
    let mut builder = lowered(&backbone(module, size), &[("batch", 8)], true);
    let options = PassOptions { dtype, ..all() };
    let before = builder.program().instructions.len();
    let start = Instant::now();
    optimize_forward(builder.program_mut(), &options).unwrap_or_else(|error| panic!("{error}"));
    let forward = start.elapsed();
    let rule = OptimizerRule::AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
    let program =
        training_program(builder, &TrainOptions::new(Loss::MeanOfSquares, rule)).unwrap_or_else(|error| panic!("{error}"));
    let written = program.instructions.len();
    let start = Instant::now();
    let program = optimize(program, &options).unwrap_or_else(|error| panic!("{error}"));
    println!(
        "{module} {dtype}: {before} instructions, passes {forward:?}; step {written}, passes {:?}, {} left",
        start.elapsed(),
        program.instructions.len()
    );
    verify(&program).unwrap_or_else(|error| panic!("{error}"));
    if let Ok(folder) = std::env::var("SWARD_PRINT_PROGRAMS") {
        std::fs::write(format!("{folder}/{module}.{dtype}.txt"), program.to_string()).expect("a folder");
    }
    program
}

/// The permutes of activations: not of a parameter or its cast, nor of a parameter's gradient.
fn moved_activations(program: &Program) -> Vec<String> {
    let definitions = program.definitions();
    let is_parameter =
        |value: ValueId| program.arguments.iter().any(|own| own.value == value && matches!(own.role, Role::Parameter { .. }));
    let is_of_parameter = |instruction: &Instruction| match definitions[instruction.inputs[0].index()] {
        Some(index) => {
            let source = &program.instructions[index];
            source.op.name() == "convolution_weight_gradient" || source.inputs.iter().all(|input| is_parameter(*input))
        }
        None => is_parameter(instruction.inputs[0]),
    };
    (program.instructions.iter())
        .filter(|own| own.op.name() == "permute" && !is_of_parameter(own))
        .map(|own| format!("{} {}", program.type_of(own.inputs[0]), own.op.attributes()))
        .collect()
}

#[test]
fn convolutional_backbones_train_channels_last_with_one_permute_of_the_image() {
    for (module, dtype) in [("convnext_tiny", DType::F32), ("resnet50", DType::F32), ("convnext_tiny", DType::BF16)] {
        let program = step(module, 64, dtype);
        assert_eq!(moved_activations(&program).len(), 1, "{module}: {:#?}", moved_activations(&program));
    }
}

#[test]
fn a_vision_transformer_trains_without_any_permute_of_heads() {
    let program = step("vit_small_patch16_224", 224, DType::F32);
    // The image; all others are of one query an image, in the last block, whose keys and values move to the class token.
    let moved = moved_activations(&program);
    assert!(moved[1..].iter().all(|own| own.contains("[8,6,") || own.contains("[6,8,")), "{moved:#?}");
    assert_eq!(count(&program, "attention_gradient"), 11);
    assert!(count(&program, "slice_gradient") <= 4, "{program}");
}

#[test]
fn linear_layers_take_bias_activation_and_residual_into_their_products_at_inference() {
    let program = lowered(&backbone("vit_small_patch16_224", 224), &[("batch", 1)], false).finish();
    let program = optimize(program, &all()).unwrap_or_else(|error| panic!("{error}"));
    // Four products a block, each with its epilogue; patches, the class token and the norms are what remains. In the last block the class token's
    // query, two products of weights and two of tokens stand for one of all tokens; two small maps scale that query and add its heads' bias.
    assert_eq!(count(&program, "matmul"), 52);
    assert!(count(&program, "map") <= 4, "{program}");
}

#[test]
fn a_parameter_steps_once_its_gradient_is_there_and_nothing_reads_it_any_more() {
    let program = step("vit_small_patch16_224", 224, DType::F32);
    let steps: Vec<usize> =
        (0..program.instructions.len()).filter(|index| program.instructions[*index].op.name() == "optimizer_update").collect();
    assert!(steps[0] < program.instructions.len() / 2, "the head's parameters step before the backward pass is half done");
    for step in steps {
        let parameter = program.instructions[step].inputs[0];
        let later = program.instructions[step + 1..].iter().find(|own| own.inputs.contains(&parameter));
        assert!(later.is_none(), "{later:?} reads a parameter that has stepped");
    }
}

#[test]
fn every_family_of_image_backbones_has_a_sound_training_step_in_both_dtypes() {
    let families = [
        ("resnet18", 64),
        ("convnextv2_atto", 64),
        ("efficientnet_b0", 64),
        ("mobilenetv3_small_100", 64),
        ("swin_tiny_patch4_window7_224", 224),
        ("vit_small_patch14_dinov2", 518),
        ("vit_small_patch16_dinov3", 224),
    ];
    for (module, size) in families {
        for dtype in [DType::F32, DType::BF16] {
            let program = step(module, size, dtype);
            let narrow = program.types.iter().any(|own| own.dtype == DType::BF16);
            assert_eq!(narrow, dtype == DType::BF16, "{module}");
            let trained = program.arguments.iter().filter(|own| own.role == Role::Parameter { trained: true }).count();
            assert_eq!(count(&program, "optimizer_update"), trained, "{module}");
        }
    }
}
