//! Why training or prediction ends early.

use crate::compile::CompileError;
use crate::exit::Exit;
use crate::feed::FeedError;
use crate::metrics::MetricError;
use crate::rundir::{LogError, RunError as DirectoryError, StorageError};
use crate::samplers::SamplerError;
use crate::schedule::ScheduleError;
use crate::splits::SplitError;
use crate::weights::WeightError;
use sward_kernels::{PrepareError, RunError};

/// Why training or prediction ends early.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The data.
    #[error(transparent)]
    Feed(#[from] FeedError),
    /// A graph that has no program at these sizes.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// An engine that cannot run it.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// A run of the program.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Folds that cannot be made, or leak.
    #[error("the folds: {0}")]
    Split(#[from] SplitError),
    /// Folds that leak, or a target that nothing states.
    #[error("{0}")]
    Fold(String),
    /// The sampler.
    #[error("the sampler: {0}")]
    Sampler(#[from] SamplerError),
    /// The schedule.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// The run directory.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Storage.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Weights or a checkpoint.
    #[error(transparent)]
    Weights(#[from] WeightError),
    /// A metric whose numbers do not go together.
    #[error(transparent)]
    Metric(#[from] MetricError),
    /// A checkpoint of another graph or another experiment.
    #[error("{path}: {cause}")]
    Checkpoint {
        /// The file.
        path: String,
        /// What does not fit, and a mend.
        cause: String,
    },
    /// A loss or gradient that is not finite.
    #[error("{0}")]
    NonFinite(String),
    /// One arm of an ablation.
    #[error("the arm `{arm}`: {source}")]
    Arm {
        /// The arm's name.
        arm: String,
        /// What is wrong with it.
        source: Box<TrainError>,
    },
    /// It was asked to stop before the first step.
    #[error("interrupted")]
    Interrupted,
    /// What was asked for cannot be.
    #[error("{0}")]
    Usage(String),
}

impl TrainError {
    /// The exit code of the process.
    pub fn exit(&self) -> Exit {
        match self {
            TrainError::Feed(_)
            | TrainError::Compile(_)
            | TrainError::Split(_)
            | TrainError::Fold(_)
            | TrainError::Sampler(_)
            | TrainError::Schedule(_)
            | TrainError::Checkpoint { .. }
            | TrainError::Usage(_)
            | TrainError::Weights(_) => Exit::Usage,
            TrainError::Directory(error) if error.is_usage() => Exit::Usage,
            TrainError::Arm { source, .. } => source.exit(),
            _ => Exit::Fault,
        }
    }
}

/// The result of training.
pub type Result<T, E = TrainError> = std::result::Result<T, E>;
