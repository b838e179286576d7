// Products of operands (`operands.cuh`): in f32 arithmetic, and in bf16 on tensor cores.

template <class A> __device__ __forceinline__ float element(const A& a, typename A::Line line, i64 k) {
    const typename A::Element* address = a.at(line, a.place(k));
    return address ? to<float>(*address) : 0.0f;
}

// f32 arithmetic: blocks of 256 threads make 64 x 64 results, 4 x 4 each, 16 of k at a time.
template <class A> __device__ __forceinline__ void fill_tile(float (&tile)[16][68], const A& a, i64 first_line, i64 first_k, i64 end_k) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
        int own, k;
        if (A::IS_K_SIDE) {
            own = threadIdx.x / 16 + j * 16;
            k = threadIdx.x % 16;
        } else {
            own = threadIdx.x % 64;
            k = threadIdx.x / 64 + j * 4;
        }
        tile[k][own] = first_k + k < end_k ? element(a, a.line(first_line + own), first_k + k) : 0.0f;
    }
}

template <class A, class B, class C>
__device__ __forceinline__ void multiply(const A& a, const B& b, const C& c, i64 first_k, i64 end_k) {
    __shared__ float left[16][68], right[16][68];
    i64 first_row = i64(blockIdx.x) * 64, first_column = i64(blockIdx.y) * 64;
    int row = threadIdx.x / 16 * 4, column = threadIdx.x % 16 * 4;
    float sums[4][4];
#pragma unroll
    for (int i = 0; i < 16; ++i) sums[i / 4][i % 4] = 0.0f;
    for (i64 k = first_k; k < end_k; k += 16) {
        fill_tile(left, a, first_row, k, end_k);
        fill_tile(right, b, first_column, k, end_k);
        __syncthreads();
#pragma unroll
        for (int step = 0; step < 16; ++step) {
#pragma unroll
            for (int i = 0; i < 4; ++i)
#pragma unroll
                for (int j = 0; j < 4; ++j) sums[i][j] += left[step][row + i] * right[step][column + j];
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j) c.put(first_row + row + i, first_column + column + j, sums[i][j]);
}

// bf16 on tensor cores: blocks of 256 threads make 128 x 128 results; 8 warps of 64 x 32 each; 32 of k at a time, three tiles on their way.
constexpr int CORE_STAGES = 3, CORE_TILE = 128 * 40;
constexpr int CORE_BYTES = 2 * CORE_STAGES * CORE_TILE * 2;

// What a thread copies of the tiles of one operand, 128 lines by 32 of k: [line][40] where k lies side by side, else [k][136].
template <class A> struct CoreWalk {
    static constexpr int LINES = A::IS_K_SIDE ? 2 : 1;
    typename A::Line lines[LINES];
    typename A::Place place, step;

    __device__ __forceinline__ CoreWalk(const A& a, i64 first_line, i64 first_k) {
#pragma unroll
        for (int j = 0; j < LINES; ++j) lines[j] = a.line(first_line + (A::IS_K_SIDE ? int(threadIdx.x / 4) + j * 64 : int(threadIdx.x % 16) * 8));
        place = a.place(first_k + (A::IS_K_SIDE ? threadIdx.x % 4 * 8 : threadIdx.x / 16));
        step = a.place(A::IS_K_SIDE ? 32 : 16);
    }
};

// Fills the next tile. WIDE: packs of 8 lie whole inside or outside.
template <bool WIDE, class A>
__device__ __forceinline__ void fill_core_tile(bf16* tile, const A& a, CoreWalk<A>& walk, i64 first_line, i64 first_k, i64 end_k) {
#pragma unroll
    for (int j = 0; j < 2; ++j) {
        int own, k;
        if (A::IS_K_SIDE) {
            own = threadIdx.x / 4 + j * 64;
            k = threadIdx.x % 4 * 8;
        } else {
            own = threadIdx.x % 16 * 8;
            k = threadIdx.x / 16 + j * 16;
        }
        bf16* target = A::IS_K_SIDE ? tile + own * 40 + k : tile + k * 136 + own;
        if (WIDE) {
            const bf16* source = first_k + k < end_k ? a.at(walk.lines[A::IS_K_SIDE ? j : 0], walk.place) : nullptr;
            // Nothing is read where nothing is there, but the address has to be one.
            copy_16_async(target, source ? source : a.origin(), source != nullptr);
            if (!A::IS_K_SIDE || j == 1) walk.place = a.next(walk.place, walk.step);
            continue;
        }
        Pack<bf16, 8> pack;
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            i64 own_k = first_k + k + (A::IS_K_SIDE ? i : 0);
            const bf16* source = nullptr;
            if (own_k < end_k) source = A::IS_K_SIDE ? a.at(walk.lines[A::IS_K_SIDE ? j : 0], a.place(own_k)) : a.at(a.line(first_line + own + i), a.place(own_k));
            pack.of[i] = source ? *source : bf16{0};
        }
        store_pack<8>(target, pack);
    }
}

