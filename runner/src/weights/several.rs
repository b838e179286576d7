//! Loading several files into one graph: backbone, head and adapters apart.

use super::artifact::require_backbone;
use super::load::load;
use super::{LoadError, LoadRequest, Loaded, WeightSet};
use std::path::PathBuf;
use sward_core::check::Checked;
use sward_core::dim::Sizes;
use sward_core::op::ParameterKind;

/// A file and the part of the graph that it fills.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The path of a node; empty for everything that no other file fills.
    pub within: String,
    /// The file.
    pub file: PathBuf,
}

impl std::str::FromStr for Part {
    type Err = std::convert::Infallible;

    /// `model.backbone=vit.safetensors`, or `all.safetensors`. What stands before the `=` is a path only if it could be one.
    fn from_str(text: &str) -> Result<Part, Self::Err> {
        let is_path = |path: &str| !path.is_empty() && path.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'));
        Ok(match text.split_once('=') {
            Some((path, file)) if is_path(path) => Part { within: path.to_owned(), file: file.into() },
            _ => Part { within: String::new(), file: text.into() },
        })
    }
}

/// Loads files strictly: each fits its part, every parameter is filled by one of them, and a head or adapter comes with the backbone
/// that it names. Patterns in `keep` name parameters that may keep their start, as parameters of adapters may where no file has them.
///
/// # Errors
/// Those of [`load`], a backbone that is another one, a parameter that no file fills.
pub fn load_several(
    checked: &Checked,
    sizes: &Sizes,
    parts: &[Part],
    mapping: Option<&str>,
    keep: &[String],
) -> Result<Vec<Loaded>, LoadError> {
    let sets = parts.iter().map(|part| WeightSet::open(&part.file)).collect::<Result<Vec<_>, _>>()?;
    for (position, set) in sets.iter().enumerate() {
        let others: Vec<&WeightSet> = sets.iter().enumerate().filter(|(own, _)| *own != position).map(|(_, set)| set).collect();
        require_backbone(set, &others)?;
    }
    let mut loaded = Vec::new();
    for (part, set) in parts.iter().zip(sets) {
        let is_adapter = set.metadata(super::lora::SCALES).is_some();
        // Adapters lie below the same path as what they adapt.
        let without: Vec<String> = match is_adapter {
            true => Vec::new(),
            false => {
                parts.iter().filter(|other| other.within.len() > part.within.len()).map(|other| other.within.clone()).collect()
            }
        };
        drop(set);
        loaded.push(load(
            checked,
            sizes,
            &LoadRequest { file: &part.file, mapping, within: &part.within, without: &without, keep },
        )?);
    }
    let mut filled: std::collections::HashSet<String> = loaded.iter().flat_map(Loaded::names).collect();
    for (part, loaded) in parts.iter().zip(&loaded) {
        filled.extend(loaded.plan().kept.iter().map(|name| super::load::join(&part.within, name)));
    }
    let unfilled: Vec<&String> = checked
        .parameters()
        .iter()
        .filter(|(name, parameter)| {
            let may_keep = keep.iter().any(|pattern| sward_ops::training::path_matches(pattern, name));
            let is_adapter = checked.adapters().iter().any(|adapter| adapter.a == **name || adapter.b == **name);
            let is_counter = parameter.spec.kind == ParameterKind::Buffer && parameter.spec.shape.is_empty();
            !filled.contains(*name) && !may_keep && !is_adapter && !is_counter
        })
        .map(|(name, _)| name)
        .collect();
    match unfilled.as_slice() {
        [] => Ok(loaded),
        [first, rest @ ..] => Err(LoadError::Unfilled { first: (*first).clone(), more: rest.len() }),
    }
}
