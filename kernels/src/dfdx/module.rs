//! A graph as a dfdx module.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dfdx::nn::modules::NonMutableModule;
use dfdx::nn::tensor_collection::{ModuleVisitor, TensorCollection, TensorOptions};
use dfdx::prelude::*;
use sward_core::check::Checked;
use sward_core::dim::Sizes;
use sward_core::program::{DType, Role, RunKey, TensorType};

use super::compiled::{Compiled, GraphModuleError, compile};
use crate::engine::Engine;
use crate::tensor::{Data, Tensor as Dense};

/// How many numbers all trained parameters have together: the one size of the tensor that holds them. dfdx builds tensors of a collection without knowing a
/// graph, and then it is 0.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct ParameterCount(usize);

impl Dim for ParameterCount {
    fn size(&self) -> usize {
        self.0
    }

    fn from_size(size: usize) -> Option<ParameterCount> {
        Some(ParameterCount(size))
    }
}

impl ConstDim for ParameterCount {
    const SIZE: usize = 0;
}

/// Where a trained parameter lies in the tensor of all.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Place {
    name: String,
    shape: Vec<usize>,
    start: usize,
}

impl Place {
    fn end(&self) -> usize {
        self.start + self.shape.iter().product::<usize>()
    }
}

/// Plans by the shapes of the inputs.
type Plans = Vec<(Vec<Vec<usize>>, Arc<Mutex<Compiled>>)>;

/// A compiled graph that dfdx knows as a module: input tensors of f32 in, one output of the shape `O` out. See the [module's page](super) for how parameters, state and tapes are
/// treated.
///
/// `O` is dfdx's shape of the output, for example `(usize, usize)` or `(usize, Const<10>)`. Inputs of graphs that are whole numbers or truth values are given as f32 numbers.
/// A graph of several inputs takes a tuple of two or three tensors, in the order of its file.
pub struct GraphModule<O> {
    graph: Arc<Checked>,
    engine: Arc<dyn Engine>,
    sizes: Sizes,
    output: String,
    parameters: Tensor<(ParameterCount,), f32, Cpu>,
    places: Vec<Place>,
    /// Frozen parameters and state.
    held: Arc<Mutex<BTreeMap<String, Dense>>>,
    plans: Mutex<Plans>,
    seed: u64,
    steps: AtomicU64,
    shape: PhantomData<O>,
}

