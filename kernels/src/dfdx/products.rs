//! Matrix products, convolutions (dfdx has them on nightly compilers alone: here they are a gather and a product) and attention.

use dfdx::prelude::{Cpu, Tape};
use sward_core::program::{Array, RunKey, TensorType, element_count};
use sward_core::scalar::ScalarFunction;
use sward_ops::primitives::{Attention, AttentionMask, AttentionSizes, ConvolutionGeometry, MatMul, epilogue_map};

use super::movement::{broadcast, permute};
use super::recorder::{Recorder, Value};
use super::scalars;

/// `matmul` with its epilogue.
pub(super) fn matmul<T: Tape<f64, Cpu>>(
    recorder: &mut Recorder<T>,
    op: &MatMul,
    operands: &[(&Value, &TensorType)],
    result: &TensorType,
    key: RunKey,
) -> Result<Value, String> {
    let ((a, a_type), (b, b_type)) = (operands[0], operands[1]);
    let sizes = op.sizes(&a_type.shape, &b_type.shape)?;
    let batch = element_count(&sizes.batch);
    let mut factor = |value: &Value, shape: &[usize], transposed: bool| {
        let rank = shape.len();
        let mut whole = sizes.batch.to_vec();
        whole.extend(&shape[rank - 2..]);
        let value = broadcast(recorder, value, shape, &whole);
        let mut axes: Vec<usize> = (0..rank).collect();
        if transposed {
            axes.swap(rank - 2, rank - 1);
        }
        permute(recorder, &value, &whole, &axes)
    };
    let (a, b) = (factor(a, &a_type.shape, op.transpose_a), factor(b, &b_type.shape, op.transpose_b));
    let product = recorder.matmul(&a, &b, [batch, sizes.m, sizes.k, sizes.n]);
    Ok(epilogue(recorder, op.epilogue.as_ref(), product, &operands[2..], result, key))
}

/// What a product computes of its results before it stores them.
pub(super) fn epilogue<T: Tape<f64, Cpu>>(
    recorder: &mut Recorder<T>,
    function: Option<&ScalarFunction>,
    product: Value,
    extras: &[(&Value, &TensorType)],
    result: &TensorType,
    key: RunKey,
) -> Value {
    let Some(function) = function else { return product };
    let map = epilogue_map(function, result.dtype);
    let mut operands = vec![(&product, result)];
    operands.extend_from_slice(extras);
    scalars::map(recorder, &map, &operands, &result.shape, key).remove(0)
}

/// Sizes of one convolution, all groups alike.
struct Filters {
    groups: usize,
    taps: usize,
    inputs: usize,
    outputs: usize,
}

impl Filters {
    fn of(geometry: &ConvolutionGeometry, weight: &[usize]) -> Filters {
        let outputs = weight[0] / geometry.groups;
        Filters { groups: geometry.groups, taps: weight[1] * weight[2], inputs: weight[3], outputs }
    }
}

/// `convolution` without its epilogue: x `[n,h,w,c]`, weight `[o,kh,kw,c/groups]`, result `[n,h',w',o]`.
pub(super) fn convolution<T: Tape<f64, Cpu>>(
    recorder: &mut Recorder<T>,
    geometry: &ConvolutionGeometry,
    (x, image): (&Value, &[usize]),
    (weight, kernel): (&Value, &[usize]),
    result: &[usize],
) -> Value {
    let Filters { groups, taps, inputs, outputs } = Filters::of(geometry, kernel);
    let pixels = result[0] * result[1] * result[2];
    let mut sources = Vec::with_capacity(groups * pixels * taps * inputs);
    Array::for_each_index(&[groups, result[0], result[1], result[2], kernel[1], kernel[2]], |at| {
        let pixel = geometry.source((at[2], at[3]), (at[4], at[5]), (image[1], image[2]));
        let first = pixel.map(|(row, column)| ((at[1] * image[1] + row) * image[2] + column) * image[3] + at[0] * inputs);
        sources.extend((0..inputs).map(|channel| first.map(|first| first + channel)));
    });
    let windows = recorder.gather_or(x, sources, 0.0);
    // [g, o/g, taps, c/g] becomes [g, taps, c/g, o/g].
    let filters = permute(recorder, weight, &[groups, outputs, taps * inputs], &[0, 2, 1]);
    let products = recorder.matmul(&windows, &filters, [groups, pixels, taps * inputs, outputs]);
    permute(recorder, &products, &[groups, pixels, outputs], &[1, 0, 2])
}

