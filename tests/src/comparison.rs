//! An engine against the reference interpreter on every primitive's problems, and against another engine over training steps.

use std::collections::BTreeMap;

use sward::compile::ADAMW;
use sward::initialize::initial_values;
use sward::random::{Lane, Stream, purpose};
use sward_core::check::Checked;
use sward_core::program::{Array, DType, Program, Role, RunKey, interpret};
use sward_kernels::{Data, Engine, Plan, Tensor};
use sward_ops::primitives::problems::{Draw, Extent, Family};

/// What a comparison found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The largest error, in units of the tolerance: at most 1 where all is well.
    pub worst: f64,
    /// The tolerance, relative to the largest element of a tensor.
    pub tolerance: f64,
    /// Where the worst error is, or what failed.
    pub place: String,
}

impl Found {
    /// A comparison that could not be made.
    fn failed(place: String) -> Found {
        Found { worst: f64::INFINITY, tolerance: 0.0, place }
    }

    fn join(&mut self, other: Found) {
        if other.worst > self.worst || other.worst.is_nan() {
            *self = other;
        }
    }
}

/// The tolerance of f32, and of bf16.
pub fn tolerance(dtype: DType) -> f64 {
    if dtype == DType::BF16 { 2e-2 } else { 1e-4 }
}

/// Errors in smaller numbers than these are counted as if of these.
const LEAST: f64 = 1e-3;

/// The largest number of an array.
fn largest(array: &Array) -> f64 {
    array.data.iter().filter(|x| x.is_finite()).fold(0.0, |most, x| most.max(x.abs()))
}

/// The worst error of an array against the wanted one, relative to the largest element wanted, or to `least` where all are smaller.
pub fn difference(want: &Array, got: &Array, tolerance: f64, least: f64, place: &str) -> Found {
    if want.tensor_type() != got.tensor_type() {
        return Found::failed(format!("{place}: {} instead of {}", got.tensor_type(), want.tensor_type()));
    }
    // bf16 results are rounded themselves.
    let tolerance = if want.dtype == DType::BF16 { tolerance.max(2e-2) } else { tolerance };
    let scale = largest(want).max(least);
    let mut found = Found { worst: 0.0, tolerance, place: place.to_string() };
    for (want, got) in want.data.iter().zip(&got.data) {
        let is_same = want == got || want.is_nan() && got.is_nan();
        let error = if is_same { 0.0 } else { (want - got).abs() / (scale * tolerance) };
        if error > found.worst || error.is_nan() {
            found.worst = if error.is_nan() { f64::INFINITY } else { error };
        }
    }
    found
}

/// Runs `count` problems of a family in a dtype; every result is compared with the reference, and a second run gives the same bits.
pub fn against_reference(engine: &dyn Engine, family: &Family, dtype: DType, count: u64) -> Found {
    let mut found = Found { worst: 0.0, tolerance: tolerance(dtype), place: String::new() };
    for seed in 0..count {
        let extent = if seed % 2 == 0 { Extent::Small } else { Extent::Large };
        let problem = family.problem(Draw::new(seed, dtype, extent));
        let program = problem.program();
        let place = format!("{} seed {seed}", family.name);
        match problem_difference(engine, &program, &problem.inputs, &place, dtype) {
            Ok(one) => found.join(one),
            Err(error) => found.join(Found::failed(format!("{place}: {error}"))),
        }
    }
    found
}

/// Runs one program three times on an engine; every result is compared with the reference, and all runs give the same bits.
///
/// # Errors
/// What the engine says, or which run differs.
pub fn problem_difference(
    engine: &dyn Engine,
    program: &Program,
    inputs: &[Array],
    place: &str,
    dtype: DType,
) -> Result<Found, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let arrays: BTreeMap<String, Array> =
        program.arguments.iter().zip(inputs).map(|(argument, array)| (argument.name.clone(), array.clone())).collect();
    let key = RunKey { seed: 11, step: 5 };
    let (want, _) = interpret(program, &arrays, key).map_err(|error| text(&error))?;
    let mut plan = engine.prepare(program).map_err(|error| text(&error))?;
    for (argument, array) in program.arguments.iter().zip(inputs) {
        plan.set(&argument.name, &Tensor::from_array(array)).map_err(|error| text(&error))?;
    }
    let mut found = Found { worst: 0.0, tolerance: tolerance(dtype), place: place.to_string() };
    // A result that is nothing but rounding, as the gradient of a softmax of one number, is judged by what stands beside it.
    let least = want.values().map(largest).fold(LEAST, |most, beside| most.max(0.01 * beside));
    let mut first: BTreeMap<String, Tensor> = BTreeMap::new();
    for run in 0..3 {
        plan.run(key).map_err(|error| text(&error))?;
        for output in &program.outputs {
            let got = plan.output(&output.name).map_err(|error| text(&error))?;
            found.join(difference(&want[&output.name], &got.to_array(), tolerance(dtype), least, place));
            match first.get(&output.name) {
                Some(before) if before.bytes() != got.bytes() => {
                    return Err(format!("run {run} gives other bits than the first"));
                }
                Some(_) => {}
                None => {
                    first.insert(output.name.clone(), got);
                }
            }
        }
    }
    Ok(found)
}

