//! `sward ablate`: variants of an experiment, compared row by row.

use super::Exit;
use super::experiment::{EngineOptions, FeatureOptions, ShowOptions, cache_bytes, interrupts, report};
use super::graph::{Format, RootOptions, print, session, write_out};
use super::report::write_report;
use crate::ablate::{AblationFile, Comparison, JobRequest, NoAblation, Plan, collect, default_directory, open, prove, run_job};
use crate::plain::counted;
use crate::rundir::Lock;
use crate::train::TrainError;
use clap::{Args, Subcommand, ValueEnum};
use std::path::{Path, PathBuf};
use sward_core::check::Session;

/// Arguments of `ablate`.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Example:
  sward ablate ablation.ron                                     all arms, seeds and folds, one after the other; again to go on
  sward ablate plan ablation.ron                                one JSON line a job
  sward ablate run ablation.ron --output results --index 7      one job; safe to repeat
  sward ablate table results                                    what the finished jobs say

docs/ablations.md shows Slurm arrays, Kubernetes indexed jobs and HyperQueue."
)]
pub struct Arguments {
    #[command(subcommand)]
    part: Option<Part>,
    /// The ablation file
    #[arg(required = true)]
    file: Option<String>,
    /// The ablation's directory; runs/<name>/ablation-<hash> without it, the same for the same files
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// How the table is written
    #[arg(long, value_enum, default_value = "text")]
    format: TableFormat,
    #[command(flatten)]
    machine: Machine,
}

/// What jobs run on, and what is shown.
#[derive(Debug, Args)]
struct Machine {
    #[command(flatten)]
    engine: EngineOptions,
    #[command(flatten)]
    features: FeatureOptions,
    #[command(flatten)]
    show: ShowOptions,
    #[command(flatten)]
    roots: RootOptions,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// Prove all arms, and write one JSON line a job
    Plan {
        /// The ablation file
        file: String,
        #[command(flatten)]
        machine: Machine,
    },
    /// Do one job; done twice, it changes nothing
    Run {
        /// The ablation file
        file: String,
        /// The ablation's directory, shared by all jobs
        #[arg(long, value_name = "DIR")]
        output: PathBuf,
        /// The job's number, from 0
        #[arg(long)]
        index: usize,
        #[command(flatten)]
        machine: Machine,
    },
    /// Put the finished jobs together
    Table {
        /// The ablation's directory
        directory: PathBuf,
        /// How the table is written
        #[arg(long, value_enum, default_value = "text")]
        format: TableFormat,
    },
}

/// How a table is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum TableFormat {
    /// For people
    Text,
    /// A line an arm
    Csv,
    /// One JSON object
    Json,
}

/// Runs `ablate`.
pub fn run(arguments: &Arguments) -> Exit {
    let outcome = match &arguments.part {
        None => all(arguments),
        Some(Part::Plan { file, machine }) => plan(file, machine),
        Some(Part::Run { file, output, index, machine }) => one(file, output, *index, machine),
        Some(Part::Table { directory, format }) => table(directory, *format),
    };
    match outcome {
        Ok(exit) | Err(exit) => exit,
    }
}

fn told(error: TrainError) -> Exit {
    report(&error)
}

/// An ablation, proved and planned.
struct Planned {
    session: Session<'static>,
    opened: AblationFile,
    plan: Plan,
}

fn planned(file: &str, roots: &RootOptions) -> Result<Planned, Exit> {
    let mut session = session(roots)?;
    let opened = open(&mut session, file);
    print(&session, Format::Text);
    let opened = opened.map_err(|cause| match cause {
        NoAblation::Unreadable => Exit::Usage,
        NoAblation::OtherKind => {
            eprintln!("error: {file} holds no Ablation; this verb needs one");
            Exit::Usage
        }
        NoAblation::Unproved => Exit::Findings,
    })?;
    let plan = Plan::new(&session, &opened).map_err(told)?;
    Ok(Planned { session, opened, plan })
}

