//! Attention that never holds the tokens x tokens matrix: scores of a block of queries and a block of keys live in the nearest caches, with a
//! running maximum and sum for each query (Dao et al., "FlashAttention", 2022). The backward pass computes the scores again from the saved
//! logarithms of the sums.
//!
//! One part of the work is one head of one example (and, forward, a stretch of its queries); within it everything runs in one order.

use half::bf16;

use super::matmul::{Data, DataMut, Left, Panels, Source};
use super::rows::{load, load_from, save, save_to, sum_lanes};
use crate::cpu::features::{Bf16Products, Features};
use crate::cpu::simd::{Kernel, LANES, Simd, convert, dispatch, math};
use crate::cpu::threads::{Scratch, parallel};

/// Queries of a block.
const QUERIES: Blocks = Blocks { size: 64, rest: 16 };
/// Keys of a block.
const KEYS: Blocks = Blocks { size: 256, rest: 32 };
/// Elements from one query's scores to the next's: a line more than they are, so that queries do not all fall on the same lines of the cache.
const ROW: usize = KEYS.most() + LANES;
/// Queries of a part of the forward pass.
const STRETCH: usize = 512;

/// What is added to the scores.
#[derive(Clone, Copy, Debug)]
pub enum Mask {
    /// Nothing.
    None,
    /// A number for each score.
    Additive(Data),
    /// One byte for each score: whether the query may attend to the key.
    Boolean(*const u8),
}

/// Sizes and rules of one attention.
#[derive(Clone, Copy, Debug)]
pub struct Attention {
    /// What the machine has.
    pub features: Features,
    /// Examples.
    pub batch: usize,
    /// Heads.
    pub heads: usize,
    /// Queries of an example.
    pub queries: usize,
    /// Keys of an example.
    pub keys: usize,
    /// Elements of a query and of a key.
    pub width: usize,
    /// Elements of a value.
    pub value_width: usize,
    /// What products are multiplied by.
    pub scale: f32,
    /// Whether a query sees only keys up to its own position.
    pub causal: bool,
    /// What is added to the scores.
    pub mask: Mask,
    /// Elements of the mask from one example, head and query to the next (0 where it repeats); keys are neighbours.
    pub mask_strides: [usize; 3],
    /// `[batch, queries, heads, width]`
    pub q: Data,
    /// `[batch, keys, heads, width]`
    pub k: Data,
    /// `[batch, keys, heads, value_width]`
    pub v: Data,
}

// SAFETY: operands are only read; the callers promise that the memory stays.
unsafe impl Send for Attention {}
// SAFETY: as above.
unsafe impl Sync for Attention {}

/// Results of the forward pass.
#[derive(Clone, Copy, Debug)]
pub struct Forward {
    /// `[batch, queries, heads, value_width]`
    pub out: DataMut,
    /// `[batch, heads, queries]`, f32
    pub logsumexp: *mut f32,
}

// SAFETY: parts write disjoint queries.
unsafe impl Send for Forward {}
// SAFETY: as above.
unsafe impl Sync for Forward {}

/// Operands and results of the backward pass.
#[derive(Clone, Copy, Debug)]
pub struct Backward {
    /// The gradient of `out`.
    pub dout: Data,
    /// The forward pass' result.
    pub out: Data,
    /// The forward pass' logarithms of sums.
    pub logsumexp: *const f32,
    /// The gradient of `q`.
    pub dq: DataMut,
    /// The gradient of `k`.
    pub dk: DataMut,
    /// The gradient of `v`.
    pub dv: DataMut,
    /// The gradient of an additive mask, of the mask's sizes, where it is wanted.
    pub dmask: Option<*mut f32>,
}

// SAFETY: parts write disjoint heads, and disjoint heads of the mask.
unsafe impl Send for Backward {}
// SAFETY: as above.
unsafe impl Sync for Backward {}

fn padded(n: usize) -> usize {
    n.next_multiple_of(Left::WHOLE)
}

