//! `sward runs`: the runs in a folder, side by side.

use super::Exit;
use super::graph::{TextOrJson, write_out};
use crate::ablate::Plan;
use crate::cv::{CvDescription, CvDirectory, fold_directory};
use crate::plain::aligned;
use crate::rundir::{Description, Lock, RunDirectory, Standing, State};
use clap::Args;
use indexmap::IndexMap;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Arguments of `runs`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  sward runs                            what lies in runs/
  sward runs runs/experiment --sort val/accuracy
  sward runs --format json | jq '.[] | select(.state == \"interrupted\") | .directory'

A run that was killed is `stopped`: `sward train --resume` goes on with it. Folds and arms are counted with the cross-validation or ablation that they belong to.")]
pub struct Arguments {
    /// The folder
    #[arg(default_value = "runs")]
    folder: PathBuf,
    /// Sort by this metric, the best last; by the time of begin without it
    #[arg(long, value_name = "METRIC")]
    sort: Option<String>,
    /// How the list is written
    #[arg(long, value_enum, default_value = "text")]
    format: TextOrJson,
}

/// One line of the list.
#[derive(Clone, Debug, Serialize)]
struct Entry {
    directory: String,
    kind: &'static str,
    name: String,
    state: String,
    created: Option<String>,
    seed: Option<u64>,
    overrides: IndexMap<String, String>,
    /// The metric that chose the best epoch.
    watched: Option<String>,
    metrics: IndexMap<String, Option<f64>>,
    /// Why it cannot be read.
    fault: Option<String>,
}

/// Runs `runs`.
pub fn run(arguments: &Arguments) -> Exit {
    if !arguments.folder.is_dir() {
        eprintln!(
            "error: there is no folder `{}`; runs are written to `runs` where `sward train` was called",
            arguments.folder.display()
        );
        return Exit::Usage;
    }
    let mut entries = Vec::new();
    look(&arguments.folder, 0, &mut entries);
    entries.sort_by(|a, b| (&a.created, &a.directory).cmp(&(&b.created, &b.directory)));
    if let Some(metric) = &arguments.sort {
        let known = entries.iter().any(|entry| entry.metrics.contains_key(metric));
        if !known {
            let mut names: Vec<&String> = entries.iter().flat_map(|entry| entry.metrics.keys()).collect();
            names.sort();
            names.dedup();
            let names: Vec<&str> = names.into_iter().map(String::as_str).collect();
            eprintln!("error: no run has the metric `{metric}`; there are {}", names.join(", "));
            return Exit::Usage;
        }
        let value = |entry: &Entry| entry.metrics.get(metric).copied().flatten().unwrap_or(f64::NEG_INFINITY);
        entries.sort_by(|a, b| value(a).total_cmp(&value(b)));
    }
    let text = match arguments.format {
        TextOrJson::Json => format!("{}\n", serde_json::to_value(&entries).unwrap_or_default()),
        TextOrJson::Text => text(&entries, arguments.sort.as_deref()),
    };
    write_out(&text);
    Exit::Fine
}

/// Finds directories of results; what lies within one is part of it.
fn look(folder: &Path, depth: usize, entries: &mut Vec<Entry>) {
    if folder.join(RunDirectory::DESCRIPTION).is_file() {
        entries.push(of_run(folder));
    } else if folder.join(CvDirectory::DESCRIPTION).is_file() {
        entries.push(of_cv(folder));
    } else if folder.join(Plan::FILE).is_file() {
        entries.push(of_ablation(folder));
    } else if depth < 4 {
        let Ok(read) = std::fs::read_dir(folder) else { return };
        let mut folders: Vec<PathBuf> =
            read.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect();
        folders.sort();
        folders.iter().for_each(|own| look(own, depth + 1, entries));
    }
}

fn blank(path: &Path, kind: &'static str) -> Entry {
    Entry {
        directory: path.display().to_string(),
        kind,
        name: String::new(),
        state: "unreadable".to_owned(),
        created: None,
        seed: None,
        overrides: IndexMap::new(),
        watched: None,
        metrics: IndexMap::new(),
        fault: None,
    }
}

