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

template <int COLUMNS, class A, class B, class C>
__device__ __forceinline__ void multiply_warpgroups(const A& a, const B& b, const C& c, i64 first_k, i64 end_k) {
    DYNAMIC_SHARED(bf16, shared);
    constexpr int A_TILE = WARPGROUP_ROWS * WARPGROUP_STEP, STAGE = A_TILE + COLUMNS * WARPGROUP_STEP;
    constexpr int STAGES = warpgroup_stages(COLUMNS), AHEAD = STAGES - 2;
    bf16* stages = first_panel(shared);
    i64 first_row = i64(blockIdx.x) * WARPGROUP_ROWS, first_column = i64(blockIdx.y) * COLUMNS;
    WarpgroupWalk<A, WARPGROUP_ROWS> left(a, first_row, first_k, end_k);
    WarpgroupWalk<B, COLUMNS> right(b, first_column, first_k, end_k);
    int rounds = int((end_k - first_k + WARPGROUP_STEP - 1) / WARPGROUP_STEP), group = threadIdx.x / 128;
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
    // Products may be on their way from one round to the next, so that no path without them may lead to their end.
    for (int round = 0; rounds > 0;) {
        wait_copies<AHEAD - 1>();
        publish_shared();
        __syncthreads();
        const bf16 *a_tile = stages + round % STAGES * STAGE + group * PANEL, *b_tile = stages + round % STAGES * STAGE + A_TILE;
        begin_products();
#pragma unroll
        for (int step = 0; step < WARPGROUP_STEP / 16; ++step) {
            u64 own = matrix_descriptor<!A::IS_K_SIDE>(a_tile + step * (A::IS_K_SIDE ? 16 : 16 * 64));
            u64 other = matrix_descriptor<!B::IS_K_SIDE>(b_tile + step * (B::IS_K_SIDE ? 16 : 16 * 64));
            multiply_shared<true, !A::IS_K_SIDE, !B::IS_K_SIDE>(sums, own, other);
        }
        commit_products();
        load(round + AHEAD);
        wait_products<1>();
        if (++round == rounds) {
            wait_products<0>();
            arrived(sums);
            break;
        }
    }
    wait_copies<0>();
    int lane = threadIdx.x % 32;
    i64 row = first_row + group * 64 + threadIdx.x / 32 % 4 * 16 + lane / 4, column = first_column + lane % 4 * 2;
#pragma unroll
    for (int block = 0; block < COLUMNS / 8; ++block) {
        c.put_pair(row, column + block * 8, sums[block][0], sums[block][1]);
        c.put_pair(row + 8, column + block * 8, sums[block][2], sums[block][3]);
    }
}

// Columns of a block's results, as ways beside those of `product.cu`.
enum WarpgroupWay { WARPGROUPS_64 = 64, WARPGROUPS_128 = 128, WARPGROUPS_256 = 256 };

template <class A, class B, class C> struct Multiply<WARPGROUPS_64, A, B, C> {
    static __device__ __forceinline__ void run(const A& a, const B& b, const C& c, i64 first_k, i64 end_k) {
        multiply_warpgroups<64>(a, b, c, first_k, end_k);
    }
};
template <class A, class B, class C> struct Multiply<WARPGROUPS_128, A, B, C> {
    static __device__ __forceinline__ void run(const A& a, const B& b, const C& c, i64 first_k, i64 end_k) {
        multiply_warpgroups<128>(a, b, c, first_k, end_k);
    }
};
template <class A, class B, class C> struct Multiply<WARPGROUPS_256, A, B, C> {
    static __device__ __forceinline__ void run(const A& a, const B& b, const C& c, i64 first_k, i64 end_k) {
        multiply_warpgroups<256>(a, b, c, first_k, end_k);
    }
};

// As `sward_convolution_weight_gradient`, with taps and channels as rows, of which there are more: grid (tiles of them, tiles of outputs,
// split * groups + group).
template <int WAY, class D, class T>
__device__ __forceinline__ void sward_convolution_weight_gradient_exchanged(const D* dy, const T* x, float* dweight, ConvolutionShape s, i64 chunk) {
    int group = blockIdx.z % s.groups, split = blockIdx.z / s.groups, each = s.channels / s.groups, outputs = s.outputs / s.groups;
    i64 rows = i64(s.kernel_height) * s.kernel_width * each, depth = i64(s.batch) * s.out_height * s.out_width, first, end;
    split_range(depth, split, chunk, first, end);
    auto left = positions(x + group * each, s);
    Matrix<D, false> right = {dy + group * outputs, 1, s.outputs, outputs};
    ExchangedResult<float> result = {{dweight + (i64(split) * s.outputs + group * outputs) * rows, rows, outputs, rows}};
    Multiply<WAY, decltype(left), decltype(right), decltype(result)>::run(left, right, result, first, end);
}
