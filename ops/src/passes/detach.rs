//! `detach`: where gradients end is settled once the backward pass is there.

use super::rewrite::rewrite;
use smallvec::smallvec;
use sward_core::program::{BuildError, Program};

pub(super) fn run(program: &mut Program) -> Result<usize, BuildError> {
    rewrite(program, |_, instruction| Ok((instruction.op.name() == "detach").then(|| smallvec![instruction.inputs[0]])))
}
