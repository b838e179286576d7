//! Fills reports from directories of results.
//!
//! ```text
//! run, cv or ablation directory --build--> Report --to_html--> one file
//! ```
//!
//! Everything comes from what the directory holds; the table and the photographs are read where they were trained from, and their absence is
//! told instead of failing the report.

mod ablation;
mod cv;
mod parts;
mod photographs;
mod run;
mod samples;

use std::path::Path;

use super::Report;
use crate::ablate::Plan;
use crate::cv::CvDirectory;
use crate::train::TrainError;

/// The report of a run, a cross-validation or an ablation.
///
/// # Errors
/// A directory that is none of these, of another version, or whose files are damaged.
pub fn build(directory: &Path) -> Result<Report, TrainError> {
    if directory.join(CvDirectory::DESCRIPTION).exists() {
        cv::report(directory)
    } else if directory.join(Plan::FILE).exists() {
        ablation::report(directory)
    } else {
        run::report(directory)
    }
}