/// How tokens are cut into blocks: of one size, but the last, which takes what would be a small block of its own.
#[derive(Clone, Copy, Debug)]
struct Blocks {
    size: usize,
    /// What the last block may have more.
    rest: usize,
}

impl Blocks {
    const fn most(self) -> usize {
        self.size + self.rest
    }

    fn count(self, tokens: usize) -> usize {
        if tokens == 0 { 0 } else { tokens.saturating_sub(self.rest).div_ceil(self.size).max(1) }
    }

    /// The first token of each block and its number of tokens.
    fn of(self, tokens: std::ops::Range<usize>) -> impl Iterator<Item = (usize, usize)> {
        let blocks = self.count(tokens.len());
        (0..blocks).map(move |block| {
            let first = tokens.start + block * self.size;
            (first, if block + 1 == blocks { tokens.end - first } else { self.size })
        })
    }
}

impl Attention {
    /// Products stay bf16 when all operands are, and the machine multiplies bf16.
    fn tiled(&self) -> bool {
        self.features.bf16_products() != Bf16Products::Converted && self.q.is_bf16() && self.k.is_bf16() && self.v.is_bf16()
    }

    /// Tokens of one head as a matrix `[tokens, width]` from token `first` on.
    fn head(&self, data: Data, batch: usize, head: usize, tokens: usize, first: usize, width: usize) -> (Data, usize) {
        let at = ((batch * tokens + first) * self.heads + head) * width;
        // SAFETY: the address is that of the head's first token.
        (unsafe { data.offset(at) }, self.heads * width)
    }

    /// One past the last key that any query before `end` may see.
    fn seen(&self, end: usize) -> usize {
        if self.causal { self.keys.min(end) } else { self.keys }
    }

    /// Turns a query's products with `keys` keys into scores, a vector after the other: scales, adds the mask, and puts -inf where the query may
    /// not attend and in the padding.
    #[inline(always)]
    unsafe fn scores<S: Simd>(
        &self,
        s: S,
        products: *const f32,
        (batch, head, query): (usize, usize, usize),
        (first_key, keys): (usize, usize),
        mut take: impl FnMut(usize, S::V),
    ) {
        let scale = s.splat(self.scale);
        let mask_at = self.mask_at(batch, head, query) + first_key;
        let visible = if self.causal { (query + 1).saturating_sub(first_key).min(keys) } else { keys };
        for i in (0..keys).step_by(LANES) {
            // SAFETY: the products are padded to whole vectors; the mask has the keys.
            let score = unsafe {
                let n = LANES.min(keys - i);
                let score = s.mul(s.load(products.add(i)), scale);
                match self.mask {
                    Mask::None => score,
                    Mask::Additive(mask) => s.add(score, load_from(s, mask, mask_at + i, n)),
                    Mask::Boolean(p) => {
                        let mut lanes = s.to_array(score);
                        for j in 0..n {
                            if *p.add(mask_at + i + j) == 0 {
                                lanes[j] = f32::NEG_INFINITY;
                            }
                        }
                        s.from_array(lanes)
                    }
                }
            };
            let seen = visible.saturating_sub(i);
            take(i, if seen >= LANES { score } else { first_lanes(s, score, seen, f32::NEG_INFINITY) });
        }
    }

    /// Elements from the mask's first to that of a query's first key.
    fn mask_at(&self, batch: usize, head: usize, query: usize) -> usize {
        let [of_batch, of_head, of_query] = self.mask_strides;
        batch * of_batch + head * of_head + query * of_query
    }
}

/// The first `n` lanes, `other` in the others.
#[inline(always)]
fn first_lanes<S: Simd>(s: S, x: S::V, n: usize, other: f32) -> S::V {
    let mut lanes = s.to_array(x);
    lanes[n..].fill(other);
    s.from_array(lanes)
}

