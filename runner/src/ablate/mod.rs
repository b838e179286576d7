//! Ablations: every arm of an `Ablation` file trained on the same folds and seeds, and compared with the base row by row.
//!
//! ```text
//! Ablation file --experiment::ablation::arms--> Arms --Plan::new--> Plan (ablation.json), jobs
//! job (arm, seed, fold) --run_job--> a run directory below arms/
//! ablation directory --collect--> Comparison --> table.txt, table.csv, table.json
//! ```
//!
//! A job depends on the plan and its number alone, so that any number of processes on any number of machines may share them out; a job that
//! has finished is not done again.

mod collect;
mod explain;
mod jobs;
mod plan;
mod render;

pub use collect::{ArmResult, Comparison, arm_rows, collect};
pub use explain::explain;
pub use jobs::{JobRequest, run_job};
pub use plan::{AblationFile, Job, NoAblation, Plan, PlannedArm, default_directory, open, prove};
