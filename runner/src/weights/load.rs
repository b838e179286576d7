//! Loading a file into a graph or a part of one: `from:` of a parameter group, `--weights` of the verbs.

use super::artifact::BackboneError;
use super::family::nearest_family;
use super::lora::LoraError;
use super::mapping::{MappingError, Mappings};
use super::plan::{Candidates, Load, LoadPlan, Wanted};
use super::report::Report;
use super::{WeightError, WeightSet};
use std::path::Path;
use sward_core::check::{Checked, Parameter};
use sward_core::dim::{DimError, Sizes};
use sward_core::program::{DType, TensorType};
use sward_kernels::{Data, Tensor};

/// What is loaded from where.
#[derive(Debug, Clone, Copy)]
pub struct LoadRequest<'a> {
    /// A safetensors file, or the index of a sharded model.
    pub file: &'a Path,
    /// The mapping: a name of the library or a path that ends with `.ron`. The one that fits best where `None`.
    pub mapping: Option<&'a str>,
    /// The path of the node whose parameters the file fills: `model.backbone`. Empty for the whole graph.
    pub within: &'a str,
    /// Paths below that one whose parameters other files fill.
    pub without: &'a [String],
    /// Patterns (`*` stands for any characters) of parameters, by their full names, that keep their start where the file does not
    /// have them.
    pub keep: &'a [String],
}

