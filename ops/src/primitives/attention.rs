//! `attention`: scaled dot-product attention without a stored tokens x tokens matrix.

use super::attention_gradient::AttentionGradient;
use super::support::{expect_operands, expect_type, list, no_gradients, zeros};
use std::any::Any;
use sward_core::program::{Array, BuildError, Builder, DType, GradientCall, Primitive, RunKey, Shape, TensorType, ValueId};

/// What the mask operand of an attention is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AttentionMask {
    /// There is none.
    None,
    /// A float tensor that is added to the scaled scores.
    Additive,
    /// A `bool` tensor: true where a query may attend to a key.
    Boolean,
}

/// Scaled dot-product attention: q `[b,tq,h,d]`, k `[b,tk,h,d]`, v `[b,tk,h,e]`, mask? `[b or 1, h or 1, tq or 1, tk]` give out
/// `[b,tq,h,e]` of q's dtype and logsumexp `f32 [b,h,tq]` of the masked scaled scores. A row with nothing to attend to gives 0 and -inf.
/// PyTorch: `torch.nn.functional.scaled_dot_product_attention` (there `[b,h,t,d]`).
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Attention {
    /// The factor of the scores; usually `1 / sqrt(d)`.
    pub scale: f64,
    /// Whether query `i` sees keys `0..=i` alone (aligned at the first query and key, as in PyTorch).
    pub causal: bool,
    /// The mask operand.
    pub mask: AttentionMask,
}

/// The sizes of an attention's operands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AttentionSizes {
    /// b
    pub batch: usize,
    /// tq
    pub queries: usize,
    /// tk
    pub keys: usize,
    /// h
    pub heads: usize,
    /// d, the width of a query and key in one head
    pub width: usize,
    /// e, the width of a value in one head
    pub value_width: usize,
}

impl AttentionSizes {
    /// Reads the sizes off the shapes of q, k and v.
    ///
    /// # Errors
    /// Where they do not fit each other.
    pub fn of(q: &[usize], k: &[usize], v: &[usize]) -> Result<AttentionSizes, String> {
        let (&[batch, queries, heads, width], &[_, keys, _, _], &[_, _, _, value_width]) = (q, k, v) else {
            return Err("q, k and v are [batch, tokens, heads, width]".to_string());
        };
        if k != [batch, keys, heads, width] || v != [batch, keys, heads, value_width] {
            return Err(format!("q {}, k {} and v {} do not fit", list(q), list(k), list(v)));
        }
        Ok(AttentionSizes { batch, queries, keys, heads, width, value_width })
    }

    /// Multiply-adds count two: both products forward.
    fn flops(&self, causal: bool) -> f64 {
        let rows = (self.batch * self.heads) as f64;
        let (queries, keys) = (self.queries as f64, self.keys as f64);
        let pairs = if causal {
            // Query i sees min(i + 1, keys) keys.
            let growing = queries.min(keys);
            growing * (growing + 1.0) / 2.0 + (queries - growing) * keys
        } else {
            queries * keys
        };
        2.0 * rows * pairs * (self.width + self.value_width) as f64
    }
}

impl Attention {
    /// Checks q, k, v and the mask; shared with the gradient.
    pub(crate) fn check(
        &self,
        q: &TensorType,
        k: &TensorType,
        v: &TensorType,
        mask: Option<&TensorType>,
    ) -> Result<AttentionSizes, String> {
        let sizes = AttentionSizes::of(&q.shape, &k.shape, &v.shape)?;
        if !q.dtype.is_float() || k.dtype != q.dtype || v.dtype != q.dtype {
            return Err(format!("q {q}, k {k} and v {v} are not of one float dtype"));
        }
        let Some(mask) = mask else {
            return Ok(sizes);
        };
        let dtype_fits = match self.mask {
            AttentionMask::Boolean => mask.dtype == DType::Bool,
            _ => mask.dtype.is_float(),
        };
        let wanted = [sizes.batch, sizes.heads, sizes.queries, sizes.keys];
        let shape_fits = mask.rank() == 4
            && mask.shape[3] == sizes.keys
            && (0..3).all(|axis| mask.shape[axis] == 1 || mask.shape[axis] == wanted[axis]);
        if !dtype_fits || !shape_fits {
            return Err(format!("mask {mask} for scores {}", list(&wanted)));
        }
        Ok(sizes)
    }

    /// Whether there is a mask operand.
    pub fn has_mask(&self) -> bool {
        self.mask != AttentionMask::None
    }

    pub(crate) fn text(&self) -> String {
        let mask = match self.mask {
            AttentionMask::None => "none",
            AttentionMask::Additive => "additive",
            AttentionMask::Boolean => "boolean",
        };
        format!("scale={:?}, causal={}, mask={mask}", self.scale, self.causal)
    }

    /// Operations of the forward pass; the backward pass does two and a half times as many.
    pub(crate) fn forward_flops(&self, q: &TensorType, k: &TensorType, v: &TensorType) -> f64 {
        AttentionSizes::of(&q.shape, &k.shape, &v.shape).map_or(0.0, |sizes| sizes.flops(self.causal))
    }