template <bool WIDE_A, bool WIDE_B, class A, class B, class C>
__device__ __forceinline__ void multiply_cores(const A& a, const B& b, const C& c, i64 first_k, i64 end_k) {
    DYNAMIC_SHARED(bf16, shared);
    bf16 *left = shared, *right = shared + CORE_STAGES * CORE_TILE;
    i64 first_row = i64(blockIdx.x) * 128, first_column = i64(blockIdx.y) * 128;
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    int row = warp / 4 * 64, column = warp % 4 * 32;
    CoreWalk<A> left_walk(a, first_row, first_k);
    CoreWalk<B> right_walk(b, first_column, first_k);
    float sums[4][4][4];
#pragma unroll
    for (int i = 0; i < 64; ++i) sums[i / 16][i / 4 % 4][i % 4] = 0.0f;
    i64 steps = (end_k - first_k + 31) / 32;
#pragma unroll
    for (int stage = 0; stage < CORE_STAGES - 1; ++stage) {
        if (stage < steps) {
            fill_core_tile<WIDE_A>(left + stage * CORE_TILE, a, left_walk, first_row, first_k + stage * 32, end_k);
            fill_core_tile<WIDE_B>(right + stage * CORE_TILE, b, right_walk, first_column, first_k + stage * 32, end_k);
        }
        commit_copies();
    }
    for (i64 step = 0; step < steps; ++step) {
        wait_copies<CORE_STAGES - 2>();
        __syncthreads();
        i64 next = step + CORE_STAGES - 1;
        if (next < steps) {
            int stage = int(next % CORE_STAGES);
            fill_core_tile<WIDE_A>(left + stage * CORE_TILE, a, left_walk, first_row, first_k + next * 32, end_k);
            fill_core_tile<WIDE_B>(right + stage * CORE_TILE, b, right_walk, first_column, first_k + next * 32, end_k);
        }
        commit_copies();
        const bf16* l = left + int(step % CORE_STAGES) * CORE_TILE;
        const bf16* r = right + int(step % CORE_STAGES) * CORE_TILE;
#pragma unroll
        for (int k = 0; k < 32; k += 16) {
            u32 fragments[4][4], others[2][2][2];
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                if (A::IS_K_SIDE) load_a(fragments[i], l, 40, row + i * 16, k);
                else load_a_transposed(fragments[i], l, 136, row + i * 16, k);
            }
#pragma unroll
            for (int j = 0; j < 2; ++j) {
                if (B::IS_K_SIDE) load_b(others[j], r, 40, k, column + j * 16);
                else load_b_transposed(others[j], r, 136, k, column + j * 16);
            }
#pragma unroll
            for (int i = 0; i < 4; ++i)
#pragma unroll
                for (int j = 0; j < 4; ++j) mma_16x8x16(sums[i][j], fragments[i], others[j / 2][j % 2]);
        }
    }
    wait_copies<0>();
#pragma unroll
    for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j)
#pragma unroll
            for (int part = 0; part < 4; ++part)
                c.put(first_row + row + i * 16 + lane / 4 + part / 2 * 8, first_column + column + j * 8 + lane % 4 * 2 + part % 2, sums[i][j][part]);
}

// WIDTHS: 0 for f32 arithmetic; else tensor cores, bit 0: a in packs of 8, bit 1: b in packs of 8.
enum Way { PLAIN = 0, CORES = 4, CORES_WIDE_A = 5, CORES_WIDE_B = 6, CORES_WIDE = 7 };

template <int WAY, class A, class B, class C> struct Multiply {
    static __device__ __forceinline__ void run(const A& a, const B& b, const C& c, i64 first_k, i64 end_k) {
        multiply_cores<(WAY & 1) != 0, (WAY & 2) != 0>(a, b, c, first_k, end_k);
    }
};
template <class A, class B, class C> struct Multiply<PLAIN, A, B, C> {
    static __device__ __forceinline__ void run(const A& a, const B& b, const C& c, i64 first_k, i64 end_k) {
        multiply(a, b, c, first_k, end_k);
    }
};

