//! `sward report`: a run, a cross-validation or an ablation as one HTML file.

use super::Exit;
use super::experiment::report as told;
use super::graph::write_out;
use crate::report::build;
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
    match written(&arguments.directory, &path) {
        Ok(()) => {
            write_out(&mut std::io::stdout(), &format!("report {}\n", path.display()));
            Exit::Fine
        }
        Err(error) => told(&error),
    }
}

fn written(directory: &Path, path: &Path) -> Result<(), TrainError> {
    let fault = |cause: String| TrainError::Usage(format!("{}: {cause}", path.display()));
    let html = build(directory)?.to_html().map_err(|error| fault(error.to_string()))?;
    crate::table::write_atomically(path, html.as_bytes()).map_err(|error| fault(format!("cannot be written: {error}")))
}

/// Writes `report.html` into a directory of results. What was trained is safe by then, so that a report that cannot be drawn is a warning.
pub fn write_report(directory: &Path, quiet: bool) {
    if let Err(error) = written(directory, &directory.join("report.html"))
        && !quiet
    {
        eprintln!("warning: no report: {error}");
    }
}
