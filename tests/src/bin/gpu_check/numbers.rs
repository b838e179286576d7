//! Right numbers: problems against the reference, training steps against the CPU engine.

use sward_core::program::{DType, Program};
use sward_kernels::Engine;
use sward_kernels::cuda::CudaEngine;
use sward_ops::primitives::problems::{Draw, Extent, families};
use sward_tests::comparison::{Found, against_reference, side_by_side};
use sward_tests::graphs::{blocks, training_step};

use super::Line;

/// Problems of each family and dtype.
const PROBLEMS: u64 = 40;
/// Training steps of each block.
const STEPS: u64 = 100;

fn line(name: String, found: &Found) -> Line {
    let result = format!("{:.3} ({})", found.worst, found.place);
    Line { name, result, passed: Some(found.worst <= 1.0) }
}

/// Every family in both dtypes.
pub fn problems(engine: &CudaEngine) -> Vec<Line> {
    let mut lines = Vec::new();
    for family in families() {
        let programs: Vec<Program> = [DType::F32, DType::BF16]
            .into_iter()
            .flat_map(|dtype| (0..PROBLEMS).map(move |seed| (dtype, seed)))
            .map(|(dtype, seed)| {
                let extent = if seed % 2 == 0 { Extent::Small } else { Extent::Large };
                family.problem(Draw::new(seed, dtype, extent)).program()
            })
            .collect();
        if let Err(error) = engine.compile_ahead(&programs) {
            lines.push(Line { name: family.name.to_string(), result: error.to_string(), passed: Some(false) });
            continue;
        }
        for dtype in [DType::F32, DType::BF16] {
            let found = against_reference(engine, &family, dtype, PROBLEMS);
            lines.push(line(format!("{} {dtype}", family.name), &found));
        }
    }
    lines
}

/// A hundred steps of every block, in f32 and bf16.
pub fn training(engines: [&dyn Engine; 2]) -> Vec<Line> {
    let mut lines = Vec::new();
    for placement in blocks() {
        for dtype in [DType::F32, DType::BF16] {
            let (checked, program) = training_step(&placement, dtype);
            let name = format!("{} {dtype}", placement.name);
            lines.push(match side_by_side(engines, &checked, &program, STEPS, dtype, placement.name) {
                Ok(found) => line(name, &found),
                Err(error) => Line { name, result: error, passed: Some(false) },
            });
        }
    }
    lines
}
