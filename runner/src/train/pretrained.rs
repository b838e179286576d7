//! Parameters that begin with the values of a file: `from:` of the experiment's groups.

use std::path::{Path, PathBuf};

use sward_core::check::Session;
use sward_core::source::Spanned;
use sward_kernels::Tensor;

use super::error::{Result, TrainError};
use super::programs::sizes_for;
use crate::experiment::Joined;
use crate::experiment::spec::Group;
use crate::feed::FittedData;
use crate::weights::{LoadRequest, WeightError, load};

/// A file of weights and the part of the graph that it fills.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Pretrained {
    /// The file.
    pub file: PathBuf,
    /// The mapping of its names.
    pub mapping: Option<String>,
    /// The path of the node whose parameters it fills.
    pub within: String,
}

/// The files that an experiment's groups name: relative to the experiment's folder, in its root, or in the search roots.
///
/// # Errors
/// A path that leads nowhere, or a pattern that names no node.
pub fn pretrained_files(session: &Session<'_>, joined: &Joined) -> Result<Vec<Pretrained>> {
    let mut files = Vec::new();
    for group in &joined.experiment.train.value.groups {
        let Some(from) = &group.value.from else { continue };
        let located = session.roots().locate(joined.file, &from.value).map_err(|error| {
            TrainError::Usage(format!("{}: the weights `{}`: {error}", session.sources.place(from.span), from.value))
        })?;
        let file = located.on_disk.ok_or_else(|| {
            TrainError::Usage(format!("{}: the weights `{}` are on no disk", session.sources.place(from.span), from.value))
        })?;
        let within = node_of(group, session)?;
        files.push(Pretrained { file, mapping: group.value.mapping.as_ref().map(|mapping| mapping.value.clone()), within });
    }
    Ok(files)
}

/// The node of a pattern `path.*`.
fn node_of(group: &Spanned<Group>, session: &Session<'_>) -> Result<String> {
    let pattern = &group.value.pattern;
    let node = pattern.value.strip_suffix(".*").unwrap_or(&pattern.value);
    if node.contains(['*', '?']) {
        let place = session.sources.place(pattern.span);
        return Err(TrainError::Usage(format!(
            "{place}: a file fills one node: write its path and `.*`, such as model.backbone.*"
        )));
    }
    Ok(node.to_owned())
}

/// Loads files strictly: every parameter of the node gets a value, every tensor of the file is used or ignored by a rule of its mapping.
/// Adapters keep their start. `tell` is given a sentence a file.
///
/// # Errors
/// A file that does not fit, with what is missing and left over.
pub fn load_pretrained(
    joined: &Joined,
    fitted: &FittedData,
    files: &[Pretrained],
    tell: &mut dyn FnMut(&str),
) -> Result<Vec<(String, Tensor)>> {
    let sizes = sizes_for(&joined.checked, fitted, 1);
    let keep: Vec<String> = match joined.experiment.train.value.adapt.is_empty() {
        true => Vec::new(),
        false => vec!["*.lora_A.*".to_owned(), "*.lora_B.*".to_owned()],
    };
    let mut tensors = Vec::new();
    for file in files {
        let path: &Path = &file.file;
        let request =
            LoadRequest { mapping: file.mapping.as_deref(), within: &file.within, keep: &keep, ..LoadRequest::whole(path) };
        let loaded = load(&joined.checked, &sizes, &request).map_err(|error| TrainError::Usage(error.to_string()))?;
        tell(&loaded.report.summary());
        loaded.for_each(|name, tensor| {
            tensors.push((name.to_owned(), tensor));
            Ok::<(), WeightError>(())
        })?;
    }
    Ok(tensors)
}