/// Rows as products want them: in place, or as f32 in `scratch` where these multiply f32 alone.
#[inline(always)]
unsafe fn operand<S: Simd>(
    s: S,
    tiled: bool,
    (data, stride): (Data, usize),
    rows: usize,
    width: usize,
    scratch: *mut f32,
) -> (Data, usize) {
    match data {
        Data::Bf16(p) if !tiled => {
            for row in 0..rows {
                // SAFETY: the caller promises the rows on both sides.
                unsafe { convert(s, p.add(row * stride), scratch.add(row * width), width) };
            }
            (Data::F32(scratch), width)
        }
        _ => (data, stride),
    }
}

/// Where a block's probabilities, or the gradients of its scores, are kept for the products that follow, `[query][ROW]`: as f32 in place of what
/// they are computed from, or as bf16 in memory of their own.
fn kept(tiled: bool, f32: *mut f32, bf16: *mut bf16) -> DataMut {
    if tiled { DataMut::Bf16(bf16) } else { DataMut::F32(f32) }
}

/// Zeros behind `n` elements of a row that is kept, up to whole tiles.
#[inline(always)]
unsafe fn pad<S: Simd>(s: S, kept: DataMut, row: usize, n: usize) {
    let n = n.next_multiple_of(LANES);
    if n < padded(n) {
        // SAFETY: a row holds whole tiles.
        unsafe { save_to(s, kept, row * ROW + n, LANES, s.zero()) };
    }
}

/// Stores `rows` rows of f32, `from_stride` apart.
#[inline(always)]
unsafe fn scatter<S: Simd>(
    s: S,
    from: *const f32,
    from_stride: usize,
    rows: usize,
    width: usize,
    to: DataMut,
    at: usize,
    stride: usize,
) {
    for row in 0..rows {
        // SAFETY: the caller promises the rows on both sides.
        unsafe { super::rows::write(s, to, at + row * stride, width, from.add(row * from_stride)) };
    }
}

/// Computes the attention.
///
/// # Safety
/// Operands and results have the sizes stated, and do not overlap.
pub unsafe fn forward(attention: &Attention, results: &Forward) {
    let stretches = attention.queries.div_ceil(STRETCH);
    parallel(attention.batch * attention.heads * stretches, |part| {
        let (rest, stretch) = (part / stretches, part % stretches);
        let (batch, head) = (rest / attention.heads, rest % attention.heads);
        let queries = stretch * STRETCH..((stretch + 1) * STRETCH).min(attention.queries);
        dispatch(attention.features.level(), ForwardHead { attention, results, batch, head, queries });
    });
}

struct ForwardHead<'a> {
    attention: &'a Attention,
    results: &'a Forward,
    batch: usize,
    head: usize,
    queries: std::ops::Range<usize>,
}

