//! Right numbers: problems against the reference, training steps against the CPU engine.

use sward_core::program::{DType, Program};
use sward_kernels::Engine;
use sward_kernels::cuda::CudaEngine;
use sward_ops::primitives::problems::{
    Draw, Extent, Family, Problem, attention_gradients, attentions, products_with_epilogues, wide_convolutions,
};
use sward_tests::comparison::{Found, against_reference, problem_difference, side_by_side};
use sward_tests::graphs::{Placement, training_step};

use super::Line;

/// Problems of each family and dtype.
const PROBLEMS: u64 = 40;
/// Training steps of each block.
const STEPS: u64 = 100;

fn line(name: String, found: &Found) -> Line {
    let result = format!("{:.3} ({})", found.worst, found.place);
    Line { name, result, passed: Some(found.worst <= 1.0) }
}

/// A family in both dtypes.
pub fn problems(engine: &CudaEngine, family: &Family) -> Vec<Line> {
    let programs: Vec<Program> = [DType::F32, DType::BF16]
        .into_iter()
        .flat_map(|dtype| (0..PROBLEMS).map(move |seed| (dtype, seed)))
        .map(|(dtype, seed)| {
            let extent = if seed % 2 == 0 { Extent::Small } else { Extent::Large };
            family.problem(Draw::new(seed, dtype, extent)).program()
        })
        .collect();
    if let Err(error) = engine.compile_ahead(&programs) {
        return vec![Line { name: family.name.to_string(), result: error.to_string(), passed: Some(false) }];
    }
    let checked = |dtype: DType| line(format!("{} {dtype}", family.name), &against_reference(engine, family, dtype, PROBLEMS));
    [DType::F32, DType::BF16].map(checked).into()
}

/// A hundred steps of a block, in f32 and bf16.
pub fn training(engines: [&dyn Engine; 2], placement: &Placement) -> Vec<Line> {
    let trained = |dtype: DType| {
        let (checked, program) = training_step(placement, dtype);
        let name = format!("train {} {dtype}", placement.name);
        match side_by_side(engines, &checked, &program, STEPS, dtype, placement.name) {
            Ok(found) => line(name, &found),
            Err(error) => Line { name, result: error, passed: Some(false) },
        }
    };
    [DType::F32, DType::BF16].map(trained).into()
}

/// The checks of problems beyond the sizes of the random ones.
pub const BEYOND: [&str; 4] =
    ["attentions of many tokens", "their gradients", "convolutions of many channels", "products with epilogues"];

/// One of them, in both dtypes; in bf16 by each way that the device has.
pub fn beyond(engine: &CudaEngine, name: &str) -> Vec<Line> {
    let problems = |dtype| match name {
        "attentions of many tokens" => attentions(dtype),
        "their gradients" => attention_gradients(dtype),
        "convolutions of many channels" => wide_convolutions(dtype),
        _ => products_with_epilogues(dtype),
    };
    let mut lines = Vec::new();
    for dtype in [DType::F32, DType::BF16] {
        let problems = problems(dtype);
        lines.push(worst(&engine.clone().with_warpgroups(false), format!("{name} {dtype}"), &problems, dtype));
        let hopper = engine.clone().with_warpgroups(true).without_proof();
        let ways = match name {
            _ if dtype != DType::BF16 || !hopper.has_warpgroups() => Vec::new(),
            "products with epilogues" => Vec::new(),
            "convolutions of many channels" => [64, 128, 256]
                .map(|columns| (format!(", {columns} columns a block"), hopper.clone().with_warpgroup_columns(columns)))
                .into(),
            _ => vec![(String::new(), hopper)],
        };
        for (way, engine) in &ways {
            lines.push(worst(engine, format!("{name} {dtype}, by warpgroups{way}"), &problems, dtype));
        }
    }
    lines
}

/// The worst of some problems, and which of them fail.
fn worst(engine: &CudaEngine, name: String, problems: &[Problem], dtype: DType) -> Line {
    let mut worst: Option<Found> = None;
    let mut failed = Vec::new();
    for problem in problems {
        match problem_difference(engine, &problem.program(), &problem.inputs, &problem.to_string(), dtype) {
            Ok(found) => {
                if found.worst > 1.0 {
                    failed.push(format!("{:.3} {problem}", found.worst));
                }
                if worst.as_ref().is_none_or(|worst| found.worst > worst.worst) {
                    worst = Some(found);
                }
            }
            Err(error) => failed.push(format!("{problem}: {error}")),
        }
    }
    match worst {
        Some(found) if failed.is_empty() => line(name, &found),
        _ => {
            let result = format!("{} of {} fail:\n    {}", failed.len(), problems.len(), failed.join("\n    "));
            Line { name, result, passed: Some(false) }
        }
    }
}
