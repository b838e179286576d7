// Attention in f32 arithmetic, for any head width that shared memory holds: q [b, tq, h, d], k [b, tk, h, d], v [b, tk, h, e].
//
// Blocks of 256 threads work on TILE queries by TILE keys: 256 / TILE lanes for each query. Nothing of tokens x tokens is stored.

// The masked scaled score, -inf where the query may not attend.
template <int MASK, class M>
__device__ __forceinline__ float masked_score(const AttentionShape& s, const M* mask, int batch, int head, int query, int key, float product) {
    if (key >= s.keys || query >= s.queries || (s.causal && key > query)) return -infinity();
    float score = product * s.scale;
    if (MASK == MASK_NONE) return score;
    M own = mask[batch * s.mask_batch + head * s.mask_head + query * s.mask_query + key];
    if (MASK == MASK_BOOLEAN) return to<float>(own) != 0.0f ? score : -infinity();
    return score + to<float>(own);
}

// Rows first .. first + TILE of one head to shared memory, zeros beyond `rows`; a row has `width` elements and a stride of width + 1.
template <int TILE, class T>
__device__ __forceinline__ void load_rows(float* tile, const T* from, int batch, int head, int heads, int first, int rows, int width) {
    for (int at = threadIdx.x; at < TILE * width; at += 256) {
        int row = at / width, column = at % width, token = first + row;
        tile[row * (width + 1) + column] =
            token < rows ? to<float>(from[((i64(batch) * rows + token) * heads + head) * width + column]) : 0.0f;
    }
}

__device__ __forceinline__ float dot(const float* a, const float* b, int width) {
    float sum = 0.0f;
    for (int column = 0; column < width; ++column) sum += a[column] * b[column];
    return sum;
}

// Grid (query tiles, batch * heads, splits). With one split the result is normalized; else `parts` gets [splits, b, h, tq, e] with
// `part_most` and `part_sum` [splits, b, h, tq].
template <int TILE, int MASK, class T, class M>
__device__ __forceinline__ void sward_attention(
    const T* q, const T* k, const T* v, const M* mask, T* out, float* logsumexp, float* parts, float* part_most, float* part_sum,
    AttentionShape s) {
    constexpr int LANES = 256 / TILE, EACH = TILE / LANES;
    DYNAMIC_SHARED(float, shared);
    float* q_tile = shared;
    float* k_tile = q_tile + TILE * (s.width + 1);
    float* v_tile = k_tile + TILE * (s.width + 1);
    float* sums = v_tile + TILE * (s.value_width + 1);
    float* weights = sums + TILE * (s.value_width + 1);
    int batch = blockIdx.y / s.heads, head = blockIdx.y % s.heads, first_query = blockIdx.x * TILE;
    int row = threadIdx.x / LANES, lane = threadIdx.x % LANES, query = first_query + row;
    load_rows<TILE>(q_tile, q, batch, head, s.heads, first_query, s.queries, s.width);
    for (int at = threadIdx.x; at < TILE * (s.value_width + 1); at += 256) sums[at] = 0.0f;
    float most = -infinity(), total = 0.0f;
    int first_key = blockIdx.z * s.split_keys, end_key = first_key + s.split_keys < s.keys ? first_key + s.split_keys : s.keys;
    if (s.causal && first_query + TILE < end_key) end_key = first_query + TILE;
    for (int key = first_key; key < end_key; key += TILE) {
        __syncthreads();
        load_rows<TILE>(k_tile, k, batch, head, s.heads, key, s.keys, s.width);
        load_rows<TILE>(v_tile, v, batch, head, s.heads, key, s.keys, s.value_width);
        __syncthreads();
        float scores[EACH], next = most;
#pragma unroll
        for (int j = 0; j < EACH; ++j) {
            int column = lane + j * LANES;
            float product = dot(q_tile + row * (s.width + 1), k_tile + column * (s.width + 1), s.width);
            scores[j] = masked_score<MASK>(s, mask, batch, head, query, key + column, product);
            next = larger(next, scores[j]);
        }
#pragma unroll
        for (int distance = LANES / 2; distance > 0; distance /= 2) next = larger(next, __shfl_xor_sync(0xffffffffu, next, distance));
        // A row that saw nothing yet has no maximum to take off.
        float base = next == -infinity() ? 0.0f : next, shrink = expf(most - base), sum = 0.0f;
#pragma unroll
        for (int j = 0; j < EACH; ++j) {
            float weight = expf(scores[j] - base);
            weights[row * (TILE + 1) + lane + j * LANES] = weight;
            sum += weight;
        }
#pragma unroll
        for (int distance = LANES / 2; distance > 0; distance /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, distance);
        total = total * shrink + sum;
        most = next;
        __syncthreads();
        for (int column = lane; column < s.value_width; column += LANES) {
            float value = sums[row * (s.value_width + 1) + column] * shrink;
            for (int other = 0; other < TILE; ++other)
                value += weights[row * (TILE + 1) + other] * v_tile[other * (s.value_width + 1) + column];
            sums[row * (s.value_width + 1) + column] = value;
        }
    }
    __syncthreads();
    if (query >= s.queries) return;
    i64 line = i64(blockIdx.y) * s.queries + query;
    if (s.splits > 1) {
        line += i64(blockIdx.z) * s.batch * s.heads * s.queries;
        for (int column = lane; column < s.value_width; column += LANES)
            parts[line * s.value_width + column] = sums[row * (s.value_width + 1) + column];
        if (lane == 0) {
            part_most[line] = most;
            part_sum[line] = total;
        }
        return;
    }
    float factor = total == 0.0f ? 0.0f : 1.0f / total;
    for (int column = lane; column < s.value_width; column += LANES)
        out[((i64(batch) * s.queries + query) * s.heads + head) * s.value_width + column] =
            to<T>(sums[row * (s.value_width + 1) + column] * factor);
    if (lane == 0) logsumexp[line] = total == 0.0f ? -infinity() : most + logf(total);
}

