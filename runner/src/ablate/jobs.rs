//! One job of an ablation.

use std::path::Path;
use std::sync::Arc;

use sward_core::check::Session;
use sward_core::language::GraphFile;
use sward_core::source::Spanned;
use sward_kernels::Engine;

use super::plan::{Job, Plan};
use crate::experiment::{join, load_kind};
use crate::interrupt::Interrupt;
use crate::progress::Verbosity;
use crate::rundir::{Disk, Standing};
use crate::train::{FeatureFolder, Outcome, TrainError, TrainRequest, pretrained_files, settings, train};

/// What a job needs beside the plan.
pub struct JobRequest<'a> {
    /// The ablation's file.
    pub file: &'a str,
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
    /// Where jobs share features of frozen parts, if anywhere.
    pub features: Option<FeatureFolder>,
}

/// Does a job: trains, goes on with what an earlier process left, or sees that it is done (`None`). Doing it twice changes nothing.
/// `session` is a fresh one, with the roots of the ablation.
///
/// # Errors
/// A job that another process does, or a training that fails.
pub fn run_job(
    session: &mut Session<'_>,
    directory: &Path,
    plan: &Plan,
    job: &Job,
    request: &JobRequest<'_>,
) -> Result<Option<Outcome>, TrainError> {
    let path = directory.join(&job.directory);
    let standing = Standing::of(&path)?;
    if standing == Standing::Finished {
        return Ok(None);
    }
    let of_arm = |source: TrainError| TrainError::Arm { arm: job.name.clone(), source: Box::new(source) };
    let arm = &plan.arms[job.arm];
    let fault = || of_arm(TrainError::Usage("its experiment does not check".to_owned()));
    let (file, graph_file) = session.open(request.file).ok_or_else(fault)?;
    let GraphFile::Other { tree, .. } = &*graph_file else { return Err(fault()) };
    let written = Spanned::new(arm.experiment.clone(), tree.span);
    let (experiment, tree) = load_kind(session, file, &written, "Experiment").ok_or_else(fault)?;
    let sets: Vec<String> = arm.sets.iter().cloned().chain([format!("train.seed={}", job.seed)]).collect();
    let overrides = session.overrides(&sets, &arm.swaps, &[]).ok_or_else(fault)?;
    let joined = join(session, experiment, &tree, &overrides).ok_or_else(fault)?;
    let mut settings = settings(session, &joined, &overrides, job.fold).map_err(of_arm)?;
    settings.fold_seed = Some(plan.fold_seed);
    let pretrained = pretrained_files(session, &joined).map_err(of_arm)?;
    let outcome = train(&TrainRequest {
        session,
        joined: &joined,
        settings,
        engine: request.engine,
        threads: request.threads,
        root: directory.to_owned(),
        directory: (standing == Standing::Absent).then(|| path.clone()),
        resume: (standing == Standing::Begun).then(|| path.clone()),
        storage: Arc::new(Disk),
        pretrained,
        verbosity: request.verbosity,
        interrupt: request.interrupt.clone(),
        cache_bytes: request.cache_bytes,
        features: request.features.clone(),
        profile: false,
    })
    .map_err(of_arm)?;
    Ok(Some(outcome))
}
