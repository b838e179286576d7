//! `sward predict` and `sward eval`: what a run's model says of a table.

use super::Exit;
use super::experiment::{ShowOptions, cache_bytes, report};
use super::graph::{Format, RootOptions, print, session, write_out};
use crate::cv::expand_runs;
use crate::engines::{EngineChoice, engine};
use crate::experiment::Joined;
use crate::feed::{DataFolder, Feed, FittedData, Loaded, encode, labels, load_rows};
use crate::rundir::{Checkpoint, checkpoint_path};
use crate::train::{
    Evaluator, Predictions, RunSettings, TrainError, fold_splits, invert, load_weights, measure_all, prediction_rows, reopen,
    write_output, write_predictions,
};
use clap::Args;
use indexmap::IndexMap;
use std::path::{Path, PathBuf};
use sward_kernels::Engine;

/// Which data, and how.
#[derive(Debug, Args)]
struct Source {
    /// A table instead of the data file's own; photographs are relative to its folder
    #[arg(long, value_name = "CSV")]
    table: Option<PathBuf>,
    /// The folder that paths of tables and photographs are relative to
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Predict so many augmented copies beside the plain one, and average (test-time augmentation)
    #[arg(long, default_value_t = 0, value_name = "N")]
    tta: u64,
    /// What runs the graph
    #[arg(long, value_enum, default_value = "cpu")]
    engine: EngineChoice,
    /// Threads; 0 takes one for each processor
    #[arg(long, default_value_t = 0)]
    threads: usize,
    #[command(flatten)]
    show: ShowOptions,
    #[command(flatten)]
    roots: RootOptions,
}

/// Arguments of `predict`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  sward predict runs/experiment/20261126T210000Z-1a2b3c4d -o submission.csv
  sward predict RUN --table new/photos.csv -o predictions.csv --tta 4

A cross-validation stands for all its folds. Several runs are averaged: sward predict RUN1 RUN2 RUN3, or sward predict CV.")]
pub struct PredictArguments {
    /// Run directories, or directories of cross-validations
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// The file to write
    #[arg(short, long, value_name = "CSV")]
    output: PathBuf,
    #[command(flatten)]
    source: Source,
}

/// Arguments of `eval`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  sward eval runs/experiment/20261126T210000Z-1a2b3c4d                  its validation rows
  sward eval RUN --table held_out.csv --format json -o predictions.csv   another labelled table")]
pub struct EvalArguments {
    /// The run directory
    run: PathBuf,
    /// Also write predictions beside labels
    #[arg(short, long, value_name = "CSV")]
    output: Option<PathBuf>,
    /// How metrics are written
    #[arg(long, value_enum, default_value = "text")]
    format: TextOrJson,
    #[command(flatten)]
    source: Source,
}

/// How results are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum TextOrJson {
    /// For people
    Text,
    /// One JSON object
    Json,
}

/// A run that is open again.
struct OpenRun {
    joined: Joined,
    settings: RunSettings,
    fitted: FittedData,
    path: PathBuf,
}

fn open_run(path: &Path, roots: &RootOptions) -> Result<OpenRun, Exit> {
    let mut session = session(roots)?;
    match reopen(&mut session, path) {
        Ok((joined, settings, fitted)) => Ok(OpenRun { joined, settings, fitted, path: path.to_owned() }),
        Err(error) => {
            print(&session, Format::Text);
            Err(report(&error))
        }
    }
}

fn open_engine(source: &Source) -> Result<Box<dyn Engine>, Exit> {
    engine(source.engine, source.threads).map_err(|error| {
        eprintln!("error: {error}");
        Exit::Fault
    })
}

/// The folder of a run's data: what the command line says, the folder of the table that it names, or where the run was trained.
fn folder(run: &OpenRun, source: &Source) -> Result<DataFolder, TrainError> {
    let of_table = source.table.as_ref().and_then(|table| table.parent()).map(Path::to_owned);
    let path = source.data.clone().or(of_table).unwrap_or_else(|| run.settings.data.clone());
    Ok(DataFolder::open(&path)?)
}

/// Predictions of all rows of a table by one run.
fn predict_rows(
    run: &OpenRun,
    engine: &dyn Engine,
    loaded: &Loaded,
    folder: &DataFolder,
    rows: &[usize],
    tta: u64,
) -> Result<Predictions, TrainError> {
    let encoded = encode(&run.joined.data, &run.fitted, &loaded.table, folder, false)?;
    let seed = run.joined.experiment.train.value.seed;
    let feed = Feed::new(&run.joined.data, &run.joined.inputs, &encoded, seed, cache_bytes());
    let mut evaluator = Evaluator::new(engine, &run.joined, &run.fitted, false);
    evaluator.set_weights(load_weights(&checkpoint_path(&run.path, Checkpoint::Best), &run.joined, &run.fitted)?)?;
    let mut sum = invert(&run.joined.data, &run.fitted, &evaluator.run(&feed, rows, None)?);
    for copy in 0..tta {
        let other = invert(&run.joined.data, &run.fitted, &evaluator.run(&feed, rows, Some(copy))?);
        sum.iter_mut().for_each(|(name, own)| own.add(&other[name]));
    }
    sum.values_mut().for_each(|own| own.divide(1.0 + tta as f64));
    Ok(sum)
}

