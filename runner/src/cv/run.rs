//! Training all folds.

use sward_core::check::Session;
use sward_kernels::Engine;

use super::directory::CvDirectory;
use crate::experiment::Joined;
use crate::interrupt::Interrupt;
use crate::progress::Verbosity;
use crate::rundir::Standing;
use crate::train::{FeatureFolder, RunSettings, TrainError, TrainRequest, train};

/// What the folds need beside the directory.
pub struct CvRequest<'a> {
    /// The session that the experiment was read with.
    pub session: &'a Session<'a>,
    /// The experiment.
    pub joined: &'a Joined,
    /// What runs programs.
    pub engine: &'a dyn Engine,
    /// Threads, for the record.
    pub threads: usize,
    /// What is shown.
    pub verbosity: Verbosity,
    /// Asks for an orderly end.
    pub interrupt: Interrupt,
    /// Memory for decoded photographs, in bytes.
    pub cache_bytes: usize,
    /// Where the folds share features of frozen parts, if anywhere.
    pub features: Option<FeatureFolder>,
}

/// Trains every fold that has not finished, in order. `tell` is given a sentence a fold. `false` where it was asked to stop.
///
/// # Errors
/// The first fold that cannot be trained; the others stay as they are.
pub fn run_folds(
    directory: &CvDirectory,
    request: &CvRequest<'_>,
    tell: &mut dyn FnMut(usize, &str),
) -> Result<bool, TrainError> {
    let description = directory.description();
    for fold in 0..description.folds {
        let path = directory.fold(fold);
        let standing = Standing::of(&path)?;
        tell(
            fold,
            match standing {
                Standing::Finished => "has finished before and is kept",
                Standing::Begun => "goes on",
                Standing::Absent => "begins",
            },
        );
        if standing == Standing::Finished {
            continue;
        }
        let settings = RunSettings { fold, ..description.settings.clone() };
        let outcome = train(&TrainRequest {
            session: request.session,
            joined: request.joined,
            settings,
            engine: request.engine,
            threads: request.threads,
            root: directory.path().to_owned(),
            directory: (standing == Standing::Absent).then(|| path.clone()),
            resume: (standing == Standing::Begun).then(|| path.clone()),
            storage: directory.storage().clone(),
            pretrained: description.pretrained.clone(),
            verbosity: request.verbosity,
            interrupt: request.interrupt.clone(),
            cache_bytes: request.cache_bytes,
            features: request.features.clone(),
            profile: false,
        })?;
        if outcome.interrupted || (request.interrupt.requested() && fold + 1 < description.folds) {
            return Ok(false);
        }
    }
    Ok(true)
}
