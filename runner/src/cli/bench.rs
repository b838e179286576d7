//! `sward bench`: how long a step takes, and where the time goes.

use super::Exit;
use super::experiment::EngineOptions;
use super::fill::{Values, fill, resident_mib};
use super::graph::{GraphOptions, Opened, Subject, TextOrJson, fill_channels, open_subject};
use super::profile::profile;
use crate::compile::{ADAMW, CompileOptions, inference, training};
use crate::engines::{EngineChoice, engine};
use crate::experiment::spec::Precision;
use crate::experiment::{FieldRole, Joined};
use crate::random::{Lane, Stream, purpose};
use crate::train::{TrainError, experiment_prediction, experiment_step, optimizer_rule, prepare, sizes_for};
use crate::weights::Part;
use clap::{Args, ValueEnum};
use std::path::Path;
use std::time::Instant;
use sward_core::dim::Sizes;
use sward_core::program::{DType, Program, Role, RunKey};
use sward_core::source::{Sources, Spanned};
use sward_kernels::{Data, Plan, Tensor};
use sward_ops::primitives::OptimizerRule;

/// The seed of starts and inputs.
const SEED: u64 = 42;

/// Arguments of `bench`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  sward bench graphs/backbones/convnext_tiny.ron --mode train --dim batch=8 --dim channels=3 --dim height=224 --dim width=224 --profile

  sward bench experiment.ron --mode train

