//! Lowering: from a checked graph and sizes to a program.

use crate::check::{Checked, NodeKind, Source};
use crate::dim::{Dim, DimError, Sizes};
use crate::op::{LowerCall, Mode, ParameterKind};
use crate::program::{Algebra, BuildError, Builder, DType, Origin, Program, Role, TensorType, ValueId};
use smallvec::SmallVec;

/// What a lowered program is for.
#[derive(Clone, Debug, Default)]
pub struct LowerOptions {
    /// Dropout drops, batch norm uses and updates the statistics of the batch.
    pub training: bool,
    /// Dropout drops although the program is not for training: each run is a sample of the graph (Gal and Ghahramani, "Dropout as a Bayesian
    /// approximation", 2016).
    pub drops: bool,
    /// The program may have at most this many elements in one tensor.
    pub max_elements: Option<usize>,
}

/// Why a checked graph cannot be lowered at the sizes given.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum LowerError {
    /// Dimensions without a size.
    #[error("no size is given for {}; say for example --dim {}=8", .names.join(", "), .names[0])]
    MissingSize {
        /// Their names.
        names: Vec<String>,
    },
    /// A size that breaks an obligation of the graph.
    #[error("{place}: {obligation} is required here, and {found}")]
    Obligation {
        /// Where the graph demands it.
        place: String,
        /// The obligation.
        obligation: String,
        /// The sizes that break it.
        found: String,
    },
    /// A tensor without elements or of a negative size.
    #[error("{place}: `{path}` would have the shape [{shape}]: the sizes are too small for it")]
    TooSmall {
        /// The node's place.
        place: String,
        /// The node.
        path: String,
        /// The sizes.
        shape: String,
    },
    /// A tensor too large to address.
    #[error("{place}: `{path}` would have the shape [{shape}]: too many elements")]
    TooLarge {
        /// The node's place.
        place: String,
        /// The node.
        path: String,
        /// The sizes.
        shape: String,
    },
    /// A size that cannot be evaluated.
    #[error("{place}: {error}")]
    Size {
        /// The node's place.
        place: String,
        /// Why not.
        error: DimError,
    },
    /// An op refused its sizes.
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// Lowers a graph: every input, parameter and buffer becomes an argument, every output an output.
///
/// # Errors
/// When sizes are missing, break an obligation or are too small, or an op cannot carry them.
pub fn lower(checked: &Checked, sizes: &Sizes, options: &LowerOptions, algebra: &dyn Algebra) -> Result<Builder, LowerError> {
    let missing: Vec<String> = checked.dimensions().into_iter().filter(|name| sizes.get(name).is_none()).collect();
    if !missing.is_empty() {
        return Err(LowerError::MissingSize { names: missing });
    }
    check_obligations(checked, sizes)?;
    let mut lowering = Lowering { checked, sizes, options, algebra, builder: Builder::new(), parameters: Vec::new() };
    lowering.run()?;
    Ok(lowering.builder)
}

/// As [`lower`], finished: for inference.
///
/// # Errors
/// As [`lower`].
pub fn lower_to_program(
    checked: &Checked,
    sizes: &Sizes,
    options: &LowerOptions,
    algebra: &dyn Algebra,
) -> Result<Program, LowerError> {
    Ok(lower(checked, sizes, options, algebra)?.finish())
}

fn check_obligations(checked: &Checked, sizes: &Sizes) -> Result<(), LowerError> {
    for (obligation, span) in checked.obligations() {
        let place = || checked.place(*span);
        let evaluate = |dim: &Dim| dim.evaluate(sizes).map_err(|error| LowerError::Size { place: place(), error });
        let (dividend, divisor) = (evaluate(&obligation.dividend)?, evaluate(&obligation.divisor)?);
        if divisor == 0 || dividend % divisor != 0 {
            let found = if sizes.is_empty() {
                format!("{dividend} % {divisor} is not 0")
            } else {
                format!("it does not hold for {sizes}")
            };
            return Err(LowerError::Obligation { place: place(), obligation: obligation.to_string(), found });
        }
    }
    Ok(())
}

struct Lowering<'a> {
    checked: &'a Checked,
    sizes: &'a Sizes,
    options: &'a LowerOptions,
    algebra: &'a dyn Algebra,
    builder: Builder,
    parameters: Vec<Option<ValueId>>,
}

