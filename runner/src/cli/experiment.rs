//! What all verbs on experiments share: opening one, its overrides, its engine, and what is shown meanwhile.

use super::Exit;
use super::graph::{Format, RootOptions, print, session};
use crate::engines::{EngineChoice, engine};
use crate::experiment::spec::Precision;
use crate::experiment::{Joined, join};
use crate::feed::FeedError;
use crate::interrupt::Interrupt;
use crate::progress::{LogFormat, Verbosity};
use crate::table::TableError;
use crate::train::{FEATURES, FeatureFolder, TrainError};
use clap::Args;
use std::path::{Path, PathBuf};
use sward_core::check::{Overrides, Session};
use sward_core::language::GraphFile;
use sward_kernels::Engine;

/// Options that change an experiment.
#[derive(Clone, Debug, Default, Args)]
pub struct ExperimentOptions {
    /// Set any value: `train.epochs=3`, `losses.biomass.power=1.3`, `model.fusion.hidden=64`, `data.fields.photo.params.size=96`
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub sets: Vec<String>,
    /// Place another module at a Use node: `model.fusion=fusion/film.ron`
    #[arg(long = "swap", value_name = "NODE=FILE")]
    pub swaps: Vec<String>,
    /// Passes over the training rows (train.epochs)
    #[arg(long, value_parser = whole)]
    pub epochs: Option<u64>,
    /// Samples a step (train.batch)
    #[arg(long, value_parser = whole)]
    pub batch_size: Option<u64>,
    /// The learning rate (train.optimizer.lr)
    #[arg(long, allow_hyphen_values = true)]
    pub lr: Option<f64>,
    /// What all random numbers follow from (train.seed)
    #[arg(long, value_parser = whole)]
    pub seed: Option<u64>,
    /// What activations are stored in (train.dtype)
    #[arg(long, value_enum)]
    pub dtype: Option<Precision>,
    /// Where graph files are looked for
    #[command(flatten)]
    pub roots: RootOptions,
}

impl ExperimentOptions {
    /// All overrides as `path=value`.
    pub fn all_sets(&self) -> Vec<String> {
        let mut sets = self.sets.clone();
        sets.extend(self.epochs.map(|value| format!("train.epochs={value}")));
        sets.extend(self.batch_size.map(|value| format!("train.batch={value}")));
        sets.extend(self.lr.map(|value| format!("train.optimizer.lr={value:?}")));
        sets.extend(self.seed.map(|value| format!("train.seed={value}")));
        sets.extend(self.dtype.map(|value| format!("train.dtype={}", if value == Precision::Bf16 { "Bf16" } else { "F32" })));
        sets
    }
}

/// Reads a whole number of the command line.
///
/// # Errors
/// What is expected.
pub fn whole(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("a whole number from 0 to {} is expected", u64::MAX))
}

/// What is shown while something runs.
#[derive(Clone, Debug, Default, Args)]
pub struct ShowOptions {
    /// Show warnings and results only
    #[arg(long)]
    pub quiet: bool,
    /// How progress is written on standard error
    #[arg(long, value_enum, default_value = "text")]
    pub log_format: LogFormat,
}

impl ShowOptions {
    /// As the progress display takes it.
    pub fn verbosity(&self) -> Verbosity {
        Verbosity { quiet: self.quiet, format: self.log_format }
    }

    /// Says something on standard error, unless it should be quiet.
    pub fn tell(&self, sentence: &str) {
        match (self.quiet, self.log_format) {
            (true, _) => {}
            (false, LogFormat::Text) => eprintln!("{sentence}"),
            (false, LogFormat::Json) => eprintln!("{}", serde_json::json!({ "event": "message", "message": sentence })),
        }
    }
}

/// The engine, as the command line chooses it.
#[derive(Clone, Debug, Args)]
pub struct EngineOptions {
    /// What runs the graph
    #[arg(long, value_enum, default_value = "cpu")]
    pub engine: EngineChoice,
    /// Threads; 0 takes one for each processor
    #[arg(long, default_value_t = 0)]
    pub threads: usize,
}

impl EngineOptions {
    /// Makes the engine; why it cannot be used is printed.
    ///
    /// # Errors
    /// The exit code.
    pub fn open(&self) -> Result<Box<dyn Engine>, Exit> {
        engine(self.engine, self.threads).map_err(|error| {
            eprintln!("error: {error}");
            Exit::Fault
        })
    }
}

/// Listens for signals that end a run; why that cannot be done is printed.
///
/// # Errors
/// The exit code.
pub fn interrupts() -> Result<Interrupt, Exit> {
    Interrupt::install().map_err(|error| {
        eprintln!("error: signals cannot be caught: {error}");
        Exit::Fault
    })
}

/// Where features of frozen parts are kept.
#[derive(Clone, Debug, Args)]
pub struct FeatureOptions {
    /// The folder of features of frozen parts, which runs may share; `none` keeps them in memory. Without it, `.features` beside the runs
    #[arg(long, value_name = "DIR")]
    pub features: Option<PathBuf>,
    /// What that folder may hold, in MiB; files that were not used for long make way
    #[arg(long, value_name = "MIB", default_value_t = 4096)]
    pub features_limit: u64,
}

impl FeatureOptions {
    /// The folder, for runs that lie in `beside`.
    pub fn folder(&self, beside: &Path) -> Option<FeatureFolder> {
        let path = match &self.features {
            Some(path) if path.as_os_str() == "none" => return None,
            Some(path) => path.clone(),
            None => beside.join(FEATURES),
        };
        Some(FeatureFolder { path, limit_bytes: self.features_limit.saturating_mul(1 << 20) })
    }
}

/// An experiment that checks, with the session that it was read in.
pub struct OpenedExperiment {
    /// The session.
    pub session: Session<'static>,
    /// The experiment.
    pub joined: Joined,
    /// What was changed.
    pub overrides: Overrides,
}

/// Opens an experiment file; what is wrong is printed.
///
/// # Errors
/// The exit code.
pub fn open_experiment(file: &str, options: &ExperimentOptions) -> Result<OpenedExperiment, Exit> {
    let mut session = session(&options.roots)?;
    let Some(overrides) = session.overrides(&options.all_sets(), &options.swaps, &[]) else {
        print(&session, Format::Text);
        return Err(Exit::Usage);
    };
    let Some((id, graph_file)) = session.open(file) else {
        print(&session, Format::Text);
        return Err(Exit::Usage);
    };
    let joined = match &*graph_file {
        GraphFile::Other { kind, tree } if kind.value == "Experiment" => join(&mut session, id, tree, &overrides),
        GraphFile::Other { kind, .. } => {
            eprintln!("error: {file} holds a {}; this verb needs an Experiment", kind.value);
            return Err(Exit::Usage);
        }
        _ => {
            eprintln!("error: {file} holds a Module or Interface; this verb needs an Experiment");
            return Err(Exit::Usage);
        }
    };
    print(&session, Format::Text);
    match joined {
        Some(joined) => Ok(OpenedExperiment { session, joined, overrides }),
        None => Err(Exit::Findings),
    }
}

/// How much memory decoded photographs may take: a quarter of what the machine has.
pub fn cache_bytes() -> usize {
    let memory = crate::rundir::Environment::current("cpu", 1).memory_bytes;
    if memory == 0 { 1 << 30 } else { (memory / 4) as usize }
}

/// Prints an error of training, and gives its exit code.
pub fn report(error: &TrainError) -> Exit {
    eprintln!("error: {error}");
    match error {
        TrainError::Feed(FeedError::Table(TableError::Write { source, .. })) => Exit::of_write(source),
        other => other.exit(),
    }
}