impl Kernel for ForwardHead<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let ForwardHead { attention, results, batch, head, queries } = self;
        let Attention { features, keys, width, value_width, .. } = *attention;
        let tiled = attention.tiled();
        let seen = attention.seen(queries.end);
        let blocks = KEYS.count(seen);
        let (key_bytes, value_bytes) = (Panels::bytes(KEYS.most(), width), Panels::bytes(value_width, KEYS.most()));
        let mut packed = Scratch::bytes(blocks * (key_bytes + value_bytes));
        let packed: *mut u8 = packed.pointer();
        let most = padded(QUERIES.most());
        let out_width = padded(value_width);
        let mut scratch = Scratch::words(most * (width + ROW + ROW / 2 + out_width + 2));
        let scores: *mut f32 = scratch.pointer();
        // SAFETY: all parts lie within the scratch, the head within the operands and results.
        unsafe {
            let probabilities = kept(tiled, scores, scores.add(most * ROW).cast());
            let out = scores.add(most * (ROW + ROW / 2));
            let q = out.add(most * out_width);
            let largest = q.add(most * width);
            let total = largest.add(most);
            let panels: Vec<(Panels, Panels)> = KEYS
                .of(0..seen)
                .enumerate()
                .map(|(block, (first, n))| {
                    let (data, stride) = attention.head(attention.k, batch, head, keys, first, width);
                    let source = Source::Matrix { data, i_stride: stride, k_stride: 1 };
                    let at = packed.add(block * (key_bytes + value_bytes));
                    let key_panels = Panels::pack(features, tiled, source, n, width, at);
                    let (data, stride) = attention.head(attention.v, batch, head, keys, first, value_width);
                    let source = Source::Matrix { data, i_stride: 1, k_stride: stride };
                    (key_panels, Panels::pack(features, tiled, source, value_width, n, at.add(key_bytes)))
                })
                .collect();
            for (first_query, rows) in QUERIES.of(queries.clone()) {
                let q_rows = attention.head(attention.q, batch, head, attention.queries, first_query, width);
                let (q, q_stride) = operand(s, tiled, q_rows, rows, width, q);
                std::slice::from_raw_parts_mut(out, most * out_width).fill(0.0);
                std::slice::from_raw_parts_mut(largest, rows).fill(f32::NEG_INFINITY);
                std::slice::from_raw_parts_mut(total, rows).fill(0.0);
                for ((first_key, n), (key_panels, value_panels)) in KEYS.of(0..seen).zip(&panels) {
                    if attention.causal && first_key >= first_query + rows {
                        break;
                    }
                    key_panels.multiply(Left::Rows(q, q_stride), rows, scores, ROW, false);
                    for row in 0..rows {
                        let scores = scores.add(row * ROW);
                        let mut most = s.splat(f32::NEG_INFINITY);
                        attention.scores(s, scores, (batch, head, first_query + row), (first_key, n), |i, score| {
                            most = s.max_nan(most, score);
                            s.store(scores.add(i), score);
                        });
                        let most = s.max_lane(most);
                        let old = *largest.add(row);
                        let new = if most.is_nan() || most > old { most } else { old };
                        // Nothing seen yet: every probability is zero.
                        let shift = s.splat(if new == f32::NEG_INFINITY { 0.0 } else { new });
                        let sum = sum_lanes!(s, n.next_multiple_of(LANES), |i, _n| {
                            let p = math::exp(s, s.sub(s.load(scores.add(i)), shift));
                            save_to(s, probabilities, row * ROW + i, LANES, p);
                            p
                        });
                        pad(s, probabilities, row, n);
                        if new != old {
                            let fade = if old == f32::NEG_INFINITY { 0.0 } else { (old - new).exp() };
                            *total.add(row) *= fade;
                            let fade = s.splat(fade);
                            for i in (0..out_width).step_by(LANES) {
                                let at = out.add(row * out_width + i);
                                s.store(at, s.mul(s.load(at), fade));
                            }
                        }
                        *total.add(row) += sum;
                        *largest.add(row) = new;
                    }
                    value_panels.multiply(Left::WholeRows(probabilities.data(), ROW), rows, out, out_width, true);
                }
                for row in 0..rows {
                    let sum = *total.add(row);
                    let scale = s.splat(if sum == 0.0 { 0.0 } else { 1.0 / sum });
                    for i in (0..out_width).step_by(LANES) {
                        let at = out.add(row * out_width + i);
                        s.store(at, s.mul(s.load(at), scale));
                    }
                    let at = (batch * attention.heads + head) * attention.queries + first_query + row;
                    *results.logsumexp.add(at) = if sum == 0.0 { f32::NEG_INFINITY } else { *largest.add(row) + sum.ln() };
                }
                let at = ((batch * attention.queries + first_query) * attention.heads + head) * value_width;
                scatter(s, out, out_width, rows, value_width, results.out, at, attention.heads * value_width);
            }
        }
    }
}

