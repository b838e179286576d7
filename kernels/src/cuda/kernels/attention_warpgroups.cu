// Attention in bf16 by Hopper's warpgroup products, for head widths that are 64 or 128 as they are. Blocks of GROUPS warpgroups (128 threads) with
// 64 rows each, which go along the other tokens 64 at a time. Tiles lie in panels (`warpgroups.cuh`) from the first multiple of 1,024 bytes of
// shared memory on. While one stage is worked on, copies to the next GROUPS are on their way, and products of the one before may still read it.

constexpr int stages_of(int groups) {
    return groups + 2;
}

// Waits until the stage of a round has arrived, for products of all threads.
template <int GROUPS> __device__ __forceinline__ void await_stage() {
    wait_copies<GROUPS - 1>();
    publish_shared();
    __syncthreads();
}

// c [64][64] = rows of tile a times rows of tile b, over WIDTH. Both lie in shared memory, also what a block never changes: ptxas 13.0 gives
// registers with a left factor to other values although the next round reads them again.
template <int WIDTH> __device__ __forceinline__ void multiply_rows(float (&c)[8][4], const bf16* a, const bf16* b) {
#pragma unroll
    for (int step = 0; step < WIDTH / 16; ++step) {
        // Within a panel the sum goes along the rows of 128 bytes.
        int at = step / 4 * PANEL + step % 4 * 16;
        u64 left = matrix_descriptor<false>(a + at), right = matrix_descriptor<false>(b + at);
        if (step == 0)
            multiply_shared<false, false, false>(c, left, right);
        else
            multiply_shared<true, false, false>(c, left, right);
    }
}

// c [64][BLOCKS * 8] += p [64][64] times the 64 rows of tile b.
template <int BLOCKS> __device__ __forceinline__ void multiply_weights(float (&c)[BLOCKS][4], const u32 (&p)[4][4], const bf16* b) {
#pragma unroll
    for (int step = 0; step < 4; ++step) multiply_columns(c, p[step], matrix_descriptor<true>(b + step * 16 * 64));
}

// Grid (blocks of queries, batch * heads, splits); results as in `attention.cu`. Shared: each warpgroup's q, stages of k and v.
template <int GROUPS, int D, int E, int MASK, class M>
__device__ __forceinline__ void sward_attention_warpgroups(
    const bf16* q, const bf16* k, const bf16* v, const M* mask, bf16* out, float* logsumexp, float* parts, float* part_most,
    float* part_sum, AttentionShape s) {
    DYNAMIC_SHARED(bf16, shared);
    constexpr int K_TILE = 64 * D, STAGE = K_TILE + 64 * E;
    bf16 *q_tiles = first_panel(shared), *stages = q_tiles + GROUPS * K_TILE;
    int batch = blockIdx.y / s.heads, head = blockIdx.y % s.heads, first_query = blockIdx.x * (64 * GROUPS), group = threadIdx.x / 128;
    int first_key = blockIdx.z * s.split_keys, end_key = first_key + s.split_keys < s.keys ? first_key + s.split_keys : s.keys;
    if (s.causal && first_query + 64 * GROUPS < end_key) end_key = first_query + 64 * GROUPS;
    int tiles = (end_key - first_key + 63) / 64;
    HeadRows<D, 128 * GROUPS> q_rows(q, batch, head, s.heads, s.queries), k_rows(k, batch, head, s.heads, s.keys);
    HeadRows<E, 128 * GROUPS> v_rows(v, batch, head, s.heads, s.keys);
    auto load = [&](int tile) {
        if (tile < tiles) {
            bf16* stage = stages + tile % stages_of(GROUPS) * STAGE;
            k_rows.copy(stage, first_key + tile * 64, s.keys);
            v_rows.copy(stage + K_TILE, first_key + tile * 64, s.keys);
        }
        commit_copies();
    };
#pragma unroll
    for (int part = 0; part < GROUPS; ++part) q_rows.copy(q_tiles + part * K_TILE, first_query + part * 64, s.queries);
#pragma unroll
    for (int tile = 0; tile < GROUPS; ++tile) load(tile);
    const bf16* own_q = q_tiles + group * K_TILE;
    float sums[E / 8][4], most[2] = {-infinity(), -infinity()}, total[2] = {0.0f, 0.0f};
    u32 weights[4][4];
    clear(sums);
    int own_query = first_query + group * 64 + threadIdx.x / 32 % 4 * 16;
    // Products may be on their way from one round to the next, so that no path without them may lead to their end.
    for (int tile = 0; tiles > 0;) {
        await_stage<GROUPS>();
        load(tile + GROUPS);
        const bf16* stage = stages + tile % stages_of(GROUPS) * STAGE;
        float scores[8][4];
        begin_products();
        multiply_rows<D>(scores, own_q, stage);
        commit_products();
        wait_products<0>();
        arrived(scores);
        arrived(sums);
        weigh<MASK>(scores, sums, most, total, mask, batch, head, own_query, first_key + tile * 64, s);
        pack_rows(weights, scores);
        begin_products();
        multiply_weights(sums, weights, stage + K_TILE);
        commit_products();
        if (++tile == tiles) {
            wait_products<0>();
            arrived(sums);
            break;
        }
    }
    wait_copies<0>();
    store_attention<E, true>(sums, most, total, out, logsumexp, parts, part_most, part_sum, batch, head, own_query, s);
}