    /// The masked scaled score of one query and key; -inf where the query may not attend.
    pub(crate) fn score(
        &self,
        q: &Array,
        k: &Array,
        mask: Option<(&Array, &Shape)>,
        [batch, head, query, key]: [usize; 4],
    ) -> f64 {
        let product: f64 =
            (0..q.shape[3]).map(|column| q.at(&[batch, query, head, column]) * k.at(&[batch, key, head, column])).sum();
        let masked =
            mask.map(|(mask, strides)| mask.data[batch * strides[0] + head * strides[1] + query * strides[2] + key * strides[3]]);
        match (self.mask, masked) {
            _ if self.causal && key > query => f64::NEG_INFINITY,
            (AttentionMask::Boolean, Some(0.0)) => f64::NEG_INFINITY,
            (AttentionMask::Additive, Some(added)) => product * self.scale + added,
            _ => product * self.scale,
        }
    }
}

/// The strides with which a mask is read at (batch, head, query, key).
pub(crate) fn mask_strides(mask: &Array, sizes: &AttentionSizes) -> Shape {
    mask.broadcast_strides(&[sizes.batch, sizes.heads, sizes.queries, sizes.keys])
}

impl Primitive for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn attributes(&self) -> String {
        self.text()
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        expect_operands(inputs, 3 + usize::from(self.has_mask()))?;
        let sizes = self.check(&inputs[0], &inputs[1], &inputs[2], inputs.get(3))?;
        Ok(vec![
            TensorType::new(inputs[0].dtype, &[sizes.batch, sizes.queries, sizes.heads, sizes.value_width]),
            TensorType::f32(&[sizes.batch, sizes.heads, sizes.queries]),
        ])
    }

    fn gradient(&self, builder: &mut Builder, call: &GradientCall<'_>) -> Result<Vec<Option<ValueId>>, BuildError> {
        if call.gradients[1].is_some() {
            return Err(builder.no_gradient(self.name(), "logsumexp is there for the backward pass alone"));
        }
        let mut results = no_gradients(call);
        let Some(gradient) = call.gradients[0] else {
            return Ok(results);
        };
        let mask_gradient = self.mask == AttentionMask::Additive && call.wanted[3];
        let rule = AttentionGradient { attention: *self, mask_gradient };
        let mut operands = vec![gradient];
        operands.extend_from_slice(&call.inputs[..3]);
        operands.extend_from_slice(call.outputs);
        operands.extend_from_slice(&call.inputs[3..]);
        for (position, value) in builder.emit(rule, &operands)?.into_iter().enumerate() {
            results[position] = Some(value);
        }
        Ok(results)
    }

    fn reference(&self, inputs: &[&Array], _: RunKey) -> Vec<Array> {
        let (q, k, v) = (inputs[0], inputs[1], inputs[2]);
        let sizes = AttentionSizes::of(&q.shape, &k.shape, &v.shape).expect("checked operands");
        let strides = inputs.get(3).map(|mask| mask_strides(mask, &sizes));
        let mask = inputs.get(3).copied().zip(strides.as_ref());
        let mut out = zeros(q.dtype, &[sizes.batch, sizes.queries, sizes.heads, sizes.value_width]);
        let mut logsumexp = zeros(DType::F32, &[sizes.batch, sizes.heads, sizes.queries]);
        Array::for_each_index(&[sizes.batch, sizes.heads, sizes.queries], |index| {
            let [batch, head, query] = [index[0], index[1], index[2]];
            let scores: Vec<f64> = (0..sizes.keys).map(|key| self.score(q, k, mask, [batch, head, query, key])).collect();
            let row = logsumexp.offset(index);
            logsumexp.data[row] = log_sum_exp(&scores);
            if logsumexp.data[row] == f64::NEG_INFINITY {
                return;
            }
            // Not from the logarithm of the sum, which is lost beside a largest score that is huge.
            let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let weights: Vec<f64> = scores.iter().map(|score| (score - largest).exp()).collect();
            let total: f64 = weights.iter().sum();
            for column in 0..sizes.value_width {
                let target = out.offset(&[batch, query, head, column]);
                out.data[target] = (0..sizes.keys).map(|key| weights[key] / total * v.at(&[batch, key, head, column])).sum();
            }
        });
        vec![out, logsumexp]
    }

    fn flops(&self, inputs: &[TensorType], _: &[TensorType]) -> f64 {
        self.forward_flops(&inputs[0], &inputs[1], &inputs[2])
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// `ln(sum(exp(values)))`; -inf for no values or -inf alone.
fn log_sum_exp(values: &[f64]) -> f64 {
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        return if values.iter().any(|value| value.is_nan()) { f64::NAN } else { largest };
    }
    largest + values.iter().map(|value| (value - largest).exp()).sum::<f64>().ln()
}

/// Checks the results of the forward pass as operands of the gradient.
pub(crate) fn check_saved(out: &TensorType, logsumexp: &TensorType, sizes: &AttentionSizes) -> Result<(), String> {
    expect_type(out, out.dtype, &[sizes.batch, sizes.queries, sizes.heads, sizes.value_width], "out")?;
    expect_type(logsumexp, DType::F32, &[sizes.batch, sizes.heads, sizes.queries], "logsumexp")
}
