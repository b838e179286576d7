//! The runner: tables and images in, training, evaluation, prediction; the `sward` command.
//!
//! A graph file becomes tensors in five lines:
//!
//! ```
//! let graph = sward::Graph::read_library("pooling/mean.ron")?;
//! let mut model = graph.compile(&[("batch", 1), ("instances", 2), ("width", 3)])?;
//! let instances = sward::Tensor::f32(&[1, 2, 3], vec![1.0, 2.0, 3.0, 3.0, 4.0, 5.0]);
//! let outputs = model.run(&[("instances", &instances)])?;
//! assert_eq!(outputs["pooled"].as_f32(), Some(&[2.0, 3.0, 4.0][..]));
//! # Ok::<(), sward::GraphError>(())
//! ```
//!
//! [`Graph`] and [`Model`] read, compile, run, train, load and save; `docs/rust.md` shows the layers below.

// First: its macros hide those of the standard library in all that follows.
#[macro_use]
pub mod streams;

pub mod ablate;
pub mod cli;
pub mod compile;
pub mod cv;
pub mod engines;
pub mod exit;
pub mod experiment;
pub mod feed;
pub mod graph;
pub mod init;
pub mod initialize;
pub mod interrupt;
pub mod metrics;
pub mod parameters;
pub mod pixels;
pub mod plain;
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

pub use graph::{Graph, GraphError, Model};
pub use sward_kernels::Tensor;

/// The examples of the page on Rust are run with the documentation's.
#[cfg(doctest)]
#[doc = include_str!("../../docs/rust.md")]
pub struct RustPage;
