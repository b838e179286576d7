// Products of operands (`operands.cuh`) in bf16 by Hopper's warpgroup products: blocks of two warpgroups make 128 rows by COLUMNS, 64 rows each, 64
// of k at a time. Packs of 8 lie whole inside or outside of both operands.
//
// Tiles lie in panels (`warpgroups.cuh`): of 64 lines by 64 of k where k lies side by side, else of 64 of k by 64 lines. While one stage is
// worked on, copies to others are on their way, and products of the one before may still read it.

constexpr int WARPGROUP_ROWS = 128, WARPGROUP_STEP = 64;

constexpr int warpgroup_stages(int columns) {
    return columns == 128 ? 3 : 4;
}

// What a thread copies of the tiles of one operand, LINES by 64 of k.
template <class A, int LINES> struct WarpgroupWalk {
    static constexpr bool IS_K_SIDE = A::IS_K_SIDE;
    // Packs of a thread, lines that they come from, and rows of a tile (lines, or places along k) from one to the next.
    static constexpr int PACKS = LINES / 32, OWN_LINES = IS_K_SIDE ? PACKS : 1, ROW_STEP = IS_K_SIDE ? 32 : 2048 / LINES;
    static_assert(ROW_STEP % 8 == 0, "all packs of a thread have one place in their rows");
    typename A::Line lines[OWN_LINES];
    typename A::Place place, step;
    int left, target;

    __device__ __forceinline__ WarpgroupWalk(const A& a, i64 first_line, i64 first_k, i64 end_k) {
        int pack = IS_K_SIDE ? threadIdx.x % 8 : threadIdx.x % (LINES / 8), row = IS_K_SIDE ? threadIdx.x / 8 : threadIdx.x / (LINES / 8);
#pragma unroll
        for (int j = 0; j < OWN_LINES; ++j) lines[j] = a.line(first_line + (IS_K_SIDE ? row + j * ROW_STEP : pack * 8));
        int k = IS_K_SIDE ? pack * 8 : row;
        place = a.place(first_k + k);
        step = a.place(IS_K_SIDE ? WARPGROUP_STEP : ROW_STEP);
        left = int(end_k - first_k) - k;
        target = pack / 8 * PANEL + row * 64 + (pack % 8 ^ row % 8) * 8;
    }

    // Starts the copies of the next tile.
    __device__ __forceinline__ void copy(const A& a, bf16* tile) {
#pragma unroll
        for (int j = 0; j < PACKS; ++j) {
            const bf16* source = left > (IS_K_SIDE ? 0 : j * ROW_STEP) ? a.at(lines[IS_K_SIDE ? j : 0], place) : nullptr;
            // Nothing is read where nothing is there, but the address has to be one.
            copy_16_async(tile + target + j * ROW_STEP * 64, source ? source : a.origin(), source != nullptr);
            if (!IS_K_SIDE || j == PACKS - 1) place = a.next(place, step);
        }
        left -= WARPGROUP_STEP;
    }
};

// The words of four lanes side by side, transposed: lane q of them gets the words q of all four.
__device__ __forceinline__ void transpose_quads(u32 (&words)[4]) {
#pragma unroll
    for (int distance = 1; distance <= 2; distance *= 2) {
        bool is_upper = threadIdx.x & distance;
#pragma unroll
        for (int at = 0; at < 4; ++at) {
            if (at & distance) continue;
            u32 other = __shfl_xor_sync(0xffffffffu, is_upper ? words[at] : words[at | distance], distance);
            words[at] = is_upper ? other : words[at];
            words[at | distance] = is_upper ? words[at | distance] : other;
        }
    }
}

// Pairs of four blocks of 8 columns, spread over four lanes, to memory: each lane stores a whole block of its own, where it is there.
__device__ __forceinline__ void store_blocks(bf16* to, const float (&pairs)[4][2], bool is_there) {
    union {
        u32 words[4];
        Pack<bf16, 8> pack;
    } own;
#pragma unroll
    for (int at = 0; at < 4; ++at) own.words[at] = pack_bf16(pairs[at][0], pairs[at][1]);
    transpose_quads(own.words);
    if (is_there) store_pack(to, own.pack);
}