impl<'a> LoadRequest<'a> {
    /// A file for the whole graph, by the mapping that fits best, strictly.
    pub fn whole(file: &'a Path) -> LoadRequest<'a> {
        LoadRequest { file, mapping: None, within: "", without: &[], keep: &[] }
    }
}

/// Why nothing was loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file that is not what it should be.
    #[error(transparent)]
    File(#[from] WeightError),
    /// A mapping that is not there, or is not well-formed.
    #[error(transparent)]
    Mapping(#[from] MappingError),
    /// A head that was trained on another backbone.
    #[error(transparent)]
    Backbone(#[from] BackboneError),
    /// Adapters that do not fit.
    #[error(transparent)]
    Lora(#[from] LoraError),
    /// Parameters that none of several files fills.
    #[error("no file fills the parameter `{first}`{}", others(*.more))]
    Unfilled {
        /// The first of them.
        first: String,
        /// How many more there are.
        more: usize,
    },
    /// No parameter has a name below this path.
    #[error("no parameter of the graph is below `{path}`{}", super::error::nearest_text(nearest))]
    NoSuchPath {
        /// The path.
        path: String,
        /// The most similar path that has parameters.
        nearest: Option<String>,
    },
    /// Shapes of parameters that depend on sizes which nobody gave.
    #[error("the parameter `{parameter}` depends on the size of {}; say for example --dim {}=3", .names.join(", "), .names[0])]
    OpenSize {
        /// The parameter.
        parameter: String,
        /// The dimensions.
        names: Vec<String>,
    },
    /// A size that cannot be evaluated.
    #[error("the shape of `{parameter}`: {error}")]
    Size {
        /// The parameter.
        parameter: String,
        /// Why not.
        error: DimError,
    },
    /// The mapping is for other files.
    #[error("`{file}`: the mapping `{mapping}` is not for this file: it requires tensors that are not there")]
    MappingRefuses {
        /// The file.
        file: String,
        /// The mapping.
        mapping: String,
    },
    /// Something is missing, left over or of another shape. The report's text says what.
    #[error("{}", .0.text())]
    Differs(Box<Report>),
}

fn others(more: usize) -> String {
    if more == 0 { String::new() } else { format!(" and {more} more") }
}

/// A file that fits a part of a graph, ready to be read tensor by tensor.
#[derive(Debug)]
pub struct Loaded {
    /// What was done, for people and programs.
    pub report: Report,
    weights: WeightSet,
    plan: LoadPlan,
    within: String,
}

/// Compares a file's header with a graph; reads no tensor.
///
/// # Errors
/// A file, mapping or path that is not there or not well-formed. What does not fit is no error here: see [`Report::is_exact`].
pub fn match_file(checked: &Checked, sizes: &Sizes, request: &LoadRequest<'_>) -> Result<Loaded, LoadError> {
    let weights = WeightSet::open(request.file)?;
    match_set(checked, sizes, request, weights)
}

/// As [`match_file`], for a file that is open.
///
/// # Errors
/// As [`match_file`].
pub fn match_set(checked: &Checked, sizes: &Sizes, request: &LoadRequest<'_>, weights: WeightSet) -> Result<Loaded, LoadError> {
    let mappings = match request.mapping {
        Some(name) => Mappings::only(name)?,
        None => Mappings::library()?,
    };
    let mut wanted = if weights.metadata(super::lora::SCALES).is_some() {
        adapters_wanted(checked, sizes, request.within, &weights)?
    } else {
        wanted(checked, sizes, request.within)?
    };
    wanted.retain(|wanted| {
        let full = join(request.within, &wanted.name);
        !request.without.iter().any(|path| is_below(&full, path))
    });
    let below: Vec<String> = request.keep.iter().filter_map(|pattern| below(pattern, request.within)).collect();
    let candidates = Candidates::of(&weights, &mappings);
    let Some(plan) = candidates.best(&wanted, &below) else {
        let (file, mapping) = (request.file.display().to_string(), request.mapping.unwrap_or_default().to_owned());
        return Err(LoadError::MappingRefuses { file, mapping });
    };
    // Where most parameters found nothing, the file probably is of another architecture: say of which.
    let family = match plan.is_exact() {
        true => None,
        false => nearest_family(&candidates, &plan, wanted.len()),
    };
    let report = Report::new(request, &weights, &plan, family);
    Ok(Loaded { report, weights, plan, within: request.within.to_owned() })
}

/// Loads a file strictly: every parameter below the path gets a value, and every tensor of the file is used or ignored by a rule.
///
/// # Errors
/// As [`match_file`], and [`LoadError::Differs`].
pub fn load(checked: &Checked, sizes: &Sizes, request: &LoadRequest<'_>) -> Result<Loaded, LoadError> {
    match_file(checked, sizes, request)?.strictly()
}

impl Loaded {
    /// Itself, if everything fits.
    ///
    /// # Errors
    /// [`LoadError::Differs`].
    pub fn strictly(self) -> Result<Loaded, LoadError> {
        if self.plan.is_exact() { Ok(self) } else { Err(LoadError::Differs(Box::new(self.report))) }
    }

    /// The open file.
    pub fn weights(&self) -> &WeightSet {
        &self.weights
    }

    /// How the parameters are made of the file's tensors.
    pub fn plan(&self) -> &LoadPlan {
        &self.plan
    }

    /// The full names of the parameters that the file fills, in the graph's order.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.plan.loads.iter().map(|load| join(&self.within, &load.wanted.name))
    }

    /// One parameter's value, by its full name; `None` where the file does not fill it.
    ///
    /// # Errors
    /// A value that is not finite.
    pub fn tensor(&self, name: &str) -> Result<Option<Tensor>, WeightError> {
        match self.plan.loads.iter().find(|load| join(&self.within, &load.wanted.name) == name) {
            Some(load) => self.read(load).map(Some),
            None => Ok(None),
        }
    }

    /// Gives every parameter's value by its full name, one after another. The pages of the file that a value was read from are given
    /// back to the system, so that a large file takes little more memory than where its values go.
    ///
    /// # Errors
    /// A value that is not finite, and what `take` refuses.
    pub fn for_each<E: From<WeightError>>(&self, mut take: impl FnMut(&str, Tensor) -> Result<(), E>) -> Result<(), E> {
        for load in &self.plan.loads {
            let tensor = self.read(load)?;
            take(&join(&self.within, &load.wanted.name), tensor)?;
            load.recipe.sources.iter().for_each(|source| self.weights.release(&source.tensor));
        }
        Ok(())
    }

    fn read(&self, load: &Load) -> Result<Tensor, WeightError> {
        let Load { wanted, recipe, .. } = load;
        match wanted.dtype {
            DType::F32 | DType::BF16 => Ok(Tensor::new(&wanted.shape, Data::F32(recipe.read(&self.weights)?.into_owned()))),
            DType::I64 | DType::Bool => {
                let view = self.weights.get(&recipe.sources[0].tensor).expect("a recipe's tensors are there");
                crate::tensors::from_view(&view, &TensorType::new(wanted.dtype, &wanted.shape))
            }
        }
    }
}

/// Whether a name is below a path.
pub(super) fn is_below(name: &str, path: &str) -> bool {
    path.is_empty() || name.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'))
}

/// A name below a path.
pub(super) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// A pattern of full names as one of names below a path; `None` where it can match none of them.
fn below(pattern: &str, path: &str) -> Option<String> {
    if path.is_empty() {
        return Some(pattern.to_owned());
    }
    match pattern.strip_prefix(path).and_then(|rest| rest.strip_prefix('.')) {
        Some(rest) => Some(rest.to_owned()),
        // A pattern that begins with a star goes on matching where names are shorter.
        None => pattern.starts_with('*').then(|| pattern.to_owned()),
    }
}

/// The parameters and buffers below a path, with their shapes. What low-rank adapters add is no part of a checkpoint.
///
/// # Errors
/// A path without parameters, or a shape that is not known.
pub fn wanted(checked: &Checked, sizes: &Sizes, within: &str) -> Result<Vec<Wanted>, LoadError> {
    let mut found = Vec::new();
    for (full, parameter) in checked.parameters() {
        if !is_below(full, within) || is_adapter(checked, full) {
            continue;
        }
        found.push(wanted_of(full, parameter, sizes, within)?);
    }
    if found.is_empty() {
        let mut paths: Vec<&str> = Vec::new();
        for name in checked.parameters().keys() {
            paths.extend(name.match_indices('.').map(|(at, _)| &name[..at]));
        }
        let nearest = sward_core::suggest::nearest(within, paths).map(str::to_owned);
        return Err(LoadError::NoSuchPath { path: within.to_owned(), nearest });
    }
    Ok(found)
}

/// Whether a parameter belongs to a low-rank adapter.
fn is_adapter(checked: &Checked, name: &str) -> bool {
    checked.adapters().iter().any(|adapter| adapter.a == name || adapter.b == name)
}

/// The parameters of the adapters below a path, whose scales must be those of the file.
fn adapters_wanted(checked: &Checked, sizes: &Sizes, within: &str, weights: &WeightSet) -> Result<Vec<Wanted>, LoadError> {
    let scales = super::lora::scales(weights)?;
    let mut found = Vec::new();
    for adapter in checked.adapters().iter().filter(|adapter| is_below(&adapter.weight, within)) {
        if let Some(stored) = scales.get(below_name(&adapter.weight, within))
            && *stored != adapter.scale
        {
            let (weight, graph, file) = (adapter.weight.clone(), adapter.scale, *stored);
            return Err(LoraError::Scale { weight, graph, file }.into());
        }
        for name in [&adapter.a, &adapter.b] {
            found.push(wanted_of(name, &checked.parameters()[name.as_str()], sizes, within)?);
        }
    }
    if found.is_empty() { Err(LoraError::NoAdapters.into()) } else { Ok(found) }
}

fn below_name<'n>(name: &'n str, within: &str) -> &'n str {
    if within.is_empty() { name } else { &name[within.len() + 1..] }
}

fn wanted_of(full: &str, parameter: &Parameter, sizes: &Sizes, within: &str) -> Result<Wanted, LoadError> {
    let mut shape = Vec::with_capacity(parameter.spec.shape.len());
    for dim in &parameter.spec.shape {
        let open: Vec<String> =
            dim.names().iter().map(|name| name.as_str().to_owned()).filter(|name| sizes.get(name).is_none()).collect();
        if !open.is_empty() {
            return Err(LoadError::OpenSize { parameter: full.to_owned(), names: open });
        }
        let size = dim.evaluate(sizes).map_err(|error| LoadError::Size { parameter: full.to_owned(), error })?;
        shape.push(size.max(0) as usize);
    }
    Ok(Wanted { name: below_name(full, within).to_owned(), shape, dtype: parameter.spec.dtype })
}
