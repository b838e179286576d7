//! `sward run`: tensors in, tensors out, so that any other program can be compared with ours.

use super::Exit;
use super::fill::{Values, fill};
use super::graph::{GraphOptions, Opened, open};
use crate::engines::{EngineChoice, engine};
use crate::rundir::Disk;
use crate::tensors::{from_view, to_out};
use crate::weights::{Part, WeightSet, write};
use clap::Args;
use indexmap::IndexMap;
use std::path::PathBuf;
use sward_core::check::Checked;
use sward_core::dim::Sizes;
use sward_core::lower::{LowerOptions, lower};
use sward_core::program::{Role, RunKey};
use sward_kernels::Tensor;
use sward_ops::primitives::AddAlgebra;
use sward_ops::training::{GradientOptions, Loss, gradient_program};

/// Arguments of `run`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  sward run graphs/fusion/film.ron --inputs inputs.safetensors --outputs outputs.safetensors --gradients-of features

Tensors are named as in the graph: inputs by the names of its inputs, weights by the paths of its parameters. Dimensions take their
sizes from the inputs. Without --weights, parameters start from --seed.")]
pub struct Arguments {
    /// The graph file
    file: String,
    /// Tensors for the graph's inputs
    #[arg(long, value_name = "FILE")]
    inputs: PathBuf,
    /// Where results are written
    #[arg(long, value_name = "FILE")]
    outputs: PathBuf,
    /// A checkpoint for its parameters, or for those of one node (`model.backbone=vit.safetensors`); repeatable. Every parameter must
    /// be there, and no tensor left over
    #[arg(long, value_name = "[PATH=]FILE")]
    weights: Vec<Part>,
    /// How the checkpoints' names become the graph's: a name of `sward weights mappings` or a file; the one that fits best if not said
    #[arg(long, value_name = "NAME", requires = "weights")]
    mapping: Option<String>,
    /// Parameters that keep their start where no checkpoint has them; `*` stands for any characters
    #[arg(long, value_name = "PATTERN", requires = "weights")]
    keep: Vec<String>,
    /// Also give the gradients of the sum of this output, as `grad.<parameter>` and `grad_in.<input>`
    #[arg(long, value_name = "OUTPUT")]
    gradients_of: Option<String>,
    /// Run as in training: dropout drops, batch norm uses the batch's statistics
    #[arg(long)]
    training: bool,
    /// The seed of initial values and random ops
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// What runs the graph
    #[arg(long, value_enum, default_value = "cpu")]
    engine: EngineChoice,
    /// Threads of the CPU engine; 0 takes one for each processor
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Stop at the first node whose result is not finite, and name it
    #[arg(long)]
    trap_nonfinite: bool,
    #[command(flatten)]
    options: GraphOptions,
}

/// Runs `run`.
pub fn run(arguments: &Arguments) -> Exit {
    let Opened { checked, mut sizes, .. } = match open(&arguments.file, &arguments.options) {
        Ok(opened) => opened,
        Err(exit) => return exit,
    };
    match go(arguments, &checked, &mut sizes) {
        Ok(()) => Exit::Fine,
        Err((exit, message)) => {
            eprintln!("error: {message}");
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

fn go(arguments: &Arguments, checked: &Checked, sizes: &mut Sizes) -> Result<(), Failure> {
    let given = WeightSet::open(&arguments.inputs).map_err(usage)?;
    sizes_from_inputs(checked, &given, sizes).map_err(usage)?;
    let options = LowerOptions { training: arguments.training, ..LowerOptions::default() };
    let builder = lower(checked, sizes, &options, &AddAlgebra).map_err(usage)?;
    let program = match &arguments.gradients_of {
        Some(output) => {
            let wanted = GradientOptions { loss: Loss::Output(output.clone()), parameters: true, inputs: true };
            gradient_program(builder, &wanted).map_err(usage)?
        }
        None => builder.finish(),
    };
    let engine = engine(arguments.engine, arguments.threads).map_err(fault)?;
    let mut plan = engine.prepare(&program).map_err(fault)?;
    plan.trap_nonfinite(arguments.trap_nonfinite);
    let values =
        Values { parts: &arguments.weights, mapping: arguments.mapping.as_deref(), keep: &arguments.keep, seed: arguments.seed };
    fill(plan.as_mut(), checked, sizes, &program, &values)?;
    let mut expected = Vec::new();
    for argument in program.arguments.iter().filter(|argument| argument.role == Role::Input) {
        let wanted = program.type_of(argument.value);
        let view = given.get(&argument.name).ok_or_else(|| usage(missing_input(&argument.name, &given)))?;
        if view.shape != wanted.shape.as_slice() {
            return Err(usage(format!(
                "the input `{}` has the shape {:?}, {:?} is expected",
                argument.name, view.shape, wanted.shape
            )));
        }
        plan.set(&argument.name, &from_view(&view, wanted).map_err(usage)?).map_err(fault)?;
        expected.push(argument.name.as_str());
    }
    if let Some(extra) = given.names().find(|name| !expected.contains(name)) {
        return Err(usage(format!("the tensor `{extra}` of {} is no input of the graph", arguments.inputs.display())));
    }
    plan.run(RunKey { seed: arguments.seed, step: 0 }).map_err(fault)?;
    let mut results: Vec<(String, Tensor)> = Vec::new();
    for output in &program.outputs {
        results.push((output.name.clone(), plan.output(&output.name).map_err(fault)?));
    }
    let tensors: Vec<_> = results.iter().map(|(name, tensor)| to_out(name, tensor)).collect();
    write(&Disk, &arguments.outputs, &tensors, &IndexMap::new()).map_err(fault)?;
    for (name, tensor) in &results {
        println!("{name} {}", tensor.tensor_type());
    }
    Ok(())
}

fn missing_input(name: &str, given: &WeightSet) -> String {
    let names: Vec<&str> = given.names().collect();
    format!("there is no tensor for the input `{name}`; the file has {}", names.join(", "))
}

/// Takes the sizes of dimensions from the shapes of the tensors given.
fn sizes_from_inputs(checked: &Checked, given: &WeightSet, sizes: &mut Sizes) -> Result<(), String> {
    for input in checked.inputs() {
        let Some(view) = given.get(&input.name) else { return Err(missing_input(&input.name, given)) };
        if view.shape.len() != input.tensor_type.rank() {
            return Err(format!(
                "the input `{}` has {} axes, {} are expected: {}",
                input.name,
                view.shape.len(),
                input.tensor_type.rank(),
                input.tensor_type
            ));
        }
        for (dim, size) in input.tensor_type.shape.iter().zip(view.shape) {
            if let Some(name) = dim.as_name()
                && let Some(known) = sizes.insert(name.as_str(), *size as i64)
                && known != *size as i64
            {
                return Err(format!("`{name}` is {known} elsewhere and {size} in the input `{}`", input.name));
            }
        }
    }
    Ok(())
}
