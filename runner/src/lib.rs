//! Sward.
pub mod metrics;
pub mod random;
pub mod schedule;
