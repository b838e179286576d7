//! The report of one run.

use std::path::Path;

use super::parts::{
    calibration, configuration, curves, distributions, environment, epoch_records, graph, groups, predictions, rows_of, section,
    shown,
};
use super::samples::samples;
use crate::cv::read_result;
use crate::report::{Content, Report, Section};
use crate::rundir::{Description, Standing, State};
use crate::train::{Labelled, OpenedRun, TrainError};

/// The sections that show what was predicted, and what of them could not be drawn.
pub fn shown_predictions(run: &OpenedRun, all: Option<&Labelled>) -> (Vec<Section>, Vec<String>) {
    let mut sections = Vec::new();
    let mut warnings = Vec::new();
    let table = match rows_of(run) {
        Ok((_, loaded)) => Some(loaded.table),
        Err(error) => {
            warnings.push(format!("The data cannot be read here, so that photographs are left out: {error}."));
            None
        }
    };
    if let Some(all) = all {
        sections.extend(predictions(&run.joined, all));
        sections.extend(groups(&run.joined, all));
        sections.extend(calibration(all));
    }
    sections.extend(distributions(run, all, table.as_ref()));
    if let Some(all) = all {
        let (own, reason) = samples(run, all);
        sections.extend(own);
        if warnings.is_empty() {
            warnings.extend(reason);
        }
    }
    (sections, warnings)
}

/// The report of a run, finished or not.
///
/// # Errors
/// A directory that is no run, or of another version.
pub fn report(path: &Path) -> Result<Report, TrainError> {
    let description = Description::read(path)?;
    let run = OpenedRun::open(path)?;
    let is_finished = Standing::of(path)? == Standing::Finished;
    let all = if is_finished { Some(Labelled::read(&run)?) } else { None };
    let records = epoch_records(path);
    let mut warnings = Vec::new();
    if !is_finished {
        let what = match description.state {
            State::Interrupted => "was interrupted",
            State::Failed => "ended with an error",
            _ => "has not come to its end",
        };
        warnings.push(format!("This run {what} after {} epochs: predictions are drawn once it has finished.", records.len()));
    }
    let mut summary = Vec::new();
    if is_finished {
        let result = read_result(path, run.settings.fold, 0)?;
        for (name, value) in result.metrics.iter().filter(|(name, _)| !name.starts_with("val/loss.")) {
            summary.push((name.clone(), shown(*value)));
        }
        summary.push(("best epoch".to_owned(), result.best_epoch.to_string()));
        summary.push(("seconds".to_owned(), shown(result.seconds)));
    }
    let mut sections = Vec::new();
    if !records.is_empty() {
        sections.push(section("Learning curves", "", Content::Curves(curves(&[(String::new(), records)]))));
    }
    let (own, more) = shown_predictions(&run, all.as_ref());
    sections.extend(own);
    warnings.extend(more);
    sections.push(graph(&run.joined));
    sections.push(configuration(path, &description.overrides));
    sections.push(environment(path, Some(&description)));
    let doc = run.joined.experiment.doc.clone().map_or_else(String::new, |doc| format!("{doc} "));
    Ok(Report {
        title: description.name.clone(),
        subtitle: format!("{doc}Run {}, fold {}, begun {}.", file_name(path), run.settings.fold, description.created),
        warning: (!warnings.is_empty()).then(|| warnings.join(" ")),
        summary,
        sections,
    })
}

/// The last part of a path.
pub fn file_name(path: &Path) -> String {
    let own = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    own.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}
