//! `attention` and its gradient.

use sward_ops::primitives::{self as op, AttentionMask};

use super::{Operand, Step};
use crate::cpu::features::Features;
use crate::cpu::kernels::attention::{Attention, Backward, Forward, Mask, backward, forward};

fn bind(op: &op::Attention, [q, k, v]: [&Operand; 3], mask: Option<&Operand>, features: Features) -> Attention {
    let shape = |operand: &Operand| <[usize; 4]>::try_from(operand.shape()).expect("the primitive's rule gives four axes");
    let ([batch, queries, heads, width], [_, keys, _, _], [_, _, _, value_width]) = (shape(q), shape(k), shape(v));
    let strides = mask.map_or([0; 3], |mask| {
        let own = shape(mask);
        let stride = |axis: usize| if own[axis] == 1 { 0 } else { own[axis + 1..].iter().product() };
        [stride(0), stride(1), stride(2)]
    });
    Attention {
        features,
        batch,
        heads,
        queries,
        keys,
        width,
        value_width,
        scale: op.scale as f32,
        causal: op.causal,
        mask: match (op.mask, mask) {
            (AttentionMask::Additive, Some(mask)) => Mask::Additive(mask.data()),
            (AttentionMask::Boolean, Some(mask)) => Mask::Boolean(mask.pointer),
            _ => Mask::None,
        },
        mask_strides: strides,
        q: q.data(),
        k: k.data(),
        v: v.data(),
    }
}

pub(super) fn attention(op: &op::Attention, inputs: Vec<Operand>, outputs: Vec<Operand>, features: Features) -> Step {
    let attention = bind(op, [&inputs[0], &inputs[1], &inputs[2]], inputs.get(3), features);
    let results = Forward { out: outputs[0].data_mut(), logsumexp: outputs[1].pointer.cast() };
    // SAFETY: the primitive's rule gives these sizes; the planner keeps operands and results apart.
    Step::new("attention", move |_| unsafe { forward(&attention, &results) })
}

pub(super) fn attention_gradient(
    op: &op::AttentionGradient,
    inputs: Vec<Operand>,
    outputs: Vec<Operand>,
    features: Features,
) -> Step {
    let attention = bind(&op.attention, [&inputs[1], &inputs[2], &inputs[3]], inputs.get(6), features);
    let tensors = Backward {
        dout: inputs[0].data(),
        out: inputs[4].data(),
        logsumexp: inputs[5].pointer.cast_const().cast(),
        dq: outputs[0].data_mut(),
        dk: outputs[1].data_mut(),
        dv: outputs[2].data_mut(),
        dmask: op.mask_gradient.then(|| outputs[3].pointer.cast()),
    };
    // SAFETY: as above.
    Step::new("attention", move |_| unsafe { backward(&attention, &tensors) })
}