/// The transpose of a convolution in its image: dy `[n,h',w',o]`, weight `[o,kh,kw,c/groups]`, result `[n,h,w,c]`.
pub(super) fn convolution_input_gradient<T: Tape<f64, Cpu>>(
    recorder: &mut Recorder<T>,
    geometry: &ConvolutionGeometry,
    (dy, out): (&Value, &[usize]),
    (weight, kernel): (&Value, &[usize]),
    image: &[usize],
) -> Value {
    let Filters { groups, taps, inputs, outputs } = Filters::of(geometry, kernel);
    let pixels = image[0] * image[1] * image[2];
    // Every element of the image meets a tap of the kernel at one result at most.
    let mut sources = vec![None; groups * pixels * taps * outputs];
    Array::for_each_index(&[groups, out[0], out[1], out[2], kernel[1], kernel[2]], |at| {
        if let Some((row, column)) = geometry.source((at[2], at[3]), (at[4], at[5]), (image[1], image[2])) {
            let pixel = (at[1] * image[1] + row) * image[2] + column;
            let target = ((at[0] * pixels + pixel) * taps + at[4] * kernel[2] + at[5]) * outputs;
            let first = ((at[1] * out[1] + at[2]) * out[2] + at[3]) * out[3] + at[0] * outputs;
            for channel in 0..outputs {
                sources[target + channel] = Some(first + channel);
            }
        }
    });
    let windows = recorder.gather_or(dy, sources, 0.0);
    // [g, o/g, taps, c/g] becomes [g, taps, o/g, c/g].
    let filters = permute(recorder, weight, &[groups, outputs, taps, inputs], &[0, 2, 1, 3]);
    let products = recorder.matmul(&windows, &filters, [groups, pixels, taps * outputs, inputs]);
    permute(recorder, &products, &[groups, pixels, inputs], &[1, 0, 2])
}

/// `attention`: out and logsumexp. The latter is there for other engines' backward passes and has no gradient.
pub(super) fn attention<T: Tape<f64, Cpu>>(
    recorder: &mut Recorder<T>,
    op: &Attention,
    operands: &[(&Value, &TensorType)],
) -> Result<Vec<Value>, String> {
    let [(q, q_type), (k, k_type), (v, v_type)] = [operands[0], operands[1], operands[2]];
    let sizes = AttentionSizes::of(&q_type.shape, &k_type.shape, &v_type.shape)?;
    let AttentionSizes { batch, queries, keys, heads, width, value_width } = sizes;
    let pairs = [batch, heads, queries, keys];
    let q = permute(recorder, q, &q_type.shape, &[0, 2, 1, 3]);
    let k = permute(recorder, k, &k_type.shape, &[0, 2, 3, 1]);
    let v = permute(recorder, v, &v_type.shape, &[0, 2, 1, 3]);
    let products = recorder.matmul(&q, &k, [batch * heads, queries, width, keys]);
    let mut scores = recorder.scale(&products, op.scale);
    let mut may_attend = vec![true; scores.len()];
    if let Some((mask, mask_type)) = operands.get(3) {
        let mask = broadcast(recorder, mask, &mask_type.shape, &pairs);
        if op.mask == AttentionMask::Boolean {
            may_attend = mask.numbers().into_iter().map(|number| number != 0.0).collect();
        } else {
            scores = recorder.add(&scores, &mask);
        }
    }
    for (position, score) in scores.numbers().into_iter().enumerate() {
        let (query, key) = (position / keys % queries, position % keys);
        may_attend[position] &= score != f64::NEG_INFINITY && !(op.causal && key > query);
    }
    // So low that its exponential is 0, and finite, so that no infinity meets a zero on the way back.
    const NEVER: f64 = -1e30;
    let rows = batch * heads * queries;
    let mask = recorder.constant(may_attend.iter().map(|may| f64::from(u8::from(*may))).collect());
    let never = recorder.fill(scores.len(), NEVER);
    let scores = recorder.choose(&mask, &scores, &never);
    let numbers = scores.numbers();
    let mut logsumexp = Vec::with_capacity(rows);
    let mut is_alive = Vec::with_capacity(rows * value_width);
    for row in 0..rows {
        let own = row * keys..(row + 1) * keys;
        let alive = may_attend[own.clone()].contains(&true);
        let largest = numbers[own.clone()].iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = numbers[own].iter().map(|score| (score - largest).exp()).sum();
        logsumexp.push(if alive { largest + sum.ln() } else { f64::NEG_INFINITY });
        is_alive.extend(std::iter::repeat_n(f64::from(u8::from(alive)), value_width));
    }
    let weights = if keys == 0 { scores } else { recorder.softmax(&scores, rows, keys, false) };
    let sums = recorder.matmul(&weights, &v, [batch * heads, queries, keys, value_width]);
    let (is_alive, zero) = (recorder.constant(is_alive), recorder.fill(sums.len(), 0.0));
    let sums = recorder.choose(&is_alive, &sums, &zero);
    let out = permute(recorder, &sums, &[batch, heads, queries, value_width], &[0, 2, 1, 3]);
    Ok(vec![out, recorder.constant(logsumexp)])
}
