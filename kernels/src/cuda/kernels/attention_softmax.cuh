// What the kernels of attention in units of ln 2 share: masks; on tensor cores the online softmax of a warp's 16 rows by 64 keys and the end of a
// forward pass.
//
// Scores stand as `mma_16x8x16` leaves them: block b of a thread's scores has its rows lane / 4 and lane / 4 + 8, columns b * 8 + lane % 4 * 2
// and the next.

constexpr float LOG2_E = 1.4426950408889634f, LN_2 = 0.6931471805599453f;

// 2^x by the special function unit: 2 ulp, 0 for x below -126.
__device__ __forceinline__ float exp2_fast(float x) {
#ifdef SWARD_HOST
    return exp2f(x);
#else
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
#endif
}

// The larger number, without a thought for NaN: one in a score comes through by its own weight.
__device__ __forceinline__ float most_of(float a, float b) {
#ifdef SWARD_HOST
    return a > b ? a : b;
#else
    return fmaxf(a, b);
#endif
}

// Whether any lane of the warp says so.
__device__ __forceinline__ bool any_lane(bool own) {
#ifdef SWARD_HOST
    int any = own;
    for (int distance = 16; distance > 0; distance /= 2) any |= __shfl_xor_sync(0xffffffffu, any, distance);
    return any != 0;
#else
    return __any_sync(0xffffffffu, own);
#endif
}

// The least score but for -inf, in units of ln 2: masks of the least float would become -inf in these units, and leave a query nothing where they
// are to leave it all keys alike. A power of two comes back from natural units as it was.
constexpr float LEAST_SCORE = -1.7014118346046923e38f;

// The masked scaled score in units of ln 2, so that 2^x is taken of it; -inf where the query may not attend.
template <int MASK, class M>
__device__ __forceinline__ float masked_score(const AttentionShape& s, const M* mask, int batch, int head, int query, int key, float product) {
    if (key >= s.keys || query >= s.queries || (s.causal && key > query)) return -infinity();
    float score = product * (s.scale * LOG2_E);
    if (MASK == MASK_NONE) return score;
    M own = mask[batch * s.mask_batch + head * s.mask_head + query * s.mask_query + key];
    if (MASK == MASK_BOOLEAN) return to<float>(own) != 0.0f ? score : -infinity();
    score += to<float>(own) * LOG2_E;
    // NaN stays what it is.
    return score < LEAST_SCORE && to<float>(own) != -infinity() ? LEAST_SCORE : score;
}

// Whether no score of `queries` rows from `query` on and `keys` columns from `key` on is masked or lies outside.
template <int MASK>
__device__ __forceinline__ bool is_whole(const AttentionShape& s, int query, int queries, int key, int keys) {
    return MASK == MASK_NONE && query + queries <= s.queries && key + keys <= s.keys && (!s.causal || key + keys - 1 <= query);
}

// What a row's scores are taken off: its logsumexp in units of ln 2; inf where it has no weights, so that 2^(score - inf) is 0.
__device__ __forceinline__ float row_normalizer(const float* logsumexp, i64 line, bool is_there) {
    float own = is_there ? logsumexp[line] * LOG2_E : infinity();
    return own == -infinity() ? infinity() : own;
}

template <int BLOCKS> __device__ __forceinline__ void clear(float (&c)[BLOCKS][4]) {
#pragma unroll
    for (int at = 0; at < BLOCKS * 4; ++at) c[at / 4][at % 4] = 0.0f;
}

// Weights as left factors of products over 16 columns each, rounded to bf16.
template <int BLOCKS> __device__ __forceinline__ void pack_rows(u32 (&packed)[BLOCKS / 2][4], const float (&x)[BLOCKS][4]) {
#pragma unroll
    for (int at = 0; at < BLOCKS * 2; ++at)
        packed[at / 4][at % 4] = pack_bf16(x[at / 4 * 2 + at % 4 / 2][at % 2 * 2], x[at / 4 * 2 + at % 4 / 2][at % 2 * 2 + 1]);
}

