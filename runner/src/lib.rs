//! Sward.
pub mod exit;
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
pub mod weights;
