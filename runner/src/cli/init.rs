//! `sward init`: makes a new project from a template.

use std::path::PathBuf;

use clap::Args;

use super::Exit;
use super::experiment::{ShowOptions, interrupts};
use super::graph::write_out;
use crate::init::{FolderError, InitError, Request, Template, create};
use crate::progress::Progress;
use crate::rundir::Disk;

/// Arguments of `init`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  sward init pasture --template pasture --samples 300
  sward train pasture/experiment.ron

The project appears whole or not at all. Data is drawn from the seed: the same bytes on every machine and for any number of threads.")]
pub struct Arguments {
    /// The new folder; it must not exist, or be empty
    name: PathBuf,
    /// What to start from
    #[arg(long, value_enum, default_value = "digits")]
    template: Template,
    /// How many pictures to draw (default: 320 for textures, 360 for pasture)
    #[arg(long)]
    samples: Option<usize>,
    /// The seed of what is drawn (default: 42)
    #[arg(long)]
    seed: Option<u64>,
    /// Threads; 0 takes one for each processor
    #[arg(long, default_value_t = 0)]
    threads: usize,
    #[command(flatten)]
    show: ShowOptions,
}

/// Runs `init`.
pub fn run(arguments: &Arguments) -> Exit {
    let interrupt = match interrupts() {
        Ok(interrupt) => interrupt,
        Err(exit) => return exit,
    };
    let request =
        Request { template: arguments.template, samples: arguments.samples, seed: arguments.seed, threads: arguments.threads };
    let total = match arguments.template.drawing(arguments.samples, arguments.seed) {
        Ok(drawing) => drawing.map_or(0, |drawing| drawing.pictures()),
        Err(error) => return report(&error),
    };
    let mut progress = Progress::new(arguments.show.verbosity(), total as u64, 1, 0);
    let created = create(&Disk, &arguments.name, &request, &interrupt, &mut progress);
    progress.finish();
    match created {
        Ok(folder) => {
            let experiment = folder.join("experiment.ron");
            write_out(&format!("made {}; next:\n  sward train {}\n", folder.display(), experiment.display()));
            Exit::Fine
        }
        Err(error) => report(&error),
    }
}

fn report(error: &InitError) -> Exit {
    eprintln!("error: {error}");
    match error {
        InitError::Folder(FolderError::Storage(_)) | InitError::Storage(_) | InitError::Draw(_) | InitError::Threads { .. } => {
            Exit::Fault
        }
        InitError::Option(_) | InitError::Folder(_) => Exit::Usage,
        InitError::Interrupted => Exit::Interrupted,
    }
}
