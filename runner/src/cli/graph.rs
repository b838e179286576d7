//! What all verbs on graph files share: search roots, overrides, and the way diagnostics are printed.

use super::Exit;
use crate::experiment::{Joined, join, library_session};
use clap::{Args, ValueEnum};
use std::io::IsTerminal;
use std::path::PathBuf;
use sward_core::check::{Checked, Overrides, Session};
use sward_core::diagnostic::render;
use sward_core::dim::{Dim, Sizes};
use sward_core::language::GraphFile;
use sward_core::op::{SymbolicType, display_shape};
use sward_core::program::DType;
use sward_core::source::Sources;

/// Options that change a graph from outside.
#[derive(Clone, Debug, Default, Args)]
pub struct GraphOptions {
    /// Set a param or an op's field: `hidden=64`, `fusion.hidden=64`, `blocks.*.drop.p=0.1`
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub sets: Vec<String>,
    /// Place another module at a Use node: `fusion=fusion/film.ron`
    #[arg(long = "swap", value_name = "NODE=FILE")]
    pub swaps: Vec<String>,
    /// Give a size to a dimension of the inputs: `batch=8`
    #[arg(long = "dim", value_name = "NAME=SIZE")]
    pub dims: Vec<String>,
    #[command(flatten)]
    pub roots: RootOptions,
}

/// Where graph files are looked for.
#[derive(Clone, Debug, Default, Args)]
pub struct RootOptions {
    /// A folder in which graph files are looked for, before the built-in library
    #[arg(long = "root", value_name = "FOLDER")]
    pub roots: Vec<PathBuf>,
}

/// How diagnostics are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Format {
    /// For people, on standard error
    Text,
    /// One JSON object a line
    Json,
    /// GitHub workflow commands
    Github,
    /// SARIF 2.1.0
    Sarif,
}

/// How a result is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum TextOrJson {
    /// For people
    Text,
    /// One JSON object
    Json,
}

/// A session with the catalogue, the search roots and the built-in library.
///
/// # Errors
/// A search root that is no folder; the reason is printed.
pub fn session(options: &RootOptions) -> Result<Session<'static>, Exit> {
    let mut session = library_session();
    for folder in &options.roots {
        if let Err(error) = session.roots_mut().add_search_folder(folder) {
            eprintln!("error: --root {}: {error}", folder.display());
            return Err(Exit::Usage);
        }
    }
    Ok(session)
}

/// What a file holds.
pub enum Subject {
    /// A graph.
    Module(Box<Checked>),
    /// An experiment, whose graph goes from fields to losses and predictions.
    Experiment(Box<Joined>),
}

impl Subject {
    /// Its graph.
    pub fn checked(&self) -> &Checked {
        match self {
            Subject::Module(checked) => checked,
            Subject::Experiment(joined) => &joined.checked,
        }
    }
}

/// A graph that checks, with what one needs to go on with it.
pub struct Opened<T = Checked> {
    /// The graph.
    pub checked: T,
    /// The sizes that `--dim` gives.
    pub sizes: Sizes,
    /// The texts that it was read from.
    pub sources: Sources,
}

/// Checks one file for a verb that goes on with it. Warnings are left to `check`: such a verb says only why it cannot go on. Dimensions
/// stay symbolic; `--dim` only fills [`Opened::sizes`].
///
/// # Errors
/// The exit code, after the diagnostics were printed.
pub fn open(file: &str, options: &GraphOptions) -> Result<Opened, Exit> {
    let opened = open_as(file, options, false)?;
    own_dimensions(file, &opened.checked, &opened.sizes)?;
    Ok(opened)
}

/// As [`open`], with all of an experiment.
///
/// # Errors
/// The exit code, after the diagnostics were printed.
pub fn open_subject(file: &str, options: &GraphOptions) -> Result<Opened<Subject>, Exit> {
    let opened = open_any(file, options, false)?;
    own_dimensions(file, opened.checked.checked(), &opened.sizes)?;
    Ok(opened)
}

/// Gives photographs their three channels, where a graph leaves them open and no size says otherwise.
pub fn fill_channels(checked: &Checked, sizes: &mut Sizes) {
    if checked.dimensions().iter().any(|name| name == "channels") && sizes.get("channels").is_none() {
        sizes.insert("channels", 3);
    }
}

