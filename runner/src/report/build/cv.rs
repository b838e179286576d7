//! The report of a cross-validation.

use std::path::Path;

use super::parts::{configuration, curves, environment, epoch_records, graph, section, shown};
use super::run::{file_name, shown_predictions};
use crate::cv::{CvDescription, fold_directory, read_table};
use crate::report::{Content, Report, Table};
use crate::train::TrainError;

/// The report of a cross-validation, finished or not.
///
/// # Errors
/// A directory that is none, or of another version.
pub fn report(path: &Path) -> Result<Report, TrainError> {
    let description = CvDescription::read(path)?;
    let (table, all) = read_table(path)?;
    let mut warnings = Vec::new();
    if table.folds.len() < table.of {
        warnings.push(format!(
            "Not finished: {} of {} folds are done, and what follows is of these alone.",
            table.folds.len(),
            table.of
        ));
    }
    let mut summary: Vec<(String, String)> =
        table.overall.iter().map(|(name, value)| (format!("{name}, out of fold"), shown(*value))).collect();
    for (name, value) in table.mean.iter().filter(|(name, _)| table.overall.contains_key(*name)) {
        let spread = table.spread.get(name).copied().flatten();
        let spread = spread.map_or_else(String::new, |spread| format!(" ± {}", shown(Some(spread))));
        summary.push((format!("{name}, mean of folds"), format!("{}{spread}", shown(*value))));
    }
    let mut sections = Vec::new();
    let (head, rows) = table.cells();
    let dash = |cell: String| if cell == "-" { "–".to_owned() } else { cell };
    let rows = rows.into_iter().map(|row| row.into_iter().map(dash).collect()).collect();
    let note = "Spread is the standard deviation over folds. The last row measures all out-of-fold predictions together.";
    sections.push(section("Folds", note, Content::Table(Table { head, rows })));
    let runs: Vec<_> = (0..description.folds)
        .map(|fold| (format!("fold {fold}"), epoch_records(&fold_directory(path, fold))))
        .filter(|(_, records)| !records.is_empty())
        .collect();
    if !runs.is_empty() {
        sections.push(section("Learning curves", "", Content::Curves(curves(&runs))));
    }
    if let Some((first, all)) = &all {
        let (own, more) = shown_predictions(first, Some(all));
        sections.extend(own);
        warnings.extend(more);
        sections.push(graph(&first.joined));
    }
    sections.push(configuration(path, &description.overrides));
    sections.push(environment(&fold_directory(path, 0), None));
    Ok(Report {
        title: description.name.clone(),
        subtitle: format!(
            "Cross-validation {} of {} folds, seed {}, begun {}.",
            file_name(path),
            description.folds,
            description.seed,
            description.created
        ),
        warning: (!warnings.is_empty()).then(|| warnings.join(" ")),
        summary,
        sections,
    })
}
