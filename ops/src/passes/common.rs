//! `common`: what is computed twice is computed once.

use super::rewrite::rewrite;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use sward_core::program::{BuildError, Program, ValueId};

type Key = (&'static str, String, SmallVec<[ValueId; 4]>);

/// Random instructions are no exception: equal attributes name the same stream, and equal operands give the same sizes.
pub(super) fn run(program: &mut Program) -> Result<usize, BuildError> {
    let mut known: FxHashMap<Key, SmallVec<[ValueId; 2]>> = FxHashMap::default();
    rewrite(program, |_, instruction| {
        let key = (instruction.op.name(), instruction.op.attributes(), instruction.inputs.clone());
        if let Some(earlier) = known.get(&key) {
            return Ok(Some(earlier.clone()));
        }
        known.insert(key, instruction.outputs.clone());
        Ok(None)
    })
}
