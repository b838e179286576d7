//! An `Ablation` file as it is written.

use indexmap::IndexMap;
use serde::Deserialize;
use sward_core::source::Spanned;
use sward_core::syntax::decode::Raw;

/// An `Ablation` file.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename = "Ablation", deny_unknown_fields)]
pub struct Ablation {
    /// What it is.
    #[serde(default)]
    pub doc: Option<String>,
    /// The experiment that arms change.
    pub base: Spanned<String>,
    /// What is changed, by name.
    pub axes: IndexMap<Spanned<String>, Spanned<Axis>>,
    /// Which combinations there are.
    #[serde(default)]
    pub design: Design,
    /// The seeds of every arm; the experiment's where none is given.
    #[serde(default)]
    pub seeds: Vec<u64>,
    /// The folds of every arm; all where none is given.
    #[serde(default)]
    pub folds: Option<Vec<usize>>,
    /// The metric that arms are compared by; the experiment's best where none is given.
    #[serde(default)]
    pub metric: Option<Spanned<String>>,
}

/// One thing that arms change.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Axis {
    /// Another module at a `Use` node.
    Swap {
        /// The node's path.
        node: Spanned<String>,
        /// The files.
        to: Vec<Spanned<String>>,
    },
    /// Another value.
    Set {
        /// The path, as `--set` has it.
        path: Spanned<String>,
        /// The values.
        to: Vec<Raw>,
    },
    /// What belongs together, such as a head and its loss, changed at once. By the values' names.
    Changes(IndexMap<Spanned<String>, Spanned<Change>>),
    /// Another experiment on the same data.
    Experiment(Vec<Spanned<String>>),
}

/// Several changes that make one value of an axis.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename = "Change", deny_unknown_fields)]
pub struct Change {
    /// Another module at each of these `Use` nodes.
    #[serde(default)]
    pub swap: IndexMap<Spanned<String>, Spanned<String>>,
    /// Another value at each of these paths.
    #[serde(default)]
    pub set: IndexMap<Spanned<String>, Raw>,
}

/// Which combinations of changes there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Design {
    /// The base, and each change alone.
    #[default]
    OneAtATime,
    /// All combinations.
    Grid,
}