__device__ __forceinline__ void store_blocks(float* to, const float (&pairs)[4][2], bool is_there) {
    u32 first[4], second[4];
#pragma unroll
    for (int at = 0; at < 4; ++at) {
        first[at] = u32(__float_as_int(pairs[at][0]));
        second[at] = u32(__float_as_int(pairs[at][1]));
    }
    transpose_quads(first);
    transpose_quads(second);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        Pack<float, 4> own;
#pragma unroll
        for (int at = 0; at < 4; ++at) own.of[at] = __int_as_float(int(at % 2 ? second[half * 2 + at / 2] : first[half * 2 + at / 2]));
        if (is_there) store_pack(to + half * 4, own);
    }
}

// Results whose rows begin at packs of 8 and hold whole ones.
template <class R> struct PackedRows {
    R result;

    // A thread's sums as `mma_16x8x16` has them, of rows `row` and row + 8.
    template <int BLOCKS> __device__ __forceinline__ void put(const float (&sums)[BLOCKS][4], i64 row, i64 first_column) const {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            i64 own = row + half * 8;
            auto start = result.row_start(own < result.rows ? own : 0);
#pragma unroll
            for (int block = 0; block < BLOCKS; block += 4) {
                i64 column = first_column + block * 8 + threadIdx.x % 4 * 8;
                float pairs[4][2];
#pragma unroll
                for (int at = 0; at < 8; ++at) pairs[at / 2][at % 2] = sums[block + at / 2][half * 2 + at % 2];
                store_blocks(start + column, pairs, own < result.rows && column < result.columns);
            }
        }
    }
};

// Results of a product that is made with its rows and columns exchanged.
template <class R> struct ExchangedRows {
    R result;

    template <int BLOCKS> __device__ __forceinline__ void put(const float (&sums)[BLOCKS][4], i64 row, i64 first_column) const {
#pragma unroll
        for (int at = 0; at < BLOCKS * 4; ++at)
            result.put(first_column + at / 4 * 8 + threadIdx.x % 4 * 2 + at % 2, row + at % 4 / 2 * 8, sums[at / 4][at % 4]);
    }
};

template <int COLUMNS, class A, class B, class C>
__device__ __forceinline__ void multiply_warpgroups(const A& a, const B& b, const C& c, i64 first_k, i64 end_k) {
    DYNAMIC_SHARED(bf16, shared);
    constexpr int A_TILE = WARPGROUP_ROWS * WARPGROUP_STEP, STAGE = A_TILE + COLUMNS * WARPGROUP_STEP;
    constexpr int STAGES = warpgroup_stages(COLUMNS), AHEAD = STAGES - 2;
    bf16* stages = first_panel(shared);
    i64 first_row = i64(blockIdx.x) * WARPGROUP_ROWS, first_column = i64(blockIdx.y) * COLUMNS;
    WarpgroupWalk<A, WARPGROUP_ROWS> left(a, first_row, first_k, end_k);
    WarpgroupWalk<B, COLUMNS> right(b, first_column, first_k, end_k);
    // At least one, of zeros if need be: no path around the products leads to the sums.
    int rounds = end_k - first_k > WARPGROUP_STEP ? int((end_k - first_k + WARPGROUP_STEP - 1) / WARPGROUP_STEP) : 1, group = threadIdx.x / 128;
    auto load = [&](int round) {
        if (round < rounds) {
            bf16* stage = stages + round % STAGES * STAGE;
            left.copy(a, stage);
            right.copy(b, stage + A_TILE);
        }
        commit_copies();
    };
#pragma unroll
    for (int round = 0; round < AHEAD; ++round) load(round);
    float sums[COLUMNS / 8][4];
#pragma unroll
    for (int at = 0; at < COLUMNS / 2; ++at) sums[at / 4][at % 4] = 0.0f;
    int round = 0;
    do {
        wait_copies<AHEAD - 1>();
        publish_shared();
        __syncthreads();
        load(round + AHEAD);
        const bf16 *a_tile = stages + round % STAGES * STAGE + group * PANEL, *b_tile = stages + round % STAGES * STAGE + A_TILE;
        begin_products();
#pragma unroll
        for (int step = 0; step < WARPGROUP_STEP / 16; ++step) {
            u64 own = matrix_descriptor<!A::IS_K_SIDE>(a_tile + step * (A::IS_K_SIDE ? 16 : 16 * 64));
            u64 other = matrix_descriptor<!B::IS_K_SIDE>(b_tile + step * (B::IS_K_SIDE ? 16 : 16 * 64));
            multiply_shared<true, !A::IS_K_SIDE, !B::IS_K_SIDE>(sums, own, other);
        }
        commit_products();
        wait_products<1>();
    } while (++round < rounds);
    wait_products<0>();
    arrived(sums);
    wait_copies<0>();
    int row = group * 64 + threadIdx.x / 32 % 4 * 16 + threadIdx.x % 32 / 4;
    c.put(sums, first_row + row, first_column);
}

