//! The `sward` command line: one file a verb.

mod ablate;
mod bench;
mod check;
mod cv;
mod devices;

pub mod diff;
pub mod experiment;
mod fill;
mod graph;
mod init;
mod inspect;
mod outputs;
pub mod plot;
mod predict;
mod profile;
pub mod render;
mod report;
mod run;
mod runs;
pub mod schema;
mod show;
mod show_data;
mod test;
mod train;
mod weights;
mod written;

pub use crate::exit::Exit;
pub use profile::profile as profile_text;

use clap::{Arg, Command, CommandFactory, FromArgMatches, Parser, Subcommand};
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
    /// Make a new project from a template
    Init(init::Arguments),
    /// Run a graph on tensors from a file
    Run(run::Arguments),
    /// Train an experiment
    Train(train::Arguments),
    /// Train all folds of an experiment, and measure what each says of the rows it never saw
    Cv(cv::Arguments),
    /// Train variants of an experiment, and compare them row by row
    Ablate(ablate::Arguments),
    /// Draw a run, a cross-validation or an ablation as one HTML file
    Report(report::Arguments),
    /// Say what was trained, on what, and how it went
    Inspect(inspect::Arguments),
    /// List and compare the runs in a folder
    Runs(runs::Arguments),
    /// Measure a run on its validation rows, or on another labelled table
    Eval(predict::EvalArguments),
    /// Write what a run predicts
    Predict(predict::PredictArguments),
    /// Draw a contact sheet of what the model will see
    ShowData(show_data::Arguments),
    /// Run modules at small sizes with seeded weights: shapes, finite outputs, gradients
    Test(test::Arguments),
    /// Compare checkpoints with graphs, and convert them
    Weights(weights::Arguments),
}

/// The command line, with numbers below zero taken for values: whoever writes `--lr -1` is told about the range, not about options.
fn command() -> Command {
    fn with_negative_numbers(command: Command) -> Command {
        let takes = |argument: Arg| match argument.get_action().takes_values() {
            true => argument.allow_negative_numbers(true),
            false => argument,
        };
        command.mut_args(takes).mut_subcommands(with_negative_numbers)
    }
    with_negative_numbers(Cli::command())
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let parsed = command().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    let exit = match parsed {
        Ok(cli) => match cli.verb {
            Verb::Check(arguments) => check::run(&arguments),
            Verb::Show(arguments) => show::run(&arguments),
            Verb::Bench(arguments) => bench::run(&arguments),
            Verb::Devices(arguments) => devices::run(&arguments),
            Verb::Plot(arguments) => plot::run(&arguments),
            Verb::Diff(arguments) => diff::run(&arguments),
            Verb::Render(arguments) => render::run(&arguments),
            Verb::Schema(arguments) => schema::run(&arguments),
            Verb::Init(arguments) => init::run(&arguments),
            Verb::Run(arguments) => run::run(&arguments),
            Verb::Train(arguments) => train::run(&arguments),
            Verb::Cv(arguments) => cv::run(&arguments),
            Verb::Ablate(arguments) => ablate::run(&arguments),
            Verb::Report(arguments) => report::run(&arguments),
            Verb::Inspect(arguments) => inspect::run(&arguments),
            Verb::Runs(arguments) => runs::run(&arguments),
            Verb::Eval(arguments) => predict::eval(&arguments),
            Verb::Predict(arguments) => predict::predict(&arguments),
            Verb::ShowData(arguments) => show_data::run(&arguments),
            Verb::Test(arguments) => test::run(&arguments),
            Verb::Weights(arguments) => weights::run(&arguments),
        },
        Err(error) => {
            let is_help = !error.use_stderr();
            let printed = error.print();
            if is_help {
                crate::streams::note(printed);
                Exit::Fine
            } else {
                Exit::Usage
            }
        }
    };
    crate::streams::ended(exit).into()
}