impl<O> fmt::Debug for GraphModule<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GraphModule({}, {} parameters)", self.graph.name(), self.parameters.shape().num_elements())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind these locks is replaced as a whole: a panic elsewhere leaves nothing half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<O: Shape> GraphModule<O> {
    /// A module of a graph's output. `sizes` are example sizes for all dimensions: those that parameters depend on stay, the others follow the inputs. `values` give every
    /// parameter and state its start; `engine` runs it.
    ///
    /// # Errors
    /// Where the graph cannot be compiled at these sizes, has no such output or one of another rank than `O`, or a value is missing or unknown.
    pub fn new(
        graph: Arc<Checked>,
        engine: Arc<dyn Engine>,
        sizes: &Sizes,
        output: &str,
        values: impl IntoIterator<Item = (String, Dense)>,
    ) -> Result<GraphModule<O>, GraphModuleError> {
        let compiled = compile(&graph, &engine, sizes, output)?;
        shape_of::<O>(output, &compiled.result)?;
        let mut values: BTreeMap<String, Dense> = values.into_iter().collect();
        let (mut places, mut numbers, mut held) = (Vec::new(), Vec::new(), BTreeMap::new());
        for (name, role, tensor_type) in &compiled.held {
            let value = values.remove(name).ok_or_else(|| GraphModuleError::MissingValue { name: name.clone() })?;
            expect_type(name, &value.tensor_type(), tensor_type)?;
            match (role, value.as_f32()) {
                (Role::Parameter { trained: true }, Some(own)) => {
                    places.push(Place { name: name.clone(), shape: tensor_type.shape.to_vec(), start: numbers.len() });
                    numbers.extend_from_slice(own);
                }
                _ => _ = held.insert(name.clone(), value),
            }
        }
        if let Some(name) = values.into_keys().next() {
            return Err(GraphModuleError::UnknownValue { name });
        }
        let count = numbers.len();
        let parameters = Cpu::default().tensor_from_vec(numbers, (ParameterCount(count),));
        let key = compiled.inputs.iter().map(|(_, tensor_type)| tensor_type.shape.to_vec()).collect();
        Ok(GraphModule {
            graph,
            engine,
            sizes: sizes.clone(),
            output: output.to_string(),
            parameters,
            places,
            held: Arc::new(Mutex::new(held)),
            plans: Mutex::new(vec![(key, Arc::new(Mutex::new(compiled)))]),
            seed: 42,
            steps: AtomicU64::new(0),
            shape: PhantomData,
        })
    }

    /// The same with another seed of random ops (dropout).
    pub fn with_seed(self, seed: u64) -> GraphModule<O> {
        GraphModule { seed, ..self }
    }

    /// The trained parameters' paths, in the order in which they lie in the collection's tensor.
    pub fn parameter_names(&self) -> impl Iterator<Item = &str> {
        self.places.iter().map(|place| place.name.as_str())
    }

    /// All parameters and state by their paths, as they are now.
    pub fn parameters(&self) -> BTreeMap<String, Dense> {
        let numbers = elements(&self.parameters);
        let mut all = lock(&self.held).clone();
        for place in &self.places {
            all.insert(place.name.clone(), Dense::f32(&place.shape, numbers[place.start..place.end()].to_vec()));
        }
        all
    }

    /// Sets a parameter or state.
    ///
    /// # Errors
    /// When there is none of that path, or of another type.
    pub fn set_parameter(&mut self, name: &str, value: &Dense) -> Result<(), GraphModuleError> {
        let Some(place) = self.places.iter().find(|place| place.name == name) else {
            let mut held = lock(&self.held);
            let own = held.get_mut(name).ok_or_else(|| GraphModuleError::UnknownValue { name: name.to_string() })?;
            expect_type(name, &value.tensor_type(), &own.tensor_type())?;
            *own = value.clone();
            return Ok(());
        };
        expect_type(name, &value.tensor_type(), &TensorType::f32(&place.shape))?;
        let mut numbers = elements(&self.parameters);
        numbers[place.start..place.end()].copy_from_slice(value.as_f32().expect("its type was checked"));
        self.parameters.copy_from(&numbers);
        Ok(())
    }

    /// The plans for inputs of these shapes.
    fn compiled(&self, shapes: Vec<Vec<usize>>) -> Result<Arc<Mutex<Compiled>>, GraphModuleError> {
        let mut plans = lock(&self.plans);
        if let Some((_, plan)) = plans.iter().find(|(own, _)| *own == shapes) {
            return Ok(Arc::clone(plan));
        }
        let mut sizes = self.sizes.clone();
        for (input, shape) in self.graph.inputs().iter().zip(&shapes) {
            if input.tensor_type.rank() != shape.len() {
                let (expected, given) = (input.tensor_type.to_string(), format!("{shape:?}"));
                return Err(GraphModuleError::Input { name: input.name.to_string(), expected, given });
            }
            for (dim, size) in input.tensor_type.shape.iter().zip(shape) {
                if let Some(name) = dim.as_name() {
                    sizes.insert(name.as_str(), *size as i64);
                }
            }
        }
        let compiled = compile(&self.graph, &self.engine, &sizes, &self.output)?;
        for ((name, tensor_type), shape) in compiled.inputs.iter().zip(&shapes) {
            if tensor_type.shape.as_slice() != shape.as_slice() {
                let (expected, given) = (tensor_type.to_string(), format!("{shape:?}"));
                return Err(GraphModuleError::Input { name: name.clone(), expected, given });
            }
        }
        for (name, _, tensor_type) in &compiled.held {
            let known = self.parameters_type(name);
            expect_type(name, tensor_type, &known.ok_or_else(|| GraphModuleError::MissingValue { name: name.clone() })?)?;
        }
        let plan = Arc::new(Mutex::new(compiled));
        plans.push((shapes, Arc::clone(&plan)));
        Ok(plan)
    }

    fn parameters_type(&self, name: &str) -> Option<TensorType> {
        let place = self.places.iter().find(|place| place.name == name);
        place.map(|place| TensorType::f32(&place.shape)).or_else(|| lock(&self.held).get(name).map(Dense::tensor_type))
    }

    /// The arguments that the module holds: trained parameters from dfdx's tensor, the rest.
    fn held_values(&self) -> Vec<(String, Dense)> {
        self.parameters().into_iter().collect()
    }

    /// Runs the graph forward; with `keeps_tape` as in training, and then also gives what the way back needs.
    fn run(&self, inputs: Vec<Dense>, keeps_tape: bool) -> Result<(Dense, Option<Back>), GraphModuleError> {
        if inputs.len() != self.graph.inputs().len() {
            return Err(GraphModuleError::InputCount { expected: self.graph.inputs().len(), given: inputs.len() });
        }
        let shared = self.compiled(inputs.iter().map(|input| input.shape().to_vec()).collect())?;
        let mut compiled = lock(&shared);
        let given: Vec<(String, Dense)> = (compiled.inputs.iter().zip(inputs))
            .map(|((name, tensor_type), input)| (name.clone(), with_dtype(input, tensor_type.dtype)))
            .collect();
        let held = self.held_values();
        let step = if keeps_tape { self.steps.fetch_add(1, Ordering::Relaxed) } else { 0 };
        let key = RunKey { seed: self.seed, step };
        let (result, saved) = compiled.forward(&given, &held, key, keeps_tape)?;
        if !keeps_tape {
            return Ok((result, None));
        }
        lock(&self.held).extend(compiled.updated_state()?);
        drop(compiled);
        Ok((result, Some(Back { shared, given, held, saved, key, places: self.places.clone() })))
    }
}