A training step of a graph is forward, the mean of squares of the outputs (of `logits` alone, where there is one), backward and AdamW;
that of an experiment is its own: losses, optimizer, clipping, averages, and the guard against numbers that are not finite. Inputs and
weights are seeded.")]
pub struct Arguments {
    /// The graph file, or an experiment
    file: String,
    /// What is measured
    #[arg(long, value_enum, default_value = "infer")]
    mode: Mode,
    /// What activations are stored in [default: f32, or what the experiment says]
    #[arg(long, value_enum)]
    dtype: Option<Precision>,
    #[command(flatten)]
    engine: EngineOptions,
    /// Measured runs
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    runs: u64,
    /// Runs before them
    #[arg(long, default_value_t = 2)]
    warmup: u64,
    /// How the result is written
    #[arg(long, value_enum, default_value = "text")]
    format: TextOrJson,
    /// Compute the activations of modules again in the backward pass instead of keeping them: `*.blocks.*`
    #[arg(long, value_name = "PATTERN")]
    rematerialize: Vec<String>,
    /// Also say where the time goes, by kernel and by node, from as many runs again
    #[arg(long)]
    profile: bool,
    /// A checkpoint for the parameters, in place of seeded values, or for those of one node (`model.backbone=vit.safetensors`);
    /// repeatable
    #[arg(long, value_name = "[PATH=]FILE")]
    weights: Vec<Part>,
    #[command(flatten)]
    options: GraphOptions,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Mode {
    /// A training step
    Train,
    /// A forward pass
    Infer,
}

/// Runs `bench`.
pub fn run(arguments: &Arguments) -> Exit {
    let Opened { checked: mut subject, mut sizes, sources } = match open_subject(&arguments.file, &arguments.options) {
        Ok(opened) => opened,
        Err(exit) => return exit,
    };
    fill_channels(subject.checked(), &mut sizes);
    if let Subject::Experiment(joined) = &mut subject {
        let Spanned { value: train, span } = &mut joined.experiment.train;
        if sizes.get("batch").is_none() {
            sizes.insert("batch", train.batch as i64);
        }
        if let Some(dtype) = arguments.dtype {
            train.dtype = dtype;
        }
        train.rematerialize.extend(arguments.rematerialize.iter().map(|pattern| Spanned::new(pattern.clone(), *span)));
    }
    if let Subject::Experiment(joined) = &subject
        && let Err(message) = sizes_of_data(joined, &sources, &mut sizes)
    {
        eprintln!("error: {message}");
        return Exit::Usage;
    }
    match measure(arguments, &subject, &sizes) {
        Ok(()) => Exit::Fine,
        Err((exit, message)) => {
            eprintln!("error: {message}");
            exit
        }
    }
}

/// Sizes that nobody gave and that follow from the data, as numbers of classes: of its first fold.
fn sizes_of_data(joined: &Joined, sources: &Sources, sizes: &mut Sizes) -> Result<(), TrainError> {
    let open: Vec<String> = joined.checked.dimensions().into_iter().filter(|name| sizes.get(name).is_none()).collect();
    if open.is_empty() {
        return Ok(());
    }
    let folder = Path::new(sources.path(joined.data.file)).parent().unwrap_or(Path::new(""));
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let prepared = prepare(joined, folder, 0)?;
    for (name, size) in sizes_for(&joined.checked, &prepared.fitted, 1).iter() {
        if open.iter().any(|own| own == name.as_str()) {
            sizes.insert(name, size);
        }
    }
    Ok(())
}

/// A program, and what a step of it is told beside its inputs.
struct Measured {
    program: Program,
    rule: OptimizerRule,
    ema: Option<f64>,
    precision: Precision,
}

/// Compiles what is measured.
fn compiled(arguments: &Arguments, subject: &Subject, sizes: &Sizes) -> Result<Measured, String> {
    match subject {
        Subject::Module(checked) => {
            // A classifier is measured as one: what a backbone gives beside its logits is for other uses.
            let has_logits = checked.outputs().iter().any(|output| &*output.name == "logits");
            let precision = arguments.dtype.unwrap_or(Precision::F32);
            let options = CompileOptions {
                dtype: precision.dtype(),
                only_output: has_logits.then(|| "logits".to_string()),
                rematerialize: arguments.rematerialize.clone(),
                ..CompileOptions::default()
            };
            let program = match arguments.mode {
                Mode::Train => training(checked, sizes, &options),
                Mode::Infer => inference(checked, sizes, &options),
            };
            let program = program.map_err(|error| error.to_string())?;
            Ok(Measured { program, rule: ADAMW, ema: None, precision })
        }
        Subject::Experiment(joined) => {
            let train = &joined.experiment.train.value;
            let program = match arguments.mode {
                Mode::Train => experiment_step(joined, sizes),
                Mode::Infer => experiment_prediction(joined, sizes),
            };
            let precision = train.dtype;
            let program = program.map_err(|error| error.to_string())?;
            Ok(Measured { program, rule: optimizer_rule(&train.optimizer), ema: train.ema, precision })
        }
    }
}

fn measure(arguments: &Arguments, subject: &Subject, sizes: &Sizes) -> Result<(), (Exit, String)> {
    let fault = |error: &dyn std::fmt::Display| (Exit::Fault, error.to_string());
    let checked = subject.checked();
    let start = Instant::now();
    let measured = compiled(arguments, subject, sizes).map_err(|message| (Exit::Usage, message))?;
    let program = &measured.program;
    let compile_s = start.elapsed().as_secs_f64();
    let engine = engine(arguments.engine.engine, arguments.engine.threads).map_err(|error| fault(&error))?;
    let mut plan = engine.prepare(program).map_err(|error| fault(&error))?;
    let prepare_s = start.elapsed().as_secs_f64() - compile_s;
    let values = Values { parts: &arguments.weights, mapping: None, keep: &[], seed: SEED };
    fill(plan.as_mut(), checked, sizes, program, &values)?;
    fill_inputs(plan.as_mut(), program, &|input| is_target(subject, input)).map_err(|error| fault(&error))?;
    for step in 0..arguments.warmup {
        run_step(plan.as_mut(), &measured, step).map_err(|error| fault(&error))?;
    }
    let mut seconds = Vec::new();
    for step in 0..arguments.runs {
        let start = Instant::now();
        run_step(plan.as_mut(), &measured, arguments.warmup + step).map_err(|error| fault(&error))?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    // Clocks between instructions cost time of their own, and keep a device from running a step as one.
    plan.set_profiling(arguments.profile);
    for step in 0..if arguments.profile { arguments.runs } else { 0 } {
        run_step(plan.as_mut(), &measured, arguments.warmup + arguments.runs + step).map_err(|error| fault(&error))?;
    }
    seconds.sort_by(f64::total_cmp);
    let median = seconds[seconds.len() / 2];
    let memory = plan.memory();
    let mode = match arguments.mode {
        Mode::Train => "train",
        Mode::Infer => "infer",
    };
    let dtype = match measured.precision {
        Precision::F32 => "f32",
        Precision::Bf16 => "bf16",
    };
    let threads = thread_count(&arguments.engine);
    let gflops = program.flops() / median * 1e-9;
    match arguments.format {
        TextOrJson::Json => {
            let line = serde_json::json!({
                "version": 1, "model": checked.name(), "engine": engine.name(), "mode": mode, "dtype": dtype,
                "threads": threads, "runs": arguments.runs, "median_s": median, "min_s": seconds[0], "max_s": seconds[seconds.len() - 1],
                "peak_rss_mib": resident_mib("VmHWM:"), "compile_s": compile_s, "prepare_s": prepare_s, "gflops": gflops,
                "instructions": program.instructions.len(), "arena_mib": memory.arena >> 20, "held_mib": memory.held >> 20,
            });
            println!("{line}");
        }
        TextOrJson::Text => {
            println!("{} {mode} {dtype}, {}", checked.name(), place(arguments.engine.engine, threads));
            println!(
                "  median {:.2} ms, from {:.2} to {:.2}, {} runs",
                median * 1e3,
                seconds[0] * 1e3,
                seconds[seconds.len() - 1] * 1e3,
                arguments.runs
            );
            println!("  {gflops:.0} GFLOP/s; compiled in {:.0} ms, prepared in {:.0} ms", compile_s * 1e3, prepare_s * 1e3);
            println!(
                "  memory: {} MiB arena ({} MiB without sharing), {} MiB held, {} MiB peak of the process",
                memory.arena >> 20,
                memory.unplanned >> 20,
                memory.held >> 20,
                resident_mib("VmHWM:")
            );
        }
    }
    if arguments.profile {
        eprint!("{}", profile(&plan.profile()));
    }
    Ok(())
}

/// The threads that the CPU engine has; none for the others.
fn thread_count(options: &EngineOptions) -> usize {
    match (options.engine, options.threads) {
        (EngineChoice::Cpu, 0) => std::thread::available_parallelism().map_or(1, usize::from),
        (EngineChoice::Cpu, threads) => threads,
        _ => 0,
    }
}

/// `cpu, 8 threads`, or the engine's name alone.
fn place(engine: EngineChoice, threads: usize) -> String {
    match engine {
        EngineChoice::Cpu => format!("{threads} threads"),
        other => format!("engine {}", other.name()),
    }
}

/// Whether an input of an experiment's graph is a label.
fn is_target(subject: &Subject, input: &str) -> bool {
    let Subject::Experiment(joined) = subject else { return false };
    let field = joined.inputs.iter().find(|own| own.input == input).map(|own| &joined.data.fields[&own.field]);
    field.is_some_and(|field| field.role == FieldRole::Target)
}

fn run_step(plan: &mut dyn Plan, measured: &Measured, step: u64) -> Result<(), sward_kernels::RunError> {
    if measured.program.argument("optimizer.settings").is_some() {
        let settings: Vec<f32> = measured.rule.settings_at(step + 1, 1e-4, 1.0).into_iter().map(|number| number as f32).collect();
        plan.set("optimizer.settings", &Tensor::f32(&[settings.len()], settings))?;
    }
    if let Some(decay) = measured.ema.filter(|_| measured.program.argument("ema.decay").is_some()) {
        plan.set("ema.decay", &Tensor::f32(&[], vec![decay as f32]))?;
    }
    plan.run(RunKey { seed: SEED, step })
}

/// Seeded inputs: normal numbers, and whole numbers that index every table. Labels are not below zero: every loss is finite for them.
fn fill_inputs(plan: &mut dyn Plan, program: &Program, is_label: &dyn Fn(&str) -> bool) -> Result<(), sward_kernels::RunError> {
    for (position, argument) in program.arguments.iter().enumerate().filter(|(_, argument)| argument.role == Role::Input) {
        let tensor_type = program.type_of(argument.value);
        let mut stream = Stream::new(SEED, Lane { purpose: purpose::PROGRAM, outer: 2, inner: position as u32 });
        let count = tensor_type.elements();
        let tensor = match tensor_type.dtype {
            DType::I64 => Tensor::new(&tensor_type.shape, Data::I64((0..count).map(|_| stream.below(2) as i64).collect())),
            DType::Bool => Tensor::new(&tensor_type.shape, Data::Bool(vec![1; count])),
            DType::F32 | DType::BF16 => {
                let is_label = is_label(&argument.name);
                let number = |normal: f64| (if is_label { normal.abs() } else { normal }) as f32;
                Tensor::f32(&tensor_type.shape, (0..count).map(|_| number(stream.normal())).collect())
            }
        };
        plan.set(&argument.name, &tensor)?;
    }
    Ok(())
}
