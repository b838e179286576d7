//! `sward predict` and `sward eval`: what a run's model says of a table.

use super::Exit;
use super::experiment::{EngineOptions, ShowOptions, cache_bytes, report, whole};
use super::graph::{Format, RootOptions, TextOrJson, print, session, write_out};
use super::outputs::{Output, files_of_run, photographs, refuse_same, tables};
use super::runs::state_word;
use crate::cv::expand_runs;
use crate::experiment::{Joined, spec};
use crate::feed::{DataFolder, Feed, FittedData, Loaded, encode, labels, load_rows};
use crate::plain::counted;
use crate::rundir::{Checkpoint, Description, State, checkpoint_path, read_records};
use crate::train::{
    Ensemble, EvaluationOptions, Evaluator, FieldPrediction, RunSettings, TrainError, fold_splits, has_dropout, invert,
    load_weights, measure_all, prediction_rows, reopen, write_output, write_predictions,
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
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = whole)]
    tta: u64,
    /// Predict so many times with dropout as in training, and average (Monte Carlo dropout)
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = whole)]
    dropout: u64,
    #[command(flatten)]
    machine: EngineOptions,
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
  sward predict RUN -o mean.csv --dropout 20 --spread deviation.csv

A cross-validation stands for all its folds. Several runs are averaged: sward predict RUN1 RUN2 RUN3, or sward predict CV.")]
pub struct PredictArguments {
    /// Run directories, or directories of cross-validations
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// The file to write
    #[arg(short, long, value_name = "CSV")]
    output: PathBuf,
    /// Also write the standard deviation over all that is averaged: runs, augmented copies, samples of dropout
    #[arg(long, value_name = "CSV")]
    spread: Option<PathBuf>,
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

/// A run that is open again.
struct OpenRun {
    joined: Joined,
    settings: RunSettings,
    fitted: FittedData,
    path: PathBuf,
    /// What no output may replace.
    files: Vec<PathBuf>,
}

fn open_run(path: &Path, source: &Source) -> Result<OpenRun, Exit> {
    let mut session = session(&source.roots)?;
    match reopen(&mut session, path) {
        Ok((joined, settings, fitted)) => {
            warn_unfinished(path).map_err(|error| report(&error))?;
            let mut files = files_of_run(&session, &joined, &settings, path);
            files.extend(source.table.clone());
            Ok(OpenRun { joined, settings, fitted, path: path.to_owned(), files })
        }
        Err(error) => {
            print(&session, Format::Text);
            Err(report(&error))
        }
    }
}

/// Says of a run that is not at its end how far it is.
fn warn_unfinished(path: &Path) -> Result<(), TrainError> {
    let state = Description::read(path)?.state;
    if state != State::Finished {
        let reached = match read_records(path).unwrap_or_default().last() {
            Some(last) => format!("it has reached epoch {}", last.epoch + 1),
            None => "it has no epoch behind it".to_owned(),
        };
        let state = state_word(path, state);
        eprintln!("warning: {} is unfinished ({state}): {reached}, and its best weights so far are used", path.display());
    }
    Ok(())
}

/// The folder of a run's data: what the command line says, the folder of the table that it names, or where the run was trained.
fn folder(run: &OpenRun, source: &Source) -> Result<DataFolder, TrainError> {
    let of_table = source.table.as_ref().and_then(|table| table.parent()).map(Path::to_owned);
    let path = source.data.clone().or(of_table).unwrap_or_else(|| run.settings.data.clone());
    Ok(DataFolder::open(&path)?)
}

/// Sees to it that outputs replace nothing that is read: files of the run, tables, photographs.
fn refuse_inputs(outputs: &[Output<'_>], run: &OpenRun, loaded: &Loaded, folder: &DataFolder) -> Result<(), Exit> {
    let tables = tables(&run.joined, folder.path());
    refuse_same(outputs, run.files.iter().cloned().chain(tables).chain(photographs(&run.joined, loaded, folder.path())))
}

/// Adds a run's predictions of some rows of a table to an ensemble; says whether they go together with those that are there.
fn predict_rows(
    run: &OpenRun,
    engine: &dyn Engine,
    loaded: &Loaded,
    folder: &DataFolder,
    rows: &[usize],
    source: &Source,
    ensemble: &mut Ensemble,
) -> Result<bool, TrainError> {
    let encoded = encode(&run.joined.data, &run.fitted, &loaded.table, folder, false)?;
    let seed = run.joined.experiment.train.value.seed;
    let feed = Feed::new(&run.joined.data, &run.joined.inputs, &encoded, seed, cache_bytes());
    let drops = source.dropout > 0;
    if drops && !has_dropout(&run.joined, &run.fitted)? {
        let message = "--dropout asks for samples, and the graph has no Dropout or DropPath: all of them would be the same";
        return Err(TrainError::Usage(message.to_owned()));
    }
    let options = EvaluationOptions { losses: false, drops };
    let mut evaluator = Evaluator::new(engine, &run.joined, &run.fitted, options);
    evaluator.set_weights(load_weights(&checkpoint_path(&run.path, Checkpoint::Best), &run.joined, &run.fitted)?)?;
    for draw in std::iter::once(None).chain((0..source.tta).map(Some)) {
        for sample in 0..source.dropout.max(1) {
            evaluator.set_sample(sample);
            let member = invert(&run.joined.data, &run.fitted, &evaluator.run(&feed, rows, draw)?);
            if !ensemble.add(&member) {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Runs `predict`.
pub fn predict(arguments: &PredictArguments) -> Exit {
    match try_predict(arguments) {
        Ok(text) => {
            write_out(&text);
            Exit::Fine
        }
        Err(exit) => exit,
    }
}

fn try_predict(arguments: &PredictArguments) -> Result<String, Exit> {
    let source = &arguments.source;
    let engine = source.machine.open()?;
    let mut ensemble = Ensemble::default();
    let mut first: Option<(OpenRun, Loaded)> = None;
    let paths = expand_runs(&arguments.runs).map_err(|error| report(&error.into()))?;
    let runs = paths.iter().map(|path| open_run(path, source)).collect::<Result<Vec<_>, _>>()?;
    let outputs: Vec<Output<'_>> = std::iter::once(("-o", arguments.output.as_path()))
        .chain(arguments.spread.as_deref().map(|path| ("--spread", path)))
        .collect();
    // Before the first of them computes.
    refuse_same(&outputs, runs.iter().flat_map(|run| run.files.iter().cloned()))?;
    for run in runs {
        let told = |error: TrainError| report(&error);
        let folder = folder(&run, source).map_err(told)?;
        let spec = &run.joined.data.spec;
        let csv = spec.test.as_ref().unwrap_or(&spec.table);
        let loaded = load_rows(&run.joined.data, &csv.value, source.table.as_deref(), &folder, false)
            .map_err(|error| told(error.into()))?;
        if !source.show.quiet {
            loaded.notes.iter().for_each(|note| eprintln!("warning: {note}"));
        }
        refuse_inputs(&outputs, &run, &loaded, &folder)?;
        let rows: Vec<usize> = (0..loaded.table.rows()).collect();
        if first.is_none() && source.table.is_none() && spec.test.is_none() {
            let (count, table) = (counted(rows.len(), "row"), &csv.value.path.value);
            source.show.tell(&format!(
                "the data file names no `test` table: predicting the {count} of {table}; --table FILE names another"
            ));
        }
        let fits = predict_rows(&run, engine.as_ref(), &loaded, &folder, &rows, source, &mut ensemble).map_err(told)?;
        if let (Some((first, _)), false) = (&first, fits) {
            eprintln!("error: {} predicts other columns than {}", run.path.display(), first.path.display());
            return Err(Exit::Usage);
        }
        first.get_or_insert((run, loaded));
    }
    let Some((run, loaded)) = first else { return Err(Exit::Usage) };
    let told = |error: TrainError| report(&error);
    if let Some(path) = &arguments.spread {
        let spread = ensemble.spread();
        // A long table asks for numbers alone, whatever else is predicted.
        let is_wide = matches!(run.joined.experiment.output.value, spec::Output::Wide { .. });
        let is_class = |prediction: &FieldPrediction| matches!(prediction, FieldPrediction::Classes(..));
        if let Some((field, _)) = spread.iter().find(|(_, prediction)| is_wide && is_class(prediction)) {
            eprintln!("error: --spread is for numbers, and `{field}` predicts classes");
            return Err(Exit::Usage);
        }
        if ensemble.members() < 2 {
            eprintln!("error: --spread needs something to average: several runs, --tta or --dropout");
            return Err(Exit::Usage);
        }
        write_output(&run.joined, &loaded, &spread, path).map_err(told)?;
    }
    write_output(&run.joined, &loaded, &ensemble.mean(), &arguments.output).map_err(told)?;
    let mean = match (ensemble.members(), paths.len()) {
        (1, _) => String::new(),
        (members, runs) if members == runs => format!(", the mean of {runs} runs"),
        (members, 1) => format!(", the mean of {members} samples"),
        (members, runs) => format!(", the mean of {members} samples of {runs} runs"),
    };
    Ok(format!("{} predicted{mean}: {}\n", counted(loaded.table.rows(), "sample"), arguments.output.display()))
}

/// Runs `eval`.
pub fn eval(arguments: &EvalArguments) -> Exit {
    match try_eval(arguments) {
        Ok(text) => {
            write_out(&text);
            Exit::Fine
        }
        Err(exit) => exit,
    }
}

fn try_eval(arguments: &EvalArguments) -> Result<String, Exit> {
    let source = &arguments.source;
    let engine = source.machine.open()?;
    let run = open_run(&arguments.run, source)?;
    let told = |error: TrainError| report(&error);
    let folder = folder(&run, source).map_err(told)?;
    let csv = &run.joined.data.spec.table.value;
    let loaded = load_rows(&run.joined.data, csv, source.table.as_deref(), &folder, true).map_err(|error| told(error.into()))?;
    if let Some(path) = &arguments.output {
        refuse_inputs(&[("-o", path)], &run, &loaded, &folder)?;
    }
    let rows: Vec<usize> = match &source.table {
        Some(_) => (0..loaded.table.rows()).collect(),
        None => {
            let seed = run.settings.fold_seed(&run.joined);
            let mut splits = fold_splits(&run.joined, &loaded.table, seed).map_err(told)?;
            splits.swap_remove(run.settings.fold).validation
        }
    };
    let mut ensemble = Ensemble::default();
    let _fits = predict_rows(&run, engine.as_ref(), &loaded, &folder, &rows, source, &mut ensemble).map_err(told)?;
    let predictions = ensemble.mean();
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
            format!("{}\n{lines}", counted(rows.len(), "row"))
        }
    })
}
