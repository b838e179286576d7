//! From instructions to calls of kernels: each primitive's operands checked once, addresses and sizes bound, so that a run only calls.

mod attention;
mod convolution;
mod images;
mod indexing;
mod map;
mod matmul;
mod movement;
mod normalize;
mod optimizer;
mod pad;
mod reference;

use std::sync::Arc;

use half::bf16;
use sward_core::program::{DType, Instruction, Primitive, Program, RunKey, TensorType};
use sward_ops::primitives as op;

use super::features::Features;
use super::kernels::matmul::{Data, DataMut};

/// A value as a step sees it.
#[derive(Clone, Debug)]
pub(super) struct Operand {
    /// The first byte, aligned to 64; the plan keeps it while the step lives.
    pub pointer: *mut u8,
    /// Dtype and sizes.
    pub tensor_type: TensorType,
    /// Runs do not change it, only `set` does.
    pub is_static: bool,
}

// SAFETY: steps run one after the other, under the plan's mutable borrow; within a step, kernels write disjoint parts.
unsafe impl Send for Operand {}
// SAFETY: as above.
unsafe impl Sync for Operand {}

impl Operand {
    pub(super) fn shape(&self) -> &[usize] {
        &self.tensor_type.shape
    }

    /// The first byte; unlike the field, it makes a closure capture the operand whole, which threads may share.
    pub(super) fn address(&self) -> *mut u8 {
        self.pointer
    }

    pub(super) fn elements(&self) -> usize {
        self.tensor_type.elements()
    }

    pub(super) fn dtype(&self) -> DType {
        self.tensor_type.dtype
    }

    /// The address of float elements.
    ///
    /// # Panics
    /// For another dtype: the primitive's rule admits floats only.
    pub(super) fn data(&self) -> Data {
        match self.dtype() {
            DType::F32 => Data::F32(self.pointer.cast()),
            DType::BF16 => Data::Bf16(self.pointer.cast()),
            other => unreachable!("a float operand is {other}"),
        }
    }

    /// As [`Operand::data`], to be written.
    ///
    /// # Panics
    /// As [`Operand::data`].
    pub(super) fn data_mut(&self) -> DataMut {
        match self.dtype() {
            DType::F32 => DataMut::F32(self.pointer.cast()),
            DType::BF16 => DataMut::Bf16(self.pointer.cast::<bf16>()),
            other => unreachable!("a float result is {other}"),
        }
    }
}

/// `data`, `n` elements on, which must lie in the same tensor.
fn at(data: Data, n: usize) -> Data {
    // SAFETY: only an address is computed here; kernels read through it under their own promises.
    unsafe { data.offset(n) }
}

/// What a step may depend on beside its operands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub key: RunKey,
    /// Rises when a parameter is set from outside.
    pub version: u64,
}

/// What a step does in a run.
pub(super) type Call = Box<dyn FnMut(&Run) -> Result<(), String> + Send>;

/// One instruction, ready to run.
pub(super) struct Step {
    kernel: &'static str,
    call: Option<Call>,
}

impl Step {
    pub(super) fn new(kernel: &'static str, mut call: impl FnMut(&Run) + Send + 'static) -> Step {
        Step::fallible(kernel, move |run| {
            call(run);
            Ok(())
        })
    }

    pub(super) fn fallible(kernel: &'static str, call: impl FnMut(&Run) -> Result<(), String> + Send + 'static) -> Step {
        Step { kernel, call: Some(Box::new(call)) }
    }

    /// Nothing to do: the result is the operand's memory.
    fn view() -> Step {
        Step { kernel: "view", call: None }
    }

    pub(super) fn run(&mut self, run: &Run) -> Result<(), String> {
        self.call.as_mut().map_or(Ok(()), |call| call(run))
    }

    pub(super) fn kernel(&self) -> &'static str {
        self.kernel
    }
}

