//! `sward cv`: all folds of an experiment.

use super::Exit;
use super::experiment::{
    EngineOptions, ExperimentOptions, FeatureOptions, OpenedExperiment, ShowOptions, cache_bytes, interrupts, open_experiment,
    report,
};
use super::graph::{Format, TextOrJson, print, session, write_out};
use super::report::write_report;
use crate::cv::{CvDirectory, CvRequest, Leakage, read_table, run_folds};
use crate::experiment::Joined;
use crate::feed::{DataFolder, load_rows};
use crate::rundir::Disk;
use crate::train::{RunSettings, TrainError, fold_splits, pretrained_files, rejoin, settings};
use clap::Args;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use sward_core::check::Session;

/// Arguments of `cv`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  sward cv experiment.ron
  sward cv experiment.ron --set train.epochs=5 --format json > folds.json
  sward cv --resume runs/experiment/cv-20261126T210000Z-1a2b3c4d
  sward predict runs/experiment/cv-20261126T210000Z-1a2b3c4d -o submission.csv    the mean of all folds

Each fold is a run directory below runs/<name>/cv-<time>-<hash>/. Finished folds are kept, an interrupted one goes on with the same bits.
oof.csv holds every validated row once, predicted by the fold that never saw it.")]
pub struct Arguments {
    /// The experiment file
    #[arg(required_unless_present = "resume")]
    experiment: Option<String>,
    /// Go on with a cross-validation that was interrupted
    #[arg(long, value_name = "CV", conflicts_with_all = ["experiment", "sets", "swaps", "epochs", "batch_size", "lr", "seed", "dtype"])]
    resume: Option<PathBuf>,
    /// Where runs are written
    #[arg(long, value_name = "DIR", default_value = "runs")]
    output: PathBuf,
    /// How the table is written
    #[arg(long, value_enum, default_value = "text")]
    format: TextOrJson,
    #[command(flatten)]
    machine: EngineOptions,
    #[command(flatten)]
    show: ShowOptions,
    #[command(flatten)]
    features: FeatureOptions,
    #[command(flatten)]
    options: ExperimentOptions,
}

/// Runs `cv`.
pub fn run(arguments: &Arguments) -> Exit {
    match try_run(arguments) {
        Ok(exit) | Err(exit) => exit,
    }
}

fn try_run(arguments: &Arguments) -> Result<Exit, Exit> {
    let told = |error: TrainError| report(&error);
    match &arguments.resume {
        Some(path) => {
            let directory = CvDirectory::resume(Arc::new(Disk), path).map_err(|error| told(error.into()))?;
            let mut session = session(&arguments.options.roots)?;
            let settings = directory.description().settings.clone();
            let joined = rejoin(&mut session, path, &settings).map_err(|error| {
                print(&session, Format::Text);
                told(error)
            })?;
            arguments.show.tell(&leakage(&joined, &settings).map_err(told)?.sentence());
            all(arguments, &session, &joined, &directory)
        }
        None => {
            let file = arguments.experiment.as_deref().unwrap_or_default();
            let OpenedExperiment { session, joined, overrides } = open_experiment(file, &arguments.options)?;
            let settings = settings(&session, &joined, &overrides, 0).map_err(told)?;
            let pretrained = pretrained_files(&session, &joined).map_err(told)?;
            // Before a directory is made: data that cannot be folded leaves nothing behind.
            let leakage = leakage(&joined, &settings).map_err(told)?;
            let root = &arguments.output;
            let made = CvDirectory::create(Arc::new(Disk), root, &session, &joined, settings, pretrained, leakage.folds);
            arguments.show.tell(&leakage.sentence());
            all(arguments, &session, &joined, &made.map_err(told)?)
        }
    }
}

fn leakage(joined: &Joined, settings: &RunSettings) -> Result<Leakage, TrainError> {
    let folder = DataFolder::open(&settings.data)?;
    let loaded = load_rows(&joined.data, &joined.data.spec.table.value, None, &folder, true)?;
    let splits = fold_splits(joined, &loaded.table, settings.fold_seed(joined))?;
    Leakage::check(joined, &loaded.table, &splits)
}

fn all(arguments: &Arguments, session: &Session<'_>, joined: &Joined, directory: &CvDirectory) -> Result<Exit, Exit> {
    let told = |error: TrainError| report(&error);
    let engine = arguments.machine.open()?;
    let interrupt = interrupts()?;
    let folds = directory.description().folds;
    let request = CvRequest {
        session,
        joined,
        engine: engine.as_ref(),
        threads: arguments.machine.threads,
        verbosity: arguments.show.verbosity(),
        interrupt,
        cache_bytes: cache_bytes(),
        features: arguments.features.folder(directory.path()),
    };
    let mut say = |fold: usize, what: &str| arguments.show.tell(&format!("fold {fold} ({} of {folds}) {what}", fold + 1));
    let is_whole = run_folds(directory, &request, &mut say).map_err(told)?;
    if !is_whole {
        eprintln!("go on with: sward cv --resume {}", directory.path().display());
        return Ok(Exit::Interrupted);
    }
    let text = conclude(arguments, directory.path()).map_err(told)?;
    write_out(&text);
    Ok(Exit::Fine)
}

/// Pools the folds, and writes what they say together.
fn conclude(arguments: &Arguments, path: &Path) -> Result<String, TrainError> {
    let (table, all) = read_table(path)?;
    if let Some((first, all)) = &all {
        all.write(&path.join("oof.csv"))?;
        for reason in all.measure_all(&first.joined).1 {
            eprintln!("warning: no value for {reason}");
        }
    }
    table.write_csv(&path.join("folds.csv"))?;
    crate::rundir::write_json_inside(&Disk, path, Path::new("results.json"), &table)?;
    write_report(path, arguments.show.quiet);
    Ok(match arguments.format {
        TextOrJson::Text => format!("{}cv {}\n", table.text(), path.display()),
        TextOrJson::Json => {
            let mut value = serde_json::to_value(&table).unwrap_or_default();
            value["directory"] = path.display().to_string().into();
            format!("{value}\n")
        }
    })
}