// What the gradient takes off each row: `normalizers` (logsumexp in units of ln 2, inf where there are no weights) and `deltas` (the sum of
// dout * out), both [batch * heads][padded], as for rows without weights beyond the queries. E / 8 threads for a row; blocks of 256.
template <int E>
__device__ __forceinline__ void sward_attention_warpgroups_delta(
    const bf16* dout, const bf16* out, const float* logsumexp, float* normalizers, float* deltas, AttentionShape s, int padded) {
    constexpr int LANES = E / 8;
    i64 line = i64(blockIdx.x) * (256 / LANES) + threadIdx.x / LANES, lines = i64(s.batch) * s.heads * padded;
    int query = int(line % padded), head = int(line / padded % s.heads), batch = int(line / padded / s.heads);
    bool is_there = line < lines && query < s.queries;
    float sum = 0.0f;
    if (is_there) {
        i64 row = ((i64(batch) * s.queries + query) * s.heads + head) * E + threadIdx.x % LANES * 8;
        Pack<bf16, 8> a = load_pack<8>(dout + row), b = load_pack<8>(out + row);
#pragma unroll
        for (int j = 0; j < 8; ++j) sum += to<float>(a.of[j]) * to<float>(b.of[j]);
    }
#pragma unroll
    for (int distance = LANES / 2; distance > 0; distance /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, distance);
    if (line >= lines || threadIdx.x % LANES != 0) return;
    normalizers[line] = row_normalizer(logsumexp, line / padded * s.queries + query, is_there);
    deltas[line] = sum;
}

// 64 rows of normalizers and deltas to shared memory [2][64].
__device__ __forceinline__ void copy_normalizers(float* to, const float* normalizers, const float* deltas, i64 first) {
    if (threadIdx.x >= 32) return;
    int chunk = threadIdx.x % 16 * 4;
    copy_16_async(to + threadIdx.x / 16 * 64 + chunk, (threadIdx.x < 16 ? normalizers : deltas) + first + chunk, true);
}

// Scores of 64 rows by 64 columns become weights, 2^(score - normalizer).
template <int MASK, bool BY_COLUMN, class M>
__device__ __forceinline__ void weigh_again(
    float (&scores)[8][4], const float* column_normalizers, const float (&row_normalizers)[2], const M* mask, int batch, int head, int query,
    int key, const AttentionShape& s) {
    int lane = threadIdx.x % 32;
    bool whole = BY_COLUMN ? is_whole<MASK>(s, query, 64, key, 16) : is_whole<MASK>(s, query, 16, key, 64);
    float unit = whole ? s.scale * LOG2_E : 1.0f;
    if (!whole) {
#pragma unroll
        for (int at = 0; at < 32; ++at) {
            int row = lane / 4 + at % 4 / 2 * 8, column = at / 4 * 8 + lane % 4 * 2 + at % 2;
            scores[at / 4][at % 4] = masked_score<MASK>(
                s, mask, batch, head, query + (BY_COLUMN ? column : row), key + (BY_COLUMN ? row : column), scores[at / 4][at % 4]);
        }
    }
#pragma unroll
    for (int block = 0; block < 8; ++block) {
        Pack<float, 2> own;
        if (BY_COLUMN) own = load_pack<2>(column_normalizers + block * 8 + lane % 4 * 2);
#pragma unroll
        for (int part = 0; part < 4; ++part)
            scores[block][part] =
                exp2_fast(scores[block][part] * unit - (BY_COLUMN ? own.of[part % 2] : row_normalizers[part / 2]));
    }
}