/// Sets seeded parameters and inputs.
///
/// # Errors
/// As the plan's.
pub fn fill(plan: &mut dyn Plan, checked: &Checked, program: &Program) -> Result<(), sward_kernels::RunError> {
    for (name, tensor) in initial_values(checked, program, 42) {
        plan.set(&name, &tensor)?;
    }
    let inputs = program.arguments.iter().enumerate().filter(|(_, argument)| argument.role == Role::Input);
    for (position, argument) in inputs {
        let tensor_type = program.type_of(argument.value);
        let mut stream = Stream::new(42, Lane { purpose: purpose::PROGRAM, outer: 2, inner: position as u32 });
        let count = tensor_type.elements();
        let tensor = match tensor_type.dtype {
            DType::I64 => Tensor::new(&tensor_type.shape, Data::I64((0..count).map(|_| stream.below(2) as i64).collect())),
            DType::Bool => Tensor::new(&tensor_type.shape, Data::Bool(vec![1; count])),
            DType::F32 | DType::BF16 => Tensor::f32(&tensor_type.shape, (0..count).map(|_| stream.normal() as f32).collect()),
        };
        plan.set(&argument.name, &tensor)?;
    }
    Ok(())
}

/// One training step.
///
/// # Errors
/// As the plan's.
pub fn train(plan: &mut dyn Plan, step: u64) -> Result<(), sward_kernels::RunError> {
    let settings: Vec<f32> = ADAMW.settings_at(step + 1, 1e-3, 1.0).into_iter().map(|number| number as f32).collect();
    plan.set("optimizer.settings", &Tensor::f32(&[settings.len()], settings))?;
    plan.run(RunKey { seed: 42, step })
}

/// Trains on two engines side by side: after the first step all outputs and all state (with the gradients as Adam's first moments) are compared,
/// after every other the loss. Parameters themselves are not: where a gradient is 0 but for rounding, Adam's first step has a sign of chance.
///
/// # Errors
/// What a plan says.
pub fn side_by_side(
    engines: [&dyn Engine; 2],
    checked: &Checked,
    program: &Program,
    steps: u64,
    dtype: DType,
    place: &str,
) -> Result<Found, String> {
    let text = |error: &dyn std::fmt::Display| format!("{place}: {error}");
    let mut plans = Vec::new();
    for engine in engines {
        let mut plan = engine.prepare(program).map_err(|error| text(&error))?;
        fill(plan.as_mut(), checked, program).map_err(|error| text(&error))?;
        plans.push(plan);
    }
    let mut found = Found { worst: 0.0, tolerance: tolerance(dtype), place: place.to_string() };
    for step in 0..steps {
        for plan in &mut plans {
            train(plan.as_mut(), step).map_err(|error| text(&error))?;
        }
        let outputs = |plan: &dyn Plan, name: &str| plan.output(name).map(|tensor| tensor.to_array());
        for output in program.outputs.iter().filter(|output| step == 0 || output.name == "loss") {
            let want = outputs(plans[0].as_ref(), &output.name).map_err(|error| text(&error))?;
            let got = outputs(plans[1].as_ref(), &output.name).map_err(|error| text(&error))?;
            found.join(difference(
                &want,
                &got,
                tolerance(dtype),
                LEAST,
                &format!("{place}, step {step}, output {}", output.name),
            ));
        }
        if step > 0 {
            continue;
        }
        let kept = program.arguments.iter().filter(|argument| argument.role == Role::State);
        for argument in kept {
            let want = plans[0].get(&argument.name).map_err(|error| text(&error))?.to_array();
            let got = plans[1].get(&argument.name).map_err(|error| text(&error))?.to_array();
            found.join(difference(&want, &got, tolerance(dtype), LEAST, &format!("{place}, {} after a step", argument.name)));
        }
    }
    Ok(found)
}