// Columns of a block's results.
enum WarpgroupWay { WARPGROUPS_64 = 64, WARPGROUPS_128 = 128, WARPGROUPS_256 = 256 };

__device__ __forceinline__ int unit_of(int each) {
    return each % CHUNK == 0 ? CHUNK : 1;
}

// As `sward_convolution`.
template <int WAY, class T, class W, class Y>
__device__ __forceinline__ void sward_convolution_warpgroups(const T* x, const W* weight, Y* y, ConvolutionShape s) {
    int group = blockIdx.z, each = s.channels / s.groups, outputs = s.outputs / s.groups, unit = unit_of(each);
    i64 depth = i64(s.kernel_height) * s.kernel_width * each, rows = i64(s.batch) * s.out_height * s.out_width;
    auto left = patches(x + group * each, s, unit);
    auto right = weight_rows(weight + group * outputs * depth, s, unit);
    PackedRows<Result<Y>> result = {{y + group * outputs, s.outputs, rows, outputs}};
    multiply_warpgroups<WAY>(left, right, result, 0, depth);
}

// As `sward_convolution_input_gradient`, of a weight [group][channel][tap][output].
template <int WAY, class T, class W, class Y>
__device__ __forceinline__ void sward_convolution_input_gradient_warpgroups(const T* dy, const W* weight, Y* dx, ConvolutionShape s) {
    int group = blockIdx.z % s.groups, phase = blockIdx.z / s.groups, each = s.channels / s.groups, outputs = s.outputs / s.groups;
    int first_row = phase / s.stride_width, first_column = phase % s.stride_width, unit = unit_of(outputs);
    Phase rows = phase_of(first_row, s.height, s.kernel_height, s.stride_height, s.top, s.dilation_height);
    Phase columns = phase_of(first_column, s.width, s.kernel_width, s.stride_width, s.left, s.dilation_width);
    i64 depth = i64(rows.taps) * columns.taps * outputs, channel = i64(s.kernel_height) * s.kernel_width * outputs;
    auto left = gradient_patches(dy + group * outputs, s, rows, columns, unit);
    auto right = phase_weight<W, true>(weight + group * each * channel, s, rows, columns, 1, outputs, channel, unit);
    PackedRows<PhaseResult<Y>> result = {{dx + group * each, s, first_row, first_column, rows.positions, columns.positions, left.lines, each}};
    multiply_warpgroups<WAY>(left, right, result, 0, depth);
}

// As `sward_convolution_weight_gradient`, with taps and channels as rows, of which there are more: grid (tiles of them, tiles of outputs,
// split * groups + group).
template <int WAY, class D, class T>
__device__ __forceinline__ void sward_convolution_weight_gradient_warpgroups(const D* dy, const T* x, float* dweight, ConvolutionShape s, i64 chunk) {
    int group = blockIdx.z % s.groups, split = blockIdx.z / s.groups, each = s.channels / s.groups, outputs = s.outputs / s.groups;
    i64 rows = i64(s.kernel_height) * s.kernel_width * each, depth = i64(s.batch) * s.out_height * s.out_width, first, end;
    split_range(depth, split, chunk, first, end);
    auto left = positions(x + group * each, s);
    Matrix<D, false> right = {dy + group * outputs, 1, s.outputs, outputs};
    ExchangedRows<Result<float>> result = {{dweight + (i64(split) * s.outputs + group * outputs) * rows, rows, outputs, rows}};
    multiply_warpgroups<WAY>(left, right, result, first, end);
}
