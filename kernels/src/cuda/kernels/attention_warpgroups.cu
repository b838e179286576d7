// Attention in bf16 by Hopper's warpgroup products: as `sward_attention_cores`, for head widths that are 64 or 128 as they are. One warpgroup
// (128 threads) takes 64 queries by 64 keys at a time. Grid (query tiles, batch * heads, splits); results as in `attention.cu`.
// Shared, from the first multiple of 1,024 bytes on: q, then two stages of k and v, in panels (`warpgroups.cuh`).

// Rows first .. first + 64 of one head, zeros beyond `rows`.
template <int WIDTH>
__device__ __forceinline__ void load_panels(bf16* tile, const bf16* from, int batch, int head, int heads, int first, int rows) {
    for (int at = threadIdx.x; at < 64 * WIDTH / 8; at += 128) {
        int row = at / (WIDTH / 8), column = at % (WIDTH / 8) * 8, token = first + row;
        const bf16* source = from + ((i64(batch) * rows + token) * heads + head) * WIDTH + column;
        copy_16_async(chunk_of(tile, row, column), token < rows ? source : from, token < rows);
    }
}

template <int D, int E, int MASK, class M>
__device__ __forceinline__ void sward_attention_warpgroups(
    const bf16* q, const bf16* k, const bf16* v, const M* mask, bf16* out, float* logsumexp, float* parts, float* part_most,
    float* part_sum, AttentionShape s) {
    DYNAMIC_SHARED(bf16, shared);
    constexpr int K_TILE = 64 * D, V_TILE = 64 * E;
    bf16* q_tile = shared + (1024 - shared_address(shared) % 1024) % 1024 / 2;
    bf16 *k_tiles = q_tile + K_TILE, *v_tiles = k_tiles + 2 * K_TILE;
    int batch = blockIdx.y / s.heads, head = blockIdx.y % s.heads, first_query = blockIdx.x * 64;
    int first_key = blockIdx.z * s.split_keys, end_key = first_key + s.split_keys < s.keys ? first_key + s.split_keys : s.keys;
    if (s.causal && first_query + 64 < end_key) end_key = first_query + 64;
    load_panels<D>(q_tile, q, batch, head, s.heads, first_query, s.queries);
    if (first_key < end_key) {
        load_panels<D>(k_tiles, k, batch, head, s.heads, first_key, s.keys);
        load_panels<E>(v_tiles, v, batch, head, s.heads, first_key, s.keys);
    }
    commit_copies();
    float sums[E / 8][4], most[2] = {-infinity(), -infinity()}, total[2] = {0.0f, 0.0f};
    clear(sums);
    int stage = 0;
    for (int key = first_key; key < end_key; key += 64, stage ^= 1) {
        __syncthreads();
        if (key + 64 < end_key) {
            load_panels<D>(k_tiles + (stage ^ 1) * K_TILE, k, batch, head, s.heads, key + 64, s.keys);
            load_panels<E>(v_tiles + (stage ^ 1) * V_TILE, v, batch, head, s.heads, key + 64, s.keys);
        }
        commit_copies();
        wait_copies<1>();
        publish_shared();
        __syncthreads();
        float scores[8][4];
        clear(scores);
        begin_products();
#pragma unroll
        for (int column = 0; column < D; column += 16) {
            // Within a panel the sum goes along the rows of 128 bytes.
            int at = column / 64 * PANEL + column % 64;
            u64 left = matrix_descriptor<false>(q_tile + at), right = matrix_descriptor<false>(k_tiles + stage * K_TILE + at);
            if (column == 0) multiply_shared<false>(scores, left, right);
            else multiply_shared<true>(scores, left, right);
        }
        end_products(scores);
        weigh<MASK>(scores, sums, most, total, mask, batch, head, first_query, key, s);
        u32 weights[4][4];
#pragma unroll
        for (int step = 0; step < 4; ++step)
#pragma unroll
            for (int part = 0; part < 4; ++part)
                weights[step][part] = pack_bf16(scores[2 * step + part / 2][part % 2 * 2], scores[2 * step + part / 2][part % 2 * 2 + 1]);
        begin_products();
#pragma unroll
        for (int step = 0; step < 4; ++step)
            multiply_registers(sums, weights[step], matrix_descriptor<true>(v_tiles + stage * V_TILE + step * 16 * 64));
        end_products(sums);
    }
    wait_copies<0>();
    store_attention<E>(sums, most, total, out, logsumexp, parts, part_most, part_sum, batch, head, first_query, s);
}
