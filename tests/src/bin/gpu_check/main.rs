//! The whole check of the CUDA engine on a machine with a GPU: every primitive's problems against the reference, training steps of the
//! library's blocks against the CPU engine, and what kernels reach of the device's measured peak. `scripts/gpu_check.sh` builds and runs it.
//!
//! It needs the driver, NVRTC and cuBLASLt at run time, and nothing else: no Rust, no network, no files. Each check of numbers runs in a process
//! of its own, several at once: a kernel that faults takes its device context with it, and no other check.

mod numbers;
mod parts;
mod speed;

use std::process::ExitCode;

use sward_kernels::cuda::CudaEngine;

/// One line of the table.
pub struct Line {
    /// The test or kernel.
    pub name: String,
    /// Its error or its speed.
    pub result: String,
    /// Whether it is as promised; `None` for what is only measured, or skipped, as its result then says.
    pub passed: Option<bool>,
}

/// What checks came to.
#[derive(Clone, Copy, Default)]
struct Count {
    failed: usize,
    skipped: usize,
}

impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} failed, {} skipped", self.failed, self.skipped)
    }
}

fn print(lines: &[Line], count: &mut Count) {
    for Line { name, result, passed } in lines {
        let verdict = match passed {
            Some(true) => "ok",
            Some(false) => "FAILED",
            None => "",
        };
        println!("  {name:<56} {result:<64} {verdict}");
    }
    count.failed += lines.iter().filter(|line| line.passed == Some(false)).count();
    count.skipped += lines.iter().filter(|line| line.result.starts_with("skipped")).count();
}

const USAGE: &str = "\
Checks the CUDA engine on this machine's GPU.

Usage: gpu_check [--numbers | --speed] [--only TEXT] [--list]

  --numbers    only whether numbers are right
  --speed      only what kernels reach of the device's peak
  --only TEXT  only checks of numbers, or kernels, whose name holds this text
  --list       the checks of numbers by name, and nothing else

Example: gpu_check --numbers --only attention

Exit code: 0 all as promised, 1 something is not, 2 a wrong option, 3 no GPU or library (nothing was checked).";

/// What the command line asks for.
#[derive(Default)]
struct Options {
    numbers: bool,
    speed: bool,
    list: bool,
    only: String,
    /// One check of numbers, in this process.
    alone: Option<String>,
}

fn options() -> Result<Options, String> {
    let mut options = Options::default();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("`{argument}` needs a name"));
        match argument.as_str() {
            "--numbers" => options.numbers = true,
            "--speed" => options.speed = true,
            "--list" => options.list = true,
            "--only" => options.only = value()?,
            parts::ALONE => options.alone = Some(value()?),
            other => return Err(format!("unknown option `{other}`")),
        }
    }
    if !options.numbers && !options.speed {
        (options.numbers, options.speed) = (true, true);
    }
    Ok(options)
}

fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == "--help" || argument == "-h") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let options = match options() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("error: {error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if options.list {
        parts::names().iter().for_each(|name| println!("{name}"));
        return ExitCode::SUCCESS;
    }
    let mut count = Count::default();
    if let Some(name) = &options.alone {
        print(&parts::alone(name), &mut count);
        println!("{count}");
        return ExitCode::SUCCESS;
    }
    // The parent of many processes opens the device before them, so that a machine without one is told once.
    let cuda = match CudaEngine::new() {
        Ok(engine) => engine,
        Err(error) => {
            eprintln!("gpu_check needs a GPU: {error}");
            println!("skipped: no GPU; nothing was checked");
            return ExitCode::from(3);
        }
    };
    println!("{}", cuda.device().description());
    if options.numbers {
        println!("\nnumbers: worst error in units of the tolerance (f32 1e-4, bf16 2e-2)");
        parts::all(&options.only, &mut count);
    }
    if options.speed {
        println!("\nspeed: microseconds, rate, share of the measured peak");
        speed::measure(&cuda, &options.only, &mut |line| print(&[line], &mut count));
    }
    println!("\n{count}");
    if count.failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) }
}