/// Computes the gradients.
///
/// # Safety
/// Operands and results have the sizes stated, and do not overlap.
pub unsafe fn backward(attention: &Attention, tensors: &Backward) {
    let Attention { batch, heads, queries, keys, mask_strides, .. } = *attention;
    // Heads that share a gradient of the mask follow each other in one part: their sum has one order.
    let (batches, own_heads) = match tensors.dmask {
        Some(_) => (if mask_strides[0] == 0 { 1 } else { batch }, if mask_strides[1] == 0 { 1 } else { heads }),
        None => (batch, heads),
    };
    parallel(batches * own_heads, |part| {
        let (first_batch, first_head) = (part / own_heads, part % own_heads);
        if let Some(dmask) = tensors.dmask {
            let elements = if mask_strides[2] == 0 { keys } else { queries * keys };
            let at = first_batch * mask_strides[0] + first_head * mask_strides[1];
            // SAFETY: this head of the mask is this part's own.
            unsafe { std::slice::from_raw_parts_mut(dmask.add(at), elements) }.fill(0.0);
        }
        for batch in (first_batch..batch).step_by(batches) {
            for head in (first_head..heads).step_by(own_heads) {
                dispatch(attention.features.level(), BackwardHead { attention, tensors, batch, head });
            }
        }
    });
}

struct BackwardHead<'a> {
    attention: &'a Attention,
    tensors: &'a Backward,
    batch: usize,
    head: usize,
}