impl Lowering<'_> {
    fn run(&mut self) -> Result<(), LowerError> {
        let graph = self.checked.graph();
        self.parameters = vec![None; self.checked.parameters().len()];
        let mut values: Vec<SmallVec<[ValueId; 2]>> = Vec::with_capacity(graph.node_count());
        for node in graph.node_weights() {
            let place = Some(self.checked.place(node.span));
            self.builder.set_origin(Origin { path: node.path.to_string(), place });
            let mut types = SmallVec::<[TensorType; 2]>::new();
            for output in &node.outputs {
                types.push(self.concrete(output.dtype, &output.shape, node)?);
            }
            let results = match &node.kind {
                NodeKind::Input { .. } => {
                    SmallVec::from_elem(self.builder.argument(&node.path, Role::Input, types[0].clone()), 1)
                }
                NodeKind::Op { op, fields, .. } => {
                    let mut inputs: SmallVec<[SmallVec<[ValueId; 1]>; 2]> = SmallVec::new();
                    for port in &node.inputs {
                        let mut sources = SmallVec::new();
                        for source in port {
                            sources.push(match source {
                                Source::Node { node, output } => values[node.index()][*output as usize],
                                Source::Number(number) => self.number(*number)?,
                            });
                        }
                        inputs.push(sources);
                    }
                    let mut parameters = SmallVec::<[(&'static str, ValueId); 2]>::new();
                    for (name, index) in &node.parameters {
                        parameters.push((*name, self.parameter(*index, node)?));
                    }
                    let mode = Mode { training: self.options.training, drops: self.options.training || self.options.drops };
                    let call = LowerCall::new(op.schema(), fields, self.sizes, &inputs, &parameters, &types, mode);
                    let results = op.lower(&call, &mut self.builder)?;
                    for (result, expected) in results.iter().zip(&types) {
                        let found = self.builder.type_of(*result);
                        if found.shape != expected.shape || found.dtype != expected.dtype {
                            let reason = format!("{} lowers to {found} where its rule gives {expected}", op.schema().name);
                            return Err(self.builder.refuse(reason).into());
                        }
                    }
                    results
                }
            };
            values.push(results);
        }
        for output in self.checked.outputs() {
            let value = match output.source {
                Source::Node { node, output } => values[node.index()][output as usize],
                Source::Number(number) => self.number(number)?,
            };
            self.builder.output(&output.name, value);
        }
        Ok(())
    }

    fn number(&mut self, number: f64) -> Result<ValueId, LowerError> {
        Ok(self.algebra.fill(&mut self.builder, &TensorType::f32(&[]), number)?)
    }

    fn parameter(&mut self, index: usize, node: &crate::check::Node) -> Result<ValueId, LowerError> {
        if let Some(value) = self.parameters[index] {
            return Ok(value);
        }
        let (name, parameter) = self.checked.parameters().get_index(index).expect("an index of the map");
        let tensor_type = self.concrete(parameter.spec.dtype, &parameter.spec.shape, node)?;
        let role = match parameter.spec.kind {
            ParameterKind::Trained => Role::Parameter { trained: parameter.trained },
            ParameterKind::Buffer => Role::State,
        };
        let value = self.builder.argument(name, role, tensor_type);
        self.parameters[index] = Some(value);
        Ok(value)
    }

    fn concrete(&self, dtype: DType, shape: &[Dim], node: &crate::check::Node) -> Result<TensorType, LowerError> {
        let place = || self.checked.place(node.span);
        let mut sizes = SmallVec::<[i64; 6]>::new();
        for dim in shape {
            sizes.push(dim.evaluate(self.sizes).map_err(|error| LowerError::Size { place: place(), error })?);
        }
        let text = || sizes.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
        if sizes.iter().any(|size| *size < 0) {
            return Err(LowerError::TooSmall { place: place(), path: node.path.to_string(), shape: text() });
        }
        let limit = self.options.max_elements.unwrap_or(1 << 40) as u128;
        let elements = sizes.iter().fold(1u128, |count, size| count.saturating_mul(*size as u128));
        if elements > limit {
            return Err(LowerError::TooLarge { place: place(), path: node.path.to_string(), shape: text() });
        }
        let sizes: SmallVec<[usize; 6]> = sizes.iter().map(|size| *size as usize).collect();
        Ok(TensorType::new(dtype, &sizes))
    }
}