// Rows of a warpgroup's sums, times a factor, to [token][heads][WIDTH].
template <int BLOCKS>
__device__ __forceinline__ void store_rows(
    const float (&sums)[BLOCKS][4], float factor, bf16* to, int batch, int head, int heads, int first, int rows) {
    int lane = threadIdx.x % 32;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        int row = first + threadIdx.x / 32 % 4 * 16 + lane / 4 + half * 8;
        if (row >= rows) continue;
        bf16* own = to + ((i64(batch) * rows + row) * heads + head) * (BLOCKS * 8) + lane % 4 * 2;
#pragma unroll
        for (int block = 0; block < BLOCKS; ++block)
            *reinterpret_cast<u32*>(own + block * 8) = pack_bf16(sums[block][half * 2] * factor, sums[block][half * 2 + 1] * factor);
    }
}

// dk and dv: the scores stand transposed, [key][query]. Grid (blocks of keys, batch * heads).
// Shared: each warpgroup's k and v, stages of q, dout and their normalizers and deltas.
template <int GROUPS, int D, int E, int MASK, class M>
__device__ __forceinline__ void sward_attention_warpgroups_keys_gradient(
    const bf16* dout, const bf16* q, const bf16* k, const bf16* v, const float* normalizers, const float* deltas, const M* mask, bf16* dk,
    bf16* dv, AttentionShape s, int padded) {
    DYNAMIC_SHARED(bf16, shared);
    constexpr int Q_TILE = 64 * D, DOUT_TILE = 64 * E, STAGE = Q_TILE + DOUT_TILE;
    bf16 *k_tiles = first_panel(shared), *v_tiles = k_tiles + GROUPS * Q_TILE, *stages = v_tiles + GROUPS * DOUT_TILE;
    float* rows = reinterpret_cast<float*>(stages + stages_of(GROUPS) * STAGE);
    int batch = blockIdx.y / s.heads, head = blockIdx.y % s.heads, first_key = blockIdx.x * (64 * GROUPS), group = threadIdx.x / 128;
    int first_query = s.causal ? first_key : 0, tiles = first_query < s.queries ? (s.queries - first_query + 63) / 64 : 0;
    HeadRows<D, 128 * GROUPS> q_rows(q, batch, head, s.heads, s.queries), k_rows(k, batch, head, s.heads, s.keys);
    HeadRows<E, 128 * GROUPS> dout_rows(dout, batch, head, s.heads, s.queries), v_rows(v, batch, head, s.heads, s.keys);
    auto load = [&](int tile) {
        if (tile < tiles) {
            int number = tile % stages_of(GROUPS), query = first_query + tile * 64;
            bf16* stage = stages + number * STAGE;
            q_rows.copy(stage, query, s.queries);
            dout_rows.copy(stage + Q_TILE, query, s.queries);
            copy_normalizers(rows + number * 128, normalizers, deltas, i64(blockIdx.y) * padded + query);
        }
        commit_copies();
    };
#pragma unroll
    for (int part = 0; part < GROUPS; ++part) {
        k_rows.copy(k_tiles + part * Q_TILE, first_key + part * 64, s.keys);
        v_rows.copy(v_tiles + part * DOUT_TILE, first_key + part * 64, s.keys);
    }
#pragma unroll
    for (int tile = 0; tile < GROUPS; ++tile) load(tile);
    const bf16 *own_k = k_tiles + group * Q_TILE, *own_v = v_tiles + group * DOUT_TILE;
    float dk_sums[D / 8][4], dv_sums[E / 8][4], none[2] = {0.0f, 0.0f};
    clear(dk_sums);
    clear(dv_sums);
    u32 packed_weights[4][4], packed_slopes[4][4];
    int lane = threadIdx.x % 32, own_key = first_key + group * 64 + threadIdx.x / 32 % 4 * 16;
    for (int tile = 0; tiles > 0;) {
        await_stage<GROUPS>();
        load(tile + GROUPS);
        int number = tile % stages_of(GROUPS);
        const bf16 *q_tile = stages + number * STAGE, *dout_tile = q_tile + Q_TILE;
        const float* own = rows + number * 128;
        float weights[8][4], slopes[8][4];
        begin_products();
        multiply_rows<D>(weights, own_k, q_tile);
        commit_products();
        multiply_rows<E>(slopes, own_v, dout_tile);
        commit_products();
        wait_products<1>();
        arrived(weights);
        weigh_again<MASK, true>(weights, own, none, mask, batch, head, first_query + tile * 64, own_key, s);
        pack_rows(packed_weights, weights);
        begin_products();
        multiply_weights(dv_sums, packed_weights, dout_tile);
        commit_products();
        wait_products<1>();
        arrived(slopes);
#pragma unroll
        for (int block = 0; block < 8; ++block) {
            Pack<float, 2> delta = load_pack<2>(own + 64 + block * 8 + lane % 4 * 2);
#pragma unroll
            for (int part = 0; part < 4; ++part) slopes[block][part] = weights[block][part] * (slopes[block][part] - delta.of[part % 2]);
        }
        pack_rows(packed_slopes, slopes);
        begin_products();
        multiply_weights(dk_sums, packed_slopes, q_tile);
        commit_products();
        if (++tile == tiles) {
            wait_products<0>();
            arrived(dk_sums);
            arrived(dv_sums);
            break;
        }
    }
    wait_copies<0>();
    store_rows(dk_sums, s.scale, dk, batch, head, s.heads, first_key + group * 64, s.keys);
    store_rows(dv_sums, 1.0f, dv, batch, head, s.heads, first_key + group * 64, s.keys);
}