/// Binds an instruction's kernel.
///
/// # Errors
/// Why there is none for these operands.
pub(super) fn prepare(
    primitive: &Arc<dyn Primitive>,
    inputs: Vec<Operand>,
    outputs: Vec<Operand>,
    features: Features,
) -> Result<Step, String> {
    if primitive.is_view() {
        return Ok(Step::view());
    }
    if let Some(op) = primitive.downcast::<op::MatMul>() {
        return matmul::matmul(op, inputs, outputs, features);
    }
    if let Some(op) = primitive.downcast::<op::Map>() {
        return Ok(map::map(op, inputs, outputs, features));
    }
    if let Some(op) = primitive.downcast::<op::Reduce>()
        && let Some(step) = map::reduce(op, &inputs, &outputs, features)
    {
        return Ok(step);
    }
    if let Some(op) = primitive.downcast::<op::MapReduce>()
        && let Some(step) = map::map_reduce(op, &inputs, &outputs, features)
    {
        return Ok(step);
    }
    if let Some(op) = primitive.downcast::<op::Convolution>() {
        return Ok(convolution::convolution(op, inputs, outputs, features));
    }
    if let Some(op) = primitive.downcast::<op::ConvolutionInputGradient>() {
        return Ok(convolution::input_gradient(op, inputs, outputs, features));
    }
    if let Some(op) = primitive.downcast::<op::ConvolutionWeightGradient>() {
        return Ok(convolution::weight_gradient(op, inputs, outputs, features));
    }
    if let Some(op) = primitive.downcast::<op::LayerNorm>() {
        return Ok(normalize::layer_norm(op, inputs, outputs, features));
    }
    if let Some(op) = primitive.downcast::<op::LayerNormGradient>() {
        return Ok(normalize::layer_norm_gradient(op, inputs, outputs, features));
    }
    if let Some(op) = primitive.downcast::<op::Softmax>() {
        return Ok(normalize::softmax(op, inputs, outputs, features));
    }
    if let Some(op) = primitive.downcast::<op::SoftmaxGradient>() {
        return Ok(normalize::softmax_gradient(op, inputs, outputs, features));
    }
    if let Some(op) = primitive.downcast::<op::Attention>() {
        return Ok(attention::attention(op, inputs, outputs, features));
    }
    if let Some(op) = primitive.downcast::<op::AttentionGradient>() {
        return Ok(attention::attention_gradient(op, inputs, outputs, features));
    }
    if let Some(op) = primitive.downcast::<op::OptimizerUpdate>() {
        return Ok(optimizer::optimizer_update(op, inputs, outputs, features));
    }
    if let Some(step) = prepare_movement(primitive.as_ref(), &inputs, &outputs, features) {
        return Ok(step);
    }
    if let Some(step) = images::prepare(primitive.as_ref(), &inputs, &outputs, features) {
        return Ok(step);
    }
    if let Some(step) = indexing::prepare(primitive.as_ref(), &inputs, &outputs, features) {
        return Ok(step);
    }
    Ok(reference::reference(Arc::clone(primitive), inputs, outputs))
}

/// Binds a primitive that moves elements.
fn prepare_movement(primitive: &dyn Primitive, inputs: &[Operand], outputs: &[Operand], features: Features) -> Option<Step> {
    if let Some(op) = primitive.downcast::<op::Permute>() {
        return Some(movement::permute(op, inputs, outputs, features));
    }
    if primitive.downcast::<op::Expand>().is_some() {
        return Some(movement::expand(inputs, outputs, features));
    }
    if let Some(op) = primitive.downcast::<op::Slice>() {
        return Some(movement::slice(op, inputs, outputs, features));
    }
    if let Some(op) = primitive.downcast::<op::SliceGradient>() {
        return Some(movement::slice_gradient(op, inputs, outputs, features));
    }
    if let Some(op) = primitive.downcast::<op::Concat>() {
        return Some(movement::concat(op, inputs, outputs, features));
    }
    if let Some(op) = primitive.downcast::<op::Pad>() {
        return movement::pad(op, inputs, outputs, features).or_else(|| pad::pad(op, inputs, outputs));
    }
    if let Some(op) = primitive.downcast::<op::PadGradient>() {
        return movement::pad_gradient(op, inputs, outputs, features).or_else(|| pad::pad_gradient(op, inputs, outputs));
    }
    if let Some(op) = primitive.downcast::<op::Take>() {
        return Some(movement::take(op, inputs.to_vec(), outputs.to_vec()));
    }
    if let Some(op) = primitive.downcast::<op::TakeGradient>() {
        return Some(movement::take_gradient(op, inputs.to_vec(), outputs.to_vec()));
    }
    if primitive.downcast::<op::Iota>().is_some() {
        return Some(movement::iota(outputs.to_vec()));
    }
    let constant = primitive.downcast::<op::Constant>()?;
    Some(movement::constant(constant, outputs.to_vec()))
}

/// The results that an instruction's kernel may write over an operand: it reads every element before, or in the same step as, it writes there.
pub(super) fn in_place(program: &Program, instruction: &Instruction) -> Vec<(usize, usize)> {
    let matches = |(input, output): &(usize, usize)| {
        let (Some(input), Some(output)) = (instruction.inputs.get(*input), instruction.outputs.get(*output)) else {
            return false;
        };
        let (input, output) = (program.type_of(*input), program.type_of(*output));
        input.shape == output.shape && input.dtype.bytes() == output.dtype.bytes()
    };
    instruction.op.in_place().iter().copied().filter(matches).collect()
}