/// What the way back needs: it outlives the call that went forward.
struct Back {
    shared: Arc<Mutex<Compiled>>,
    given: Vec<(String, Dense)>,
    held: Vec<(String, Dense)>,
    saved: Vec<Dense>,
    key: RunKey,
    places: Vec<Place>,
}

impl Back {
    /// The gradients in the inputs (none for whole numbers) and in the tensor of all parameters.
    fn run(self, gradient: Vec<f32>, parameters: &mut [f32]) -> Result<Vec<Option<Dense>>, GraphModuleError> {
        let mut compiled = lock(&self.shared);
        let names: Vec<&str> = self.places.iter().map(|place| place.name.as_str()).collect();
        let found = compiled.backward(gradient, &self.given, &self.held, &self.saved, self.key, &names)?;
        for (place, own) in self.places.iter().zip(found.parameters) {
            for (sum, number) in parameters[place.start..place.end()].iter_mut().zip(own.as_f32().unwrap_or_default()) {
                *sum += number;
            }
        }
        Ok(found.inputs)
    }
}

fn expect_type(name: &str, given: &TensorType, expected: &TensorType) -> Result<(), GraphModuleError> {
    if given == expected {
        return Ok(());
    }
    Err(GraphModuleError::Type { name: name.to_string(), expected: expected.to_string(), given: given.to_string() })
}

/// dfdx's shape of an output.
fn shape_of<O: Shape>(output: &str, tensor_type: &TensorType) -> Result<O, GraphModuleError> {
    let refused = || GraphModuleError::OutputShape { name: output.to_string(), found: tensor_type.to_string() };
    if O::NUM_DIMS != tensor_type.rank() || tensor_type.dtype != DType::F32 {
        return Err(refused());
    }
    let mut sizes = O::Concrete::default();
    tensor_type.shape.iter().enumerate().for_each(|(axis, size)| sizes[axis] = *size);
    O::from_concrete(&sizes).ok_or_else(refused)
}