fn json(path: &Path) -> serde_json::Value {
    std::fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

fn metrics(value: &serde_json::Value) -> IndexMap<String, Option<f64>> {
    value.as_object().map(|own| own.iter().map(|(name, value)| (name.clone(), value.as_f64())).collect()).unwrap_or_default()
}

/// The state of a run in a word. One whose process has died without a word says that it runs, and nobody holds its lock.
pub fn state_word(directory: &Path, state: State) -> &'static str {
    match state {
        State::Running if !Lock::is_held(directory) => "stopped",
        State::Running => "running",
        State::Finished => "finished",
        State::Interrupted => "interrupted",
        State::Failed => "failed",
    }
}

fn of_run(path: &Path) -> Entry {
    let entry = blank(path, "run");
    match Description::read(path) {
        Ok(run) => {
            let results = json(&path.join("results.json"));
            Entry {
                name: run.name,
                state: state_word(path, run.state).to_owned(),
                created: Some(run.created),
                seed: Some(run.seed),
                overrides: run.overrides,
                watched: results["watched"].as_str().map(str::to_owned),
                metrics: metrics(&results["metrics"]),
                ..entry
            }
        }
        Err(error) => Entry { fault: Some(error.to_string()), ..entry },
    }
}

fn of_cv(path: &Path) -> Entry {
    let entry = blank(path, "cv");
    match CvDescription::read(path) {
        Ok(cv) => {
            let finished = (0..cv.folds)
                .filter(|fold| Standing::of(&fold_directory(path, *fold)).is_ok_and(|own| own == Standing::Finished))
                .count();
            let results = json(&path.join("results.json"));
            let first = json(&fold_directory(path, 0).join("results.json"));
            Entry {
                name: cv.name,
                state: if finished == cv.folds { "finished".to_owned() } else { format!("{finished}/{} folds", cv.folds) },
                created: Some(cv.created),
                seed: Some(cv.seed),
                overrides: cv.overrides,
                watched: first["watched"].as_str().map(str::to_owned),
                metrics: metrics(&results["overall"]),
                ..entry
            }
        }
        Err(error) => Entry { fault: Some(error.to_string()), ..entry },
    }
}

fn of_ablation(path: &Path) -> Entry {
    let entry = blank(path, "ablation");
    match Plan::read(path) {
        Ok(plan) => {
            let jobs = plan.jobs();
            let finished = jobs
                .iter()
                .filter(|job| Standing::of(&path.join(&job.directory)).is_ok_and(|own| own == Standing::Finished))
                .count();
            Entry {
                name: plan.name,
                state: if finished == jobs.len() { "finished".to_owned() } else { format!("{finished}/{} jobs", jobs.len()) },
                watched: Some(plan.metric),
                ..entry
            }
        }
        Err(error) => Entry { fault: Some(error.to_string()), ..entry },
    }
}

fn text(entries: &[Entry], sort: Option<&str>) -> String {
    if entries.is_empty() {
        return "no runs\n".to_owned();
    }
    let head = ["directory", "kind", "state", "seed", "metric", "value", "changes"].map(str::to_owned);
    let mut faults = String::new();
    let lines: Vec<Vec<String>> = entries
        .iter()
        .map(|entry| {
            if let Some(fault) = &entry.fault {
                faults += &format!("warning: {fault}\n");
            }
            let name = sort.map(str::to_owned).or_else(|| entry.watched.clone()).unwrap_or_default();
            let value = entry.metrics.get(&name).copied().flatten();
            let changes: Vec<String> =
                entry.overrides.iter().map(|(path, value)| format!("{}={value}", path.trim_start_matches("--set "))).collect();
            vec![
                entry.directory.clone(),
                entry.kind.to_owned(),
                entry.state.clone(),
                entry.seed.map_or_else(String::new, |seed| seed.to_string()),
                name,
                value.map_or_else(|| "-".to_owned(), |value| format!("{value:.5}")),
                changes.join(" "),
            ]
        })
        .collect();
    aligned(&head, &lines) + &faults
}
