//! `precision`: which values are stored in bf16.
//!
//! The policy, for a program that is not differentiated yet (its backward pass follows from it):
//! - parameters, states and outputs keep their dtype: parameters are f32 masters, cast once a run for the products that read them;
//! - products (matmul, convolution, attention) read bf16 and accumulate in f32;
//! - an activation is stored in bf16 where a later product or normalization depends on it through elementwise steps and movements; what follows the last
//!   product (a head's result, the loss) stays in f32;
//! - sums, means, statistics, softmax' operand, running averages and whatever only these read stay in f32;
//! - gradients have the dtype of what they belong to: bf16 for such activations, f32 for parameters.

use super::rewrite::{Replacement, Rewrite, rewrite};
use crate::primitives::{
    Attention, AttentionGradient, Convolution, ConvolutionInputGradient, ConvolutionWeightGradient, EmitExt, LayerNormGradient,
    Map, MatMul, Softmax,
};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::sync::Arc;
use sward_core::program::{BuildError, DType, Instruction, Primitive, Program, ValueId};

/// Chooses the stored dtypes, and sees that products read operands of one dtype.
pub(super) fn run(program: &mut Program) -> Result<usize, BuildError> {
    let is_chosen = program.types.iter().any(|tensor_type| tensor_type.dtype == DType::BF16);
    let chosen = if is_chosen { 0 } else { choose(program)? };
    Ok(chosen + unify(program)?)
}

/// What the policy sees in a primitive.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// The first operands are read in bf16: so many of them.
    Product(usize),
    LayerNorm,
    Softmax,
    /// Reads floats of any dtypes and states its results'.
    Map,
    Reduce,
    /// Results of the first operand's dtype.
    Movement,
    Concat,
    /// Reads and gives f32.
    Other,
}

const MOVEMENTS: [&str; 13] = [
    "reshape",
    "permute",
    "expand",
    "slice",
    "pad",
    "detach",
    "max_pool",
    "average_pool",
    "adaptive_average_pool",
    "resize",
    "take",
    "take_along",
    "slice_gradient",
];

fn class(op: &dyn Primitive) -> Class {
    match op.name() {
        "matmul" | "convolution" | "convolution_input_gradient" | "convolution_weight_gradient" => Class::Product(2),
        "attention" => Class::Product(3),
        "layer_norm" => Class::LayerNorm,
        "softmax" => Class::Softmax,
        "map" => Class::Map,
        "reduce" | "map_reduce" | "arg_reduce" => Class::Reduce,
        "concat" => Class::Concat,
        name if MOVEMENTS.contains(&name) => Class::Movement,
        _ => Class::Other,
    }
}

/// For every value, whether a product or normalization depends on it through elementwise steps and movements.
fn wanted(program: &Program) -> Vec<bool> {
    let mut wanted = vec![false; program.types.len()];
    for instruction in program.instructions.iter().rev() {
        let is_wanted = instruction.outputs.iter().any(|output| wanted[output.index()]);
        let count = match class(instruction.op.as_ref()) {
            Class::Product(count) => count,
            Class::LayerNorm => 1,
            Class::Map | Class::Concat if is_wanted => instruction.inputs.len(),
            Class::Movement if is_wanted => 1,
            _ => 0,
        };
        for input in instruction.inputs.iter().take(count) {
            wanted[input.index()] = program.type_of(*input).dtype.is_float();
        }
    }
    wanted
}

fn choose(program: &mut Program) -> Result<usize, BuildError> {
    let wanted = wanted(program);
    let outputs: Vec<ValueId> = program.outputs.iter().map(|output| output.value).collect();
    let updates: Vec<ValueId> = program.updates.iter().map(|update| update.value).collect();
    let old_types = program.types.clone();
    let (rewrite, instructions) = Rewrite::start(program);
    let mut casts = Casts { rewrite, known: FxHashMap::default() };
    for instruction in instructions {
        casts.rewrite.builder.restore_origin(instruction.origin);
        casts.visit(&instruction, &wanted)?;
    }
    for value in outputs.into_iter().chain(updates) {
        let settled = casts.rewrite.resolve(value);
        let as_before = casts.cast(settled, old_types[value.index()].dtype)?;
        if as_before != settled {
            casts.rewrite.replace(value, as_before);
        }
    }
    Ok(casts.rewrite.finish(program))
}

struct Casts {
    rewrite: Rewrite,
    known: FxHashMap<(ValueId, DType), ValueId>,
}

impl Casts {
    fn dtype(&self, value: ValueId) -> DType {
        self.rewrite.builder.type_of(value).dtype
    }

    /// A float in another float dtype.
    fn cast(&mut self, value: ValueId, dtype: DType) -> Result<ValueId, BuildError> {
        let own = self.dtype(value);
        if own == dtype || !own.is_float() {
            return Ok(value);
        }
        if let Some(known) = self.known.get(&(value, dtype)) {
            return Ok(*known);
        }
        let cast = self.rewrite.builder.cast(value, dtype)?;
        self.known.insert((value, dtype), cast);
        Ok(cast)
    }

