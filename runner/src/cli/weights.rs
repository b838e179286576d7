//! `sward weights`: checkpoints and graphs brought together.

use super::Exit;
use super::graph::{GraphOptions, Opened, TextOrJson, fill_channels, open, write_out};
use super::outputs::{exit_of_weights, require_apart, sources_on_disk, weight_files};
use crate::rundir::Disk;
use crate::tensors::{from_view, to_out};
use crate::weights::artifact::{backbone_metadata, require_backbone};
use crate::weights::lora::{self, LoraError};
use crate::weights::mapping::Mappings;
use crate::weights::{
    ExportError, LoadError, LoadRequest, Loaded, TensorOut, WeightError, WeightSet, export, match_file, wanted, write,
};
use clap::{Args, Subcommand};
use indexmap::IndexMap;
use std::path::{Path, PathBuf};
use sward_core::check::Checked;
use sward_core::dim::Sizes;
use sward_core::program::TensorType;
use sward_kernels::Tensor;

/// Arguments of `weights`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  sward weights match graphs/backbones/vit_small_patch14_dinov2.ron dinov2.safetensors
  sward weights convert graphs/backbones/resnet50.ron transformers.safetensors -o resnet50.safetensors")]
pub struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Compare a checkpoint's header with a graph: loaded, renamed, resampled, missing, left over
    Match(MatchArguments),
    /// Write a checkpoint under the graph's own names
    Convert(ConvertArguments),
    /// Write values under the names of the checkpoint that they came from
    Export(ExportArguments),
    /// Write the parameters that a backbone's file does not fill, with the backbone's hash
    Head(HeadArguments),
    /// Add low-rank adapters to the weights that they adapt
    Merge(MergeArguments),
    /// List the library's mappings
    Mappings,
}

