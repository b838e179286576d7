//! Parameters of a program from checkpoints, and from their start where no checkpoint is given.

use super::Exit;
use super::weights::load_failure;
use crate::initialize::initial_values_but;
use crate::weights::{Loaded, Part, WeightError, load_several};
use std::collections::HashSet;
use std::time::Instant;
use sward_core::check::Checked;
use sward_core::dim::Sizes;
use sward_core::program::Program;
use sward_kernels::{Plan, RunError, Tensor};

/// Where values come from.
pub(super) struct Values<'a> {
    /// The checkpoints; starts alone where there is none.
    pub parts: &'a [Part],
    /// The mapping for all of them.
    pub mapping: Option<&'a str>,
    /// Patterns of parameters that may keep their start.
    pub keep: &'a [String],
    /// The seed of the starts.
    pub seed: u64,
}

/// Gives every parameter and buffer of a program its value in a plan. What was loaded is said on standard error.
pub(super) fn fill(
    plan: &mut dyn Plan,
    checked: &Checked,
    sizes: &Sizes,
    program: &Program,
    values: &Values<'_>,
) -> Result<(), (Exit, String)> {
    each_value(checked, sizes, program, values, |name, tensor| plan.set(name, &tensor))
}

/// Hands `take` the value of every parameter and buffer of a program, one after the other, so that no more than one tensor of a checkpoint need be
/// held. What was loaded is said on standard error.
pub(super) fn each_value(
    checked: &Checked,
    sizes: &Sizes,
    program: &Program,
    values: &Values<'_>,
    mut take: impl FnMut(&str, Tensor) -> Result<(), RunError>,
) -> Result<(), (Exit, String)> {
    let loaded = match values.parts {
        [] => Vec::new(),
        parts => load_several(checked, sizes, parts, values.mapping, values.keep).map_err(load_failure)?,
    };
    let names: HashSet<String> = loaded.iter().flat_map(Loaded::names).collect();
    for (name, tensor) in initial_values_but(checked, program, values.seed, &|name| names.contains(name)) {
        take(&name, tensor).map_err(|error| (Exit::Fault, error.to_string()))?;
    }
    for loaded in loaded {
        let start = Instant::now();
        let result = loaded.for_each(|name, tensor| {
            // A program leaves out what none of its outputs needs.
            if program.argument(name).is_none() { Ok(()) } else { take(name, tensor).map_err(FillError::Plan) }
        });
        result.map_err(|error| match error {
            FillError::File(error) => (Exit::Usage, error.to_string()),
            FillError::Plan(error) => (Exit::Fault, error.to_string()),
        })?;
        let (summary, seconds) = (loaded.report.summary(), start.elapsed().as_secs_f64());
        eprintln!("{summary}, in {seconds:.2} s; {} MiB resident", resident_mib("VmRSS:"));
    }
    Ok(())
}

/// Why a value did not get from a file to the engine.
enum FillError {
    File(WeightError),
    Plan(RunError),
}

impl From<WeightError> for FillError {
    fn from(error: WeightError) -> Self {
        FillError::File(error)
    }
}

/// The resident memory of this process, in MiB: now (`VmRSS:`), or the most so far (`VmHWM:`). 0 where the system does not say.
pub(super) fn resident_mib(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(key));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)).and_then(|number| number.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}