// dq. Grid (blocks of queries, batch * heads). Shared: each warpgroup's q and dout, stages of k and v.
template <int GROUPS, int D, int E, int MASK, class M>
__device__ __forceinline__ void sward_attention_warpgroups_queries_gradient(
    const bf16* dout, const bf16* q, const bf16* k, const bf16* v, const float* normalizers, const float* deltas, const M* mask, bf16* dq,
    AttentionShape s, int padded) {
    DYNAMIC_SHARED(bf16, shared);
    constexpr int K_TILE = 64 * D, V_TILE = 64 * E, STAGE = K_TILE + V_TILE;
    bf16 *q_tiles = first_panel(shared), *dout_tiles = q_tiles + GROUPS * K_TILE, *stages = dout_tiles + GROUPS * V_TILE;
    int batch = blockIdx.y / s.heads, head = blockIdx.y % s.heads, first_query = blockIdx.x * (64 * GROUPS), group = threadIdx.x / 128;
    int end_key = s.causal && first_query + 64 * GROUPS < s.keys ? first_query + 64 * GROUPS : s.keys, tiles = (end_key + 63) / 64;
    HeadRows<D, 128 * GROUPS> q_rows(q, batch, head, s.heads, s.queries), k_rows(k, batch, head, s.heads, s.keys);
    HeadRows<E, 128 * GROUPS> dout_rows(dout, batch, head, s.heads, s.queries), v_rows(v, batch, head, s.heads, s.keys);
    auto load = [&](int tile) {
        if (tile < tiles) {
            bf16* stage = stages + tile % stages_of(GROUPS) * STAGE;
            k_rows.copy(stage, tile * 64, s.keys);
            v_rows.copy(stage + K_TILE, tile * 64, s.keys);
        }
        commit_copies();
    };
#pragma unroll
    for (int part = 0; part < GROUPS; ++part) {
        q_rows.copy(q_tiles + part * K_TILE, first_query + part * 64, s.queries);
        dout_rows.copy(dout_tiles + part * V_TILE, first_query + part * 64, s.queries);
    }
#pragma unroll
    for (int tile = 0; tile < GROUPS; ++tile) load(tile);
    const bf16 *own_q = q_tiles + group * K_TILE, *own_dout = dout_tiles + group * V_TILE;
    int lane = threadIdx.x % 32, own_query = first_query + group * 64 + threadIdx.x / 32 % 4 * 16;
    float sums[D / 8][4], own_normalizers[2], own_deltas[2];
    clear(sums);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        // Rows are padded to multiples of 128.
        i64 line = i64(blockIdx.y) * padded + own_query + lane / 4 + half * 8;
        own_normalizers[half] = normalizers[line];
        own_deltas[half] = deltas[line];
    }
    u32 packed[4][4];
    for (int tile = 0; tiles > 0;) {
        await_stage<GROUPS>();
        load(tile + GROUPS);
        const bf16 *k_tile = stages + tile % stages_of(GROUPS) * STAGE, *v_tile = k_tile + K_TILE;
        float weights[8][4], slopes[8][4];
        begin_products();
        multiply_rows<D>(weights, own_q, k_tile);
        commit_products();
        multiply_rows<E>(slopes, own_dout, v_tile);
        commit_products();
        wait_products<1>();
        arrived(weights);
        weigh_again<MASK, false>(weights, nullptr, own_normalizers, mask, batch, head, own_query, tile * 64, s);
        wait_products<0>();
        arrived(slopes);
#pragma unroll
        for (int at = 0; at < 32; ++at)
            slopes[at / 4][at % 4] = weights[at / 4][at % 4] * (slopes[at / 4][at % 4] - own_deltas[at % 4 / 2]);
        pack_rows(packed, slopes);
        begin_products();
        multiply_weights(sums, packed, k_tile);
        commit_products();
        if (++tile == tiles) {
            wait_products<0>();
            arrived(sums);
            break;
        }
    }
    wait_copies<0>();
    store_rows(sums, s.scale, dq, batch, head, s.heads, first_query + group * 64, s.queries);
}
