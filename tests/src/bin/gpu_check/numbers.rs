//! Right numbers: problems against the reference, training steps against the CPU engine.

use sward_core::program::{DType, Program};
use sward_kernels::Engine;
use sward_kernels::cuda::CudaEngine;
use sward_ops::primitives::problems::{Draw, Extent, Family, attention_gradients, attentions};
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

/// Attentions of many tokens, by each way that the device has.
pub fn attentions_over_tiles(engine: &CudaEngine) -> Vec<Line> {
    let mut ways = vec![("", engine.clone().with_warpgroups(false))];
    if engine.clone().with_warpgroups(true).has_warpgroups() {
        ways.push((", by warpgroups", engine.clone().with_warpgroups(true)));
    }
    let mut lines = Vec::new();
    for (way, engine) in ways {
        for dtype in [DType::F32, DType::BF16] {
            for problem in attentions(dtype).into_iter().chain(attention_gradients(dtype)) {
                let attributes = problem.op.attributes();
                let tokens = [1, 2].map(|operand| problem.inputs[operand].shape.clone());
                let name = format!("{} {dtype} {tokens:?}{way}", problem.op.name());
                lines.push(match problem_difference(&engine, &problem.program(), &problem.inputs, &attributes, dtype) {
                    Ok(found) => line(name, &found),
                    Err(error) => Line { name, result: error, passed: Some(false) },
                });
            }
        }
    }
    lines
}
