//! Cross-validation: every fold of an experiment, each a run of its own, and what they say together.
//!
//! ```text
//! runs/<name>/cv-<time>-<hash>/
//!     cv.json, files/         what is trained
//!     fold-0/ fold-1/ ...     run directories
//!     oof.csv                 what each row was predicted as by the fold that never saw it
//!     folds.csv, results.json metrics fold by fold, their mean and spread, and those of oof.csv
//! ```
//!
//! A finished fold is never trained again, an interrupted one goes on from its checkpoint with the same bits.

mod directory;
mod run;
mod table;

pub use directory::{CvDescription, CvDirectory, expand_runs, fold_directory};
pub use run::{CvRequest, run_folds};
pub use table::{CvTable, FoldResult, Leakage, pooled, read_result, read_table};