/// What a file is compared with.
#[derive(Debug, Args)]
struct Fit {
    /// The graph file
    graph: String,
    /// A safetensors file, or the index of a sharded model
    file: PathBuf,
    /// The mapping: a name of the library (`sward weights mappings`) or a file; the one that fits best if not said
    #[arg(long, value_name = "NAME")]
    mapping: Option<String>,
    /// The node whose parameters the file fills, such as model.backbone
    #[arg(long, value_name = "PATH", default_value = "")]
    within: String,
    /// Parameters that keep their start where the file lacks them; `*` stands for any characters
    #[arg(long, value_name = "PATTERN")]
    keep: Vec<String>,
    #[command(flatten)]
    options: GraphOptions,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:
  sward weights match graphs/backbones/vit_small_patch14_dinov2.ron dinov2.safetensors
  sward weights match graphs/backbones/resnet18.ron model.safetensors.index.json --dim channels=4 --format json

Exit codes: 0 everything fits; 1 something is missing or left over; 2 a file that cannot be read.")]
struct MatchArguments {
    #[command(flatten)]
    fit: Fit,
    /// How the result is written
    #[arg(long, value_enum, default_value = "text")]
    format: TextOrJson,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:
  sward weights convert graphs/backbones/vit_small_patch16_224.ron transformers.safetensors -o vit.safetensors")]
struct ConvertArguments {
    #[command(flatten)]
    fit: Fit,
    /// Where it is written
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:
  sward weights export graphs/backbones/vit_small_patch16_224.ron transformers.safetensors --values trained.safetensors -o back.safetensors

Tensors whose parameters have not changed are the original's, byte for byte, and so are those that the graph does not use.")]
struct ExportArguments {
    #[command(flatten)]
    fit: Fit,
    /// The values by the parameters' full names
    #[arg(long, value_name = "FILE")]
    values: PathBuf,
    /// Where it is written
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:
  sward weights head model.ron trained.safetensors --within model.backbone --backbone vit.safetensors -o head.safetensors")]
struct HeadArguments {
    /// The graph file
    graph: String,
    /// The values of all parameters by their full names
    file: PathBuf,
    /// The node that the backbone's file fills
    #[arg(long, value_name = "PATH")]
    within: String,
    /// The backbone's file
    #[arg(long, value_name = "FILE")]
    backbone: PathBuf,
    /// Where it is written
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    options: GraphOptions,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:
  sward weights merge vit.safetensors adapters.safetensors -o merged.safetensors")]
struct MergeArguments {
    /// The weights that were adapted
    base: PathBuf,
    /// The adapters
    adapters: PathBuf,
    /// Where it is written
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

/// Runs `weights`.
pub fn run(arguments: &Arguments) -> Exit {
    let result = match &arguments.verb {
        Verb::Match(arguments) => compare(arguments),
        Verb::Convert(arguments) => convert(arguments),
        Verb::Export(arguments) => back(arguments),
        Verb::Head(arguments) => head(arguments),
        Verb::Merge(arguments) => merge(arguments),
        Verb::Mappings => mappings(),
    };
    match result {
        Ok(exit) => exit,
        Err((exit, message)) => {
            if !message.is_empty() {
                eprintln!("error: {message}");
            }
            exit
        }
    }
}

type Failure = (Exit, String);

fn usage(error: impl ToString) -> Failure {
    (Exit::Usage, error.to_string())
}

fn fault(error: impl ToString) -> Failure {
    (Exit::Fault, error.to_string())
}

/// The exit code and text of a load that failed: a checkpoint that differs is a finding, anything else a wrong file.
pub(super) fn load_failure(error: LoadError) -> Failure {
    let exit = if matches!(error, LoadError::Differs(_) | LoadError::Unfilled { .. }) { Exit::Findings } else { Exit::Usage };
    (exit, error.to_string())
}

/// A file of weights that cannot be written.
fn unwritten(error: WeightError) -> Failure {
    (exit_of_weights(&error, Exit::Fault), error.to_string())
}

/// Opens a graph, for a verb that writes `output` and reads `files` beside it.
fn open_graph(file: &str, options: &GraphOptions, output: Option<&Path>, files: &[&Path]) -> Result<(Checked, Sizes), Failure> {
    let Opened { checked, mut sizes, sources } = open(file, options).map_err(|exit| (exit, String::new()))?;
    let inputs = sources_on_disk(&sources).into_iter().chain(files.iter().flat_map(|file| weight_files(file)));
    require_apart(&output.map(|path| ("-o", path)).into_iter().collect::<Vec<_>>(), inputs).map_err(usage)?;
    fill_channels(&checked, &mut sizes);
    Ok((checked, sizes))
}

/// Brings a file and a graph together, for a verb that writes `output` and reads `files` beside them.
fn fit(fit: &Fit, output: Option<&Path>, files: &[&Path]) -> Result<Loaded, Failure> {
    let read: Vec<&Path> = [fit.file.as_path()].into_iter().chain(fit.mapping.as_deref().map(Path::new)).collect();
    let (checked, sizes) = open_graph(&fit.graph, &fit.options, output, &[&read, files].concat())?;
    let request =
        LoadRequest { file: &fit.file, mapping: fit.mapping.as_deref(), within: &fit.within, without: &[], keep: &fit.keep };
    match_file(&checked, &sizes, &request).map_err(load_failure)
}

fn compare(arguments: &MatchArguments) -> Result<Exit, Failure> {
    let loaded = fit(&arguments.fit, None, &[])?;
    let text = match arguments.format {
        TextOrJson::Text => loaded.report.text(),
        TextOrJson::Json => format!("{}\n", loaded.report.json()),
    };
    write_out(&text);
    Ok(if loaded.report.is_exact() { Exit::Fine } else { Exit::Findings })
}

fn convert(arguments: &ConvertArguments) -> Result<Exit, Failure> {
    let loaded = fit(&arguments.fit, Some(&arguments.output), &[])?.strictly().map_err(load_failure)?;
    let mut values: Vec<(String, Tensor)> = Vec::new();
    loaded
        .for_each(|name, tensor| {
            values.push((name.to_owned(), tensor));
            Ok::<(), WeightError>(())
        })
        .map_err(usage)?;
    let tensors: Vec<TensorOut<'_>> = values.iter().map(|(name, tensor)| to_out(name, tensor)).collect();
    write(&Disk, &arguments.output, &tensors, &IndexMap::new()).map_err(unwritten)?;
    println!("{}", loaded.report.summary());
    Ok(Exit::Fine)
}

fn back(arguments: &ExportArguments) -> Result<Exit, Failure> {
    let loaded = fit(&arguments.fit, Some(&arguments.output), &[&arguments.values])?.strictly().map_err(load_failure)?;
    let values = WeightSet::open(&arguments.values).map_err(usage)?;
    let mut wrong = None;
    let mut value = |name: &str| {
        let own = loaded.plan().loads.iter().find(|load| full(&arguments.fit.within, &load.wanted.name) == name)?;
        let view = values.get(name)?;
        match from_view(&view, &TensorType::new(own.wanted.dtype, view.shape)) {
            Ok(tensor) => Some(tensor),
            Err(error) => {
                wrong.get_or_insert(error);
                None
            }
        }
    };
    let result = export(&loaded, &mut value, &Disk, &arguments.output);
    if let Some(error) = wrong {
        return Err(usage(error));
    }
    result.map_err(|error| match error {
        ExportError::File(error) => (exit_of_weights(&error, Exit::Usage), error.to_string()),
        other => usage(other),
    })?;
    println!("{}: written under the names of {}", arguments.output.display(), arguments.fit.file.display());
    Ok(Exit::Fine)
}

fn full(within: &str, name: &str) -> String {
    if within.is_empty() { name.to_owned() } else { format!("{within}.{name}") }
}

fn head(arguments: &HeadArguments) -> Result<Exit, Failure> {
    let files = [arguments.file.as_path(), &arguments.backbone];
    let (checked, sizes) = open_graph(&arguments.graph, &arguments.options, Some(&arguments.output), &files)?;
    // Says where the path is wrong.
    wanted(&checked, &sizes, &arguments.within).map_err(load_failure)?;
    let all = wanted(&checked, &sizes, "").map_err(load_failure)?;
    let values = WeightSet::open(&arguments.file).map_err(usage)?;
    let backbone = WeightSet::open(&arguments.backbone).map_err(usage)?;
    let mut tensors = Vec::new();
    for parameter in all.iter().filter(|own| !own.name.starts_with(&format!("{}.", arguments.within))) {
        let view = values
            .get(&parameter.name)
            .ok_or_else(|| usage(format!("`{}` has no tensor `{}`", arguments.file.display(), parameter.name)))?;
        if view.shape != parameter.shape.as_slice() {
            let (found, wanted) = (view.shape, &parameter.shape);
            return Err(usage(format!("the tensor `{}` has the shape {found:?}, {wanted:?} is expected", parameter.name)));
        }
        tensors.push(TensorOut::from(view));
    }
    if tensors.is_empty() {
        return Err(usage(format!("every parameter is below `{}`: there is no head", arguments.within)));
    }
    write(&Disk, &arguments.output, &tensors, &backbone_metadata(&backbone)).map_err(unwritten)?;
    println!("{}: {} tensors", arguments.output.display(), tensors.len());
    Ok(Exit::Fine)
}

fn merge(arguments: &MergeArguments) -> Result<Exit, Failure> {
    let inputs = weight_files(&arguments.base).chain(weight_files(&arguments.adapters));
    require_apart(&[("-o", &arguments.output)], inputs).map_err(usage)?;
    let base = WeightSet::open(&arguments.base).map_err(usage)?;
    let adapters = WeightSet::open(&arguments.adapters).map_err(usage)?;
    require_backbone(&adapters, &[&base]).map_err(usage)?;
    let merged = lora::merge(&base, &adapters, &Disk, &arguments.output).map_err(|error| match error {
        LoraError::File(error) => (exit_of_weights(&error, Exit::Usage), error.to_string()),
        other => usage(other),
    })?;
    println!("{}: {merged} weights adapted", arguments.output.display());
    Ok(Exit::Fine)
}

fn mappings() -> Result<Exit, Failure> {
    let mappings = Mappings::library().map_err(fault)?;
    let mut text = String::new();
    for mapping in mappings.iter() {
        text += &format!("{:<32} {}\n", mapping.name, mapping.doc);
    }
    write_out(&text);
    Ok(Exit::Fine)
}
