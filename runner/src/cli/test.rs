//! `sward test`: runs modules at small and odd sizes and looks at what comes out.

use super::Exit;
use super::graph::{GraphOptions, overrides, print, session, write_out};
use crate::initialize::initial_values;
use crate::random::{Lane, Stream, purpose};
use clap::Args;
use std::collections::BTreeMap;
use std::path::PathBuf;
use sward_core::check::Checked;
use sward_core::dim::Sizes;
use sward_core::domain::Domain;
use sward_core::language::GraphFile;
use sward_core::lower::{LowerError, LowerOptions, lower};
use sward_core::program::{Array, Builder, DType, InterpretError, Program, Role, RunKey, differentiate, interpret};
use sward_core::roots::graph_files;
use sward_kernels::cpu::CpuEngine;
use sward_kernels::{Data, Engine, Tensor};
use sward_ops::primitives::{AddAlgebra, EmitExt};

/// Arguments of `test`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  sward test graphs/fusion graphs/blocks/mlp.ron

Every module is run with seeded weights and inputs, at sizes that meet its obligations: shapes must be as declared, outputs finite and
in their domains, every trained parameter must get a finite gradient, and one that is not all zero. A parameter whose gradient is zero because
no output depends on it at all (a bias before a softmax) passes and is named: that is shown in f64, by moving it far.")]
pub struct Arguments {
    /// Graph files, or folders of them
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Threads; 0 takes one for each processor
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// The seed of weights and inputs
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Leave out modules with more parameters than this
    #[arg(long, default_value_t = 50_000_000)]
    max_parameters: i64,
    #[command(flatten)]
    options: GraphOptions,
}

/// Runs `test`.
pub fn run(arguments: &Arguments) -> Exit {
    let mut session = match session(&arguments.options.roots) {
        Ok(session) => session,
        Err(exit) => return exit,
    };
    let overrides = match overrides(&mut session, &arguments.options, true) {
        Ok(overrides) => overrides,
        Err(exit) => return exit,
    };
    let engine = match CpuEngine::new(arguments.threads) {
        Ok(engine) => engine,
        Err(error) => {
            eprintln!("error: {error}");
            return Exit::Fault;
        }
    };
    let mut files = Vec::new();
    for path in &arguments.paths {
        if path.is_dir() { files.extend(graph_files(path)) } else { files.push(path.clone()) }
    }
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for file in &files {
        let shown = file.to_string_lossy().replace('\\', "/");
        let Some((id, graph_file)) = session.open(&shown) else {
            failed += 1;
            continue;
        };
        if !matches!(&*graph_file, GraphFile::Module(_)) {
            continue;
        }
        let Some(checked) = session.check_file(id, &graph_file, &overrides) else {
            println!("{shown}: does not check");
            failed += 1;
            continue;
        };
        match test_module(&checked, &engine, arguments) {
            Ok(Some(report)) => {
                passed += 1;
                write_out(&format!("{shown}: {report}\n"));
            }
            Ok(None) => {
                skipped += 1;
                write_out(&format!("{shown}: left out, more than {} parameters\n", arguments.max_parameters));
            }
            Err(reason) => {
                failed += 1;
                write_out(&format!("{shown}: FAILED: {reason}\n"));
            }
        }
    }
    print(&session, super::graph::Format::Text);
    write_out(&format!("{passed} passed, {failed} failed, {skipped} skipped\n"));
    if failed > 0 { Exit::Findings } else { Exit::Fine }
}

/// The sizes that are drawn where round ones break an obligation: what strides, heads and windows of 7 divide, and 224 for both.
const DRAWN: [i64; 16] = [1, 2, 3, 4, 5, 6, 7, 8, 12, 14, 16, 24, 28, 32, 48, 224];
/// How often sizes are drawn. Most break an obligation, which costs next to nothing to find.
const DRAWS: u32 = 2000;
/// Bytes of a forward pass' tensors that a test takes where other sizes would do.
const LIGHT_BYTES: u64 = 128 << 20;
/// In one of so many seeds a parameter must get a gradient.
const SEEDS: u64 = 5;