// The online softmax of a warp's 16 rows from `query` on and 64 keys from `key` on: products become weights, and what was summed before
// shrinks with the maxima (in units of ln 2).
template <int MASK, int COLUMNS, class M>
__device__ __forceinline__ void weigh(
    float (&scores)[8][4], float (&sums)[COLUMNS][4], float (&most)[2], float (&total)[2], const M* mask, int batch, int head, int query,
    int key, const AttentionShape& s) {
    int lane = threadIdx.x % 32;
    float unit = s.scale * LOG2_E;
    if (!is_whole<MASK>(s, query, 16, key, 64)) {
#pragma unroll
        for (int at = 0; at < 32; ++at)
            scores[at / 4][at % 4] = masked_score<MASK>(
                s, mask, batch, head, query + lane / 4 + at % 4 / 2 * 8, key + at / 4 * 8 + lane % 4 * 2 + at % 2, scores[at / 4][at % 4]);
        unit = 1.0f;
    }
    float shrink[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        float next = most_of(scores[0][half * 2], scores[0][half * 2 + 1]);
#pragma unroll
        for (int block = 1; block < 8; ++block) next = most_of(next, most_of(scores[block][half * 2], scores[block][half * 2 + 1]));
        next = most_of(next, __shfl_xor_sync(0xffffffffu, next, 1));
        next = most_of(most[half], most_of(next, __shfl_xor_sync(0xffffffffu, next, 2)) * unit);
        // A row that saw nothing yet has no maximum to take off.
        float base = next == -infinity() ? 0.0f : next, sum = 0.0f;
        shrink[half] = exp2_fast(most[half] - base);
        most[half] = next;
#pragma unroll
        for (int block = 0; block < 8; ++block)
#pragma unroll
            for (int part = 0; part < 2; ++part) {
                float weight = exp2_fast(scores[block][half * 2 + part] * unit - base);
                scores[block][half * 2 + part] = weight;
                sum += weight;
            }
        total[half] = total[half] * shrink[half] + sum;
    }
    // Maxima settle after a few tiles.
    if (any_lane(shrink[0] != 1.0f || shrink[1] != 1.0f)) {
#pragma unroll
        for (int at = 0; at < COLUMNS * 4; ++at) sums[at / 4][at % 4] *= shrink[at % 4 / 2];
    }
}

// The end of a forward pass: each thread's sums of its rows, normalized, or as one split's part of them. PAIRS: rows of `out` begin at even elements.
template <int E, bool PAIRS>
__device__ __forceinline__ void store_attention(
    const float (&sums)[E / 8][4], const float (&most)[2], float (&total)[2], bf16* out, float* logsumexp, float* parts, float* part_most,
    float* part_sum, int batch, int head, int first_query, const AttentionShape& s) {
    int lane = threadIdx.x % 32;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        total[half] += __shfl_xor_sync(0xffffffffu, total[half], 1);
        total[half] += __shfl_xor_sync(0xffffffffu, total[half], 2);
        int query = first_query + lane / 4 + half * 8;
        if (query >= s.queries) continue;
        i64 line = i64(blockIdx.y) * s.queries + query;
        float factor = total[half] == 0.0f ? 0.0f : 1.0f / total[half];
        if (s.splits > 1) {
            line += i64(blockIdx.z) * s.batch * s.heads * s.queries;
            // `attention_combine` takes maxima in natural units.
            if (lane % 4 == 0) {
                part_most[line] = most[half] * LN_2;
                part_sum[line] = total[half];
            }
        } else if (lane % 4 == 0) {
            logsumexp[line] = total[half] == 0.0f ? -infinity() : most[half] * LN_2 + logf(total[half]);
        }
        bf16* row = out + ((i64(batch) * s.queries + query) * s.heads + head) * s.value_width;
#pragma unroll
        for (int block = 0; block < E / 8; ++block) {
            int column = block * 8 + lane % 4 * 2;
            if (PAIRS && s.splits == 1) {
                if (column < s.value_width)
                    *reinterpret_cast<u32*>(row + column) = pack_bf16(sums[block][half * 2] * factor, sums[block][half * 2 + 1] * factor);
                continue;
            }
#pragma unroll
            for (int part = 0; part < 2; ++part) {
                if (column + part >= s.value_width) continue;
                if (s.splits > 1)
                    parts[line * s.value_width + column + part] = sums[block][half * 2 + part];
                else
                    row[column + part] = to<bf16>(sums[block][half * 2 + part] * factor);
            }
        }
    }
}
