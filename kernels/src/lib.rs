//! Engines that run a Sward program.

pub mod cpu;
