//! `sward train`.

use super::Exit;
use super::experiment::{ExperimentOptions, FeatureOptions, OpenedExperiment, ShowOptions, cache_bytes, open_experiment, report};
use super::graph::{Format, print, session, write_out};
use crate::engines::{EngineChoice, engine};
use crate::interrupt::Interrupt;
use crate::rundir::Disk;
use crate::train::{Outcome, Pretrained, RunSettings, TrainRequest, pretrained_files, reopen, settings, train};
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
    /// What runs the graph
    #[arg(long, value_enum, default_value = "cpu")]
    engine: EngineChoice,
    /// Threads; 0 takes one for each processor
    #[arg(long, default_value_t = 0)]
    threads: usize,
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
    match &arguments.resume {
        Some(path) => {
            let mut session = match session(&arguments.options.roots) {
                Ok(session) => session,
                Err(exit) => return exit,
            };
            match reopen(&mut session, path) {
                Ok((joined, settings, _)) => train_one(arguments, &session, &joined, settings, Vec::new()),
                Err(error) => {
                    print(&session, Format::Text);
                    report(&error)
                }
            }
        }
        None => {
            let file = arguments.experiment.as_deref().unwrap_or_default();
            let OpenedExperiment { session, joined, overrides } = match open_experiment(file, &arguments.options) {
                Ok(opened) => opened,
                Err(exit) => return exit,
            };
            match settings(&session, &joined, &overrides, arguments.fold) {
                Ok(settings) => match pretrained_files(&session, &joined) {
                    Ok(files) => train_one(arguments, &session, &joined, settings, files),
                    Err(error) => report(&error),
                },
                Err(error) => report(&error),
            }
        }
    }
}

fn train_one(
    arguments: &Arguments,
    session: &Session<'_>,
    joined: &crate::experiment::Joined,
    settings: RunSettings,
    pretrained: Vec<Pretrained>,
) -> Exit {
    let engine = match engine(arguments.engine, arguments.threads) {
        Ok(engine) => engine,
        Err(error) => {
            eprintln!("error: {error}");
            return Exit::Fault;
        }
    };
    let interrupt = match Interrupt::install() {
        Ok(interrupt) => interrupt,
        Err(error) => {
            eprintln!("error: signals cannot be caught: {error}");
            return Exit::Fault;
        }
    };
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
        threads: arguments.threads,
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
    match train(&request) {
        Ok(outcome) if outcome.interrupted => {
            eprintln!("go on with: sward train --resume {}", outcome.directory.display());
            Exit::Interrupted
        }
        Ok(outcome) => {
            super::report::write_report(&outcome.directory, arguments.show.quiet);
            write_out(&mut std::io::stdout(), &summary(&outcome));
            Exit::Fine
        }
        Err(error) => report(&error),
    }
}

/// The result, for people and scripts: one `name value` a line, then the directory.
fn summary(outcome: &Outcome) -> String {
    let mut text = format!("best epoch {}\n", outcome.best_epoch + 1);
    for (name, value) in &outcome.metrics {
        text += &format!("{name} {value:.6}\n");
    }
    text + &format!("run {}\n", outcome.directory.display())
}
