//! `sward train`.

use super::Exit;
use super::experiment::{
    EngineOptions, ExperimentOptions, FeatureOptions, OpenedExperiment, ShowOptions, cache_bytes, interrupts, open_experiment,
    report,
};
use super::graph::{Format, print, session, write_out};
use crate::experiment::Joined;
use crate::rundir::Disk;
use crate::train::{Outcome, Pretrained, RunSettings, TrainError, TrainRequest, pretrained_files, reopen, settings, train};
use clap::Args;
use std::path::PathBuf;
use std::sync::Arc;
use sward_core::check::Session;

/// Arguments of `train`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  sward init demo --template digits && sward train demo/experiment.ron
  sward train experiment.ron --swap model.fusion=fusion/film.ron --set train.epochs=5 --seed 7
  sward train --resume runs/experiment/20261126T210000Z-1a2b3c4d

A run goes into runs/<name>/<time>-<hash>/. Ctrl-C finishes the step, saves and ends with 130; --resume goes on with the same bits.")]
pub struct Arguments {
    /// The experiment file
    #[arg(required_unless_present = "resume")]
    experiment: Option<String>,
    /// Go on with a run that was interrupted
    #[arg(long, value_name = "RUN", conflicts_with_all = ["experiment", "sets", "swaps", "epochs", "batch_size", "lr", "seed", "dtype", "fold"])]
    resume: Option<PathBuf>,
    /// The fold to train
    #[arg(long, default_value_t = 0)]
    fold: usize,
    /// Where runs are written
    #[arg(long, value_name = "DIR", default_value = "runs")]
    output: PathBuf,
    #[command(flatten)]
    machine: EngineOptions,
    /// Say where the time goes
    #[arg(long)]
    profile: bool,
    #[command(flatten)]
    show: ShowOptions,
    #[command(flatten)]
    features: FeatureOptions,
    #[command(flatten)]
    options: ExperimentOptions,
}

/// Runs `train`.
pub fn run(arguments: &Arguments) -> Exit {
    match try_run(arguments) {
        Ok(exit) | Err(exit) => exit,
    }
}

fn try_run(arguments: &Arguments) -> Result<Exit, Exit> {
    let told = |error: TrainError| report(&error);
    match &arguments.resume {
        Some(path) => {
            let mut session = session(&arguments.options.roots)?;
            let (joined, settings, _) = reopen(&mut session, path).map_err(|error| {
                print(&session, Format::Text);
                told(error)
            })?;
            train_one(arguments, &session, &joined, settings, Vec::new())
        }
        None => {
            let file = arguments.experiment.as_deref().unwrap_or_default();
            let OpenedExperiment { session, joined, overrides } = open_experiment(file, &arguments.options)?;
            let settings = settings(&session, &joined, &overrides, arguments.fold).map_err(told)?;
            let pretrained = pretrained_files(&session, &joined).map_err(told)?;
            train_one(arguments, &session, &joined, settings, pretrained)
        }
    }
}

fn train_one(
    arguments: &Arguments,
    session: &Session<'_>,
    joined: &Joined,
    settings: RunSettings,
    pretrained: Vec<Pretrained>,
) -> Result<Exit, Exit> {
    let engine = arguments.machine.open()?;
    let interrupt = interrupts()?;
    let beside = match &arguments.resume {
        // A run may be named from inside its own folder.
        Some(run) => std::fs::canonicalize(run).ok().and_then(|run| Some(run.parent()?.to_owned())).unwrap_or_default(),
        None => arguments.output.join(&joined.name),
    };
    let request = TrainRequest {
        session,
        joined,
        settings,
        engine: engine.as_ref(),
        threads: arguments.machine.threads,
        root: arguments.output.clone(),
        directory: None,
        resume: arguments.resume.clone(),
        storage: Arc::new(Disk),
        pretrained,
        verbosity: arguments.show.verbosity(),
        interrupt,
        cache_bytes: cache_bytes(),
        features: arguments.features.folder(&beside),
        profile: arguments.profile,
    };
    let outcome = train(&request).map_err(|error| report(&error))?;
    if outcome.interrupted {
        eprintln!("go on with: sward train --resume {}", outcome.directory.display());
        return Ok(Exit::Interrupted);
    }
    super::report::write_report(&outcome.directory, arguments.show.quiet);
    write_out(&summary(&outcome));
    Ok(Exit::Fine)
}

/// The result, for people and scripts: one `name value` a line, then the directory.
fn summary(outcome: &Outcome) -> String {
    let mut text = format!("best epoch {}\n", outcome.best_epoch + 1);
    for (name, value) in &outcome.metrics {
        text += &format!("{name} {value:.6}\n");
    }
    text + &format!("run {}\n", outcome.directory.display())
}
