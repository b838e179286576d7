//! The checks of numbers by name, each in a process of its own.

use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use sward_kernels::cpu::CpuEngine;
use sward_kernels::cuda::CudaEngine;
use sward_ops::primitives::problems::families;
use sward_tests::graphs::blocks;

use super::{Count, Line, numbers};

/// The option with which a process is told the one check that it makes.
pub const ALONE: &str = "--alone";
/// Processes at once: each has a device context of some hundred MiB.
const MOST_PROCESSES: usize = 8;

/// Every check.
pub fn names() -> Vec<String> {
    let families = families().into_iter().map(|family| family.name.to_string());
    let training = blocks().into_iter().map(|placement| format!("train {}", placement.name));
    families.chain(numbers::BEYOND.map(str::to_string)).chain(training).collect()
}

fn failed(name: &str, result: String) -> Line {
    Line { name: name.to_string(), result, passed: Some(false) }
}

/// Makes one check in this process.
pub fn alone(name: &str) -> Vec<Line> {
    let cuda = match CudaEngine::new() {
        Ok(engine) => engine,
        Err(error) => return vec![failed(name, error.to_string())],
    };
    if numbers::BEYOND.contains(&name) {
        return numbers::beyond(&cuda, name);
    }
    if let Some(family) = families().iter().find(|family| family.name == name) {
        return numbers::problems(&cuda, family);
    }
    let Some(placement) = blocks().into_iter().find(|placement| format!("train {}", placement.name) == name) else {
        return vec![failed(name, "there is no such check; `--list` names all".to_string())];
    };
    // Blocks are small, and other processes want the other cores.
    match CpuEngine::new(1) {
        Ok(cpu) => numbers::training([&cpu, &cuda], &placement),
        Err(error) => vec![failed(name, error.to_string())],
    }
}

/// What a process printed: its lines, and its count at the end. One that ended without a count failed.
fn in_a_process(name: &str) -> (String, Count) {
    let run = std::env::current_exe().and_then(|own| Command::new(own).args([ALONE, name]).output());
    let died = |reason: String| (format!("  {name:<56} {reason:<64} FAILED\n"), Count { failed: 1, skipped: 0 });
    let output = match run {
        Ok(output) => output,
        Err(error) => return died(error.to_string()),
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = text.trim_end();
    let (body, last) = lines.rsplit_once('\n').unwrap_or(("", lines));
    match count(last) {
        Some(count) => (format!("{body}\n"), count),
        None => died(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim())),
    }
}

/// `1 failed, 2 skipped`, read again.
fn count(line: &str) -> Option<Count> {
    let (failed, rest) = line.split_once(" failed, ")?;
    let skipped = rest.strip_suffix(" skipped")?;
    Some(Count { failed: failed.parse().ok()?, skipped: skipped.parse().ok()? })
}

/// Makes all checks whose names hold a text, several at once, and prints each when it is done.
pub fn all(only: &str, total: &mut Count) {
    let names: Vec<String> = names().into_iter().filter(|name| name.contains(only)).collect();
    let processes = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_PROCESSES).min(names.len());
    let next = AtomicUsize::new(0);
    let sum = Mutex::new(total);
    std::thread::scope(|scope| {
        for _ in 0..processes {
            scope.spawn(|| {
                while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let start = Instant::now();
                    let (text, count) = in_a_process(name);
                    let mut sum = sum.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    println!("{name}, {:.1} s\n{}", start.elapsed().as_secs_f64(), text.trim_end());
                    sum.failed += count.failed;
                    sum.skipped += count.skipped;
                }
            });
        }
    });
}
