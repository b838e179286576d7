//! A graph compiled for a dfdx module: forward alone, and forward and back as two programs.

use std::sync::Arc;

use sward_core::check::Checked;
use sward_core::dim::Sizes;
use sward_core::lower::{LowerError, LowerOptions, lower};
use sward_core::program::{Argument, BuildError, Builder, Program, Role, RunKey, TensorType, ValueId, differentiate};
use sward_ops::passes::{PassError, PassOptions, optimize, optimize_forward};
use sward_ops::primitives::{AddAlgebra, EmitExt};
use sward_ops::training::{Halves, halves};

use crate::engine::{Engine, Plan, PrepareError, RunError};
use crate::tensor::Tensor;

/// The name of the argument that is the gradient of the result.
const GRADIENT: &str = "gradient";

/// Why a graph is no module, or a run of one failed.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum GraphModuleError {
    /// It cannot be lowered at these sizes.
    #[error(transparent)]
    Lower(#[from] LowerError),
    /// A gradient does not exist.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A fault of a pass.
    #[error(transparent)]
    Pass(#[from] PassError),
    /// The engine refuses the program.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The run failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// No such output.
    #[error("the graph has no output `{name}`; its outputs are {}", .known.join(", "))]
    Output {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// The output does not have dfdx's shape.
    #[error("the output `{name}` is {found}, which is not of the shape that the module's type says")]
    OutputShape {
        /// The output.
        name: String,
        /// What the graph gives.
        found: String,
    },
    /// Too few or too many inputs.
    #[error("the graph has {expected} inputs, {given} were given")]
    InputCount {
        /// How many it has.
        expected: usize,
        /// How many were given.
        given: usize,
    },
    /// An input of another shape.
    #[error("the input `{name}` is {expected}, the sizes {given} were given")]
    Input {
        /// The input.
        name: String,
        /// What the graph says.
        expected: String,
        /// What was given.
        given: String,
    },
    /// A parameter or state without a value.
    #[error("no value is given for `{name}`")]
    MissingValue {
        /// Its path.
        name: String,
    },
    /// A value for something that is not there.
    #[error("the graph has no parameter or state `{name}`")]
    UnknownValue {
        /// The path given.
        name: String,
    },
    /// A value of another type; sizes of parameters do not follow the inputs.
    #[error("`{name}` is {expected}, {given} was given")]
    Type {
        /// Its path.
        name: String,
        /// What is expected.
        expected: String,
        /// What was given.
        given: String,
    },
}

/// A graph for inputs of certain sizes.
pub(super) struct Compiled {
    graph: Arc<Checked>,
    sizes: Sizes,
    output: String,
    /// The inputs in the order of the file.
    pub(super) inputs: Vec<(String, TensorType)>,
    /// Parameters and state.
    pub(super) held: Vec<(String, Role, TensorType)>,
    /// The output's type.
    pub(super) result: TensorType,
    inference: Box<dyn Plan>,
    training: Option<Training>,
    engine: Arc<dyn Engine>,
}

/// A training step's two halves around the rest of a dfdx program.
struct Training {
    forward: Box<dyn Plan>,
    backward: Box<dyn Plan>,
    saved: Vec<String>,
}

/// Gradients of one way back.
pub(super) struct Found {
    /// By input; none for whole numbers and truth values.
    pub(super) inputs: Vec<Option<Tensor>>,
    /// In the order asked for.
    pub(super) parameters: Vec<Tensor>,
}

/// Lowers a graph with one output.
fn lowered(graph: &Checked, sizes: &Sizes, output: &str, training: bool) -> Result<(Program, u32), GraphModuleError> {
    let builder = lower(graph, sizes, &LowerOptions { training, ..LowerOptions::default() }, &AddAlgebra)?;
    let streams = builder.next_stream();
    let mut program = builder.finish();
    if program.output(output).is_none() {
        let known = program.outputs.iter().map(|own| own.name.clone()).collect();
        return Err(GraphModuleError::Output { name: output.to_string(), known });
    }
    program.outputs.retain(|own| own.name == output);
    Ok((program, streams))
}

/// Compiles a graph for inference; what training needs follows at the first forward run with a tape.
pub(super) fn compile(
    graph: &Arc<Checked>,
    engine: &Arc<dyn Engine>,
    sizes: &Sizes,
    output: &str,
) -> Result<Compiled, GraphModuleError> {
    let (program, _) = lowered(graph, sizes, output, false)?;
    let type_of = |argument: &Argument| program.type_of(argument.value).clone();
    let inputs =
        (program.arguments.iter().filter(|own| own.role == Role::Input)).map(|own| (own.name.clone(), type_of(own))).collect();
    let is_held = |own: &&Argument| matches!(own.role, Role::Parameter { .. } | Role::State);
    let held = program.arguments.iter().filter(is_held).map(|own| (own.name.clone(), own.role, type_of(own))).collect();
    let result = program.type_of(program.outputs[0].value).clone();
    let inference = engine.prepare(&optimize(program, &PassOptions::default())?)?;
    Ok(Compiled {
        graph: Arc::clone(graph),
        sizes: sizes.clone(),
        output: output.to_string(),
        inputs,
        held,
        result,
        inference,
        training: None,
        engine: Arc::clone(engine),
    })
}

/// The program of forward and back, cut where dfdx stands between them.
fn training_halves(graph: &Checked, sizes: &Sizes, output: &str) -> Result<Halves, GraphModuleError> {
    let options = PassOptions::default();
    let (mut forward, streams) = lowered(graph, sizes, output, true)?;
    optimize_forward(&mut forward, &options)?;
    let result = forward.outputs[0].value;
    let arguments: Vec<Argument> = forward.arguments.clone();
    let mut builder = Builder::from_program(forward, streams);
    let result_type = builder.type_of(result).clone();
    let seed = builder.argument(GRADIENT, Role::Input, result_type);
    let is_wanted = |own: &&Argument| matches!(own.role, Role::Input | Role::Parameter { trained: true });
    let wanted: Vec<&Argument> =
        arguments.iter().filter(is_wanted).filter(|own| builder.type_of(own.value).dtype.is_float()).collect();
    let values: Vec<ValueId> = wanted.iter().map(|own| own.value).collect();
    let gradients = differentiate(&mut builder, &[(result, seed)], &values, &AddAlgebra)?;
    for own in wanted {
        // What the result does not depend on has no gradient here, and zeros when it is asked for.
        if let Some(gradient) = gradients.of(own.value) {
            let dtype = builder.type_of(own.value).dtype;
            let gradient = builder.cast(gradient, dtype)?;
            builder.output(&gradient_name(&own.name), gradient);
        }
    }
    Ok(halves(&optimize(builder.finish(), &options)?, &[GRADIENT]))
}

fn gradient_name(argument: &str) -> String {
    format!("grad.{argument}")
}

/// Sets those of the values that the plan's program reads.
fn set_all<'a>(plan: &mut dyn Plan, values: impl IntoIterator<Item = (&'a str, &'a Tensor)>) -> Result<(), RunError> {
    for (name, value) in values {
        if plan.program().argument(name).is_some() {
            plan.set(name, value)?;
        }
    }
    Ok(())
}

fn named(values: &[(String, Tensor)]) -> impl Iterator<Item = (&str, &Tensor)> {
    values.iter().map(|(name, value)| (name.as_str(), value))
}

impl Compiled {
    fn training(&mut self) -> Result<&mut Training, GraphModuleError> {
        if self.training.is_none() {
            let Halves { first, second, saved } = training_halves(&self.graph, &self.sizes, &self.output)?;
            let (forward, backward) = (self.engine.prepare(&first)?, self.engine.prepare(&second)?);
            self.training = Some(Training { forward, backward, saved });
        }
        Ok(self.training.as_mut().expect("just made"))
    }

    /// The result, and with `keeps` what the way back needs.
    pub(super) fn forward(
        &mut self,
        given: &[(String, Tensor)],
        held: &[(String, Tensor)],
        key: RunKey,
        keeps: bool,
    ) -> Result<(Tensor, Vec<Tensor>), GraphModuleError> {
        let output = self.output.clone();
        let (plan, saved) = if keeps {
            let training = self.training()?;
            (&mut training.forward, training.saved.clone())
        } else {
            (&mut self.inference, Vec::new())
        };
        set_all(plan.as_mut(), named(given).chain(named(held)))?;
        plan.run(key)?;
        let saved = saved.iter().map(|name| plan.output(name)).collect::<Result<Vec<Tensor>, RunError>>()?;
        Ok((plan.output(&output)?, saved))
    }

    /// State as the last forward run of training left it.
    pub(super) fn updated_state(&mut self) -> Result<Vec<(String, Tensor)>, GraphModuleError> {
        let plan = &self.training()?.forward;
        let slots = plan.program().updates.iter().map(|update| update.slot);
        let names: Vec<String> = slots
            .filter_map(|slot| plan.program().arguments.iter().find(|own| own.value == slot))
            .map(|own| own.name.clone())
            .collect();
        Ok(names.into_iter().map(|name| plan.get(&name).map(|value| (name, value))).collect::<Result<_, RunError>>()?)
    }

    /// The gradients from that of the result.
    pub(super) fn backward(
        &mut self,
        gradient: Vec<f32>,
        given: &[(String, Tensor)],
        held: &[(String, Tensor)],
        saved: &[Tensor],
        key: RunKey,
        parameters: &[&str],
    ) -> Result<Found, GraphModuleError> {
        let gradient = Tensor::f32(&self.result.shape, gradient);
        let inputs = self.inputs.clone();
        let Training { backward, saved: names, .. } = self.training()?;
        let kept = names.iter().map(String::as_str).zip(saved);
        set_all(backward.as_mut(), named(given).chain(named(held)).chain(kept).chain([(GRADIENT, &gradient)]))?;
        backward.run(key)?;
        let read = |name: &str| {
            let name = gradient_name(name);
            if backward.program().output(&name).is_some() { backward.output(&name).map(Some) } else { Ok(None) }
        };
        let held_type = |name: &str| held.iter().find(|(own, _)| own == name).map(|(_, own)| own.tensor_type());
        let zeros = |name: &str| held_type(name).map_or_else(|| Tensor::f32(&[0], Vec::new()), |own| Tensor::zeros(&own));
        Ok(Found {
            inputs: inputs.iter().map(|(name, _)| read(name)).collect::<Result<_, RunError>>()?,
            parameters: (parameters.iter())
                .map(|name| Ok(read(name)?.unwrap_or_else(|| zeros(name))))
                .collect::<Result<_, RunError>>()?,
        })
    }
}