fn with_dtype(tensor: Dense, dtype: DType) -> Dense {
    let numbers = tensor.as_f32().unwrap_or_default();
    match dtype {
        DType::F32 | DType::BF16 => tensor,
        DType::I64 => Dense::new(tensor.shape(), Data::I64(numbers.iter().map(|number| *number as i64).collect())),
        DType::Bool => Dense::new(tensor.shape(), Data::Bool(numbers.iter().map(|number| u8::from(*number != 0.0)).collect())),
    }
}

/// A tensor as the engines have it. The elements are contiguous.
fn dense<S: Shape>(tensor: &Tensor<S, f32, Cpu>) -> Dense {
    let shape: Vec<usize> = tensor.shape().concrete().into();
    Dense::f32(&shape, elements(tensor))
}

/// The elements of a tensor; dfdx walks at least one of any.
fn elements<S: Shape>(tensor: &Tensor<S, f32, Cpu>) -> Vec<f32> {
    if tensor.shape().num_elements() == 0 { Vec::new() } else { tensor.as_vec() }
}

fn add_into(sum: &mut [f32], gradient: Option<&Dense>) {
    let numbers = gradient.and_then(Dense::as_f32).unwrap_or_default();
    sum.iter_mut().zip(numbers).for_each(|(sum, number)| *sum += number);
}

/// What adds a gradient to dfdx's gradient of an input.
type Receiver = Box<dyn FnOnce(&mut Gradients<f32, Cpu>, Option<&Dense>) -> Result<(), CpuError>>;

/// An input without its tape, and what takes its gradient.
fn arrive<S: Shape, T: Tape<f32, Cpu>>(tensor: Tensor<S, f32, Cpu, T>) -> ((Dense, Receiver), T) {
    // A view's gradient has the view's memory: the graph wants its elements one after the other.
    let (tensor, tape) = tensor.contiguous().split_tape();
    let ghost = tensor.ghost();
    let receiver: Receiver = Box::new(move |gradients, gradient| {
        add_into(gradients.get_or_alloc_mut(&ghost)?, gradient);
        Ok(())
    });
    ((dense(&tensor), receiver), tape)
}

impl<O: Shape> GraphModule<O> {
    /// Runs forward and records the way back as one operation.
    fn record<T: Tape<f32, Cpu>>(
        &self,
        inputs: Vec<(Dense, Receiver)>,
        mut tape: T,
    ) -> Result<Tensor<O, f32, Cpu, T>, GraphModuleError> {
        let (inputs, receivers): (Vec<Dense>, Vec<Receiver>) = inputs.into_iter().unzip();
        let (result, back) = self.run(inputs, T::OWNS_TAPE)?;
        let shape = shape_of::<O>(&self.output, &result.tensor_type())?;
        let y = self.parameters.device().tensor_from_vec(result.as_f32().unwrap_or_default().to_vec(), shape);
        if let Some(back) = back {
            let (result, parameters) = (y.ghost(), self.parameters.ghost());
            tape.add_backward_op(move |gradients| {
                let gradient = gradients.get_or_alloc_mut(&result)?.to_vec();
                let sum = gradients.get_or_alloc_mut(&parameters)?;
                // The same values went forward without fault.
                let found = back.run(gradient, sum).unwrap_or_else(|error| panic!("the way back of a graph failed: {error}"));
                receivers.into_iter().zip(&found).try_for_each(|(receive, gradient)| receive(gradients, gradient.as_ref()))
            });
        }
        Ok(y.put_tape(tape))
    }
}

impl<O: Shape, S: Shape, T: Tape<f32, Cpu>> Module<Tensor<S, f32, Cpu, T>> for GraphModule<O> {
    type Output = Tensor<O, f32, Cpu, T>;
    type Error = GraphModuleError;

    fn try_forward(&self, input: Tensor<S, f32, Cpu, T>) -> Result<Self::Output, GraphModuleError> {
        let (input, tape) = arrive(input);
        self.record(vec![input], tape)
    }
}

