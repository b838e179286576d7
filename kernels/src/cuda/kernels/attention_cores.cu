// Attention in bf16 on tensor cores, f32 sums: q [b, tq, h, d], k [b, tk, h, d], v [b, tk, h, e], d and e up to 128.
//
// D and E are the widths filled up with zeros to multiples of 16. Blocks of 128 threads: four warps of 16 rows each. WIDE: rows are read
// 16 bytes at a time (d and e are multiples of 8).

// Rows first .. first + ROWS of one head to shared memory [row][FULL + 8], zeros beyond `rows` and `width`.
template <int ROWS, int FULL, bool WIDE>
__device__ __forceinline__ void load_rows(bf16* tile, const bf16* from, int batch, int head, int heads, int first, int rows, int width) {
    for (int at = threadIdx.x; at < ROWS * FULL / 8; at += 128) {
        int row = at / (FULL / 8), column = at % (FULL / 8) * 8, token = first + row;
        const bf16* source = from + ((i64(batch) * rows + token) * heads + head) * width + column;
        bf16* target = tile + row * (FULL + 8) + column;
        if (WIDE) {
            bool is_there = token < rows && column < width;
            copy_16_async(target, is_there ? source : from, is_there);
        } else {
            Pack<bf16, 8> pack;
#pragma unroll
            for (int j = 0; j < 8; ++j) pack.of[j] = token < rows && column + j < width ? source[j] : bf16{0};
            store_pack<8>(target, pack);
        }
    }
}

// c [16 rows][BLOCKS * 8 columns] += a [16][16] times the 16 columns from k on of tile b [column][stride].
template <int BLOCKS>
__device__ __forceinline__ void multiply_step(float (&c)[BLOCKS][4], const u32 (&a)[4], const bf16* b, int stride, int k) {
#pragma unroll
    for (int block = 0; block < BLOCKS; block += 2) {
        u32 right[2][2];
        load_b(right, b, stride, k, block * 8);
        mma_16x8x16(c[block], a, right[0]);
        mma_16x8x16(c[block + 1], a, right[1]);
    }
}

// c [16 rows][BLOCKS * 8 columns] += tile a [row][k] times tile b [column][k], over DEPTH of k.
template <int BLOCKS, int DEPTH>
__device__ __forceinline__ void multiply_rows(float (&c)[BLOCKS][4], const bf16* a, int row, const bf16* b) {
#pragma unroll
    for (int k = 0; k < DEPTH; k += 16) {
        u32 left[4];
        load_a(left, a, DEPTH + 8, row, k);
        multiply_step<BLOCKS>(c, left, b, DEPTH + 8, k);
    }
}

// c [16 rows][FULL columns] += p [16 rows][BLOCKS * 8] (rounded to bf16) times tile b [k][FULL + 8].
template <int BLOCKS, int FULL>
__device__ __forceinline__ void multiply_scores(float (&c)[FULL / 8][4], const float (&p)[BLOCKS][4], const bf16* b) {
    u32 left[BLOCKS / 2][4];
    pack_rows(left, p);
#pragma unroll
    for (int k = 0; k < BLOCKS / 2; ++k) {
#pragma unroll
        for (int block = 0; block < FULL / 8; block += 2) {
            u32 right[2][2];
            load_b_transposed(right, b, FULL + 8, k * 16, block * 8);
            mma_16x8x16(c[block], left[k], right[0]);
            mma_16x8x16(c[block + 1], left[k], right[1]);
        }
    }
}

