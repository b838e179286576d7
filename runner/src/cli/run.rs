//! `sward run`: tensors in, tensors out, so that any other program can be compared with ours.

use super::Exit;
use super::fill::{Values, each_value};
use super::graph::{GraphOptions, Opened, open};
use super::outputs::{exit_of_weights, refuse_same, sources_on_disk, weight_files};
use crate::engines::{EngineChoice, engine};
use crate::parameters::write_tensors;
use crate::tensors::from_view;
use crate::weights::{Part, WeightSet};
use clap::Args;
use std::collections::BTreeMap;
use std::path::PathBuf;
use sward_core::check::Checked;
use sward_core::dim::Sizes;
use sward_core::lower::{LowerOptions, lower};
use sward_core::program::{Array, Program, Role, RunKey};
use sward_kernels::Tensor;
use sward_kernels::dfdx::gradients;
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
    let Opened { checked, mut sizes, sources } = match open(&arguments.file, &arguments.options) {
        Ok(opened) => opened,
        Err(exit) => return exit,
    };
    let weights = arguments.weights.iter().flat_map(|part| weight_files(&part.file));
    let inputs = sources_on_disk(&sources).into_iter().chain(weight_files(&arguments.inputs)).chain(weights);
    if let Err(exit) =
        refuse_same(&[("--outputs", &arguments.outputs)], inputs.chain(arguments.mapping.as_ref().map(PathBuf::from)))
    {
        return exit;
    }
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
    // dfdx differentiates by itself: it gets the program before our autodiff.
    let traced_output = arguments.gradients_of.as_ref().filter(|_| arguments.engine == EngineChoice::Dfdx);
    let program = match &arguments.gradients_of {
        Some(output) if traced_output.is_none() => {
            let wanted = GradientOptions { loss: Loss::Output(output.clone()), parameters: true, inputs: true };
            gradient_program(builder, &wanted).map_err(usage)?
        }
        _ => builder.finish(),
    };
    let mut values = held_values(arguments, checked, sizes, &program)?;
    values.extend(read_inputs(&program, &given, arguments)?);
    let results = match traced_output {
        Some(output) => run_on_tape(&program, &values, output, arguments)?,
        None => run_plan(&program, &values, arguments)?,
    };
    write_tensors(&arguments.outputs, &results).map_err(|error| (exit_of_weights(&error, Exit::Fault), error.to_string()))?;
    for (name, tensor) in &results {
        println!("{name} {}", tensor.tensor_type());
    }
    Ok(())
}

/// The tensors of all inputs, none of the file left over.
fn read_inputs(program: &Program, given: &WeightSet, arguments: &Arguments) -> Result<Vec<(String, Tensor)>, Failure> {
    let mut inputs: Vec<(String, Tensor)> = Vec::new();
    for argument in program.arguments.iter().filter(|argument| argument.role == Role::Input) {
        let wanted = program.type_of(argument.value);
        let view = given.get(&argument.name).ok_or_else(|| usage(missing_input(&argument.name, given)))?;
        if view.shape != wanted.shape.as_slice() {
            return Err(usage(format!(
                "the input `{}` has the shape {:?}, {:?} is expected",
                argument.name, view.shape, wanted.shape
            )));
        }
        inputs.push((argument.name.clone(), from_view(&view, wanted).map_err(usage)?));
    }
    if let Some(extra) = given.names().find(|name| !inputs.iter().any(|(own, _)| own == name)) {
        return Err(usage(format!("the tensor `{extra}` of {} is no input of the graph", arguments.inputs.display())));
    }
    Ok(inputs)
}

/// Runs a program on the engine that was chosen; gives its outputs.
fn run_plan(program: &Program, values: &[(String, Tensor)], arguments: &Arguments) -> Result<Vec<(String, Tensor)>, Failure> {
    let engine = engine(arguments.engine, arguments.threads).map_err(fault)?;
    let mut plan = engine.prepare(program).map_err(fault)?;
    plan.trap_nonfinite(arguments.trap_nonfinite);
    for (name, tensor) in values {
        plan.set(name, tensor).map_err(fault)?;
    }
    plan.run(RunKey { seed: arguments.seed, step: 0 }).map_err(fault)?;
    let read = |name: &str| plan.output(name).map(|tensor| (name.to_string(), tensor)).map_err(fault);
    program.outputs.iter().map(|output| read(&output.name)).collect()
}

/// Runs a forward program on dfdx's tape; gives its outputs and the gradients of the sum of one of them.
fn run_on_tape(
    program: &Program,
    values: &[(String, Tensor)],
    output: &str,
    arguments: &Arguments,
) -> Result<Vec<(String, Tensor)>, Failure> {
    if arguments.trap_nonfinite {
        return Err(usage(
            "--trap-nonfinite runs a program; with --engine dfdx, --gradients-of takes gradients from dfdx's tape",
        ));
    }
    let Some(own) = program.output(output) else {
        let known: Vec<&str> = program.outputs.iter().map(|own| own.name.as_str()).collect();
        return Err(usage(format!("no output `{output}` to take gradients of; the outputs are {}", known.join(", "))));
    };
    let given = values.iter().map(|(name, tensor)| (name.clone(), tensor.to_array())).collect();
    let weights = Array::filled(program.type_of(own.value), 1.0);
    let key = RunKey { seed: arguments.seed, step: 0 };
    let traced = gradients(program, &given, &BTreeMap::from([(output.to_string(), weights)]), key).map_err(fault)?;
    let mut results: Vec<(String, Tensor)> =
        program.outputs.iter().map(|own| (own.name.clone(), Tensor::from_array(&traced.outputs[&own.name]))).collect();
    for argument in &program.arguments {
        if let Some(gradient) = traced.gradients.get(&argument.name) {
            let prefix = if argument.role == Role::Input { "grad_in" } else { "grad" };
            results.push((format!("{prefix}.{}", argument.name), Tensor::from_array(gradient)));
        }
    }
    Ok(results)
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

/// A value for every parameter and buffer: from the checkpoints, else its start.
fn held_values(
    arguments: &Arguments,
    checked: &Checked,
    sizes: &Sizes,
    program: &Program,
) -> Result<Vec<(String, Tensor)>, Failure> {
    let from =
        Values { parts: &arguments.weights, mapping: arguments.mapping.as_deref(), keep: &arguments.keep, seed: arguments.seed };
    let mut values = Vec::new();
    each_value(checked, sizes, program, &from, |name, tensor| {
        values.push((name.to_string(), tensor));
        Ok(())
    })?;
    Ok(values)
}
