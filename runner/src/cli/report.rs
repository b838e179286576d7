//! `sward report`: a run, a cross-validation or an ablation as one HTML file.

use super::Exit;
use super::experiment::report as told;
use super::graph::write_out;
use super::outputs::{files_of_results, refuse_same};
use crate::report::build;
use crate::rundir::{Disk, StorageError, write_atomically};
use crate::train::TrainError;
use clap::Args;
use std::path::{Path, PathBuf};

/// Arguments of `report`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  sward report runs/experiment/20261126T210000Z-1a2b3c4d -o report.html
  sward report runs/experiment/cv-20261126T210000Z-1a2b3c4d
  sward report runs/fusion/ablation-1a2b3c4d

The file needs nothing else: no network, no script. It follows the reader's light or dark setting, and prints. What is half-finished is
drawn, and marked so.")]
pub struct Arguments {
    /// A run directory, or that of a cross-validation or an ablation
    directory: PathBuf,
    /// The file to write; report.html in the directory without it
    #[arg(short, long, value_name = "HTML")]
    output: Option<PathBuf>,
}

/// Runs `report`.
pub fn run(arguments: &Arguments) -> Exit {
    let path = arguments.output.clone().unwrap_or_else(|| arguments.directory.join("report.html"));
    if let Some(output) = &arguments.output {
        let inputs = std::iter::once_with(|| files_of_results(&arguments.directory)).flatten();
        if let Err(exit) = refuse_same(&[("-o", output)], inputs) {
            return exit;
        }
    }
    match written(&arguments.directory, &path) {
        Ok(()) => {
            write_out(&format!("report {}\n", path.display()));
            Exit::Fine
        }
        Err(NoReport::Drawn(error)) => told(&error),
        Err(NoReport::Written(error)) => {
            eprintln!("error: {error}");
            Exit::of_write(&error.source)
        }
    }
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
enum NoReport {
    /// It cannot be drawn.
    #[error(transparent)]
    Drawn(#[from] TrainError),
    /// It cannot be written.
    #[error(transparent)]
    Written(#[from] StorageError),
}

fn written(directory: &Path, path: &Path) -> Result<(), NoReport> {
    let html = build(directory)?.to_html();
    let html = html.map_err(|error| TrainError::Usage(format!("{}: {error}", path.display())))?;
    Ok(write_atomically(&Disk, path, |file| file.write_all(html.as_bytes()))?)
}

/// Writes `report.html` into a directory of results. What was trained is safe by then, so that a report that cannot be drawn is a warning.
pub fn write_report(directory: &Path, quiet: bool) {
    if let Err(error) = written(directory, &directory.join("report.html"))
        && !quiet
    {
        eprintln!("warning: no report: {error}");
    }
}