impl Kernel for BackwardHead<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let BackwardHead { attention, tensors, batch, head } = self;
        let Attention { features, keys, queries, heads, width, value_width, .. } = *attention;
        let tiled = attention.tiled() && tensors.dout.is_bf16();
        let (key_width, out_width) = (padded(width), padded(value_width));
        let all_keys = padded(keys);
        // The gradients of this head's keys and values, and a block's packed operands.
        let mut sums = Scratch::words(all_keys * (key_width + out_width));
        let dk: *mut f32 = sums.pointer();
        let dv = dk.wrapping_add(all_keys * key_width);
        let bytes =
            [Panels::bytes(KEYS.most(), width), Panels::bytes(KEYS.most(), value_width), Panels::bytes(width, KEYS.most())];
        let most = padded(QUERIES.most());
        let side = [Panels::bytes(width, most), Panels::bytes(value_width, most)];
        let blocks = KEYS.count(keys);
        let mut packed = Scratch::bytes(blocks * bytes.iter().sum::<usize>() + side[0] + side[1]);
        let packed: *mut u8 = packed.pointer();
        let mut scratch = Scratch::words(most * (3 * ROW + key_width + width + value_width + 1));
        let p: *mut f32 = scratch.pointer();
        // SAFETY: all parts lie within the scratch, the head within the operands and results.
        unsafe {
            std::slice::from_raw_parts_mut(dk, all_keys * (key_width + out_width)).fill(0.0);
            let dp = p.add(most * ROW);
            let narrow: *mut bf16 = dp.add(most * ROW).cast();
            let (probabilities, dscores) = (kept(tiled, p, narrow), kept(tiled, dp, narrow.add(most * ROW)));
            let dq = dp.add(2 * most * ROW);
            let q = dq.add(most * key_width);
            let dout = q.add(most * width);
            let delta = dout.add(most * value_width);
            let panels: Vec<[Panels; 3]> = KEYS
                .of(0..keys)
                .enumerate()
                .map(|(block, (first, n))| {
                    let at = packed.add(block * bytes.iter().sum::<usize>());
                    let (k, k_stride) = attention.head(attention.k, batch, head, keys, first, width);
                    let (v, v_stride) = attention.head(attention.v, batch, head, keys, first, value_width);
                    let for_scores = Source::Matrix { data: k, i_stride: k_stride, k_stride: 1 };
                    let for_dp = Source::Matrix { data: v, i_stride: v_stride, k_stride: 1 };
                    let for_dq = Source::Matrix { data: k, i_stride: 1, k_stride };
                    [
                        Panels::pack(features, tiled, for_scores, n, width, at),
                        Panels::pack(features, tiled, for_dp, n, value_width, at.add(bytes[0])),
                        Panels::pack(features, tiled, for_dq, width, n, at.add(bytes[0] + bytes[1])),
                    ]
                })
                .collect();
            let side_at = packed.add(blocks * bytes.iter().sum::<usize>());
            for (first_query, rows) in QUERIES.of(0..queries) {
                let q_rows = attention.head(attention.q, batch, head, queries, first_query, width);
                let dout_rows = attention.head(tensors.dout, batch, head, queries, first_query, value_width);
                let (out, out_stride) = attention.head(tensors.out, batch, head, queries, first_query, value_width);
                for row in 0..rows {
                    let (a, b) = (row * dout_rows.1, row * out_stride);
                    *delta.add(row) = sum_lanes!(s, value_width, |i, n| {
                        s.mul(load_from(s, dout_rows.0, a + i, n), load_from(s, out, b + i, n))
                    });
                }
                let pack = |(data, stride), n, to| {
                    let source = Source::Matrix { data, i_stride: 1, k_stride: stride };
                    Panels::pack(features, tiled, source, n, rows, to)
                };
                let q_panels = pack(q_rows, width, side_at);
                let dout_panels = pack(dout_rows, value_width, side_at.add(side[0]));
                let (q, q_stride) = operand(s, tiled, q_rows, rows, width, q);
                let (dout, dout_stride) = operand(s, tiled, dout_rows, rows, value_width, dout);
                std::slice::from_raw_parts_mut(dq, most * key_width).fill(0.0);
                for ((first_key, n), [for_scores, for_dp, for_dq]) in KEYS.of(0..keys).zip(&panels) {
                    if attention.causal && first_key >= first_query + rows {
                        break;
                    }
                    for_scores.multiply(Left::Rows(q, q_stride), rows, p, ROW, false);
                    for_dp.multiply(Left::Rows(dout, dout_stride), rows, dp, ROW, false);
                    for row in 0..rows {
                        let query = first_query + row;
                        let (p, dp) = (p.add(row * ROW), dp.add(row * ROW));
                        let logsumexp = *tensors.logsumexp.add((batch * heads + head) * queries + query);
                        // A query that sees nothing has no probabilities.
                        let shift = s.splat(if logsumexp == f32::NEG_INFINITY { f32::INFINITY } else { logsumexp });
                        let (delta, scale) = (s.splat(*delta.add(row)), s.splat(attention.scale));
                        let dmask = tensors.dmask.map(|dmask| dmask.add(attention.mask_at(batch, head, query) + first_key));
                        attention.scores(s, p, (batch, head, query), (first_key, n), |i, score| {
                            let n = LANES.min(n - i);
                            let probability = math::exp(s, s.sub(score, shift));
                            save_to(s, probabilities, row * ROW + i, LANES, probability);
                            // Beyond the keys the products are not defined.
                            let dscore = s.mul(probability, s.sub(load(s, dp.add(i), n), delta));
                            if let Some(dmask) = dmask {
                                save(s, dmask.add(i), n, s.add(load(s, dmask.add(i), n), dscore));
                            }
                            save_to(s, dscores, row * ROW + i, LANES, s.mul(dscore, scale));
                        });
                        pad(s, dscores, row, n);
                    }
                    for_dq.multiply(Left::WholeRows(dscores.data(), ROW), rows, dq, key_width, true);
                    // In steps of a tile's rows, so that the padding stays within the sums.
                    dout_panels.multiply(
                        Left::Summands(probabilities.data(), ROW),
                        n,
                        dv.add(first_key * out_width),
                        out_width,
                        true,
                    );
                    q_panels.multiply(Left::Summands(dscores.data(), ROW), n, dk.add(first_key * key_width), key_width, true);
                }
                let at = ((batch * queries + first_query) * heads + head) * width;
                scatter(s, dq, key_width, rows, width, tensors.dq, at, heads * width);
            }
            let at = (batch * keys * heads + head) * width;
            scatter(s, dk, key_width, keys, width, tensors.dk, at, heads * width);
            let at = (batch * keys * heads + head) * value_width;
            scatter(s, dv, out_width, keys, value_width, tensors.dv, at, heads * value_width);
        }
    }
}
