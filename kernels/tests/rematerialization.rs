//! Marked modules keep less, and the step gives the same bits.

use sward_core::check::{Overrides, Session};
use sward_core::dim::Sizes;
use sward_core::lower::{LowerOptions, lower};
use sward_core::program::{Builder, DType, Program, Role, RunKey};
use sward_core::roots::{MemoryFolder, Roots};
use sward_kernels::cpu::CpuEngine;
use sward_kernels::{Engine, Tensor};
use sward_ops::passes::{PassOptions, optimize, optimize_forward};
use sward_ops::primitives::problems::{Draw, Extent};
use sward_ops::primitives::{AddAlgebra, OptimizerRule};
use sward_ops::training::{Loss, TrainOptions, rematerialize, training_program};

const TEXT: &str = r#"Module(
    inputs: { "x": F32(["batch", 8, "height", "width"]) },
    nodes: {
        "blocks": Repeat(
            times: 6,
            of: Use(module: "blocks/convnext.ron", from: "x", params: { "layer_scale": 0.5, "drop_path": 0.2 }),
        ),
        "tokens": Use(module: "blocks/map_to_tokens.ron", from: "blocks"),
        "mlp": Use(module: "blocks/mlp.ron", from: "tokens", params: { "hidden": 24, "dropout": 0.1 }),
    },
    outputs: { "y": "mlp" },
)"#;

fn step(dtype: DType) -> Program {
    let mut roots = Roots::new();
    let root = roots.add_root("", MemoryFolder::new().with("module.ron", TEXT));
    roots.set_library(sward_graphs::files().into_iter().collect::<MemoryFolder>());
    let mut session = Session::new(sward_ops::catalogue(), roots);
    let checked = session.open_in(root, "module.ron").and_then(|(id, file)| session.check_file(id, &file, &Overrides::default()));
    let checked = checked
        .unwrap_or_else(|| panic!("{}", sward_core::diagnostic::render::text(&session.sources, &session.diagnostics, false)));
    let sizes: Sizes = [("batch", 4), ("height", 24), ("width", 20)].into_iter().collect();
    let lowered =
        lower(&checked, &sizes, &LowerOptions { training: true, ..LowerOptions::default() }, &AddAlgebra).expect("lowers");
    let streams = lowered.next_stream();
    let mut forward = lowered.finish();
    let passes = PassOptions { dtype, ..PassOptions::default() };
    optimize_forward(&mut forward, &passes).expect("passes");
    let rule = OptimizerRule::AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
    let options = TrainOptions { clip_norm: Some(1.0), ..TrainOptions::new(Loss::MeanOfSquares, rule) };
    let program = training_program(Builder::from_program(forward, streams), &options).expect("a step");
    optimize(program, &passes).expect("passes")
}

/// Bytes of the arena, and all outputs and updated arguments after two steps.
fn run(program: &Program) -> (usize, Vec<Tensor>) {
    let mut plan = CpuEngine::new(2).expect("threads").prepare(program).expect("prepared");
    let mut draw = Draw::new(5, DType::F32, Extent::Small);
    let rule = OptimizerRule::AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
    for argument in &program.arguments {
        let shape = &program.type_of(argument.value).shape;
        let tensor = match argument.role {
            Role::State => Tensor::zeros(program.type_of(argument.value)),
            Role::Setting => Tensor::f32(shape, rule.settings_at(1, 1e-2, 1.0).into_iter().map(|x| x as f32).collect()),
            _ => Tensor::from_array(&draw.floats_of(DType::F32, shape, -0.5, 0.5)),
        };
        plan.set(&argument.name, &tensor).expect("fits");
    }
    for step in 0..2 {
        plan.run(RunKey { seed: 3, step }).expect("runs");
    }
    let mut results: Vec<Tensor> = program.outputs.iter().map(|own| plan.output(&own.name).expect("an output")).collect();
    results.extend(program.arguments.iter().map(|own| plan.get(&own.name).expect("an argument")));
    (plan.memory().arena, results)
}

#[test]
fn a_step_with_rematerialized_blocks_gives_the_same_bits_in_less_memory() {
    for dtype in [DType::F32, DType::BF16] {
        let plain = step(dtype);
        let mut lean = plain.clone();
        let repeated = rematerialize(&mut lean, &["blocks.*".to_string()]).expect("there are blocks");
        sward_core::program::verify(&lean).unwrap_or_else(|error| panic!("{error}\n{lean}"));
        assert!(repeated >= 12, "{repeated} instructions in six blocks");
        assert!(lean.flops() < 1.5 * plain.flops(), "{} of {}", lean.flops(), plain.flops());
        let ((whole, wanted), (less, found)) = (run(&plain), run(&lean));
        assert!(wanted == found, "bits differ in {dtype}");
        assert!((less as f64) < 0.6 * whole as f64, "{less} of {whole} bytes in {dtype}");
    }
}

#[test]
fn a_pattern_that_marks_nothing_is_refused() {
    let mut program = step(DType::F32);
    let error = rematerialize(&mut program, &["blocks.*".to_string(), "stages.*".to_string()]).expect_err("no stages");
    assert_eq!(error.to_string(), "the pattern `stages.*` of modules to rematerialize matches no node of the graph");
}
