//! Changes from the command line or an experiment: `--set`, `--swap`, `--dim`.

use crate::language::FieldExpression;
use crate::source::Span;
use std::cell::Cell;

/// One `path=value`.
#[derive(Clone, Debug)]
pub struct SetOverride {
    /// `hidden`, `fusion.hidden`, `fc1.units`; a `*` stands for one part of a path.
    pub path: String,
    /// The value.
    pub value: FieldExpression,
    /// The place of the path in the override's text.
    pub span: Span,
    /// Whether something matched.
    pub used: Cell<bool>,
}

/// One `node=file.ron`.
#[derive(Clone, Debug)]
pub struct SwapOverride {
    /// The path of a `Use` node; a `*` stands for one part of a path.
    pub node: String,
    /// The file, resolved as if the root file named it.
    pub file: String,
    /// The place of the override's text.
    pub span: Span,
    /// Whether something matched.
    pub used: Cell<bool>,
}

/// One `name=8`.
#[derive(Clone, Debug)]
pub struct DimOverride {
    /// A dimension that an input of the root file binds.
    pub name: String,
    /// Its size.
    pub size: i64,
    /// The place of the override's text.
    pub span: Span,
    /// Whether something matched.
    pub used: Cell<bool>,
}

/// A change of a graph's structure, as an experiment declares it.
#[derive(Clone, Debug)]
pub enum Rewrite {
    /// Low-rank adapters at `Linear` nodes.
    Lora(LoraRewrite),
}

/// Low-rank adapters at the `Linear` nodes that a pattern names: they are frozen, and `alpha / rank * B(A(dropout(x)))` is added.
#[derive(Clone, Debug)]
pub struct LoraRewrite {
    /// The path of a node, or of its parameters without the last part (`model.backbone.*.attn.qkv`); a `*` stands for any
    /// characters.
    pub pattern: String,
    /// The width between `A` and `B`, at least 1.
    pub rank: i64,
    /// `alpha / rank` is the factor of what is added.
    pub alpha: f64,
    /// The share of the input that is dropped before `A` in training, from 0 to below 1.
    pub dropout: f64,
    /// The place where it is declared.
    pub span: Span,
    /// Whether something matched.
    pub used: Cell<bool>,
}

/// All changes to a graph that are not in its files. Every one must match something.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--set`.
    pub sets: Vec<SetOverride>,
    /// `--swap`.
    pub swaps: Vec<SwapOverride>,
    /// `--dim`.
    pub dims: Vec<DimOverride>,
    /// Rewrites; where several match a node, the last one counts.
    pub rewrites: Vec<Rewrite>,
}

impl Overrides {
    /// The last value set at a path, if one is.
    pub fn set_at(&self, path: &str, field: &str) -> Option<&SetOverride> {
        let mut found = None;
        for set in &self.sets {
            let is_match = match set.path.rsplit_once('.') {
                Some((node, own)) => own == field && matches(node, path),
                None => path.is_empty() && set.path == field,
            };
            if is_match {
                set.used.set(true);
                found = Some(set);
            }
        }
        found
    }

    /// The last adapter for a node of this path whose parameters begin with that one.
    pub fn lora_at(&self, path: &str, parameters: &str) -> Option<&LoraRewrite> {
        let mut found = None;
        for Rewrite::Lora(rewrite) in &self.rewrites {
            if crate::glob::matches(&rewrite.pattern, path) || crate::glob::matches(&rewrite.pattern, parameters) {
                rewrite.used.set(true);
                found = Some(rewrite);
            }
        }
        found
    }

    /// The last swap of a node, if there is one.
    pub fn swap_at(&self, path: &str) -> Option<&SwapOverride> {
        let mut found = None;
        for swap in &self.swaps {
            if matches(&swap.node, path) {
                swap.used.set(true);
                found = Some(swap);
            }
        }
        found
    }
}

/// Whether a pattern whose parts may be `*` names this path.
fn matches(pattern: &str, path: &str) -> bool {
    if !pattern.contains('*') {
        return pattern == path;
    }
    let mut parts = path.split('.');
    pattern.split('.').all(|part| parts.next().is_some_and(|own| part == "*" || part == own)) && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stands_for_exactly_one_part_of_a_path() {
        assert!(matches("blocks.*.fc", "blocks.3.fc"));
        assert!(!matches("blocks.*.fc", "blocks.3.mlp.fc"));
        assert!(!matches("blocks.*", "blocks"));
        assert!(matches("blocks", "blocks"));
    }
}