/// Runs `predict`.
pub fn predict(arguments: &PredictArguments) -> Exit {
    match try_predict(arguments) {
        Ok(text) => {
            write_out(&mut std::io::stdout(), &text);
            Exit::Fine
        }
        Err(exit) => exit,
    }
}

fn try_predict(arguments: &PredictArguments) -> Result<String, Exit> {
    let source = &arguments.source;
    let engine = open_engine(source)?;
    let mut total: Option<(Predictions, OpenRun, Loaded)> = None;
    let runs = expand_runs(&arguments.runs).map_err(|error| report(&error.into()))?;
    for path in &runs {
        let run = open_run(path, &source.roots)?;
        let told = |error: TrainError| report(&error);
        let folder = folder(&run, source).map_err(told)?;
        let spec = &run.joined.data.spec;
        let csv = spec.test.as_ref().unwrap_or(&spec.table);
        let loaded = load_rows(&run.joined.data, &csv.value, source.table.as_deref(), &folder, false)
            .map_err(|error| told(error.into()))?;
        if !source.show.quiet {
            loaded.notes.iter().for_each(|note| eprintln!("warning: {note}"));
        }
        let rows: Vec<usize> = (0..loaded.table.rows()).collect();
        let predictions = predict_rows(&run, engine.as_ref(), &loaded, &folder, &rows, source.tta).map_err(told)?;
        total = Some(match total {
            None => (predictions, run, loaded),
            Some((mut sum, first, loaded)) => {
                let same = sum.len() == predictions.len()
                    && sum.iter().all(|(name, own)| predictions.get(name).is_some_and(|other| is_alike(own, other)));
                if !same {
                    eprintln!("error: {} predicts other columns than {}", path.display(), first.path.display());
                    return Err(Exit::Usage);
                }
                sum.iter_mut().for_each(|(name, own)| own.add(&predictions[name]));
                (sum, first, loaded)
            }
        });
    }
    let Some((mut mean, run, loaded)) = total else { return Err(Exit::Usage) };
    mean.values_mut().for_each(|own| own.divide(runs.len() as f64));
    write_output(&run.joined, &loaded, &mean, &arguments.output).map_err(|error| report(&error))?;
    let models = if runs.len() > 1 { format!(", the mean of {} runs", runs.len()) } else { String::new() };
    Ok(format!("{} samples predicted{models}: {}\n", loaded.table.rows(), arguments.output.display()))
}

fn is_alike(a: &crate::train::FieldPrediction, b: &crate::train::FieldPrediction) -> bool {
    use crate::train::FieldPrediction::{Classes, Numbers, Present};
    match (a, b) {
        (Numbers(a), Numbers(b)) | (Present(a), Present(b)) => a.len() == b.len() && a.keys().all(|name| b.contains_key(name)),
        (Classes(_, a), Classes(_, b)) => a == b,
        _ => false,
    }
}

/// Runs `eval`.
pub fn eval(arguments: &EvalArguments) -> Exit {
    match try_eval(arguments) {
        Ok(text) => {
            write_out(&mut std::io::stdout(), &text);
            Exit::Fine
        }
        Err(exit) => exit,
    }
}

fn try_eval(arguments: &EvalArguments) -> Result<String, Exit> {
    let source = &arguments.source;
    let engine = open_engine(source)?;
    let run = open_run(&arguments.run, &source.roots)?;
    let told = |error: TrainError| report(&error);
    let folder = folder(&run, source).map_err(told)?;
    let csv = &run.joined.data.spec.table.value;
    let loaded = load_rows(&run.joined.data, csv, source.table.as_deref(), &folder, true).map_err(|error| told(error.into()))?;
    let rows: Vec<usize> = match &source.table {
        Some(_) => (0..loaded.table.rows()).collect(),
        None => {
            let seed = run.settings.fold_seed(&run.joined);
            let mut splits = fold_splits(&run.joined, &loaded.table, seed).map_err(told)?;
            splits.swap_remove(run.settings.fold).validation
        }
    };
    let predictions = predict_rows(&run, engine.as_ref(), &loaded, &folder, &rows, source.tta).map_err(told)?;
    let mut known = IndexMap::new();
    for name in run.joined.experiment.predictions.keys() {
        let field = &run.joined.data.fields[&name.value];
        known.insert(
            name.value.clone(),
            labels(&run.joined.data, &run.fitted, field, &loaded.table).map_err(|error| told(error.into()))?,
        );
    }
    let (values, reasons) = measure_all(&run.joined, &predictions, &known, &rows);
    reasons.iter().for_each(|reason| eprintln!("warning: no value for {reason}"));
    if let Some(path) = &arguments.output {
        write_predictions(path, &prediction_rows(&run.joined, &loaded.table, &predictions, &known, &rows)).map_err(told)?;
    }
    Ok(match arguments.format {
        TextOrJson::Json => {
            let metrics: IndexMap<&String, Option<f64>> =
                values.iter().map(|(name, value)| (name, value.is_finite().then_some(*value))).collect();
            format!("{}\n", serde_json::json!({ "version": 1, "rows": rows.len(), "metrics": metrics }))
        }
        TextOrJson::Text => {
            let lines: String = values.iter().map(|(name, value)| format!("{name} {value:.6}\n")).collect();
            format!("{} rows\n{lines}", rows.len())
        }
    })
}
