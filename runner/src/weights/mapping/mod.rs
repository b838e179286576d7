//! Mappings: how the tensors of a published checkpoint become the parameters of a graph.
//!
//! A mapping is a RON file (`docs/weights.md` defines it; the library's are in `graphs/weights`): rules that rename, join, split, sum
//! and transpose tensors, what a checkpoint may hold that no graph uses, and what may be adapted to another image size or number of
//! channels.

mod apply;
mod library;
mod pattern;
mod read;

pub use apply::{Made, MadeSet};
pub use library::{MappingError, Mappings, open_mapping};
pub use read::read_mapping;

use pattern::{Bindings, Pattern};

/// A mapping as it was read.
#[derive(Debug, Clone)]
pub struct Mapping {
    /// Its name: the file's, without folder and ending.
    pub name: String,
    /// Whose checkpoints it is for; the first sentence appears in listings.
    pub doc: String,
    /// What names may begin with beside nothing: `vit.`, `module.`.
    pub prefixes: Vec<String>,
    /// Names that must be in a file for this mapping to be tried.
    pub requires: Vec<String>,
    rules: Vec<Rule>,
    ignored: Vec<Pattern>,
    adapt: Vec<(String, Adaptation)>,
    optional: Vec<String>,
}

/// One rule, with the loops around it unrolled.
#[derive(Debug, Clone)]
struct Rule {
    sources: Vec<SourcePattern>,
    combine: Combine,
    /// The axes of the result in the order of the sources' axes.
    transpose: Option<Vec<usize>>,
    /// Whether axes of size 1 come and go as the parameter wants.
    squeeze: bool,
    /// One name, or one a part.
    targets: Vec<String>,
    /// The axis along which the parts of several targets lie.
    split_axis: usize,
    bound: Bindings,
}

#[derive(Debug, Clone)]
struct SourcePattern {
    pattern: Pattern,
    part: Option<Part>,
}

/// A stretch of one axis of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The axis.
    pub axis: usize,
    /// The first position.
    pub start: usize,
    /// How many; to the end where `None`.
    pub length: Option<usize>,
}

/// How several tensors become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Combine {
    /// There is only one.
    One,
    /// One after another along this axis.
    Join(usize),
    /// Added up.
    Sum,
}

/// How a tensor of another shape than wanted is made to fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adaptation {
    /// Learned positions `[1, prefix + rows * columns, width]` of a square grid: resampled bicubically with antialias, as timm's
    /// `resample_abs_pos_embed`.
    Positions,
    /// A table `[(2 * window - 1)^2, heads]` of biases: resampled bicubically, as timm's `resize_rel_pos_bias_table_simple`.
    Window,
    /// A first layer for another number of channels, as timm's `adapt_input_conv`: the sum for one, else repeated and scaled. The
    /// channels lie along this axis.
    Channels(usize),
}

impl Mapping {
    /// The adaptation for a parameter, where the mapping has one.
    pub fn adaptation(&self, parameter: &str) -> Option<Adaptation> {
        let found = self.adapt.iter().find(|(pattern, _)| sward_ops::training::path_matches(pattern, parameter));
        found.map(|(_, adaptation)| *adaptation)
    }

    /// Whether a parameter may keep its start where the file does not have it.
    pub fn is_optional(&self, parameter: &str) -> bool {
        self.optional.iter().any(|pattern| sward_ops::training::path_matches(pattern, parameter))
    }

    fn is_ignored(&self, name: &str) -> bool {
        self.ignored.iter().any(|pattern| pattern.find(name).is_some())
    }
}
