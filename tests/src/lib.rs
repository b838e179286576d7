//! Whole-system tests, and what they share with the check on a GPU machine (`gpu_check`).

pub mod comparison;
pub mod graphs;