// 64 queries by 64 keys at a time. Grid (query tiles, batch * heads, splits); results as in `attention.cu`.
// Shared: q, then two stages of k and v.
template <int D, int E, bool WIDE, int MASK, class M>
__device__ __forceinline__ void sward_attention_cores(
    const bf16* q, const bf16* k, const bf16* v, const M* mask, bf16* out, float* logsumexp, float* parts, float* part_most,
    float* part_sum, AttentionShape s) {
    DYNAMIC_SHARED(bf16, shared);
    constexpr int K_TILE = 64 * (D + 8), V_TILE = 64 * (E + 8);
    bf16 *q_tile = shared, *k_tiles = shared + K_TILE, *v_tiles = k_tiles + 2 * K_TILE;
    int batch = blockIdx.y / s.heads, head = blockIdx.y % s.heads, first_query = blockIdx.x * 64;
    int warp = threadIdx.x / 32;
    int first_key = blockIdx.z * s.split_keys, end_key = first_key + s.split_keys < s.keys ? first_key + s.split_keys : s.keys;
    if (s.causal && first_query + 64 < end_key) end_key = first_query + 64;
    load_rows<64, D, WIDE>(q_tile, q, batch, head, s.heads, first_query, s.queries, s.width);
    if (first_key < end_key) {
        load_rows<64, D, WIDE>(k_tiles, k, batch, head, s.heads, first_key, s.keys, s.width);
        load_rows<64, E, WIDE>(v_tiles, v, batch, head, s.heads, first_key, s.keys, s.value_width);
    }
    commit_copies();
    float sums[E / 8][4], most[2] = {-infinity(), -infinity()}, total[2] = {0.0f, 0.0f};
    clear(sums);
    // Narrow queries stay in registers.
    constexpr bool KEEPS = D <= 64;
    u32 own[KEEPS ? D / 16 : 1][4];
    if (KEEPS) {
        wait_copies<0>();
        __syncthreads();
#pragma unroll
        for (int k = 0; k < D; k += 16) load_a(own[KEEPS ? k / 16 : 0], q_tile, D + 8, warp * 16, k);
    }
    int stage = 0, own_query = first_query + warp * 16;
    for (int key = first_key; key < end_key; key += 64, stage ^= 1) {
        __syncthreads();
        if (key + 64 < end_key) {
            load_rows<64, D, WIDE>(k_tiles + (stage ^ 1) * K_TILE, k, batch, head, s.heads, key + 64, s.keys, s.width);
            load_rows<64, E, WIDE>(v_tiles + (stage ^ 1) * V_TILE, v, batch, head, s.heads, key + 64, s.keys, s.value_width);
        }
        commit_copies();
        wait_copies<1>();
        __syncthreads();
        float scores[8][4];
        clear(scores);
        if (KEEPS) {
#pragma unroll
            for (int k = 0; k < D; k += 16) multiply_step<8>(scores, own[KEEPS ? k / 16 : 0], k_tiles + stage * K_TILE, D + 8, k);
        } else {
            multiply_rows<8, D>(scores, q_tile, warp * 16, k_tiles + stage * K_TILE);
        }
        weigh<MASK>(scores, sums, most, total, mask, batch, head, own_query, key, s);
        multiply_scores<8, E>(sums, scores, v_tiles + stage * V_TILE);
    }
    wait_copies<0>();
    store_attention<E, WIDE>(sums, most, total, out, logsumexp, parts, part_most, part_sum, batch, head, own_query, s);
}