/// Small sizes that may meet the obligations: odd and prime ones first, then drawn ones (what ties several sizes together, as
/// `width % (4 * heads) == 0`, no list foresees), then those that many strides divide, up to what a stack of strides leaves of a recording.
fn candidate_sizes(checked: &Checked, seed: u64) -> Vec<Sizes> {
    let names = checked.dimensions();
    let rising = |base: i64| -> Sizes {
        let size = |(position, name): (usize, &String)| match name.as_str() {
            // Of two samples with one pixel, a batch norm sees nothing but their order; behind a hundred of them gradients overflow.
            "batch" => 3,
            _ if base < 8 => base + 2 * (position as i64 % 3),
            // Sizes of different names differ, so that a mix-up shows.
            _ => base * (1 + position as i64 % 2),
        };
        names.iter().enumerate().map(|(position, name)| (name.as_str(), size((position, name)))).collect()
    };
    let drawn = |attempt: u32| -> Sizes {
        let mut stream = Stream::new(seed, Lane { purpose: purpose::PROGRAM, outer: 3, inner: attempt });
        let mut draw = || DRAWN[stream.below(DRAWN.len() as u64) as usize];
        names.iter().map(|name| (name.as_str(), if name == "batch" { 3 } else { draw() })).collect()
    };
    let small = [3, 7, 8, 16].into_iter().map(rising);
    let large = [32, 64, 96, 224, 1024, 4096, 16_384].into_iter().map(rising);
    small.chain((0..DRAWS).map(drawn)).chain(large).collect()
}

/// Tests a module at up to two sizes. `None` where it is too large.
fn test_module(checked: &Checked, engine: &CpuEngine, arguments: &Arguments) -> Result<Option<String>, String> {
    let mut done = Vec::new();
    let mut last_error = "no sizes meet its obligations".to_string();
    let mut idle = Vec::new();
    let run = |builder: Builder, sizes: &Sizes| -> Result<Vec<String>, String> {
        let told = |reason: String| format!("at {sizes}: {reason}");
        let mut found = run_once(checked, builder, engine, arguments.seed).map_err(told)?;
        // With few numbers, units of a Relu may all be below zero: other weights and inputs wake them.
        for seed in (1..SEEDS).map(|other| arguments.seed.wrapping_add(other)) {
            if found.asleep.is_empty() {
                break;
            }
            let builder = lowered(checked, sizes).map_err(|error| error.to_string())?;
            let again = run_once(checked, builder, engine, seed).map_err(told)?;
            found.asleep.retain(|name| again.asleep.contains(name));
        }
        match found.asleep.first() {
            Some(name) => Err(told(format!("the gradient of `{name}` is zero everywhere, although the outputs depend on it"))),
            None => Ok(found.without_effect),
        }
    };
    let mut heavy = Vec::new();
    let mut too_large = false;
    for sizes in candidate_sizes(checked, arguments.seed) {
        let count = checked.parameter_count().and_then(|count| count.evaluate(&sizes)).map_err(|error| error.to_string())?;
        if count > arguments.max_parameters {
            too_large = true;
            continue;
        }
        match lowered(checked, &sizes) {
            Ok(_) if checked.forward_memory_bytes(&sizes).is_ok_and(|bytes| bytes > LIGHT_BYTES) => heavy.push(sizes),
            Ok(builder) => {
                idle = run(builder, &sizes)?;
                done.push(sizes.to_string());
            }
            Err(error) => last_error = error.to_string(),
        }
        if done.len() == 2 || heavy.len() == 20 || checked.dimensions().is_empty() {
            break;
        }
    }
    if let (true, Some(sizes)) = (done.is_empty(), heavy.first()) {
        let builder = lowered(checked, sizes).map_err(|error| error.to_string())?;
        idle = run(builder, sizes)?;
        done.push(sizes.to_string());
    }
    if done.is_empty() {
        return if too_large { Ok(None) } else { Err(last_error) };
    }
    let sizes = done.into_iter().filter(|sizes| !sizes.is_empty()).collect::<Vec<_>>().join("; ");
    let report = if sizes.is_empty() { "ok".to_string() } else { format!("ok at {sizes}") };
    let note = if idle.is_empty() { String::new() } else { format!("; without effect: {}", idle.join(", ")) };
    Ok(Some(report + &note))
}

