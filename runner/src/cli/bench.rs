//! `sward bench`: how long a step takes, and where the time goes.

use super::Exit;
use super::fill::{Values, fill, resident_mib};
use super::graph::{GraphOptions, Opened, open};
use crate::compile::{ADAMW, CompileOptions, inference, training};
use crate::engines::{EngineChoice, engine};
use crate::random::{Lane, Stream, purpose};
use crate::weights::Part;
use clap::{Args, ValueEnum};
use std::time::Instant;
use sward_core::check::Checked;
use sward_core::dim::Sizes;
use sward_core::program::{DType, Program, Role, RunKey};
use sward_kernels::{Data, InstructionTime, Plan, Tensor};

/// The seed of starts and inputs.
const SEED: u64 = 42;

/// Arguments of `bench`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  sward bench graphs/backbones/convnext_tiny.ron --mode train --dim batch=8 --dim channels=3 --dim height=224 --dim width=224 --profile

A training step is forward, the mean of squares of the outputs (of `logits` alone, where there is one), backward and AdamW. Inputs and
weights are seeded.")]
pub struct Arguments {
    /// The graph file
    file: String,
    /// What is measured
    #[arg(long, value_enum, default_value = "infer")]
    mode: Mode,
    /// What activations are stored in
    #[arg(long, value_enum, default_value = "f32")]
    dtype: Precision,
    /// What runs the program
    #[arg(long, value_enum, default_value = "cpu")]
    engine: EngineChoice,
    /// Threads of the CPU engine; 0 takes one for each processor
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Measured runs
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    runs: u64,
    /// Runs before them
    #[arg(long, default_value_t = 2)]
    warmup: u64,
    /// How the result is written
    #[arg(long, value_enum, default_value = "text")]
    format: Output,
    /// Compute the activations of modules again in the backward pass instead of keeping them: `*.blocks.*`
    #[arg(long, value_name = "PATTERN")]
    rematerialize: Vec<String>,
    /// Also say where the time goes, by kernel and by node
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

/// What activations are stored in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Precision {
    /// 32-bit floating point
    F32,
    /// bfloat16, with f32 parameters, statistics and sums
    Bf16,
}

