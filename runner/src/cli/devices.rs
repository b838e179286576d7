//! `sward devices`: what can run programs here, or why it cannot.

use super::Exit;
use super::graph::TextOrJson;
use clap::Args;
use sward_kernels::cpu::features::{Bf16Products, Features, Level};
use sward_kernels::cuda::device::{Description, DeviceError};
use sward_kernels::cuda::{cache, driver, libraries::Library, nvrtc};

/// Arguments of `devices`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  sward devices                 the processor's instructions, threads and memory; GPUs, or what is missing
  sward devices --format json   with every file name that was searched for

The engines are chosen by --engine cpu|cuda. CUDA_VISIBLE_DEVICES chooses among several GPUs.")]
pub struct Arguments {
    /// How the result is written
    #[arg(long, value_enum, default_value = "text")]
    format: TextOrJson,
}

/// Runs `devices`.
pub fn run(arguments: &Arguments) -> Exit {
    let cpu = Cpu::detect();
    let gpus = driver::devices().map_err(|error| reason(&error));
    match arguments.format {
        TextOrJson::Json => println!("{}", json(&cpu, &gpus)),
        TextOrJson::Text => print!("{}", text(&cpu, &gpus)),
    }
    Exit::Fine
}

/// Why there are no GPUs. What was searched for stands with each library.
fn reason(error: &DeviceError) -> String {
    match error {
        DeviceError::Missing { library, .. } => format!("{library} is not on this machine"),
        other => other.to_string(),
    }
}

/// What the CPU engine has.
struct Cpu {
    level: &'static str,
    /// What multiplies bf16 matrices without converting them.
    bf16: Option<&'static str>,
    threads: usize,
    memory_mib: Option<u64>,
}

impl Cpu {
    fn detect() -> Cpu {
        let features = Features::detect();
        let level = match features.level() {
            Level::Portable => "portable",
            Level::Avx2 => "AVX2",
            Level::Avx512 => "AVX-512",
        };
        let bf16 = match features.bf16_products() {
            Bf16Products::Converted => None,
            Bf16Products::Dot => Some("AVX-512 BF16"),
            Bf16Products::Tiles => Some("AMX"),
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Cpu { level, bf16, threads, memory_mib: memory_mib() }
    }
}

/// The machine's memory; `None` where the system does not say.
fn memory_mib() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib / 1024)
}

/// A library's state: its version where it says one.
fn library(library: Library) -> Result<String, Vec<String>> {
    if !library.is_present() {
        return Err(library.searched());
    }
    let version = match library {
        Library::Driver => driver::driver_version().ok(),
        Library::Nvrtc => nvrtc::version().ok(),
        Library::CublasLt => None,
    };
    Ok(version.map_or_else(|| "found".to_string(), |(major, minor)| format!("found, CUDA {major}.{minor}")))
}

fn text(cpu: &Cpu, gpus: &Result<Vec<Description>, String>) -> String {
    let bf16 = cpu.bf16.map_or_else(String::new, |name| format!(", {name}"));
    let memory = cpu.memory_mib.map_or_else(String::new, |mib| format!(", {mib} MiB"));
    let mut text = format!("cpu   {}{bf16}, {} threads{memory}\n", cpu.level, cpu.threads);
    match gpus {
        Ok(gpus) if gpus.is_empty() => text += "cuda  the driver shows no device\n",
        Ok(gpus) => {
            for gpu in gpus {
                text += &format!("cuda  {gpu}\n");
            }
        }
        Err(reason) => text += &format!("cuda  none: {reason}\n"),
    }
    for one in Library::ALL {
        let state = match library(one) {
            Ok(state) => state,
            Err(searched) => match searched.as_slice() {
                [first, others @ ..] if !others.is_empty() => format!("not found, as {first} and {} other names", others.len()),
                names => format!("not found, as {}", names.join(", ")),
            },
        };
        text += &format!("      {}: {state}\n", one.name());
    }
    if let Some(folder) = cache::folder() {
        text += &format!("      compiled kernels: {}\n", folder.display());
    }
    text
}

fn json(cpu: &Cpu, gpus: &Result<Vec<Description>, String>) -> serde_json::Value {
    let libraries: Vec<serde_json::Value> = Library::ALL
        .into_iter()
        .map(|one| match library(one) {
            Ok(state) => serde_json::json!({ "name": one.name(), "present": true, "state": state }),
            Err(searched) => serde_json::json!({ "name": one.name(), "present": false, "searched": searched }),
        })
        .collect();
    let devices: Vec<serde_json::Value> = gpus
        .iter()
        .flatten()
        .map(|gpu| {
            serde_json::json!({
                "name": gpu.name, "capability": format!("{}.{}", gpu.capability.0, gpu.capability.1),
                "multiprocessors": gpu.multiprocessors, "memory_mib": gpu.memory >> 20,
            })
        })
        .collect();
    serde_json::json!({
        "version": 1,
        "cpu": { "instructions": cpu.level, "bf16": cpu.bf16, "threads": cpu.threads, "memory_mib": cpu.memory_mib },
        "cuda": { "devices": devices, "reason": gpus.as_ref().err(), "libraries": libraries },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpu() -> Cpu {
        Cpu { level: "AVX2", bf16: None, threads: 4, memory_mib: Some(8000) }
    }

    #[test]
    fn the_reason_for_no_gpu_is_told_once_and_in_short_lines() {
        let missing = DeviceError::Missing { library: Library::Driver.name(), searched: Library::Driver.searched() };
        let none = Err(reason(&missing));
        let text = text(&cpu(), &none);
        assert!(
            text.starts_with("cpu   AVX2, 4 threads, 8000 MiB\ncuda  none: the CUDA driver is not on this machine\n"),
            "{text}"
        );
        for library in Library::ALL {
            let name = library.name();
            assert_eq!(text.lines().filter(|line| line.trim_start().starts_with(&format!("{name}: "))).count(), 1, "{text}");
            // What a script looks for stands in the JSON, every name once.
            let searched = library.searched();
            assert!(searched.iter().enumerate().all(|(position, own)| !searched[..position].contains(own)), "{searched:?}");
            if !library.is_present() {
                let json = json(&cpu(), &none).to_string();
                assert!(searched.iter().all(|own| json.matches(&format!("{own:?}")).count() == 1), "{json}");
            }
        }
        let folder = cache::folder().map_or(0, |folder| folder.as_os_str().len());
        assert!(text.lines().all(|line| line.len() <= 80 + folder), "{text}");
    }

    #[test]
    fn gpus_are_listed_with_their_architecture() {
        let gpu = Description {
            name: "NVIDIA H200".to_string(),
            capability: (9, 0),
            multiprocessors: 132,
            memory: 140 << 30,
            shared_memory: 227 << 10,
        };
        let found = Ok(vec![gpu]);
        assert!(text(&cpu(), &found).contains("cuda  NVIDIA H200, sm_90, 132 multiprocessors, 143360 MiB\n"));
        assert_eq!(json(&cpu(), &found)["cuda"]["devices"][0]["capability"], "9.0");
    }
}