/// The forward program of a module as in training.
fn lowered(checked: &Checked, sizes: &Sizes) -> Result<Builder, LowerError> {
    lower(checked, sizes, &LowerOptions { training: true, ..LowerOptions::default() }, &AddAlgebra)
}

/// Parameters whose gradient is zero.
#[derive(Default)]
struct Idle {
    /// No output depends on them.
    without_effect: Vec<String>,
    /// An output depends on them, though not from near where they are.
    asleep: Vec<String>,
}

/// Runs a module once.
fn run_once(checked: &Checked, mut builder: Builder, engine: &CpuEngine, seed: u64) -> Result<Idle, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let float_outputs: Vec<_> = builder
        .program()
        .outputs
        .iter()
        .filter(|output| builder.type_of(output.value).dtype.is_float())
        .map(|output| output.value)
        .collect();
    let mut seeds = Vec::new();
    for (position, value) in float_outputs.iter().enumerate() {
        // Weights that differ from element to element: the sum of a softmax, say, has no gradient.
        let tensor_type = builder.type_of(*value).clone();
        let numbers = uniform(seed ^ 0x5eed, position as u32, tensor_type.elements(), -1.0, 1.0);
        let weights = builder.constant(DType::F32, &tensor_type.shape, numbers).map_err(|error| text(&error))?;
        seeds.push((*value, weights));
    }
    let trained: Vec<_> = builder
        .program()
        .arguments
        .iter()
        .filter(|argument| argument.role == Role::Parameter { trained: true })
        .map(|argument| (argument.name.clone(), argument.value))
        .collect();
    let values: Vec<_> = trained.iter().map(|(_, value)| *value).collect();
    let forward = builder.program().clone();
    let gradients = differentiate(&mut builder, &seeds, &values, &AddAlgebra).map_err(|error| text(&error))?;
    for (name, value) in &trained {
        let gradient = gradients.of(*value).ok_or_else(|| format!("the parameter `{name}` gets no gradient"))?;
        builder.output(&format!("grad.{name}"), gradient);
    }
    let program = builder.finish();
    let mut plan = engine.prepare(&program).map_err(|error| text(&error))?;
    let mut given = BTreeMap::new();
    for (name, tensor) in initial_values(checked, &program, seed) {
        // Parameters that start at zero (biases, the last norm of a block) would hide the gradients of what stands before them.
        let tensor = match tensor.as_f32() {
            Some(numbers) if numbers.iter().all(|number| *number == 0.0) => {
                let drawn = uniform(seed, name.len() as u32, numbers.len(), -0.5, 0.5);
                Tensor::f32(tensor.shape(), drawn.into_iter().map(|number| number as f32).collect())
            }
            _ => tensor,
        };
        plan.set(&name, &tensor).map_err(|error| text(&error))?;
        given.insert(name, tensor);
    }
    for (position, input) in checked.inputs().iter().enumerate() {
        let argument = program.argument(&input.name).ok_or("an input was lost")?;
        let tensor_type = program.type_of(argument.value);
        let tensor = input_tensor(tensor_type.dtype, &tensor_type.shape, input.tensor_type.domain, seed, position as u32);
        plan.set(&input.name, &tensor).map_err(|error| text(&error))?;
        given.insert(input.name.to_string(), tensor);
    }
    plan.run(RunKey { seed, step: 0 }).map_err(|error| text(&error))?;
    for output in checked.outputs() {
        let tensor = plan.output(&output.name).map_err(|error| text(&error))?;
        let Some(numbers) = tensor.as_f32() else { continue };
        if let Some(bad) = numbers.iter().find(|number| !number.is_finite()) {
            return Err(format!("the output `{}` holds {bad}", output.name));
        }
        let domain = output.tensor_type.domain;
        let slack = |number: f64| {
            Domain { low: domain.low - 1e-5, high: domain.high + 1e-5, low_open: false, high_open: false }.contains_value(number)
        };
        if let Some(bad) = numbers.iter().find(|number| !slack(f64::from(**number))) {
            return Err(format!("the output `{}` holds {bad}, outside of its domain {domain}", output.name));
        }
    }
    let mut zero = Vec::new();
    for (name, _) in &trained {
        let gradient = plan.output(&format!("grad.{name}")).map_err(|error| text(&error))?;
        let numbers = gradient.as_f32().ok_or("a gradient is f32")?;
        if numbers.iter().any(|number| !number.is_finite()) {
            return Err(format!("the gradient of `{name}` is not finite"));
        }
        if !numbers.is_empty() && numbers.iter().all(|number| *number == 0.0) {
            zero.push(name.clone());
        }
    }
    let mut found = Idle::default();
    for name in zero {
        let is_asleep = has_effect(&forward, &given, &name, seed).map_err(|error| text(&error))?;
        if is_asleep { &mut found.asleep } else { &mut found.without_effect }.push(name);
    }
    Ok(found)
}

