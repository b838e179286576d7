// Attention of few queries, bound by the reading of keys and values: the rows of one key and its value lie in LANES = WIDTH / PACK lanes, 16 bytes
// in each. A block of 128 threads has one query and one head; its walkers (groups of LANES) take every WALKERS-th key, two at a time: what is on
// its way comes from many blocks rather than from many registers. Scores stand in units of ln 2.
// Grid (queries, batch * heads, splits). Of several splits each leaves its part, and the block that arrives last joins them in their order:
// `arrived` [b, h, tq] counts up to the number of splits and begins again by itself.

// 16 splits' numbers at most are on their way at once; those that other blocks wrote lie in the second cache.
constexpr int PARTS_AT_ONCE = 16;

__device__ __forceinline__ float load_part(const float* at) {
#ifdef SWARD_HOST
    return *at;
#else
    return __ldcg(at);
#endif
}

template <int WIDTH, int MASK, class T, class M>
__device__ __forceinline__ void sward_attention_few(
    const T* q, const T* k, const T* v, const M* mask, T* out, float* logsumexp, float* parts, float* part_most, float* part_sum,
    u32* arrived, AttentionShape s) {
    constexpr int PACK = 16 / sizeof(T), LANES = WIDTH / PACK, WALKERS = 128 / LANES, AT_ONCE = 2;
    __shared__ float scratch[4][WIDTH + 2];
    int batch = blockIdx.y / s.heads, head = blockIdx.y % s.heads, query = blockIdx.x;
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32, walker = threadIdx.x / LANES, column = threadIdx.x % LANES * PACK;
    int first_key = blockIdx.z * s.split_keys, end_key = first_key + s.split_keys < s.keys ? first_key + s.split_keys : s.keys;
    if (s.causal && query + 1 < end_key) end_key = query + 1;
    i64 stride = i64(s.heads) * WIDTH, own_head = i64(batch) * s.keys * stride + head * WIDTH + column;
    Pack<T, PACK> own = load_pack<PACK>(q + ((i64(batch) * s.queries + query) * s.heads + head) * WIDTH + column);
    float sums[PACK], most = -infinity(), total = 0.0f;
#pragma unroll
    for (int j = 0; j < PACK; ++j) sums[j] = 0.0f;
    for (int start = first_key; start < end_key; start += AT_ONCE * WALKERS) {
        Pack<T, PACK> keys[AT_ONCE], values[AT_ONCE];
#pragma unroll
        for (int u = 0; u < AT_ONCE; ++u) {
            // Beyond the end the last key is read again, and weighs nothing.
            int key = start + u * WALKERS + walker;
            i64 from = own_head + (key < end_key ? key : end_key - 1) * stride;
            keys[u] = load_pack<PACK>(k + from);
            values[u] = load_pack<PACK>(v + from);
        }
        float scores[AT_ONCE], next = most;
#pragma unroll
        for (int u = 0; u < AT_ONCE; ++u) {
            float product = 0.0f;
#pragma unroll
            for (int j = 0; j < PACK; ++j) product += to<float>(own.of[j]) * to<float>(keys[u].of[j]);
#pragma unroll
            for (int distance = LANES / 2; distance > 0; distance /= 2) product += __shfl_xor_sync(0xffffffffu, product, distance);
            int key = start + u * WALKERS + walker;
            scores[u] = key < end_key ? masked_score<MASK>(s, mask, batch, head, query, key, product) : -infinity();
            next = larger(next, scores[u]);
        }
        // A walker that saw nothing yet has no maximum to take off.
        float base = next == -infinity() ? 0.0f : next, shrink = exp2_fast(most - base);
        most = next;
        total *= shrink;
#pragma unroll
        for (int j = 0; j < PACK; ++j) sums[j] *= shrink;
#pragma unroll
        for (int u = 0; u < AT_ONCE; ++u) {
            float weight = exp2_fast(scores[u] - base);
            total += weight;
#pragma unroll
            for (int j = 0; j < PACK; ++j) sums[j] += weight * to<float>(values[u].of[j]);
        }
    }
    // The walkers of a warp, then the warps, each in a fixed order.
#pragma unroll
    for (int distance = LANES; distance < 32; distance *= 2) {
        float other = __shfl_xor_sync(0xffffffffu, most, distance), next = larger(most, other);
        float base = next == -infinity() ? 0.0f : next, shrink = exp2_fast(most - base), other_shrink = exp2_fast(other - base);
        most = next;
        total = total * shrink + __shfl_xor_sync(0xffffffffu, total, distance) * other_shrink;
#pragma unroll
        for (int j = 0; j < PACK; ++j) sums[j] = sums[j] * shrink + __shfl_xor_sync(0xffffffffu, sums[j], distance) * other_shrink;
    }
    if (lane < LANES) {
#pragma unroll
        for (int j = 0; j < PACK; ++j) scratch[warp][column + j] = sums[j];
        if (lane == 0) {
            scratch[warp][WIDTH] = most;
            scratch[warp][WIDTH + 1] = total;
        }
    }
    __syncthreads();
    bool has_column = threadIdx.x < WIDTH;
    float joined = -infinity(), sum = 0.0f, value = 0.0f;
    for (int other = 0; other < 4; ++other) joined = larger(joined, scratch[other][WIDTH]);
    float base = joined == -infinity() ? 0.0f : joined;
    for (int other = 0; other < 4; ++other) {
        float factor = exp2_fast(scratch[other][WIDTH] - base);
        sum += scratch[other][WIDTH + 1] * factor;
        if (has_column) value += scratch[other][threadIdx.x] * factor;
    }
    i64 line = i64(blockIdx.y) * s.queries + query, lines = i64(s.batch) * s.heads * s.queries;
    if (s.splits > 1) {
        __shared__ bool is_last;
        i64 own_part = line + i64(blockIdx.z) * lines;
        if (has_column) parts[own_part * WIDTH + threadIdx.x] = value;
        if (threadIdx.x == 0) {
            part_most[own_part] = joined;
            part_sum[own_part] = sum;
        }
        // What this block wrote is there for the one that counts after it.
        __threadfence();
        __syncthreads();
        if (threadIdx.x == 0) is_last = atomicInc(arrived + line, u32(s.splits) - 1) == u32(s.splits) - 1;
        __syncthreads();
        if (!is_last) return;
        __threadfence();
        joined = -infinity();
#pragma unroll PARTS_AT_ONCE
        for (int split = 0; split < s.splits; ++split) joined = larger(joined, load_part(part_most + split * lines + line));
        base = joined == -infinity() ? 0.0f : joined;
        sum = value = 0.0f;
        int own_column = has_column ? threadIdx.x : 0;
#pragma unroll PARTS_AT_ONCE
        for (int split = 0; split < s.splits; ++split) {
            i64 part = split * lines + line;
            float factor = exp2_fast(load_part(part_most + part) - base);
            sum += load_part(part_sum + part) * factor;
            value += load_part(parts + part * WIDTH + own_column) * factor;
        }
    }
    if (!has_column) return;
    out[((i64(batch) * s.queries + query) * s.heads + head) * WIDTH + threadIdx.x] = to<T>(sum == 0.0f ? 0.0f : value / sum);
    if (threadIdx.x == 0) logsumexp[line] = sum == 0.0f ? -infinity() : joined * LN_2 + logf(sum);
}