fn all(arguments: &Arguments) -> Result<Exit, Exit> {
    let (file, machine) = (arguments.file.as_deref().unwrap_or_default(), &arguments.machine);
    let Planned { session: own, opened, plan } = planned(file, &machine.roots)?;
    let engine = machine.engine.open()?;
    let bytes = prove(&own, &opened, &plan, engine.as_ref()).map_err(told)?;
    let directory = arguments.output.clone().unwrap_or_else(|| default_directory(Path::new("runs"), &plan));
    plan.place(&directory).map_err(told)?;
    let _lock = Lock::take(&directory).map_err(|error| told(crate::rundir::RunError::from(error).into()))?;
    let jobs = plan.jobs();
    machine.show.tell(&format!(
        "{}: {}, {}, {}: {}; the largest step takes {} MiB; {}",
        plan.name,
        counted(plan.arms.len(), "arm"),
        counted(plan.seeds.len(), "seed"),
        counted(plan.folds.len(), "fold"),
        counted(jobs.len(), "job"),
        bytes.iter().max().copied().unwrap_or_default() >> 20,
        directory.display()
    ));
    let interrupt = interrupts()?;
    for job in &jobs {
        let mut session = session(&machine.roots)?;
        let request = JobRequest {
            file,
            engine: engine.as_ref(),
            threads: machine.engine.threads,
            verbosity: machine.show.verbosity(),
            interrupt: interrupt.clone(),
            cache_bytes: cache_bytes(),
            features: machine.features.folder(&directory),
        };
        let what = format!("job {} of {}: {}, seed {}, fold {}", job.index + 1, jobs.len(), job.name, job.seed, job.fold);
        machine.show.tell(&what);
        let outcome = run_job(&mut session, &directory, &plan, job, &request);
        let interrupted = match outcome {
            Ok(Some(outcome)) => outcome.interrupted,
            Ok(None) => false,
            Err(error) => {
                print(&session, Format::Text);
                return Err(told(error));
            }
        };
        if interrupted || interrupt.requested() {
            eprintln!("the same command goes on: sward ablate {file} --output {}", directory.display());
            return Ok(Exit::Interrupted);
        }
    }
    let comparison = collect(&directory, &plan).map_err(told)?;
    comparison.write(&directory).map_err(told)?;
    write_report(&directory, machine.show.quiet);
    let mut text = written(&comparison, arguments.format)?;
    if arguments.format == TableFormat::Text {
        text += &format!("ablation {}\n", directory.display());
    }
    write_out(&text);
    Ok(Exit::Fine)
}

fn written(comparison: &Comparison, format: TableFormat) -> Result<String, Exit> {
    Ok(match format {
        TableFormat::Text => comparison.text(),
        TableFormat::Csv => String::from_utf8_lossy(&comparison.csv().map_err(told)?).into_owned(),
        TableFormat::Json => format!("{}\n", serde_json::to_value(comparison).unwrap_or_default()),
    })
}

fn plan(file: &str, machine: &Machine) -> Result<Exit, Exit> {
    let Planned { session, opened, plan } = planned(file, &machine.roots)?;
    let engine = machine.engine.open()?;
    prove(&session, &opened, &plan, engine.as_ref()).map_err(told)?;
    let mut text = String::new();
    for job in plan.jobs() {
        text += &serde_json::to_string(&job).unwrap_or_default();
        text.push('\n');
    }
    write_out(&text);
    Ok(Exit::Fine)
}

fn one(file: &str, directory: &Path, index: usize, machine: &Machine) -> Result<Exit, Exit> {
    let Planned { plan, .. } = planned(file, &machine.roots)?;
    plan.place(directory).map_err(told)?;
    let jobs = plan.jobs();
    let Some(job) = jobs.get(index) else {
        eprintln!("error: there is no job {index}: the jobs are 0 to {}", jobs.len() - 1);
        return Err(Exit::Usage);
    };
    let engine = machine.engine.open()?;
    let interrupt = interrupts()?;
    let mut session = session(&machine.roots)?;
    let request = JobRequest {
        file,
        engine: engine.as_ref(),
        threads: machine.engine.threads,
        verbosity: machine.show.verbosity(),
        interrupt,
        cache_bytes: cache_bytes(),
        features: machine.features.folder(directory),
    };
    match run_job(&mut session, directory, &plan, job, &request) {
        Ok(outcome) => {
            let interrupted = outcome.as_ref().is_some_and(|outcome| outcome.interrupted);
            let state = match &outcome {
                None => "finished before",
                Some(_) if interrupted => "interrupted",
                Some(_) => "finished",
            };
            let mut value = serde_json::to_value(job).unwrap_or_default();
            value["state"] = state.into();
            write_out(&format!("{value}\n"));
            Ok(if interrupted { Exit::Interrupted } else { Exit::Fine })
        }
        Err(error) => {
            print(&session, Format::Text);
            Err(told(error))
        }
    }
}

fn table(directory: &Path, format: TableFormat) -> Result<Exit, Exit> {
    let plan = Plan::read(directory).map_err(|error| told(error.into()))?;
    let comparison = collect(directory, &plan).map_err(told)?;
    comparison.write(directory).map_err(told)?;
    write_out(&written(&comparison, format)?);
    if comparison.finished < comparison.of {
        eprintln!("warning: {} of {} jobs are done", comparison.finished, comparison.of);
    }
    Ok(Exit::Fine)
}
