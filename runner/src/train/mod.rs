//! Training, evaluation and prediction of a joined experiment.
//!
//! ```text
//! Joined + tables --prepare--> Prepared (rows, splits, fitted) --train--> run directory
//!                                                              \--Evaluator--> Predictions --measure--> metrics
//!                                                                                         \--write--> predictions.csv
//! ```
//!
//! A run is a function of its files, seed and build: the same bits on the CPU, for any number of threads and workers, and after any number
//! of resumes.

mod checkpoint;
mod error;
mod evaluate;
mod features;
mod groups;
mod labelled;
mod measure;
mod output;
mod predictions;
mod prepare;
mod pretrained;
mod programs;
mod record;
mod run;
mod schedule;
mod steps;

pub use checkpoint::{LoopState, load_weights};
pub use error::TrainError;
pub use evaluate::{Evaluator, RawOutputs};
pub use features::{FEATURES, FeatureFolder};
pub use groups::row_groups;
pub use labelled::{Labelled, MAPS};
pub use measure::{measure, measure_all};
pub use output::{prediction_rows, write_output, write_predictions};
pub use predictions::{Ensemble, FieldPrediction, Predictions, invert};
pub use prepare::{Prepared, fold_splits, prepare, prepare_run};
pub use pretrained::{Pretrained, load_pretrained, pretrained_files};
pub use programs::{
    EvaluationOptions, ParameterCount, experiment_prediction, experiment_step, has_dropout, optimizer_rule, parameter_groups,
    sizes_for, train_options,
};
pub use record::{FILES, OpenedRun, RunSettings, data_folder, files, override_texts, rejoin, reopen, settings, write_files};
pub use run::{Outcome, TrainRequest, train};
pub use schedule::resolve_schedule;
pub use steps::step_memory;