    fn visit(&mut self, instruction: &Instruction, wanted: &[bool]) -> Result<(), BuildError> {
        let op = instruction.op.as_ref();
        let mut inputs: SmallVec<[ValueId; 4]> = instruction.inputs.iter().map(|input| self.rewrite.resolve(*input)).collect();
        let is_wanted = instruction.outputs.first().is_some_and(|output| wanted[output.index()]);
        let stored = if is_wanted { DType::BF16 } else { DType::F32 };
        let mut own = instruction.op.clone();
        match class(op) {
            Class::Product(count) => {
                for input in inputs.iter_mut().take(count) {
                    *input = self.cast(*input, DType::BF16)?;
                }
                if let Some(product) = op.downcast::<MatMul>() {
                    own = Arc::new(MatMul { dtype: stored, ..product.clone() });
                } else if let Some(product) = op.downcast::<Convolution>() {
                    own = Arc::new(Convolution { dtype: stored, ..product.clone() });
                } else if let Some(product) = op.downcast::<ConvolutionInputGradient>() {
                    own = Arc::new(ConvolutionInputGradient { dtype: stored, ..*product });
                }
            }
            Class::LayerNorm => inputs[0] = self.cast(inputs[0], stored)?,
            Class::Softmax => {
                if let Some(softmax) = op.downcast::<Softmax>() {
                    own = Arc::new(Softmax { dtype: stored, ..*softmax });
                }
            }
            Class::Map => {
                let reads_narrow = inputs.iter().any(|input| self.dtype(*input) == DType::BF16);
                if let (Some(map), true) = (op.downcast::<Map>(), reads_narrow) {
                    let mut map = map.clone();
                    for (dtype, output) in map.dtypes.iter_mut().zip(&instruction.outputs) {
                        if *dtype == DType::F32 && wanted[output.index()] {
                            *dtype = DType::BF16;
                        }
                    }
                    own = Arc::new(map);
                }
            }
            Class::Concat => {
                let reads_narrow = inputs.iter().any(|input| self.dtype(*input) == DType::BF16);
                let common = if is_wanted && reads_narrow { DType::BF16 } else { DType::F32 };
                for input in &mut inputs {
                    *input = self.cast(*input, common)?;
                }
            }
            Class::Reduce | Class::Movement => {}
            Class::Other => {
                for input in &mut inputs {
                    *input = self.cast(*input, DType::F32)?;
                }
            }
        }
        let results = self.rewrite.builder.emit_shared(own, &inputs)?;
        for (old, new) in instruction.outputs.iter().zip(results) {
            self.rewrite.replace(*old, new);
        }
        Ok(())
    }
}

/// Products read operands of one dtype: a gradient that comes in f32 from behind the last product is rounded once.
fn unify(program: &mut Program) -> Result<usize, BuildError> {
    let mut known: FxHashMap<ValueId, ValueId> = FxHashMap::default();
    rewrite(program, |rewrite, instruction| {
        let op = instruction.op.as_ref();
        let concerned: &[usize] = if op.downcast::<MatMul>().is_some()
            || op.downcast::<Convolution>().is_some()
            || op.downcast::<ConvolutionInputGradient>().is_some()
            || op.downcast::<ConvolutionWeightGradient>().is_some()
        {
            &[0, 1]
        } else if op.downcast::<Attention>().is_some() {
            &[0, 1, 2]
        } else if op.downcast::<AttentionGradient>().is_some() {
            &[0, 1, 2, 3, 4]
        } else if op.downcast::<LayerNormGradient>().is_some() {
            &[0, 1]
        } else {
            return Ok(None);
        };
        unify_operands(rewrite, instruction, concerned, &mut known)
    })
}

fn unify_operands(
    rewrite: &mut Rewrite,
    instruction: &Instruction,
    concerned: &[usize],
    known: &mut FxHashMap<ValueId, ValueId>,
) -> Result<Replacement, BuildError> {
    let is_narrow = |rewrite: &Rewrite, value: ValueId| rewrite.builder.type_of(value).dtype == DType::BF16;
    let narrow = concerned.iter().filter(|position| is_narrow(rewrite, instruction.inputs[**position])).count();
    if narrow == 0 || narrow == concerned.len() {
        return Ok(None);
    }
    let mut inputs = instruction.inputs.clone();
    for position in concerned {
        let value = inputs[*position];
        if !is_narrow(rewrite, value) {
            inputs[*position] = match known.get(&value) {
                Some(cast) => *cast,
                None => rewrite.builder.cast(value, DType::BF16)?,
            };
            known.insert(value, inputs[*position]);
        }
    }
    let old: SmallVec<[DType; 2]> = instruction.outputs.iter().map(|output| rewrite.builder.type_of(*output).dtype).collect();
    let mut results = rewrite.builder.emit_shared(instruction.op.clone(), &inputs)?;
    for (result, dtype) in results.iter_mut().zip(old) {
        if rewrite.builder.type_of(*result).dtype != dtype {
            *result = rewrite.builder.cast(*result, dtype)?;
        }
    }
    Ok(Some(results))
}
