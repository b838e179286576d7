//! What a file gives a graph: every parameter with its recipe, and everything that does not fit, by name.

use super::adapt::Adapt;
use super::mapping::{MadeSet, Mapping, Mappings};
use super::nearest::nearest;
use super::recipe::Recipe;
use super::{Dtype, WeightSet};
use sward_core::program::DType;
use sward_ops::training::path_matches;

/// A parameter or buffer that wants a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its name below the part of the graph that the file fills.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its dtype.
    pub dtype: DType,
}

/// A parameter that a file fills.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Load {
    /// What it fills.
    pub wanted: Wanted,
    /// How.
    pub recipe: Recipe,
    /// The shape of what the file gives, before an adaptation.
    pub found: Vec<usize>,
}

impl Load {
    /// Whether the file calls it otherwise.
    pub fn is_renamed(&self) -> bool {
        self.recipe.is_plain() && self.recipe.sources[0].tensor != self.wanted.name
    }
}

/// A parameter whose tensor has another shape or dtype, and no adaptation helps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongShape {
    /// The parameter.
    pub parameter: String,
    /// Its shape.
    pub wanted: Vec<usize>,
    /// What the file gives.
    pub found: Vec<usize>,
    /// The dtypes of both, where these are what differs.
    pub dtypes: Option<(DType, Dtype)>,
    /// The tensor of the file, the first of several.
    pub tensor: String,
}

/// How a file and a graph go together under one mapping.
#[derive(Debug, Clone)]
pub struct LoadPlan {
    /// The mapping's name.
    pub mapping: String,
    /// The mapping's doc.
    pub doc: String,
    /// The prefix that the file's names have.
    pub prefix: String,
    /// What is loaded, in the graph's order.
    pub loads: Vec<Load>,
    /// Parameters that keep their start because the mapping or the caller says so.
    pub kept: Vec<String>,
    /// Parameters that no tensor fits, with the most similar left-over name.
    pub missing: Vec<(Wanted, Option<String>)>,
    /// Parameters whose tensor does not fit.
    pub wrong_shape: Vec<WrongShape>,
    /// Tensors that no graph needs to use.
    pub ignored: Vec<String>,
    /// Tensors that nothing uses, with the most similar missing parameter.
    pub left_over: Vec<(String, Option<String>)>,
    /// Groups of tensors that are incomplete, names that would be made twice.
    pub problems: Vec<String>,
    /// Whether the mapping is only tried for files that have what it requires.
    is_specific: bool,
    by_rules: usize,
}

impl LoadPlan {
    /// Whether everything was loaded, and nothing is left over.
    pub fn is_exact(&self) -> bool {
        self.missing.is_empty() && self.wrong_shape.is_empty() && self.left_over.is_empty() && self.problems.is_empty()
    }

    /// How well it fits: parameters loaded, then little that is wrong, then how much the mapping knows of such files.
    fn score(&self) -> (usize, isize, isize, bool, usize) {
        let wrong = (self.missing.len() + self.wrong_shape.len() + self.problems.len()) as isize;
        (self.loads.len(), -wrong, -(self.left_over.len() as isize), self.is_specific, self.by_rules)
    }
}

/// What every mapping makes of a file, for comparing it with one graph or many.
pub struct Candidates<'m> {
    made: Vec<(&'m Mapping, String, MadeSet)>,
    names: Vec<String>,
}

