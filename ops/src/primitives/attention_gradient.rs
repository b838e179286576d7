//! `attention_gradient`.

use super::attention::{Attention, AttentionMask, AttentionSizes, check_saved, mask_strides};
use super::support::{add_at, expect_float_shape, expect_operands, zeros};
use std::any::Any;
use sward_core::program::{Array, BuildError, Builder, DType, GradientCall, Primitive, RunKey, TensorType, ValueId};

/// The gradient of [`Attention`]: dout `[b,tq,h,e]`, q, k, v, out, logsumexp `f32 [b,h,tq]`, mask? give dq, dk, dv of the operands'
/// dtypes and, where asked for, dmask `f32` of the mask's sizes. The scores are computed again: the tokens x tokens matrix is never stored.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct AttentionGradient {
    /// The attention.
    pub attention: Attention,
    /// Whether dmask is a result; needs an additive mask.
    pub mask_gradient: bool,
}

impl Primitive for AttentionGradient {
    fn name(&self) -> &'static str {
        "attention_gradient"
    }

    fn attributes(&self) -> String {
        format!("{}, mask_gradient={}", self.attention.text(), self.mask_gradient)
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        expect_operands(inputs, 6 + usize::from(self.attention.has_mask()))?;
        if self.mask_gradient && self.attention.mask != AttentionMask::Additive {
            return Err("the gradient of a mask that is not additive".to_string());
        }
        let [dout, q, k, v, out, logsumexp] = [0, 1, 2, 3, 4, 5].map(|position| &inputs[position]);
        let sizes = self.attention.check(q, k, v, inputs.get(6))?;
        check_saved(out, logsumexp, &sizes)?;
        expect_float_shape(dout, &out.shape, "dout")?;
        let mut results = vec![q.clone(), k.clone(), v.clone()];
        if self.mask_gradient {
            results.push(TensorType::f32(&inputs[6].shape));
        }
        Ok(results)
    }

    fn gradient(&self, builder: &mut Builder, _: &GradientCall<'_>) -> Result<Vec<Option<ValueId>>, BuildError> {
        Err(builder.no_gradient(self.name(), "second derivatives of an attention are not there"))
    }

    fn reference(&self, inputs: &[&Array], _: RunKey) -> Vec<Array> {
        let [dout, q, k, v, out, logsumexp] = [0, 1, 2, 3, 4, 5].map(|position| inputs[position]);
        let sizes = AttentionSizes::of(&q.shape, &k.shape, &v.shape).expect("checked operands");
        let strides = inputs.get(6).map(|mask| mask_strides(mask, &sizes));
        let mask = inputs.get(6).copied().zip(strides.as_ref());
        let [mut dq, mut dk, mut dv] = [q, k, v].map(|operand| zeros(operand.dtype, &operand.shape));
        let mut dmask = inputs.get(6).map(|mask| zeros(DType::F32, &mask.shape));
        Array::for_each_index(&[sizes.batch, sizes.heads, sizes.queries], |index| {
            let [batch, head, query] = [index[0], index[1], index[2]];
            let normalizer = logsumexp.at(index);
            if normalizer == f64::NEG_INFINITY {
                return;
            }
            // The softmax rule takes off what the whole row gives: the sum of probability times its gradient.
            let row: f64 = (0..sizes.value_width)
                .map(|column| {
                    let at = [batch, query, head, column];
                    dout.at(&at) * out.at(&at)
                })
                .sum();
            for key in 0..sizes.keys {
                let score = self.attention.score(q, k, mask, [batch, head, query, key]);
                let probability = (score - normalizer).exp();
                let mut dprobability = 0.0;
                for column in 0..sizes.value_width {
                    let incoming = dout.at(&[batch, query, head, column]);
                    dprobability += incoming * v.at(&[batch, key, head, column]);
                    add_at(&mut dv, &[batch, key, head, column], probability * incoming);
                }
                let dscore = probability * (dprobability - row);
                for column in 0..sizes.width {
                    let (q_at, k_at) = ([batch, query, head, column], [batch, key, head, column]);
                    add_at(&mut dq, &q_at, dscore * self.attention.scale * k.at(&k_at));
                    add_at(&mut dk, &k_at, dscore * self.attention.scale * q.at(&q_at));
                }
                if let (Some(dmask), Some(strides)) = (&mut dmask, &strides) {
                    dmask.data[batch * strides[0] + head * strides[1] + query * strides[2] + key * strides[3]] += dscore;
                }
            }
        });
        let mut results = vec![dq, dk, dv];
        results.extend(dmask.filter(|_| self.mask_gradient));
        results
    }

    fn flops(&self, inputs: &[TensorType], _: &[TensorType]) -> f64 {
        // Five products instead of two.
        2.5 * self.attention.forward_flops(&inputs[1], &inputs[2], &inputs[3])
    }

    fn preferred_input(&self, input: usize, wanted: DType) -> DType {
        // logsumexp stays in f32.
        if input == 5 { DType::F32 } else { wanted }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
