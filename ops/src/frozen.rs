//! Splitting a forward program where frozen parts end: what depends on frozen parameters and unchanging inputs alone is computed once a
//! row, and the rest reads it as an input.
//!
//! ```text
//! inputs, frozen parameters --prefix--> cached.0, cached.1, ... --suffix--> outputs
//! ```

use crate::passes::prune;
use sward_core::program::{Argument, OriginId, Program, Role, TensorType, ValueId};

/// The least share of a program's operations for which a split pays.
const LEAST_SHARE: f64 = 0.2;

/// How much more a value may take than what follows from it without a weight, to be kept in its place.
const MOST_GROWTH: usize = 16;

/// A program in two parts.
#[derive(Clone, Debug)]
pub struct FrozenSplit {
    /// From inputs to the values that are kept; its outputs are `cached.<i>`.
    pub prefix: Program,
    /// The program with the kept values as inputs `cached.<i>`.
    pub suffix: Program,
    /// Names and types of the kept values; each has a row of `1 / batch` of its elements for every sample.
    pub cached: Vec<(String, TensorType)>,
}

impl FrozenSplit {
    /// What one kept value alone follows from: the prefix without what only others need, its output called `feature`. Programs that differ
    /// behind the frozen part, or in other kept values, have the same one.
    pub fn slice(&self, index: usize) -> Program {
        let mut own = self.prefix.clone();
        let value = own.outputs[index].value;
        own.outputs = vec![sward_core::program::Output { name: "feature".to_owned(), value }];
        prune(&mut own, false);
        own
    }
}

/// Splits a forward program, before differentiation. `is_fixed` says which arguments are the same whenever a row is seen: inputs without
/// chance, frozen parameters, buffers that nothing updates. `None` where no part worth keeping depends on them alone, or where a kept value
/// has no axis of samples in front.
pub fn split_frozen(program: &Program, batch: usize, is_fixed: &dyn Fn(&Argument) -> bool) -> Option<FrozenSplit> {
    let mut fixed = vec![false; program.types.len()];
    let mut from_rows = vec![false; program.types.len()];
    let mut from_weights = vec![false; program.types.len()];
    for argument in &program.arguments {
        let is_updated = program.updates.iter().any(|update| update.slot == argument.value);
        fixed[argument.value.index()] = !is_updated && is_fixed(argument);
        from_rows[argument.value.index()] = argument.role == Role::Input;
        from_weights[argument.value.index()] = matches!(argument.role, Role::Parameter { .. } | Role::State);
    }
    let mut is_kept_out = vec![false; program.instructions.len()];
    let mut weighs = vec![false; program.instructions.len()];
    let mut work = 0.0;
    for (index, instruction) in program.instructions.iter().enumerate() {
        let own = !instruction.op.is_random() && instruction.inputs.iter().all(|input| fixed[input.index()]);
        let rows = instruction.inputs.iter().any(|input| from_rows[input.index()]);
        for output in &instruction.outputs {
            fixed[output.index()] = own;
            from_rows[output.index()] = rows;
        }
        is_kept_out[index] = own && rows;
        let is_weight = |input: &ValueId| from_weights[input.index()] && !from_rows[input.index()];
        weighs[index] = own && rows && instruction.inputs.iter().any(is_weight);
        let weight = instruction.inputs.iter().any(|input| from_weights[input.index()]);
        instruction.outputs.iter().for_each(|output| from_weights[output.index()] = weight);
        if own && rows {
            work += program.flops_of(instruction);
        }
    }
    if work < LEAST_SHARE * program.flops() || work == 0.0 {
        return None;
    }
    let last = cut(program, &is_kept_out);
    // What follows the last weight is left to the rest of the program: programs that pool the same features in other ways then keep the same
    // values. Where that is much more to keep, it is not worth it.
    let first = cut(program, &up_to_weights(program, &is_kept_out, &weighs));
    let elements = |values: &[ValueId]| values.iter().map(|value| program.type_of(*value).elements()).sum::<usize>();
    let is_by_row = |value: &ValueId| program.type_of(*value).shape.first().is_some_and(|first| *first > 0 && first % batch == 0);
    let suits = |values: &[ValueId]| !values.is_empty() && values.iter().all(is_by_row);
    let cut = match suits(&first) && elements(&first) <= MOST_GROWTH * elements(&last) {
        true => first,
        false => last,
    };
    if !suits(&cut) {
        return None;
    }
    let cached: Vec<(String, TensorType)> =
        cut.iter().enumerate().map(|(index, value)| (format!("cached.{index}"), program.type_of(*value).clone())).collect();
    let mut prefix = program.clone();
    prefix.updates.clear();
    prefix.outputs = cached
        .iter()
        .zip(&cut)
        .map(|((name, _), value)| sward_core::program::Output { name: name.clone(), value: *value })
        .collect();
    prune(&mut prefix, false);
    let mut suffix = program.clone();
    let mut stands_for: Vec<(ValueId, ValueId)> = Vec::new();
    for ((name, tensor_type), value) in cached.iter().zip(&cut) {
        let own = ValueId(suffix.types.len() as u32);
        suffix.types.push(tensor_type.clone());
        suffix.arguments.push(Argument { name: name.clone(), role: Role::Input, value: own, origin: OriginId(0) });
        stands_for.push((*value, own));
    }
    let replace = |value: &mut ValueId| {
        if let Some((_, own)) = stands_for.iter().find(|(from, _)| from == value) {
            *value = *own;
        }
    };
    suffix.instructions.iter_mut().flat_map(|instruction| instruction.inputs.iter_mut()).for_each(replace);
    suffix.outputs.iter_mut().for_each(|output| replace(&mut output.value));
    suffix.updates.iter_mut().for_each(|update| replace(&mut update.value));
    prune(&mut suffix, true);
    Some(FrozenSplit { prefix, suffix, cached })
}

