//! `algebra`: identities go, chains of movements become one, and maps read what they can broadcast or widen themselves.

use super::maps::{Expressions, Operand, filled_number};
use super::rewrite::{Replacement, Rewrite, rewrite};
use crate::primitives::{
    Concat, Constant, EmitExt, Expand, Map, Pad, PadGradient, Permute, Reduce, ReduceKind, Reshape, Resize, Slice, SliceGradient,
};
use smallvec::{SmallVec, smallvec};
use sward_core::program::{BuildError, DType, Instruction, Primitive, Program, TensorType, ValueId};
use sward_core::scalar::ScalarNode;

pub(super) fn run(program: &mut Program) -> Result<usize, BuildError> {
    rewrite(program, simplify)
}

fn simplify(rewrite: &mut Rewrite, instruction: &Instruction) -> Result<Replacement, BuildError> {
    let op: &dyn Primitive = instruction.op.as_ref();
    if let Some(map) = op.downcast::<Map>() {
        return simplify_map(rewrite, instruction, map);
    }
    let [output] = instruction.outputs.as_slice() else { return Ok(None) };
    let Some(&x) = instruction.inputs.first() else { return Ok(None) };
    let (x_type, result) = (rewrite.type_of(x), rewrite.type_of(*output));
    if x_type == result && is_identity(op, &x_type) {
        return Ok(Some(smallvec![x]));
    }
    let inner = rewrite.producer(x);
    let one = |value: ValueId| Ok(Some(smallvec![value]));
    if let Some(reshape) = op.downcast::<Reshape>() {
        if let Some((inner, Reshape { .. })) = downcast(&inner) {
            return one(rewrite.builder.reshape(inner.inputs[0], &reshape.shape)?);
        }
    } else if let Some(permute) = op.downcast::<Permute>() {
        if let Some((inner, first)) = downcast::<Permute>(&inner) {
            let axes: Vec<usize> = permute.axes.iter().map(|axis| first.axes[*axis]).collect();
            return one(rewrite.builder.permute(inner.inputs[0], &axes)?);
        }
        let long: Vec<usize> = permute.axes.iter().copied().filter(|axis| x_type.shape[*axis] != 1).collect();
        if long.is_sorted() {
            return one(rewrite.builder.reshape(x, &result.shape)?);
        }
    } else if let Some(expand) = op.downcast::<Expand>() {
        if let Some((inner, Expand { .. })) = downcast(&inner) {
            return one(rewrite.builder.expand(inner.inputs[0], &expand.shape)?);
        }
    } else if let Some(reduce) = op.downcast::<Reduce>() {
        if reduce.axes.iter().all(|axis| x_type.shape[*axis] == 1) && (x_type.dtype.is_float() && result.dtype.is_float()) {
            return one(rewrite.builder.cast(x, result.dtype)?);
        }
        // A reduction reads its operand in any dtype, and states its own.
        if let Operand::Value(source) = simpler_operand(rewrite, x)
            && source != x
            && rewrite.builder.shape(source) == x_type.shape.as_slice()
            && matches!(reduce.kind, ReduceKind::Sum | ReduceKind::Mean)
        {
            return one(rewrite.builder.emit_one(reduce.clone(), &[source])?);
        }
    }
    Ok(None)
}

fn downcast<T: Primitive>(instruction: &Option<Instruction>) -> Option<(&Instruction, &T)> {
    let instruction = instruction.as_ref()?;
    Some((instruction, instruction.op.downcast::<T>()?))
}

/// Whether a primitive whose result has its first operand's type is the identity.
fn is_identity(op: &dyn Primitive, x: &TensorType) -> bool {
    if let Some(permute) = op.downcast::<Permute>() {
        return permute.axes.iter().copied().eq(0..x.rank());
    }
    if let Some(slice) = op.downcast::<Slice>() {
        return slice.step == 1 || x.shape[slice.axis] <= 1;
    }
    if let Some(slice) = op.downcast::<SliceGradient>() {
        return slice.step == 1 || x.shape[slice.axis] <= 1;
    }
    // A resize to the same size reads every element at its own place, whatever the mode.
    op.downcast::<Reshape>().is_some()
        || op.downcast::<Expand>().is_some()
        || op.downcast::<Pad>().is_some()
        || op.downcast::<PadGradient>().is_some()
        || op.downcast::<Concat>().is_some()
        || op.downcast::<Resize>().is_some()
        || op.downcast::<Reduce>().is_some_and(|reduce| reduce.axes.iter().all(|axis| x.shape[*axis] == 1))
}

fn simplify_map(rewrite: &mut Rewrite, instruction: &Instruction, map: &Map) -> Result<Replacement, BuildError> {
    let result = rewrite.shape(instruction.outputs[0]);
    let mut is_simpler = false;
    let mut operands: SmallVec<[Operand; 4]> = SmallVec::new();
    for input in &instruction.inputs {
        let operand = simpler_operand(rewrite, *input);
        is_simpler |= !matches!(operand, Operand::Value(value) if value == *input);
        operands.push(operand);
    }
    let repeats = instruction.inputs.iter().enumerate().any(|(position, input)| instruction.inputs[..position].contains(input));
    let hands_on = map.roots.iter().zip(&map.dtypes).any(|(root, dtype)| match map.scalars.node(*root) {
        ScalarNode::Input { index, .. } => {
            rewrite.type_of(instruction.inputs[*index as usize]) == TensorType::new(*dtype, &result)
        }
        _ => false,
    });
    if !is_simpler && !repeats && !hands_on {
        return Ok(None);
    }
    let mut expressions = Expressions::new();
    let Some(roots) = expressions.add_with(&map.scalars, &map.roots, &operands) else { return Ok(None) };
    let roots: Vec<_> = roots.into_iter().zip(map.dtypes.iter().copied()).collect();
    Ok(Some(expressions.emit(&mut rewrite.builder, &roots, &result)?.into()))
}

/// What a map reads in place of an operand: a number instead of a tensor filled with it, the source of a repetition or of a widening cast.
fn simpler_operand(rewrite: &mut Rewrite, input: ValueId) -> Operand {
    let Some(producer) = rewrite.producer(input) else { return Operand::Value(input) };
    if producer.op.downcast::<Expand>().is_some() {
        return simpler_operand(rewrite, producer.inputs[0]);
    }
    if let Some(constant) = producer.op.downcast::<Constant>()
        && let [number] = *constant.data
    {
        return Operand::Number(number);
    }
    if let Some(map) = producer.op.downcast::<Map>() {
        if let Some(number) = filled_number(map) {
            return Operand::Number(number);
        }
        let is_copy = matches!(map.scalars.node(map.roots[0]), ScalarNode::Input { .. });
        if let ([source], [_], true) = (producer.inputs.as_slice(), map.roots.as_slice(), is_copy) {
            let widens = rewrite.builder.type_of(*source).dtype == DType::BF16 && map.dtypes[0] == DType::F32;
            if widens {
                return Operand::Value(*source);
            }
        }
    }
    Operand::Value(input)
}