impl<'m> Candidates<'m> {
    /// Applies every mapping, with every prefix that the file has.
    pub fn of(weights: &WeightSet, mappings: &'m Mappings) -> Candidates<'m> {
        let mut made = Vec::new();
        for mapping in mappings.iter() {
            for prefix in std::iter::once("").chain(mapping.prefixes.iter().map(String::as_str)) {
                if let Some(set) = mapping.apply(weights, prefix) {
                    made.push((mapping, prefix.to_owned(), set));
                }
            }
        }
        Candidates { made, names: weights.names().map(str::to_owned).collect() }
    }

    /// The best mapping for these parameters. `keep` are patterns of parameters that may keep their start. `None` where no mapping
    /// is for this file at all.
    pub fn best(&self, wanted: &[Wanted], keep: &[String]) -> Option<LoadPlan> {
        let mut best: Option<LoadPlan> = None;
        for (mapping, prefix, made) in &self.made {
            let plan = self.plan(mapping, prefix, made, wanted, keep);
            if best.as_ref().is_none_or(|best| plan.score() > best.score()) {
                best = Some(plan);
            }
        }
        let mut best = best?;
        suggest(&mut best);
        Some(best)
    }

    fn plan(&self, mapping: &Mapping, prefix: &str, made: &MadeSet, wanted: &[Wanted], keep: &[String]) -> LoadPlan {
        let mut plan = LoadPlan {
            mapping: mapping.name.clone(),
            doc: mapping.doc.clone(),
            prefix: prefix.to_owned(),
            loads: Vec::new(),
            kept: Vec::new(),
            missing: Vec::new(),
            wrong_shape: Vec::new(),
            ignored: Vec::new(),
            left_over: Vec::new(),
            problems: made.problems.clone(),
            is_specific: !mapping.requires.is_empty(),
            by_rules: made.by_rules,
        };
        let mut used = std::collections::HashSet::new();
        for wanted in wanted {
            let Some(found) = made.tensors.get(&wanted.name) else {
                if mapping.is_optional(&wanted.name) || keep.iter().any(|pattern| path_matches(pattern, &wanted.name)) {
                    plan.kept.push(wanted.name.clone());
                } else {
                    plan.missing.push((wanted.clone(), None));
                }
                continue;
            };
            used.extend(found.recipe.sources.iter().map(|source| source.tensor.as_str()));
            let mut recipe = found.recipe.clone();
            let is_same = found.shape == wanted.shape || (recipe.squeeze && equal_without_ones(&found.shape, &wanted.shape));
            if !is_same {
                let adaptation = mapping.adaptation(&wanted.name);
                recipe.adapt = adaptation.and_then(|adaptation| Adapt::between(adaptation, &found.shape, &wanted.shape));
            }
            if (is_same || recipe.adapt.is_some()) && dtypes_fit(found.dtype, wanted.dtype, &recipe) {
                plan.loads.push(Load { wanted: wanted.clone(), recipe, found: found.shape.clone() });
            } else {
                plan.wrong_shape.push(WrongShape {
                    parameter: wanted.name.clone(),
                    wanted: wanted.shape.clone(),
                    found: found.shape.clone(),
                    dtypes: (is_same || recipe.adapt.is_some()).then_some((wanted.dtype, found.dtype)),
                    tensor: found.recipe.sources[0].tensor.clone(),
                });
            }
        }
        for name in &self.names {
            if used.contains(name.as_str()) {
                continue;
            }
            if made.ignored.contains(name) {
                plan.ignored.push(name.clone());
            } else {
                plan.left_over.push((name.clone(), None));
            }
        }
        plan
    }
}

/// Finds the nearest names for what is missing and left over: done once, for the plan that is shown.
fn suggest(plan: &mut LoadPlan) {
    let left_over: Vec<String> = plan.left_over.iter().map(|(name, _)| name.clone()).collect();
    let missing: Vec<String> = plan.missing.iter().map(|(wanted, _)| wanted.name.clone()).collect();
    for (wanted, near) in plan.missing.iter_mut().take(SUGGESTIONS) {
        *near = nearest(&wanted.name, left_over.iter().map(String::as_str));
    }
    for (name, near) in plan.left_over.iter_mut().take(SUGGESTIONS) {
        *near = nearest(name, missing.iter().map(String::as_str));
    }
}

/// For how many names the nearest is looked for; people read no more.
const SUGGESTIONS: usize = 100;

fn equal_without_ones(a: &[usize], b: &[usize]) -> bool {
    a.iter().filter(|size| **size != 1).eq(b.iter().filter(|size| **size != 1))
}

fn dtypes_fit(found: Dtype, wanted: DType, recipe: &Recipe) -> bool {
    match wanted {
        DType::F32 | DType::BF16 => matches!(found, Dtype::F32 | Dtype::F16 | Dtype::BF16),
        DType::I64 => found == Dtype::I64 && recipe.is_plain(),
        DType::Bool => found == Dtype::Bool && recipe.is_plain(),
    }
}