/// The values of some instructions that others read, or that go out.
fn cut(program: &Program, is_kept_out: &[bool]) -> Vec<ValueId> {
    let mut is_own = vec![false; program.types.len()];
    for (instruction, _) in program.instructions.iter().zip(is_kept_out).filter(|(_, kept)| **kept) {
        instruction.outputs.iter().for_each(|output| is_own[output.index()] = true);
    }
    let mut found: Vec<ValueId> = Vec::new();
    let mut want = |value: ValueId| {
        if is_own[value.index()] && !found.contains(&value) {
            found.push(value);
        }
    };
    for (instruction, _) in program.instructions.iter().zip(is_kept_out).filter(|(_, kept)| !**kept) {
        instruction.inputs.iter().for_each(|input| want(*input));
    }
    program.outputs.iter().for_each(|output| want(output.value));
    program.updates.iter().for_each(|update| want(update.value));
    found
}

/// Of some instructions those that weights go into, and what these follow from.
fn up_to_weights(program: &Program, is_kept_out: &[bool], weighs: &[bool]) -> Vec<bool> {
    let mut is_needed = vec![false; program.types.len()];
    let mut stays = vec![false; is_kept_out.len()];
    for (index, instruction) in program.instructions.iter().enumerate().rev() {
        stays[index] =
            is_kept_out[index] && (weighs[index] || instruction.outputs.iter().any(|output| is_needed[output.index()]));
        if stays[index] {
            instruction.inputs.iter().for_each(|input| is_needed[input.index()] = true);
        }
    }
    stays
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primitives::EmitExt;
    use std::collections::BTreeMap;
    use sward_core::program::{Array, Builder, RunKey, interpret};

    /// Two layers, of which the first is frozen.
    fn program() -> Program {
        let mut builder = Builder::new();
        let x = builder.argument("x", Role::Input, TensorType::f32(&[2, 3]));
        let frozen = builder.argument("frozen", Role::Parameter { trained: false }, TensorType::f32(&[3, 4]));
        let trained = builder.argument("trained", Role::Parameter { trained: true }, TensorType::f32(&[4, 1]));
        let hidden = builder.matmul(x, frozen).expect("the shapes fit");
        let hidden = builder.mul(hidden, hidden).expect("the shapes fit");
        let y = builder.matmul(hidden, trained).expect("the shapes fit");
        builder.output("y", y);
        builder.finish()
    }

    fn numbers(shape: &[usize], start: f64) -> Array {
        Array::f32(shape, (0..shape.iter().product::<usize>()).map(|index| start + index as f64 / 8.0).collect())
    }

    #[test]
    fn both_parts_together_are_the_program() {
        let program = program();
        let is_fixed = |argument: &Argument| argument.role != Role::Parameter { trained: true };
        let split = split_frozen(&program, 2, &is_fixed).expect("a part is frozen");
        assert_eq!(split.cached.len(), 1);
        assert!(split.prefix.argument("trained").is_none() && split.suffix.argument("frozen").is_some());
        assert!(split.suffix.argument("x").is_none(), "an input that nothing reads is none");
        let mut arguments: BTreeMap<String, Array> = BTreeMap::new();
        arguments.insert("x".to_owned(), numbers(&[2, 3], -0.5));
        arguments.insert("frozen".to_owned(), numbers(&[3, 4], 0.25));
        arguments.insert("trained".to_owned(), numbers(&[4, 1], 1.0));
        let key = RunKey::default();
        let (whole, _) = interpret(&program, &arguments, key).expect("the program runs");
        let (kept, _) = interpret(&split.prefix, &arguments, key).expect("the first part runs");
        arguments.insert("cached.0".to_owned(), kept["cached.0"].clone());
        arguments.remove("x");
        let (rest, _) = interpret(&split.suffix, &arguments, key).expect("the second part runs");
        assert_eq!(whole["y"].data, rest["y"].data);
    }

    #[test]
    fn what_follows_the_last_weight_is_left_to_the_rest_unless_it_makes_values_much_smaller() {
        let is_fixed = |argument: &Argument| argument.role != Role::Parameter { trained: true };
        let cached = |tiles: usize| {
            let mut builder = Builder::new();
            let x = builder.argument("x", Role::Input, TensorType::f32(&[2 * tiles, 3]));
            let frozen = builder.argument("frozen", Role::Parameter { trained: false }, TensorType::f32(&[3, 8]));
            let trained = builder.argument("trained", Role::Parameter { trained: true }, TensorType::f32(&[8, 1]));
            let hidden = builder.matmul(x, frozen).expect("the shapes fit");
            let bag = builder.reshape(hidden, &[2, tiles, 8]).expect("the shapes fit");
            let pooled = builder.reduce_mean(bag, &[1]).expect("the shapes fit");
            let pooled = builder.reshape(pooled, &[2, 8]).expect("the shapes fit");
            let y = builder.matmul(pooled, trained).expect("the shapes fit");
            builder.output("y", y);
            let split = split_frozen(&builder.finish(), 2, &is_fixed).expect("a part is frozen");
            split.cached.iter().map(|(_, own)| own.shape.to_vec()).collect::<Vec<_>>()
        };
        assert_eq!(cached(4), [vec![2 * 4, 8]]);
        assert_eq!(cached(64), [vec![2, 8]]);
    }

    #[test]
    fn nothing_is_split_where_nothing_is_frozen_or_the_input_changes() {
        let program = program();
        assert!(split_frozen(&program, 2, &|argument| argument.role == Role::Input).is_none());
        assert!(split_frozen(&program, 2, &|argument| argument.role != Role::Input).is_none());
    }
}
