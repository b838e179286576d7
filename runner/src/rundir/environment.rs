//! The machine and the program of a run, for the record: nothing here may change a result.

use serde::{Deserialize, Serialize};

/// Where and with what a run was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// The program's version.
    pub sward: String,
    /// The target that the program was built for.
    pub target: String,
    /// Whether it was built with optimizations.
    pub optimized: bool,
    /// The operating system and its release.
    pub system: String,
    /// The processor's name.
    pub processor: String,
    /// Logical processors.
    pub processors: usize,
    /// Instruction sets that matter for speed.
    pub instruction_sets: Vec<String>,
    /// Main memory in bytes; 0 where the system does not say.
    pub memory_bytes: u64,
    /// The engine that runs programs.
    pub engine: String,
    /// Threads in use.
    pub threads: usize,
}

impl Environment {
    /// Looks at this machine.
    pub fn current(engine: &str, threads: usize) -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        Self {
            sward: env!("CARGO_PKG_VERSION").into(),
            target: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
            optimized: !cfg!(debug_assertions),
            system: format!("{} {}", std::env::consts::OS, read("/proc/sys/kernel/osrelease").trim()).trim().to_owned(),
            processor: field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| "unknown".into()),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            instruction_sets: instruction_sets(),
            memory_bytes: field(&read("/proc/meminfo"), "MemTotal")
                .and_then(|text| text.trim_end_matches("kB").trim().parse::<u64>().ok())
                .map_or(0, |kibibytes| kibibytes * 1024),
            engine: engine.into(),
            threads,
        }
    }
}

/// The value of the first `name: value` line.
fn field(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find(|line| line.split(':').next().is_some_and(|key| key.trim() == name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(target_arch = "x86_64")]
fn instruction_sets() -> Vec<String> {
    let detected = [
        ("avx2", is_x86_feature_detected!("avx2")),
        ("fma", is_x86_feature_detected!("fma")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
        ("avx512bf16", is_x86_feature_detected!("avx512bf16")),
    ];
    let mut names: Vec<String> = detected.iter().filter(|(_, there)| *there).map(|(name, _)| (*name).into()).collect();
    // The standard library does not yet detect AMX on stable.
    let flags = std::fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| field(&text, "flags")).unwrap_or_default();
    names.extend(flags.split_whitespace().filter(|flag| flag.starts_with("amx_")).map(Into::into));
    names
}

#[cfg(not(target_arch = "x86_64"))]
fn instruction_sets() -> Vec<String> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_proc_files_are_found_by_their_whole_name() {
        let text = "model\t: 143\nmodel name\t: A: B 3\nMemTotal:       25165824 kB\n";
        assert_eq!(field(text, "model name").unwrap(), "A: B 3");
        assert_eq!(field(text, "MemTotal").unwrap(), "25165824 kB");
        assert_eq!(field(text, "name"), None);
    }

    #[test]
    fn this_machine_has_a_processor() {
        let environment = Environment::current("cpu", 3);
        assert!(environment.processors > 0);
        let text = serde_json::to_string(&environment).unwrap();
        assert_eq!(serde_json::from_str::<Environment>(&text).unwrap(), environment);
    }
}
