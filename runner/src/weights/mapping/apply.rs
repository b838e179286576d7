//! Applying a mapping to the names of a file: what can be made of its tensors, and how.

use super::super::recipe::{Recipe, Source, Take};
use super::pattern::fill;
use super::{Combine, Mapping};
use crate::weights::{Dtype, WeightSet};
use indexmap::IndexMap;
use std::collections::{HashMap, HashSet};

/// A tensor that a mapping makes of a file's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// How.
    pub recipe: Recipe,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its dtype.
    pub dtype: Dtype,
}

/// What a mapping makes of a file.
#[derive(Debug, Clone, Default)]
pub struct MadeSet {
    /// By the names that parameters would have.
    pub tensors: IndexMap<String, Made>,
    /// The file's tensors that no graph needs to use.
    pub ignored: HashSet<String>,
    /// What stands against using this mapping: a name made twice, a tensor of a group that is not there.
    pub problems: Vec<String>,
    /// How many of the file's tensors a rule was for.
    pub by_rules: usize,
}

impl Mapping {
    /// What this mapping makes of a file whose names begin with a prefix. `None` where the file does not have what the mapping
    /// requires, or no name begins with the prefix.
    pub fn apply(&self, weights: &WeightSet, prefix: &str) -> Option<MadeSet> {
        let mut originals: HashMap<&str, &str> = HashMap::new();
        let mut names: Vec<&str> = Vec::new();
        let mut is_prefixed = prefix.is_empty();
        let mut collisions = Vec::new();
        for original in weights.names() {
            let name = original.strip_prefix(prefix).unwrap_or(original);
            is_prefixed |= name.len() < original.len();
            if let Some(other) = originals.insert(name, original) {
                collisions.push(format!("`{other}` and `{original}` are one name without the prefix"));
            } else {
                names.push(name);
            }
        }
        if !is_prefixed || !self.requires.iter().all(|name| originals.contains_key(name.as_str())) {
            return None;
        }
        let mut made = MadeSet { problems: collisions, ..MadeSet::default() };
        let mut used: HashSet<&str> = HashSet::new();
        for rule in &self.rules {
            for name in &names {
                let Some(captured) = rule.sources[0].pattern.find(name) else { continue };
                let mut bindings = rule.bound.clone();
                for (capture, text) in &captured {
                    bindings = bindings.with(capture, text);
                }
                let mut sources = Vec::new();
                let mut complete = true;
                for (position, source) in rule.sources.iter().enumerate() {
                    let key = if position == 0 {
                        Ok((*name).to_owned())
                    } else {
                        // A pattern without what the loop bound is filled like a name: its captures are those of the first.
                        fill(source.pattern.text(), &bindings)
                    };
                    match key.ok().and_then(|key| originals.get_key_value(key.as_str())) {
                        Some((key, original)) => {
                            used.insert(key);
                            sources.push(Source { tensor: (*original).to_owned(), part: source.part });
                        }
                        None => {
                            let wanted = source.pattern.text();
                            made.problems.push(format!("`{name}` is there, `{wanted}` that goes with it is not"));
                            complete = false;
                        }
                    }
                }
                if !complete {
                    continue;
                }
                for (index, target) in rule.targets.iter().enumerate() {
                    let take = (rule.targets.len() > 1).then_some(Take { axis: rule.split_axis, index, of: rule.targets.len() });
                    let recipe = Recipe {
                        sources: sources.clone(),
                        combine: rule.combine,
                        transpose: rule.transpose.clone(),
                        squeeze: rule.squeeze,
                        take,
                        adapt: None,
                    };
                    match fill(target, &bindings) {
                        Ok(target) => made.add(target, recipe, weights),
                        Err(reason) => made.problems.push(format!("`{name}`: {reason}")),
                    }
                }
            }
        }
        made.by_rules = used.len();
        for name in names {
            if used.contains(name) {
                continue;
            }
            let original = originals[name];
            if self.is_ignored(name) {
                made.ignored.insert(original.to_owned());
            }
            // A tensor that no rule is for keeps its name.
            let sources = vec![Source { tensor: original.to_owned(), part: None }];
            let recipe = Recipe { sources, combine: Combine::One, transpose: None, squeeze: false, take: None, adapt: None };
            made.add(name.to_owned(), recipe, weights);
        }
        // What a rule made may be something that no graph uses, too: the head of a classifier.
        for (name, tensor) in &made.tensors {
            if self.is_ignored(name) {
                made.ignored.extend(tensor.recipe.sources.iter().map(|source| source.tensor.clone()));
            }
        }
        Some(made)
    }
}

impl MadeSet {
    fn add(&mut self, name: String, recipe: Recipe, weights: &WeightSet) {
        let (shape, dtype) = match recipe.type_of(weights) {
            Ok(found) => found,
            Err(reason) => {
                self.problems.push(format!("`{name}`: {reason}"));
                return;
            }
        };
        match self.tensors.entry(name) {
            indexmap::map::Entry::Occupied(entry) => {
                let (first, second) = (&entry.get().recipe.sources[0].tensor, &recipe.sources[0].tensor);
                self.problems.push(format!("`{first}` and `{second}` would both be `{}`", entry.key()));
            }
            indexmap::map::Entry::Vacant(entry) => {
                entry.insert(Made { recipe, shape, dtype });
            }
        }
    }
}
