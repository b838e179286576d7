//! `fuse_reductions`: a map that is only summed (or its mean or extreme taken) is not stored.

use super::rewrite::{Uses, rewrite};
use crate::primitives::{Map, MapReduce, Reduce};
use sward_core::program::{BuildError, Program};

pub(super) fn run(program: &mut Program) -> Result<usize, BuildError> {
    let uses = Uses::of(program);
    rewrite(program, |rewrite, instruction| {
        let Some(reduce) = instruction.op.downcast::<Reduce>() else { return Ok(None) };
        let Some(producer) = rewrite.producer(instruction.inputs[0]) else { return Ok(None) };
        let Some(map) = producer.op.downcast::<Map>() else { return Ok(None) };
        if map.roots.len() != 1 || uses.count(instruction.inputs[0]) != 1 {
            return Ok(None);
        }
        let fused = MapReduce { map: map.clone(), reduce: reduce.clone() };
        Ok(Some(rewrite.builder.emit(fused, &producer.inputs)?))
    })
}