/// Every size is of a dimension that the graph leaves open.
fn own_dimensions(file: &str, checked: &Checked, sizes: &Sizes) -> Result<(), Exit> {
    let dimensions = checked.dimensions();
    if let Some((unknown, _)) = sizes.iter().find(|(name, _)| !dimensions.iter().any(|own| own == name.as_str())) {
        let known = dimensions.join(", ");
        eprintln!("error: --dim {unknown}: {file} has no open dimension of this name; its dimensions are {known}");
        return Err(Exit::Usage);
    }
    Ok(())
}

/// As [`open`]. With `with_dims`, `--dim` fixes dimensions of the graph itself; else nobody has looked whether it has them.
///
/// # Errors
/// The exit code, after the diagnostics were printed.
pub fn open_as(file: &str, options: &GraphOptions, with_dims: bool) -> Result<Opened, Exit> {
    let Opened { checked, sizes, sources } = open_any(file, options, with_dims)?;
    let checked = match checked {
        Subject::Module(checked) => *checked,
        Subject::Experiment(joined) => joined.checked,
    };
    Ok(Opened { checked, sizes, sources })
}

fn open_any(file: &str, options: &GraphOptions, with_dims: bool) -> Result<Opened<Subject>, Exit> {
    let mut session = session(&options.roots)?;
    let overrides = overrides(&mut session, options, with_dims)?;
    let sizes = sizes(&mut session, &options.dims)?;
    let checked = match session.open(file) {
        Some((id, graph_file)) => match &*graph_file {
            // An experiment is one graph, from fields to losses and predictions.
            GraphFile::Other { kind, tree } if kind.value == "Experiment" => {
                join(&mut session, id, tree, &overrides).map(|joined| Subject::Experiment(Box::new(joined)))
            }
            _ => session.check_file(id, &graph_file, &overrides).map(|checked| Subject::Module(Box::new(checked))),
        },
        None => {
            print(&session, Format::Text);
            return Err(Exit::Usage);
        }
    };
    let Some(checked) = checked else {
        print(&session, Format::Text);
        if !session.diagnostics.has_errors() {
            eprintln!("error: {file} holds no Module and no Experiment; this verb needs one");
            return Err(Exit::Usage);
        }
        return Err(Exit::Findings);
    };
    Ok(Opened { checked, sizes, sources: session.sources })
}

/// The word that a graph file has for a dtype.
pub fn dtype_word(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "F32",
        DType::I64 => "I64",
        DType::Bool => "Bool",
        DType::BF16 => "BF16",
    }
}

/// A type as a graph file states it, on one line.
pub fn type_text(tensor_type: &SymbolicType) -> String {
    format!("{} {}", dtype_word(tensor_type.dtype), display_shape(&tensor_type.shape))
}

/// A size with its digits in groups of three.
pub fn grouped(dim: &Dim) -> String {
    let Some(number) = dim.as_constant() else { return dim.to_string() };
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0 { format!("-{text}") } else { text }
}

/// Reads the overrides of a command line. With `with_dims`, `--dim` fixes dimensions of the graph itself.
///
/// # Errors
/// The exit code, after the reasons were printed.
pub fn overrides(session: &mut Session<'_>, options: &GraphOptions, with_dims: bool) -> Result<Overrides, Exit> {
    let dims = if with_dims { options.dims.as_slice() } else { &[] };
    match session.overrides(&options.sets, &options.swaps, dims) {
        Some(overrides) => Ok(overrides),
        None => {
            print(session, Format::Text);
            Err(Exit::Usage)
        }
    }
}

fn sizes(session: &mut Session<'_>, dims: &[String]) -> Result<Sizes, Exit> {
    match session.overrides(&[], &[], dims) {
        Some(overrides) => {
            let mut sizes = Sizes::new();
            for dim in overrides.dims {
                sizes.insert(dim.name.as_str(), dim.size);
            }
            Ok(sizes)
        }
        None => {
            print(session, Format::Text);
            Err(Exit::Usage)
        }
    }
}

/// Prints what a session found: for people on standard error, for programs on standard output.
pub fn print(session: &Session<'_>, format: Format) {
    let (sources, diagnostics) = (&session.sources, &session.diagnostics);
    match format {
        Format::Text => {
            let coloured = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            eprint!("{}", render::text(sources, diagnostics, coloured));
        }
        Format::Json => write_out(&render::json(sources, diagnostics)),
        Format::Github => write_out(&render::github(sources, diagnostics)),
        Format::Sarif => write_out(&render::sarif(sources, diagnostics)),
    }
}

/// Writes a text to standard output. See [`crate::streams`] for what happens where that fails.
pub fn write_out(text: &str) {
    print!("{text}");
}