/// Whether any float output of a program changes, in the f64 reference, when a parameter moves far from where it is, twice in random directions.
///
/// A gradient of zero alone says little: it is right where a function is invariant (softmax does not see what is added to a whole row), and wrong, or no test at all, where a
/// unit is dead at this point. Far moves tell the two apart.
fn has_effect(program: &Program, given: &BTreeMap<String, Tensor>, name: &str, seed: u64) -> Result<bool, InterpretError> {
    // More than rounding of f64 over long sums, less than anything that f32 shows.
    const TOLERANCE: f64 = 1e-9;
    let mut arrays: BTreeMap<String, Array> = given.iter().map(|(name, tensor)| (name.clone(), tensor.to_array())).collect();
    let key = RunKey { seed, step: 0 };
    let (before, _) = interpret(program, &arrays, key)?;
    for direction in 0..2 {
        if let Some(parameter) = arrays.get_mut(name) {
            let moves = uniform(seed ^ 0xfa4, direction, parameter.data.len(), -3.0, 3.0);
            parameter.data.iter_mut().zip(moves).for_each(|(number, by)| *number += by);
        }
        let (after, _) = interpret(program, &arrays, key)?;
        let differs = |(name, old): (&String, &Array)| {
            let pairs = old.data.iter().zip(&after[name].data);
            let scale = old.data.iter().fold(1e-3f64, |most, number| most.max(number.abs()));
            old.dtype.is_float()
                && pairs.into_iter().any(|(old, new)| (old - new).abs() > TOLERANCE * scale || old.is_nan() != new.is_nan())
        };
        if before.iter().any(differs) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn uniform(seed: u64, stream: u32, count: usize, low: f64, high: f64) -> Vec<f64> {
    let mut stream = Stream::new(seed, Lane { purpose: purpose::PROGRAM, outer: 1, inner: stream });
    (0..count).map(|_| stream.between(low, high)).collect()
}

/// An input within its domain. Whole numbers are 0 and 1, which index every table.
fn input_tensor(dtype: DType, shape: &[usize], domain: Domain, seed: u64, position: u32) -> Tensor {
    let count = shape.iter().product();
    let low = if domain.low.is_finite() { domain.low } else { -1.0 };
    let high = if domain.high.is_finite() { domain.high } else { low + 2.0 };
    let inset = 0.05 * (high - low);
    let numbers = uniform(seed, position + 1000, count, low + inset, high - inset);
    match dtype {
        DType::F32 | DType::BF16 => Tensor::f32(shape, numbers.into_iter().map(|number| number as f32).collect()),
        DType::I64 => Tensor::new(shape, Data::I64((0..count as i64).map(|index| index % 2).collect())),
        DType::Bool => Tensor::new(shape, Data::Bool((0..count).map(|index| u8::from(index % 3 != 1)).collect())),
    }
}
