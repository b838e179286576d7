//! `sward inspect`: what was trained, on what, and how it went.

use super::Exit;
use super::experiment::report;
use super::graph::{TextOrJson, write_out};
use super::runs::state_word;
use crate::ablate::{Plan, collect};
use crate::cv::{CvDescription, CvDirectory, read_table};
use crate::plain::sparkline;
use crate::rundir::{Description, Environment, RunDirectory, read_records};
use crate::train::{OpenedRun, TrainError, sizes_for};
use clap::Args;
use indexmap::IndexMap;
use std::path::{Path, PathBuf};
use sward_core::dim::Dim;

/// Arguments of `inspect`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  sward inspect runs/experiment/20261126T210000Z-1a2b3c4d
  sward inspect runs/experiment/cv-20261126T210000Z-1a2b3c4d --format json")]
pub struct Arguments {
    /// A run directory, or that of a cross-validation or an ablation
    directory: PathBuf,
    /// How it is written
    #[arg(long, value_enum, default_value = "text")]
    format: TextOrJson,
}

/// Runs `inspect`.
pub fn run(arguments: &Arguments) -> Exit {
    match inspect(&arguments.directory, arguments.format) {
        Ok(text) => {
            write_out(&text);
            Exit::Fine
        }
        Err(error) => report(&error),
    }
}

fn inspect(path: &Path, format: TextOrJson) -> Result<String, TrainError> {
    let as_json = |value: serde_json::Value| format!("{value}\n");
    if path.join(CvDirectory::DESCRIPTION).exists() {
        let (cv, (table, _)) = (CvDescription::read(path)?, read_table(path)?);
        return Ok(match format {
            TextOrJson::Json => as_json(serde_json::json!({ "version": 1, "cv": cv, "results": table })),
            TextOrJson::Text => {
                format!(
                    "{}: cross-validation begun {}, {} folds, seed {}\n{}",
                    cv.name,
                    cv.created,
                    cv.folds,
                    cv.seed,
                    table.text()
                )
            }
        });
    }
    if path.join(Plan::FILE).exists() {
        let plan = Plan::read(path)?;
        let comparison = collect(path, &plan)?;
        return Ok(match format {
            TextOrJson::Json => as_json(serde_json::json!({ "version": 1, "plan": plan, "comparison": comparison })),
            TextOrJson::Text => format!("{}: ablation of {} arms\n{}", plan.name, plan.arms.len(), comparison.text()),
        });
    }
    let description = Description::read(path)?;
    let run = OpenedRun::open(path)?;
    let facts = facts(path, &description, &run)?;
    Ok(match format {
        TextOrJson::Json => {
            let curves: IndexMap<&String, &Vec<f64>> = facts.curves.iter().map(|(name, values)| (name, values)).collect();
            let lines: IndexMap<&str, &str> = facts.lines.iter().map(|(name, text)| (*name, text.as_str())).collect();
            as_json(serde_json::json!({ "version": 1, "run": description, "facts": lines, "curves": curves }))
        }
        TextOrJson::Text => facts.text(),
    })
}

/// What is told of a run.
struct Facts {
    lines: Vec<(&'static str, String)>,
    curves: Vec<(String, Vec<f64>)>,
}

impl Facts {
    fn text(&self) -> String {
        let width = self.lines.iter().map(|(name, _)| name.len()).chain(self.curves.iter().map(|(name, _)| name.len())).max();
        let width = width.unwrap_or(0);
        let mut text: String = self.lines.iter().map(|(name, value)| format!("{name:width$}  {value}\n")).collect();
        for (name, values) in &self.curves {
            let finite: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
            let ends = match (finite.first(), finite.last()) {
                (Some(first), Some(last)) => format!("{first:.4} to {last:.4}"),
                _ => "no value".to_owned(),
            };
            text += &format!("{name:width$}  {}  {ends}\n", sparkline(values, 40));
        }
        text
    }
}

fn facts(path: &Path, description: &Description, run: &OpenedRun) -> Result<Facts, TrainError> {
    let read = |name: &str| -> serde_json::Value {
        std::fs::read(path.join(name)).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
    };
    let experiment = &run.joined.experiment;
    let train = &experiment.train.value;
    let sizes = sizes_for(&run.joined.checked, &run.fitted, 1);
    let count = run.joined.checked.parameter_count().ok().and_then(|dim| {
        let known = dim.substitute(&|name| sizes.get(name).map(Dim::constant)).ok()?;
        Some(super::graph::grouped(&known))
    });
    let split = read("split.json");
    let rows = |name: &str| split[name].as_array().map_or(0, Vec::len);
    let state = match state_word(path, description.state) {
        "stopped" => "stopped: its process was killed; `sward train --resume` goes on with it",
        other => other,
    };
    let mut lines = vec![("run", format!("{}, {state}", description.name))];
    lines.extend(experiment.doc.clone().map(|doc| ("about", doc)));
    lines.push(("begun", format!("{} by sward {}", description.created, description.sward)));
    lines.push(("command", description.command.join(" ")));
    if !description.overrides.is_empty() {
        let changes: Vec<String> = description.overrides.iter().map(|(path, value)| format!("{path}={value}")).collect();
        lines.push(("changes", changes.join(" ")));
    }
    lines.push(("data", format!("{} in {}", run.joined.data.spec.table.value.path.value, run.settings.data.display())));
    lines.push(("rows", format!("{} to train, {} to validate, fold {}", rows("train"), rows("validation"), run.settings.fold)));
    let predicted: Vec<&str> = experiment.predictions.keys().map(|name| name.value.as_str()).collect();
    lines.push(("predicts", predicted.join(", ")));
    lines.push(("losses", run.joined.losses.join(", ")));
    lines.extend(count.map(|count| ("parameters", count)));
    let optimizer = format!("{:?}", train.optimizer);
    let optimizer = optimizer.split(' ').next().unwrap_or_default();
    lines.push((
        "training",
        format!(
            "{} epochs, batch {}, {optimizer} at {}, seed {}",
            train.epochs,
            train.batch,
            train.optimizer.learning_rate(),
            train.seed
        ),
    ));
    if let Ok(text) = std::fs::read(path.join("environment.json"))
        && let Ok(machine) = serde_json::from_slice::<Environment>(&text)
    {
        lines.push((
            "machine",
            format!("{}, {} threads of {}, {}", machine.engine, machine.threads, machine.processors, machine.processor),
        ));
    }
    let records = read_records(path).unwrap_or_default();
    let mut curves: IndexMap<String, Vec<f64>> = IndexMap::new();
    for record in &records {
        for (name, value) in record.values.iter().filter(|(name, _)| *name == "train/loss" || name.starts_with("val/")) {
            curves.entry(name.clone()).or_default().push(*value);
        }
    }
    if let Some(last) = records.last() {
        lines.push(("reached", format!("step {}, epoch {}", last.step, last.epoch + 1)));
    }
    let results = read("results.json");
    if let Some(epoch) = results["best_epoch"].as_u64() {
        let watched = results["watched"].as_str().unwrap_or_default();
        let value = results["metrics"][watched].as_f64().map_or_else(|| "no value".to_owned(), |value| format!("{value:.6}"));
        lines.push(("best", format!("epoch {} by {watched}: {value}", epoch + 1)));
    }
    if let Some(seconds) = read("timing.json")["seconds"].as_f64() {
        lines.push(("time", format!("{seconds:.1} s")));
    }
    debug_assert!(path.join(RunDirectory::DESCRIPTION).exists());
    Ok(Facts { lines, curves: curves.into_iter().collect() })
}
