//! Brings a model's parameters and a file's tensors together: all loaded, or each difference named.

use std::collections::HashMap;

use indexmap::IndexMap;

use super::WeightSet;

/// A parameter that wants a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// Its path in the model, equal to the key in published checkpoints.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
}

/// Where a parameter's value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// The parameter.
    pub parameter: String,
    /// The tensor in the file.
    pub tensor: String,
}

/// How parameters and tensors go together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Matching {
    /// Parameters with a tensor of the right shape.
    pub matched: Vec<Match>,
    /// Parameters that no tensor fits, with the most similar left-over name.
    pub missing: Vec<(String, Option<String>)>,
    /// Tensors that no parameter wants.
    pub left_over: Vec<String>,
    /// Parameters whose tensor has another shape: name, wanted and found.
    pub wrong_shape: Vec<(String, Vec<usize>, Vec<usize>)>,
    /// Rules that renamed nothing.
    pub idle_rules: Vec<String>,
}

impl Matching {
    /// Whether everything was loaded and nothing is left over.
    pub fn is_exact(&self) -> bool {
        self.missing.is_empty() && self.left_over.is_empty() && self.wrong_shape.is_empty() && self.idle_rules.is_empty()
    }

    /// One line per difference, for people.
    pub fn differences(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (name, nearest) in &self.missing {
            let nearest = nearest.as_ref().map_or_else(String::new, |name| format!("; the nearest left over is `{name}`"));
            lines.push(format!("parameter `{name}` is missing in the file{nearest}"));
        }
        for (name, wanted, found) in &self.wrong_shape {
            lines.push(format!("parameter `{name}` has shape {wanted:?}, the tensor in the file has {found:?}"));
        }
        lines.extend(self.left_over.iter().map(|name| format!("tensor `{name}` of the file is left over")));
        lines.extend(self.idle_rules.iter().map(|rule| format!("the rename of `{rule}` matches no tensor")));
        lines
    }
}

/// Matches parameters to tensors by name. `renames` replaces a prefix of tensor names by another; the first that fits is
/// used, and a prefix is whole path segments (`backbone` fits `backbone.stem.weight`, not `backbone2.stem.weight`).
/// The empty prefix fits every name and puts a segment before it; an empty replacement takes a segment away.
pub fn match_weights(expected: &[Expected], weights: &WeightSet, renames: &IndexMap<String, String>) -> Matching {
    let mut used = vec![false; renames.len()];
    let mut tensor_of: HashMap<String, &str> = HashMap::new();
    let mut order = Vec::new();
    for tensor in weights.names() {
        let renamed = renames.iter().enumerate().find_map(|(rule, (from, to))| {
            let rest = strip_segments(tensor, from)?;
            used[rule] = true;
            Some(join_segments(to, rest))
        });
        let name = renamed.unwrap_or_else(|| tensor.to_owned());
        // Of two tensors that end under one name, the first is taken and the second is left over.
        tensor_of.entry(name).or_insert(tensor);
        order.push(tensor);
    }
    let mut matching = Matching::default();
    let mut taken = std::collections::HashSet::new();
    let mut unmatched = Vec::new();
    for parameter in expected {
        let found = tensor_of.get(&parameter.name).and_then(|&tensor| Some((tensor, weights.get(tensor)?)));
        let Some((tensor, view)) = found else {
            unmatched.push(&parameter.name);
            continue;
        };
        taken.insert(tensor);
        if view.shape == parameter.shape {
            matching.matched.push(Match { parameter: parameter.name.clone(), tensor: tensor.into() });
        } else {
            matching.wrong_shape.push((parameter.name.clone(), parameter.shape.clone(), view.shape.to_vec()));
        }
    }
    matching.left_over = order.into_iter().filter(|tensor| !taken.contains(tensor)).map(Into::into).collect();
    let left_over = || matching.left_over.iter().map(String::as_str);
    matching.missing = unmatched.into_iter().map(|name| (name.clone(), nearest(name, left_over()))).collect();
    let idle = renames.keys().zip(used).filter(|(_, used)| !used);
    matching.idle_rules = idle.map(|(from, _)| from.clone()).collect();
    matching
}

fn strip_segments<'n>(name: &'n str, prefix: &str) -> Option<&'n str> {
    match name.strip_prefix(prefix)? {
        rest if prefix.is_empty() || rest.is_empty() => Some(rest),
        rest => rest.strip_prefix('.'),
    }
}

fn join_segments(prefix: &str, rest: &str) -> String {
    let segments: Vec<&str> = [prefix, rest].into_iter().filter(|part| !part.is_empty()).collect();
    segments.join(".")
}

/// The candidate most like `name`, if over half of the two names agree.
///
/// Likeness is the share of characters in a common prefix or suffix: cheap enough for thousands of parameters, and apt for
/// paths, which mostly differ in one segment.
pub(super) fn nearest<'c>(name: &str, candidates: impl Iterator<Item = &'c str>) -> Option<String> {
    let common = |candidate: &str| {
        let limit = name.len().min(candidate.len());
        let prefix = name.bytes().zip(candidate.bytes()).take_while(|(a, b)| a == b).count();
        let suffix = name.bytes().rev().zip(candidate.bytes().rev()).take_while(|(a, b)| a == b).count();
        2 * (prefix + suffix).min(limit)
    };
    let score = |candidate: &str| common(candidate) as f64 / (name.len() + candidate.len()).max(1) as f64;
    let mut best: Option<(f64, &str)> = None;
    for candidate in candidates {
        let score = score(candidate);
        if score > 0.5 && best.is_none_or(|(most, _)| score > most) {
            best = Some((score, candidate));
        }
    }
    best.map(|(_, name)| name.to_owned())
}
