//! From an experiment's schedule, in epochs, to one in steps.

use crate::experiment::spec::Schedule as Written;
use crate::schedule::{Schedule, ScheduleError, Shape, Warmup};

/// The schedule in steps; `Plateau` is constant here, and its reductions come on top.
///
/// # Errors
/// Lengths that do not fit the run.
pub fn resolve_schedule(written: &Written, steps_per_epoch: u64, total: u64) -> Result<Schedule, ScheduleError> {
    let warmup = |steps: u64| Warmup { steps, start_factor: 0.0 };
    // A rise as long as the run leaves one step for what follows.
    let left = |steps: u64| total.saturating_sub(steps).max(1);
    let schedule = match written {
        Written::Constant | Written::Plateau { .. } => Schedule::constant(),
        Written::Warmup { warmup_steps } => Schedule { warmup: warmup(*warmup_steps), shape: Shape::Constant },
        Written::Cosine { warmup_steps, minimum } => {
            Schedule { warmup: warmup(*warmup_steps), shape: Shape::Cosine { steps: left(*warmup_steps), minimum: *minimum } }
        }
        Written::WarmRestarts { epochs, warmup_steps, minimum } => Schedule {
            warmup: warmup(*warmup_steps),
            shape: Shape::WarmRestarts {
                cycles: epochs.iter().map(|length| length * steps_per_epoch).collect(),
                minimum: *minimum,
            },
        },
        Written::OneCycle { rise } => Schedule {
            warmup: Warmup::default(),
            shape: Shape::OneCycle { steps: total, rise: *rise, start_divisor: 25.0, end_divisor: 1e4 },
        },
        Written::Step { every_epochs, gamma, warmup_steps } => Schedule {
            warmup: warmup(*warmup_steps),
            shape: Shape::Step { every: every_epochs * steps_per_epoch, gamma: *gamma },
        },
        Written::MultiStep { epochs, gamma, warmup_steps } => Schedule {
            warmup: warmup(*warmup_steps),
            shape: Shape::MultiStep { milestones: epochs.iter().map(|epoch| epoch * steps_per_epoch).collect(), gamma: *gamma },
        },
    };
    schedule.validate()?;
    Ok(schedule)
}