// Joins the splits, in order: one thread for each element of the result.
template <class T>
__device__ __forceinline__ void sward_attention_combine(
    const float* parts, const float* part_most, const float* part_sum, T* out, float* logsumexp, AttentionShape s, i64 elements) {
    i64 at = global_thread();
    if (at >= elements) return;
    int column = int(at % s.value_width);
    i64 line = at / s.value_width, lines = i64(s.batch) * s.heads * s.queries;
    float most = -infinity();
    for (int split = 0; split < s.splits; ++split) most = larger(most, part_most[split * lines + line]);
    float base = most == -infinity() ? 0.0f : most, total = 0.0f, value = 0.0f;
    for (int split = 0; split < s.splits; ++split) {
        float factor = expf(part_most[split * lines + line] - base);
        total += part_sum[split * lines + line] * factor;
        value += parts[(split * lines + line) * s.value_width + column] * factor;
    }
    int query = int(line % s.queries);
    i64 rest = line / s.queries;
    int head = int(rest % s.heads);
    out[((rest / s.heads * s.queries + query) * s.heads + head) * s.value_width + column] = to<T>(total == 0.0f ? 0.0f : value / total);
    if (column == 0) logsumexp[line] = total == 0.0f ? -infinity() : most + logf(total);
}

// delta [b, h, tq] = the sum of dout * out over each row: a warp for each. Blocks of 128.
template <class D, class T>
__device__ __forceinline__ void sward_attention_delta(const D* dout, const T* out, float* delta, AttentionShape s) {
    i64 line = i64(blockIdx.x) * 4 + threadIdx.x / 32, lines = i64(s.batch) * s.queries * s.heads;
    if (line >= lines) return;
    float sum = 0.0f;
    for (int column = threadIdx.x % 32; column < s.value_width; column += 32)
        sum += to<float>(dout[line * s.value_width + column]) * to<float>(out[line * s.value_width + column]);
    sum = warp_sum(sum);
    i64 head = line % s.heads, rest = line / s.heads;
    if (threadIdx.x % 32 == 0) delta[(rest / s.queries * s.heads + head) * s.queries + rest % s.queries] = sum;
}

// The probability and the gradient of the score of TILE queries by TILE keys, to shared memory [query][TILE + 1].
template <int TILE, int MASK, class M>
__device__ __forceinline__ void score_gradients(
    float* weights, float* slopes, const float* q_tile, const float* k_tile, const float* v_tile, const float* dout_tile, const M* mask,
    const float* logsumexp, const float* delta, int first_query, int first_key, const AttentionShape& s) {
    constexpr int LANES = 256 / TILE, EACH = TILE / LANES;
    int batch = blockIdx.y / s.heads, head = blockIdx.y % s.heads;
    int row = threadIdx.x / LANES, lane = threadIdx.x % LANES, query = first_query + row;
    i64 line = i64(blockIdx.y) * s.queries + query;
    float normalizer = query < s.queries ? logsumexp[line] : -infinity(), own = query < s.queries ? delta[line] : 0.0f;
#pragma unroll
    for (int j = 0; j < EACH; ++j) {
        int column = lane + j * LANES;
        float product = dot(q_tile + row * (s.width + 1), k_tile + column * (s.width + 1), s.width);
        float score = masked_score<MASK>(s, mask, batch, head, query, first_key + column, product);
        float weight = normalizer == -infinity() ? 0.0f : expf(score - normalizer);
        float slope = dot(dout_tile + row * (s.value_width + 1), v_tile + column * (s.value_width + 1), s.value_width);
        weights[row * (TILE + 1) + column] = weight;
        slopes[row * (TILE + 1) + column] = weight * (slope - own);
    }
}

