//! The `sward` command line: one file a verb.

mod bench;
mod check;
mod devices;

pub mod diff;
mod graph;
pub mod plot;
pub mod render;
mod run;
pub mod schema;
mod show;
mod test;
mod written;

pub use crate::exit::Exit;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Author, check, train and run neural networks written as graph files.
#[derive(Debug, Parser)]
#[command(name = "sward", version, about, max_term_width = 120, after_help = EXAMPLE)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

const EXAMPLE: &str = "Example:
  sward check graphs                                check every graph file below a folder
  sward show graphs/fusion/film.ron                 print its nodes, shapes and sizes

Exit codes: 0 fine; 1 findings or a broken contract; 2 usage or an unreadable file; 3 a fault while running; 130 interrupted.";

#[derive(Debug, Subcommand)]
enum Verb {
    /// Prove graph files well-formed for all sizes, or say what is wrong and where
    Check(check::Arguments),
    /// Print a graph's nodes, shapes, parameters and floating point operations
    Show(show::Arguments),
    /// Measure a forward pass or a training step
    Bench(bench::Arguments),
    /// List what can run programs here: the processor, GPUs, or why there are none
    Devices(devices::Arguments),
    /// Draw a graph: a self-contained SVG, or dot
    Plot(plot::Arguments),
    /// Compare two graphs, or a graph with itself changed
    Diff(diff::Arguments),
    /// Print a graph as one flat file, with the origin of every value
    Render(render::Arguments),
    /// Print the catalogue of ops, or one op of it
    Schema(schema::Arguments),
    /// Run a graph on tensors from a file
    Run(run::Arguments),
    /// Run modules at small sizes with seeded weights: shapes, finite outputs, gradients
    Test(test::Arguments),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    // A reader that closes our output early (`sward show ... | head`) ends the program quietly, as for other tools.
    let exit = match Cli::try_parse() {
        Ok(cli) => match cli.verb {
            Verb::Check(arguments) => check::run(&arguments),
            Verb::Show(arguments) => show::run(&arguments),
            Verb::Bench(arguments) => bench::run(&arguments),
            Verb::Devices(arguments) => devices::run(&arguments),
            Verb::Plot(arguments) => plot::run(&arguments),
            Verb::Diff(arguments) => diff::run(&arguments),
            Verb::Render(arguments) => render::run(&arguments),
            Verb::Schema(arguments) => schema::run(&arguments),
            Verb::Run(arguments) => run::run(&arguments),
            Verb::Test(arguments) => test::run(&arguments),
        },
        Err(error) => {
            let is_help = !error.use_stderr();
            // Printing can only fail where nobody reads.
            let _ = error.print();
            if is_help { Exit::Fine } else { Exit::Usage }
        }
    };
    exit.into()
}