impl<O, S1, S2, T1, T2> Module<(Tensor<S1, f32, Cpu, T1>, Tensor<S2, f32, Cpu, T2>)> for GraphModule<O>
where
    O: Shape,
    S1: Shape,
    S2: Shape,
    T1: Tape<f32, Cpu> + Merge<T2>,
    T2: Tape<f32, Cpu>,
{
    type Output = Tensor<O, f32, Cpu, T1>;
    type Error = GraphModuleError;

    fn try_forward(
        &self,
        (first, second): (Tensor<S1, f32, Cpu, T1>, Tensor<S2, f32, Cpu, T2>),
    ) -> Result<Self::Output, GraphModuleError> {
        let ((first, tape), (second, other)) = (arrive(first), arrive(second));
        self.record(vec![first, second], tape.merge(other))
    }
}

/// Three tensors.
type Three<S1, S2, S3, T1, T2, T3> = (Tensor<S1, f32, Cpu, T1>, Tensor<S2, f32, Cpu, T2>, Tensor<S3, f32, Cpu, T3>);

impl<O, S1, S2, S3, T1, T2, T3> Module<Three<S1, S2, S3, T1, T2, T3>> for GraphModule<O>
where
    O: Shape,
    S1: Shape,
    S2: Shape,
    S3: Shape,
    T1: Tape<f32, Cpu> + Merge<T2> + Merge<T3>,
    T2: Tape<f32, Cpu>,
    T3: Tape<f32, Cpu>,
{
    type Output = Tensor<O, f32, Cpu, T1>;
    type Error = GraphModuleError;

    fn try_forward(&self, (first, second, third): Three<S1, S2, S3, T1, T2, T3>) -> Result<Self::Output, GraphModuleError> {
        let ((first, tape), (second, other), (third, last)) = (arrive(first), arrive(second), arrive(third));
        let tape = Merge::<T3>::merge(Merge::<T2>::merge(tape, other), last);
        self.record(vec![first, second, third], tape)
    }
}

impl<O> NonMutableModule for GraphModule<O> {}

/// The trained parameters of a [`GraphModule`] on another device or in another dtype, where a graph does not run.
#[derive(Clone, Debug)]
pub struct GraphParameters<E: Dtype, D: Device<E>> {
    /// All of them, in the module's order.
    pub tensor: Tensor<(ParameterCount,), E, D>,
}

impl<O: Shape> TensorCollection<f32, Cpu> for GraphModule<O> {
    type To<E: Dtype, D: Device<E>> = GraphParameters<E, D>;

    fn iter_tensors<V: ModuleVisitor<Self, f32, Cpu>>(visitor: &mut V) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
        // Values come from the graph's initializers or a file: resetting leaves them.
        let options = TensorOptions::reset_with(|_| Ok(()));
        let field = Self::tensor("parameters", |own| &own.parameters, |own| &mut own.parameters, options);
        visitor.visit_fields(field, |tensor| GraphParameters { tensor })
    }
}

/// A [`GraphModule`] that stands in a tuple of dfdx's layers: dfdx asks all of a tuple for one error. What would be the graph's own error (an input of another
/// shape, for example) panics with its text, as every dfdx layer's `forward` does.
#[derive(Debug)]
pub struct GraphLayer<O>(pub GraphModule<O>);

impl<O, X> Module<X> for GraphLayer<O>
where
    GraphModule<O>: Module<X, Error = GraphModuleError>,
{
    type Output = <GraphModule<O> as Module<X>>::Output;
    type Error = CpuError;

    fn try_forward(&self, input: X) -> Result<Self::Output, CpuError> {
        Ok(self.0.try_forward(input).unwrap_or_else(|error| panic!("{:?}: {error}", self.0)))
    }
}

impl<O> NonMutableModule for GraphLayer<O> {}

impl<O: Shape> TensorCollection<f32, Cpu> for GraphLayer<O> {
    type To<E: Dtype, D: Device<E>> = GraphParameters<E, D>;

    fn iter_tensors<V: ModuleVisitor<Self, f32, Cpu>>(visitor: &mut V) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
        visitor.visit_fields(Self::module("graph", |own| &own.0, |own| &mut own.0), |parameters| parameters)
    }
}