impl Precision {
    /// The dtype.
    pub fn dtype(self) -> DType {
        match self {
            Precision::F32 => DType::F32,
            Precision::Bf16 => DType::BF16,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Output {
    /// For people
    Text,
    /// One JSON object on one line
    Json,
}

/// Runs `bench`.
pub fn run(arguments: &Arguments) -> Exit {
    let Opened { checked, mut sizes, .. } = match open(&arguments.file, &arguments.options) {
        Ok(opened) => opened,
        Err(exit) => return exit,
    };
    // Photographs have three channels: a graph that leaves them open is measured with them.
    if checked.dimensions().iter().any(|name| name == "channels") && sizes.get("channels").is_none() {
        sizes.insert("channels", 3);
    }
    match measure(arguments, &checked, &sizes) {
        Ok(()) => Exit::Fine,
        Err((exit, message)) => {
            eprintln!("error: {message}");
            exit
        }
    }
}

fn measure(arguments: &Arguments, checked: &Checked, sizes: &Sizes) -> Result<(), (Exit, String)> {
    let usage = |error: &dyn std::fmt::Display| (Exit::Usage, error.to_string());
    let fault = |error: &dyn std::fmt::Display| (Exit::Fault, error.to_string());
    // A classifier is measured as one: what a backbone gives beside its logits is for other uses.
    let has_logits = checked.outputs().iter().any(|output| &*output.name == "logits");
    let only_output = has_logits.then(|| "logits".to_string());
    let rematerialize = arguments.rematerialize.clone();
    let options = CompileOptions { dtype: arguments.dtype.dtype(), only_output, rematerialize, ..CompileOptions::default() };
    let start = Instant::now();
    let program = match arguments.mode {
        Mode::Train => training(checked, sizes, &options),
        Mode::Infer => inference(checked, sizes, &options),
    }
    .map_err(|error| usage(&error))?;
    let compile_s = start.elapsed().as_secs_f64();
    let engine = engine(arguments.engine, arguments.threads).map_err(|error| fault(&error))?;
    let mut plan = engine.prepare(&program).map_err(|error| fault(&error))?;
    let prepare_s = start.elapsed().as_secs_f64() - compile_s;
    let values = Values { parts: &arguments.weights, mapping: None, keep: &[], seed: SEED };
    fill(plan.as_mut(), checked, sizes, &program, &values)?;
    fill_inputs(plan.as_mut(), &program).map_err(|error| fault(&error))?;
    for step in 0..arguments.warmup {
        run_step(plan.as_mut(), &program, step).map_err(|error| fault(&error))?;
    }
    plan.set_profiling(arguments.profile);
    let mut seconds = Vec::new();
    for step in 0..arguments.runs {
        let start = Instant::now();
        run_step(plan.as_mut(), &program, arguments.warmup + step).map_err(|error| fault(&error))?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    let median = seconds[seconds.len() / 2];
    let memory = plan.memory();
    let (mode, dtype) = match (arguments.mode, arguments.dtype) {
        (Mode::Train, Precision::F32) => ("train", "f32"),
        (Mode::Train, Precision::Bf16) => ("train", "bf16"),
        (Mode::Infer, Precision::F32) => ("infer", "f32"),
        (Mode::Infer, Precision::Bf16) => ("infer", "bf16"),
    };
    let threads = thread_count(arguments);
    let gflops = program.flops() / median * 1e-9;
    match arguments.format {
        Output::Json => {
            let line = serde_json::json!({
                "version": 1, "model": checked.name(), "engine": engine.name(), "mode": mode, "dtype": dtype,
                "threads": threads, "runs": arguments.runs, "median_s": median, "min_s": seconds[0], "max_s": seconds[seconds.len() - 1],
                "peak_rss_mib": resident_mib("VmHWM:"), "compile_s": compile_s, "prepare_s": prepare_s, "gflops": gflops,
                "instructions": program.instructions.len(), "arena_mib": memory.arena >> 20, "held_mib": memory.held >> 20,
            });
            println!("{line}");
        }
        Output::Text => {
            println!("{} {mode} {dtype}, {}", checked.name(), place(arguments.engine, threads));
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
fn thread_count(arguments: &Arguments) -> usize {
    match (arguments.engine, arguments.threads) {
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

fn run_step(plan: &mut dyn Plan, program: &Program, step: u64) -> Result<(), sward_kernels::RunError> {
    if program.argument("optimizer.settings").is_some() {
        let settings: Vec<f32> = ADAMW.settings_at(step + 1, 1e-4, 1.0).into_iter().map(|number| number as f32).collect();
        plan.set("optimizer.settings", &Tensor::f32(&[settings.len()], settings))?;
    }
    plan.run(RunKey { seed: SEED, step })
}

/// Seeded inputs: normal numbers, and whole numbers that index every table.
fn fill_inputs(plan: &mut dyn Plan, program: &Program) -> Result<(), sward_kernels::RunError> {
    for (position, argument) in program.arguments.iter().enumerate().filter(|(_, argument)| argument.role == Role::Input) {
        let tensor_type = program.type_of(argument.value);
        let mut stream = Stream::new(SEED, Lane { purpose: purpose::PROGRAM, outer: 2, inner: position as u32 });
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

/// The profile as a table: by kernel, then the slowest nodes.
pub fn profile(times: &[InstructionTime]) -> String {
    let total: f64 = times.iter().map(|time| time.seconds).sum();
    let mut groups: Vec<(String, f64, f64, f64, usize)> = Vec::new();
    for time in times {
        let key = format!("{} ({})", time.name, time.kernel);
        let runs = time.runs.max(1) as f64;
        let entry = match groups.iter_mut().find(|group| group.0 == key) {
            Some(entry) => entry,
            None => {
                groups.push((key, 0.0, 0.0, 0.0, 0));
                groups.last_mut().expect("just pushed")
            }
        };
        entry.1 += time.seconds;
        entry.2 += time.flops * runs;
        entry.3 += time.bytes * runs;
        entry.4 += 1;
    }
    groups.sort_by(|a, b| b.1.total_cmp(&a.1));
    let mut text = format!("{:<44} {:>6} {:>7} {:>10} {:>8}\n", "primitive (kernel)", "count", "share", "GFLOP/s", "GB/s");
    for (name, seconds, flops, bytes, count) in &groups {
        let rate = |amount: f64| if *seconds > 0.0 { amount / seconds * 1e-9 } else { 0.0 };
        text +=
            &format!("{name:<44} {count:>6} {:>6.1}% {:>10.0} {:>8.1}\n", 100.0 * seconds / total, rate(*flops), rate(*bytes));
    }
    let mut slowest: Vec<&InstructionTime> = times.iter().collect();
    slowest.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    text += "slowest nodes\n";
    for time in slowest.iter().take(12) {
        text += &format!("  {:>5.1}%  {} {}\n", 100.0 * time.seconds / total, time.name, time.path);
    }
    text
}