// dk and dv. Grid (key tiles, batch * heads).
template <int TILE, int MASK, class T, class D, class M>
__device__ __forceinline__ void sward_attention_keys_gradient(
    const D* dout, const T* q, const T* k, const T* v, const float* logsumexp, const float* delta, const M* mask, T* dk, T* dv,
    AttentionShape s) {
    DYNAMIC_SHARED(float, shared);
    int wide = TILE * (s.width + 1), value_wide = TILE * (s.value_width + 1);
    float *q_tile = shared, *k_tile = q_tile + wide, *dk_tile = k_tile + wide;
    float *v_tile = dk_tile + wide, *dout_tile = v_tile + value_wide, *dv_tile = dout_tile + value_wide;
    float *weights = dv_tile + value_wide, *slopes = weights + TILE * (TILE + 1);
    int batch = blockIdx.y / s.heads, head = blockIdx.y % s.heads, first_key = blockIdx.x * TILE;
    load_rows<TILE>(k_tile, k, batch, head, s.heads, first_key, s.keys, s.width);
    load_rows<TILE>(v_tile, v, batch, head, s.heads, first_key, s.keys, s.value_width);
    for (int at = threadIdx.x; at < wide; at += 256) dk_tile[at] = 0.0f;
    for (int at = threadIdx.x; at < value_wide; at += 256) dv_tile[at] = 0.0f;
    for (int query = s.causal ? first_key : 0; query < s.queries; query += TILE) {
        __syncthreads();
        load_rows<TILE>(q_tile, q, batch, head, s.heads, query, s.queries, s.width);
        load_rows<TILE>(dout_tile, dout, batch, head, s.heads, query, s.queries, s.value_width);
        __syncthreads();
        score_gradients<TILE, MASK>(weights, slopes, q_tile, k_tile, v_tile, dout_tile, mask, logsumexp, delta, query, first_key, s);
        __syncthreads();
        for (int at = threadIdx.x; at < TILE * s.value_width; at += 256) {
            int row = at / s.value_width, column = at % s.value_width;
            float sum = 0.0f;
            for (int other = 0; other < TILE; ++other)
                sum += weights[other * (TILE + 1) + row] * dout_tile[other * (s.value_width + 1) + column];
            dv_tile[row * (s.value_width + 1) + column] += sum;
        }
        for (int at = threadIdx.x; at < TILE * s.width; at += 256) {
            int row = at / s.width, column = at % s.width;
            float sum = 0.0f;
            for (int other = 0; other < TILE; ++other) sum += slopes[other * (TILE + 1) + row] * q_tile[other * (s.width + 1) + column];
            dk_tile[row * (s.width + 1) + column] += sum;
        }
    }
    __syncthreads();
    for (int at = threadIdx.x; at < TILE * s.width; at += 256) {
        int row = at / s.width, column = at % s.width, key = first_key + row;
        if (key < s.keys)
            dk[((i64(batch) * s.keys + key) * s.heads + head) * s.width + column] = to<T>(dk_tile[row * (s.width + 1) + column] * s.scale);
    }
    for (int at = threadIdx.x; at < TILE * s.value_width; at += 256) {
        int row = at / s.value_width, column = at % s.value_width, key = first_key + row;
        if (key < s.keys)
            dv[((i64(batch) * s.keys + key) * s.heads + head) * s.value_width + column] = to<T>(dv_tile[row * (s.value_width + 1) + column]);
    }
}

