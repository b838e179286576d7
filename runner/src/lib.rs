//! Sward.
pub mod metrics;
pub mod pixels;
pub mod random;
pub mod samplers;
pub mod schedule;
pub mod splits;
pub mod rundir;
pub mod weights;