// The part of k that split `split` of `splits` sums, a multiple of 32 long but for the last.
__device__ __forceinline__ void split_range(i64 depth, int split, i64 chunk, i64& first, i64& end) {
    first = i64(split) * chunk;
    end = first + chunk < depth ? first + chunk : depth;
}

// Batched matrices. blockIdx.z = batch; the batch position is taken apart along up to three axes.
struct BatchShape {
    i64 rows, columns, depth;
    i64 a_row, a_k, b_column, b_k;
    i64 sizes[3], a_batch[3], b_batch[3];
};

template <int WAY, class TA, class TB, class Y, int A_K_SIDE, int B_K_SIDE>
__device__ __forceinline__ void sward_matmul(const TA* a, const TB* b, Y* y, BatchShape s) {
    i64 rest = blockIdx.z;
    y += rest * s.rows * s.columns;
    for (int axis = 2; axis >= 0; --axis) {
        i64 position = rest % s.sizes[axis];
        rest /= s.sizes[axis];
        a += position * s.a_batch[axis];
        b += position * s.b_batch[axis];
    }
    Matrix<TA, A_K_SIDE != 0> left = {a, s.a_row, s.a_k, s.rows};
    Matrix<TB, B_K_SIDE != 0> right = {b, s.b_column, s.b_k, s.columns};
    Result<Y> result = {y, s.columns, s.rows, s.columns};
    Multiply<WAY, decltype(left), decltype(right), decltype(result)>::run(left, right, result, 0, s.depth);
}

// blockIdx.z = group.
template <int WAY, class T, class W, class Y>
__device__ __forceinline__ void sward_convolution(const T* x, const W* weight, Y* y, ConvolutionShape s) {
    int group = blockIdx.z, each = s.channels / s.groups, outputs = s.outputs / s.groups;
    i64 depth = i64(s.kernel_height) * s.kernel_width * each, rows = i64(s.batch) * s.out_height * s.out_width;
    auto left = patches(x + group * each, s, 1);
    Matrix<W, true> right = {weight + i64(group) * outputs * depth, depth, 1, outputs};
    Result<Y> result = {y + group * outputs, s.outputs, rows, outputs};
    Multiply<WAY, decltype(left), decltype(right), decltype(result)>::run(left, right, result, 0, depth);
}

// blockIdx.z = phase * groups + group; phases are those of positions along both axes by their strides.
template <int WAY, class T, class W, class Y>
__device__ __forceinline__ void sward_convolution_input_gradient(const T* dy, const W* weight, Y* dx, ConvolutionShape s) {
    int group = blockIdx.z % s.groups, phase = blockIdx.z / s.groups, each = s.channels / s.groups, outputs = s.outputs / s.groups;
    int first_row = phase / s.stride_width, first_column = phase % s.stride_width;
    Phase rows = phase_of(first_row, s.height, s.kernel_height, s.stride_height, s.top, s.dilation_height);
    Phase columns = phase_of(first_column, s.width, s.kernel_width, s.stride_width, s.left, s.dilation_width);
    i64 depth = i64(rows.taps) * columns.taps * outputs, taps = i64(s.kernel_height) * s.kernel_width;
    auto left = gradient_patches(dy + group * outputs, s, rows, columns, 1);
    auto right = phase_weight<W, false>(weight + i64(group) * outputs * taps * each, s, rows, columns, taps * each, each, 1, 1);
    PhaseResult<Y> result = {dx + group * each, s, first_row, first_column, rows.positions, columns.positions, left.lines, each};
    Multiply<WAY, decltype(left), decltype(right), decltype(result)>::run(left, right, result, 0, depth);
}

// blockIdx.z = split * groups + group; with more than one split, `dweight` has [splits] of them.
template <int WAY, class D, class T>
__device__ __forceinline__ void sward_convolution_weight_gradient(const D* dy, const T* x, float* dweight, ConvolutionShape s, i64 chunk) {
    int group = blockIdx.z % s.groups, split = blockIdx.z / s.groups, each = s.channels / s.groups, outputs = s.outputs / s.groups;
    i64 columns = i64(s.kernel_height) * s.kernel_width * each, depth = i64(s.batch) * s.out_height * s.out_width, first, end;
    split_range(depth, split, chunk, first, end);
    Matrix<D, false> left = {dy + group * outputs, 1, s.outputs, outputs};
    auto right = positions(x + group * each, s);
    Result<float> result = {dweight + (i64(split) * s.outputs + group * outputs) * columns, columns, outputs, columns};
    Multiply<WAY, decltype(left), decltype(right), decltype(result)>::run(left, right, result, first, end);
}