// dk and dv: each warp 16 of a block's 64 keys, 32 queries at a time; the scores stand transposed, [key][query].
// Grid (key tiles, batch * heads). Shared: k, v, then two stages of q and dout with logsumexp and delta [32] each.
template <int D, int E, bool WIDE, int MASK, class M>
__device__ __forceinline__ void sward_attention_cores_keys_gradient(
    const bf16* dout, const bf16* q, const bf16* k, const bf16* v, const float* logsumexp, const float* delta, const M* mask, bf16* dk,
    bf16* dv, AttentionShape s) {
    DYNAMIC_SHARED(bf16, shared);
    constexpr int Q_TILE = 32 * (D + 8), DOUT_TILE = 32 * (E + 8);
    bf16 *k_tile = shared, *v_tile = k_tile + 64 * (D + 8), *q_tiles = v_tile + 64 * (E + 8), *dout_tiles = q_tiles + 2 * Q_TILE;
    float* normalizers = reinterpret_cast<float*>(dout_tiles + 2 * DOUT_TILE);
    float* deltas = normalizers + 64;
    int batch = blockIdx.y / s.heads, head = blockIdx.y % s.heads, first_key = blockIdx.x * 64;
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32, first_query = s.causal ? first_key : 0;
    auto load = [&](int stage, int query) {
        load_rows<32, D, WIDE>(q_tiles + stage * Q_TILE, q, batch, head, s.heads, query, s.queries, s.width);
        load_rows<32, E, WIDE>(dout_tiles + stage * DOUT_TILE, dout, batch, head, s.heads, query, s.queries, s.value_width);
        if (threadIdx.x < 32) {
            int own = query + int(threadIdx.x);
            i64 line = i64(blockIdx.y) * s.queries + own;
            normalizers[stage * 32 + threadIdx.x] = row_normalizer(logsumexp, line, own < s.queries);
            deltas[stage * 32 + threadIdx.x] = own < s.queries ? delta[line] : 0.0f;
        }
    };
    load_rows<64, D, WIDE>(k_tile, k, batch, head, s.heads, first_key, s.keys, s.width);
    load_rows<64, E, WIDE>(v_tile, v, batch, head, s.heads, first_key, s.keys, s.value_width);
    if (first_query < s.queries) load(0, first_query);
    commit_copies();
    float dk_sums[D / 8][4], dv_sums[E / 8][4];
    clear(dk_sums);
    clear(dv_sums);
    int stage = 0;
    for (int query = first_query; query < s.queries; query += 32, stage ^= 1) {
        __syncthreads();
        if (query + 32 < s.queries) load(stage ^ 1, query + 32);
        commit_copies();
        wait_copies<1>();
        __syncthreads();
        float weights[4][4], slopes[4][4];
        clear(weights);
        clear(slopes);
        multiply_rows<4, D>(weights, k_tile, warp * 16, q_tiles + stage * Q_TILE);
        multiply_rows<4, E>(slopes, v_tile, warp * 16, dout_tiles + stage * DOUT_TILE);
        bool whole = is_whole<MASK>(s, query, 32, first_key, 64);
        float unit = whole ? s.scale * LOG2_E : 1.0f;
        if (!whole) {
#pragma unroll
            for (int at = 0; at < 16; ++at)
                weights[at / 4][at % 4] = masked_score<MASK>(
                    s, mask, batch, head, query + at / 4 * 8 + lane % 4 * 2 + at % 2, first_key + warp * 16 + lane / 4 + at % 4 / 2 * 8,
                    weights[at / 4][at % 4]);
        }
#pragma unroll
        for (int at = 0; at < 16; ++at) {
            int own = stage * 32 + at / 4 * 8 + lane % 4 * 2 + at % 2;
            float weight = exp2_fast(weights[at / 4][at % 4] * unit - normalizers[own]);
            weights[at / 4][at % 4] = weight;
            slopes[at / 4][at % 4] = weight * (slopes[at / 4][at % 4] - deltas[own]);
        }
        multiply_scores<4, E>(dv_sums, weights, dout_tiles + stage * DOUT_TILE);
        multiply_scores<4, D>(dk_sums, slopes, q_tiles + stage * Q_TILE);
    }
    wait_copies<0>();
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        int key = first_key + warp * 16 + lane / 4 + half * 8;
        if (key >= s.keys) continue;
        i64 line = (i64(batch) * s.keys + key) * s.heads + head;
#pragma unroll
        for (int at = 0; at < D / 4; ++at) {
            int column = at / 2 * 8 + lane % 4 * 2 + at % 2;
            if (column < s.width) dk[line * s.width + column] = to<bf16>(dk_sums[at / 2][half * 2 + at % 2] * s.scale);
        }
#pragma unroll
        for (int at = 0; at < E / 4; ++at) {
            int column = at / 2 * 8 + lane % 4 * 2 + at % 2;
            if (column < s.value_width) dv[line * s.value_width + column] = to<bf16>(dv_sums[at / 2][half * 2 + at % 2]);
        }
    }
}