// dq. Grid (query tiles, batch * heads).
template <int TILE, int MASK, class T, class D, class M>
__device__ __forceinline__ void sward_attention_queries_gradient(
    const D* dout, const T* q, const T* k, const T* v, const float* logsumexp, const float* delta, const M* mask, T* dq,
    AttentionShape s) {
    DYNAMIC_SHARED(float, shared);
    int wide = TILE * (s.width + 1), value_wide = TILE * (s.value_width + 1);
    float *q_tile = shared, *k_tile = q_tile + wide, *dq_tile = k_tile + wide;
    float *v_tile = dq_tile + wide, *dout_tile = v_tile + value_wide;
    float *weights = dout_tile + value_wide, *slopes = weights + TILE * (TILE + 1);
    int batch = blockIdx.y / s.heads, head = blockIdx.y % s.heads, first_query = blockIdx.x * TILE;
    load_rows<TILE>(q_tile, q, batch, head, s.heads, first_query, s.queries, s.width);
    load_rows<TILE>(dout_tile, dout, batch, head, s.heads, first_query, s.queries, s.value_width);
    for (int at = threadIdx.x; at < wide; at += 256) dq_tile[at] = 0.0f;
    int end_key = s.causal && first_query + TILE < s.keys ? first_query + TILE : s.keys;
    for (int key = 0; key < end_key; key += TILE) {
        __syncthreads();
        load_rows<TILE>(k_tile, k, batch, head, s.heads, key, s.keys, s.width);
        load_rows<TILE>(v_tile, v, batch, head, s.heads, key, s.keys, s.value_width);
        __syncthreads();
        score_gradients<TILE, MASK>(weights, slopes, q_tile, k_tile, v_tile, dout_tile, mask, logsumexp, delta, first_query, key, s);
        __syncthreads();
        for (int at = threadIdx.x; at < TILE * s.width; at += 256) {
            int row = at / s.width, column = at % s.width;
            float sum = 0.0f;
            for (int other = 0; other < TILE; ++other) sum += slopes[row * (TILE + 1) + other] * k_tile[other * (s.width + 1) + column];
            dq_tile[row * (s.width + 1) + column] += sum;
        }
    }
    __syncthreads();
    for (int at = threadIdx.x; at < TILE * s.width; at += 256) {
        int row = at / s.width, column = at % s.width, query = first_query + row;
        if (query < s.queries)
            dq[((i64(batch) * s.queries + query) * s.heads + head) * s.width + column] = to<T>(dq_tile[row * (s.width + 1) + column] * s.scale);
    }
}

// The gradient in an additive mask [mb, mh, mq, tk]: a warp for each element sums the scores' gradients that it reaches, in order.
template <class T, class D, class M>
__device__ __forceinline__ void sward_attention_mask_gradient(
    const D* dout, const T* q, const T* k, const T* v, const float* logsumexp, const float* delta, const M* mask, float* dmask,
    AttentionShape s, int mask_batches, int mask_heads, int mask_queries, i64 elements) {
    i64 at = i64(blockIdx.x) * 4 + threadIdx.x / 32;
    int lane = threadIdx.x % 32;
    if (at >= elements) return;
    int key = int(at % s.keys);
    i64 rest = at / s.keys;
    int own_query = int(rest % mask_queries), own_head = int(rest / mask_queries % mask_heads), own_batch = int(rest / mask_queries / mask_heads);
    int batches = mask_batches == 1 ? s.batch : 1, heads = mask_heads == 1 ? s.heads : 1, queries = mask_queries == 1 ? s.queries : 1;
    float total = 0.0f;
    for (int b = 0; b < batches; ++b)
        for (int h = 0; h < heads; ++h)
            for (int t = 0; t < queries; ++t) {
                int batch = own_batch + b, head = own_head + h, query = own_query + t;
                i64 line = (i64(batch) * s.heads + head) * s.queries + query;
                float normalizer = logsumexp[line];
                if (normalizer == -infinity() || (s.causal && key > query)) continue;
                const T* q_row = q + ((i64(batch) * s.queries + query) * s.heads + head) * s.width;
                const T* k_row = k + ((i64(batch) * s.keys + key) * s.heads + head) * s.width;
                const D* dout_row = dout + ((i64(batch) * s.queries + query) * s.heads + head) * s.value_width;
                const T* v_row = v + ((i64(batch) * s.keys + key) * s.heads + head) * s.value_width;
                float product = 0.0f, slope = 0.0f;
                for (int column = lane; column < s.width; column += 32) product += to<float>(q_row[column]) * to<float>(k_row[column]);
                for (int column = lane; column < s.value_width; column += 32)
                    slope += to<float>(dout_row[column]) * to<float>(v_row[column]);
                float score = masked_score<MASK_ADDITIVE>(s, mask, batch, head, query, key, warp_sum(product));
                total += expf(score - normalizer) * (warp_sum(slope) - delta[line]);
            }
    if (lane == 0) dmask[at] = total;
}
