//! The runner: tables and images in, training, evaluation, prediction; the `sward` command.

pub mod cli;
pub mod compile;
pub mod engines;
pub mod exit;
pub mod experiment;
pub mod feed;
pub mod init;
pub mod initialize;
pub mod interrupt;
pub mod metrics;
pub mod pixels;
pub mod progress;
pub mod random;
pub mod report;
pub mod rundir;
pub mod samplers;
pub mod schedule;
pub mod splits;
pub mod table;
pub mod tensors;
pub mod text;
pub mod train;
pub mod weights;
