//! The whole check of the CUDA engine on a machine with a GPU: every primitive's problems against the reference, training steps of the
//! library's blocks against the CPU engine, and what kernels reach of the device's measured peak. `scripts/gpu_check.sh` builds and runs it.
//!
//! It needs the driver, NVRTC and cuBLASLt at run time, and nothing else: no Rust, no network, no files.

mod numbers;
mod speed;

use std::process::ExitCode;

use sward_kernels::Engine;
use sward_kernels::cpu::CpuEngine;
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
#[derive(Default)]
struct Count {
    failed: usize,
    skipped: usize,
}

fn print(title: &str, lines: &[Line], count: &mut Count) {
    println!("\n{title}");
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

fn main() -> ExitCode {
    let cuda = match CudaEngine::new() {
        Ok(engine) => engine,
        Err(error) => {
            eprintln!("gpu_check needs a GPU: {error}");
            println!("skipped: no GPU; nothing was checked");
            return ExitCode::from(3);
        }
    };
    let cpu = match CpuEngine::new(0) {
        Ok(engine) => engine,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(3);
        }
    };
    println!("{}", cuda.device().description());
    let only_speed = std::env::args().any(|argument| argument == "--speed");
    let only_numbers = std::env::args().any(|argument| argument == "--numbers");
    let mut count = Count::default();
    if !only_speed {
        print("problems: worst error in units of the tolerance (f32 1e-4, bf16 2e-2)", &numbers::problems(&cuda), &mut count);
        print("attention by warpgroup products, against the reference", &numbers::warpgroups(&cuda), &mut count);
        print("training steps against the CPU engine", &numbers::training([&cpu as &dyn Engine, &cuda]), &mut count);
    }
    if !only_numbers {
        match speed::measure(&cuda) {
            Ok(lines) => {
                print("speed: microseconds, rate, share of the measured peak", &lines, &mut count);
            }
            Err(error) => {
                eprintln!("error: {error}");
                count.failed += 1;
            }
        }
    }
    let Count { failed, skipped } = count;
    println!("\n{failed} failed, {skipped} skipped");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) }
}