// dq: each warp 16 of a block's 64 queries, 32 keys at a time. Grid (query tiles, batch * heads).
// Shared: q, dout, then two stages of k and v.
template <int D, int E, bool WIDE, int MASK, class M>
__device__ __forceinline__ void sward_attention_cores_queries_gradient(
    const bf16* dout, const bf16* q, const bf16* k, const bf16* v, const float* logsumexp, const float* delta, const M* mask, bf16* dq,
    AttentionShape s) {
    DYNAMIC_SHARED(bf16, shared);
    constexpr int K_TILE = 32 * (D + 8), V_TILE = 32 * (E + 8);
    bf16 *q_tile = shared, *dout_tile = q_tile + 64 * (D + 8), *k_tiles = dout_tile + 64 * (E + 8), *v_tiles = k_tiles + 2 * K_TILE;
    int batch = blockIdx.y / s.heads, head = blockIdx.y % s.heads, first_query = blockIdx.x * 64;
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    int end_key = s.causal && first_query + 64 < s.keys ? first_query + 64 : s.keys;
    auto load = [&](int stage, int key) {
        load_rows<32, D, WIDE>(k_tiles + stage * K_TILE, k, batch, head, s.heads, key, s.keys, s.width);
        load_rows<32, E, WIDE>(v_tiles + stage * V_TILE, v, batch, head, s.heads, key, s.keys, s.value_width);
    };
    load_rows<64, D, WIDE>(q_tile, q, batch, head, s.heads, first_query, s.queries, s.width);
    load_rows<64, E, WIDE>(dout_tile, dout, batch, head, s.heads, first_query, s.queries, s.value_width);
    if (end_key > 0) load(0, 0);
    commit_copies();
    float normalizers[2], deltas[2], sums[D / 8][4];
    clear(sums);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        int query = first_query + warp * 16 + lane / 4 + half * 8;
        i64 line = i64(blockIdx.y) * s.queries + query;
        normalizers[half] = row_normalizer(logsumexp, line, query < s.queries);
        deltas[half] = query < s.queries ? delta[line] : 0.0f;
    }
    int stage = 0;
    for (int key = 0; key < end_key; key += 32, stage ^= 1) {
        __syncthreads();
        if (key + 32 < end_key) load(stage ^ 1, key + 32);
        commit_copies();
        wait_copies<1>();
        __syncthreads();
        float scores[4][4], slopes[4][4];
        clear(scores);
        clear(slopes);
        multiply_rows<4, D>(scores, q_tile, warp * 16, k_tiles + stage * K_TILE);
        multiply_rows<4, E>(slopes, dout_tile, warp * 16, v_tiles + stage * V_TILE);
        bool whole = is_whole<MASK>(s, first_query, 64, key, 32);
        float unit = whole ? s.scale * LOG2_E : 1.0f;
        if (!whole) {
#pragma unroll
            for (int at = 0; at < 16; ++at)
                scores[at / 4][at % 4] = masked_score<MASK>(
                    s, mask, batch, head, first_query + warp * 16 + lane / 4 + at % 4 / 2 * 8, key + at / 4 * 8 + lane % 4 * 2 + at % 2,
                    scores[at / 4][at % 4]);
        }
#pragma unroll
        for (int at = 0; at < 16; ++at) {
            int half = at % 4 / 2;
            float weight = exp2_fast(scores[at / 4][at % 4] * unit - normalizers[half]);
            slopes[at / 4][at % 4] = weight * (slopes[at / 4][at % 4] - deltas[half]);
        }
        multiply_scores<4, D>(sums, slopes, k_tiles + stage * K_TILE);
    }
    wait_copies<0>();
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        int query = first_query + warp * 16 + lane / 4 + half * 8;
        if (query >= s.queries) continue;
        i64 line = (i64(batch) * s.queries + query) * s.heads + head;
#pragma unroll
        for (int at = 0; at < D / 4; ++at) {
            int column = at / 2 * 8 + lane % 4 * 2 + at % 2;
            if (column < s.width) dq[line * s.width + column] = to<bf16>(sums[at / 2][half * 2 + at % 2] * s.scale);
        }
    }
}
