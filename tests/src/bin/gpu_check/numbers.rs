//! Right numbers: problems against the reference, training steps against the CPU engine.

use sward_core::program::{Array, Builder, DType, Program, Role, RunKey, TensorType, interpret};
use sward_kernels::cuda::CudaEngine;
use sward_kernels::{Engine, Tensor};
use sward_ops::primitives::problems::{Draw, Extent, Family};
use sward_ops::primitives::{Attention, AttentionMask};
use sward_tests::comparison::{Found, against_reference, difference, side_by_side, tolerance};
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

/// Attentions that Hopper's warpgroup products compute on request: (queries, keys, width, value width, causal).
const WARPGROUPS: [(usize, usize, usize, usize, bool); 6] = [
    (1, 300, 64, 64, false),
    (150, 150, 64, 64, true),
    (33, 257, 128, 128, false),
    (70, 130, 64, 128, false),
    (64, 64, 128, 64, true),
    (500, 700, 128, 128, true),
];

/// The kernel by warpgroup products against the reference, with every kind of mask.
pub fn warpgroups(engine: &CudaEngine) -> Vec<Line> {
    let hopper = engine.clone().with_warpgroups(true);
    if !hopper.has_warpgroups() {
        return vec![Line {
            name: "attention by warpgroups".to_string(),
            result: "skipped: the device is not sm_90".to_string(),
            passed: None,
        }];
    }
    let masks = [AttentionMask::None, AttentionMask::Additive, AttentionMask::Boolean];
    let cases = WARPGROUPS.into_iter().flat_map(|case| masks.map(|mask| (case, mask)));
    cases
        .map(|(case, mask)| {
            let (queries, keys, width, value_width, causal) = case;
            let name = format!("attention by warpgroups {queries} x {keys} x {width} x {value_width} causal={causal} {mask:?}");
            match one_attention(&hopper, case, mask) {
                Ok(found) => line(name, &found),
                Err(error) => Line { name, result: error, passed: Some(false) },
            }
        })
        .collect()
}

fn one_attention(
    engine: &CudaEngine,
    (queries, keys, width, value_width, causal): (usize, usize, usize, usize, bool),
    mask: AttentionMask,
) -> Result<Found, String> {
    let half = |tokens, width| TensorType::new(DType::BF16, &[2, tokens, 2, width]);
    let mut operands = vec![half(queries, width), half(keys, width), half(keys, value_width)];
    match mask {
        AttentionMask::None => {}
        AttentionMask::Additive => operands.push(TensorType::new(DType::BF16, &[1, 2, 1, keys])),
        AttentionMask::Boolean => operands.push(TensorType::new(DType::Bool, &[2, 1, queries, keys])),
    }
    let mut builder = Builder::new();
    let arguments: Vec<_> = operands
        .iter()
        .enumerate()
        .map(|(position, own)| builder.argument(&position.to_string(), Role::Input, own.clone()))
        .collect();
    let attention = Attention { scale: 1.0 / (width as f64).sqrt(), causal, mask };
    for (position, value) in builder.emit(attention, &arguments).map_err(|error| error.to_string())?.into_iter().enumerate() {
        builder.output(&position.to_string(), value);
    }
    let program = builder.finish();
    let mut plan = engine.prepare(&program).map_err(|error| error.to_string())?;
    let mut draw = Draw::new(3, DType::BF16, Extent::Large);
    let mut given = std::collections::BTreeMap::new();
    for (position, own) in operands.iter().enumerate() {
        let number = |draw: &mut Draw| match own.dtype {
            DType::Bool => f64::from(u8::from(draw.flag())),
            _ => draw.uniform(-2.0, 2.0),
        };
        let data = (0..own.elements()).map(|_| number(&mut draw)).collect();
        // What the device is given, rounded as it is.
        let tensor = Tensor::from_array(&Array::new(own.dtype, &own.shape, data));
        plan.set(&position.to_string(), &tensor).map_err(|error| error.to_string())?;
        given.insert(position.to_string(), tensor.to_array());
    }
    let (want, _) = interpret(&program, &given, RunKey::default()).map_err(|error| error.to_string())?;
    plan.run(RunKey::default()).map_err(|error| error.to_string())?;
    let mut worst: Option<Found> = None;
    for (name, want) in &want {
        let got = plan.output(name).map_err(|error| error.to_string())?.to_array();
        let found = difference(want, &got, tolerance(DType::BF16), &format!("output {name}"));
        if worst.as_ref().is_none_or(|worst| found.worst > worst.worst) {
            worst = Some(found);
        }
    }
    worst.ok_or_else(|| "there is no output".to_string())
}
