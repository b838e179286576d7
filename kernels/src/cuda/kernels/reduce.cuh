// Sums, means and extremes of a value f(kept, reduced) over `reduced`, by fixed trees: the same bits in every run. f gives PACK values at once,
// which are neighbours along the innermost axis.
//
// A reduction is cut into `splits` parts of `chunk` values; with more than one part, the parts' results go to `partial`
// [splits][kept] and `combine_parts` joins them in order.

enum ReduceKind { REDUCE_SUM, REDUCE_MEAN, REDUCE_MAX, REDUCE_MIN };

template <int KIND, class R> __device__ __forceinline__ R reduce_start() {
    return KIND == REDUCE_MAX ? -R(infinity()) : KIND == REDUCE_MIN ? R(infinity()) : R(0);
}

template <int KIND, class R> __device__ __forceinline__ R reduce_join(R a, R b) {
    if (KIND == REDUCE_MAX) return s_max(a, b);
    if (KIND == REDUCE_MIN) return s_min(a, b);
    return a + b;
}

template <int KIND, class R> __device__ __forceinline__ R reduce_finish(R x, i64 count) {
    return KIND == REDUCE_MEAN ? x / R(count) : x;
}

// The innermost axis is reduced: LANES threads walk along it. Blocks of 256 threads; grid (rows of blocks, splits).
template <int KIND, int LANES, int PACK, class R, class F, class Y>
__device__ __forceinline__ void reduce_rows(const F& f, i64 kept, i64 reduced, i64 chunk, Y* y, R* partial) {
    __shared__ R scratch[33];
    i64 row = i64(blockIdx.x) * (256 / LANES) + threadIdx.x / LANES;
    i64 first = i64(blockIdx.y) * chunk, end = first + chunk < reduced ? first + chunk : reduced;
    bool is_inside = row < kept;
    R x = reduce_start<KIND, R>();
    if (is_inside) {
#pragma unroll 4
        for (i64 at = first + threadIdx.x % LANES * PACK; at < end; at += LANES * PACK) {
            R values[PACK];
            f(row, at, values);
#pragma unroll
            for (int j = 0; j < PACK; ++j) x = reduce_join<KIND>(x, values[j]);
        }
    }
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2)
        x = reduce_join<KIND>(x, R(__shfl_xor_sync(0xffffffffu, x, distance)));
    if (LANES > 32) {
        if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = x;
        __syncthreads();
        x = scratch[0];
        for (int other = 1; other < LANES / 32; ++other) x = reduce_join<KIND>(x, scratch[other]);
    }
    if (!is_inside || threadIdx.x % LANES != 0) return;
    if (gridDim.y > 1)
        partial[i64(blockIdx.y) * kept + row] = x;
    else
        y[row] = to<Y>(reduce_finish<KIND>(x, reduced));
}

// The innermost axis is kept: 32 threads with PACK columns each stand side by side, 8 walk. Blocks (32, 8); grid (columns of blocks, splits).
template <int KIND, int PACK, class R, class F, class Y>
__device__ __forceinline__ void reduce_columns(const F& f, i64 kept, i64 reduced, i64 chunk, Y* y, R* partial) {
    __shared__ R scratch[8][PACK][32];
    i64 column = (i64(blockIdx.x) * 32 + threadIdx.x) * PACK;
    i64 first = i64(blockIdx.y) * chunk, end = first + chunk < reduced ? first + chunk : reduced;
    R x[PACK];
#pragma unroll
    for (int j = 0; j < PACK; ++j) x[j] = reduce_start<KIND, R>();
    if (column < kept) {
        i64 at = first + threadIdx.y;
        // Four rows are on their way at once.
        for (; at + 24 < end; at += 32) {
            R values[4][PACK];
#pragma unroll
            for (int k = 0; k < 4; ++k) f(column, at + 8 * k, values[k]);
#pragma unroll
            for (int k = 0; k < 4; ++k) {
#pragma unroll
                for (int j = 0; j < PACK; ++j) x[j] = reduce_join<KIND>(x[j], values[k][j]);
            }
        }
        for (; at < end; at += 8) {
            R values[PACK];
            f(column, at, values);
#pragma unroll
            for (int j = 0; j < PACK; ++j) x[j] = reduce_join<KIND>(x[j], values[j]);
        }
    }
#pragma unroll
    for (int j = 0; j < PACK; ++j) scratch[threadIdx.y][j][threadIdx.x] = x[j];
    __syncthreads();
    // Each thread joins the walkers of one column; packs have at most 8.
    if (threadIdx.y >= PACK || column >= kept) return;
    R total = scratch[0][threadIdx.y][threadIdx.x];
#pragma unroll
    for (int other = 1; other < 8; ++other) total = reduce_join<KIND>(total, scratch[other][threadIdx.y][threadIdx.x]);
    column += threadIdx.y;
    if (gridDim.y > 1)
        partial[i64(blockIdx.y) * kept + column] = total;
    else
        y[column] = to<Y>(reduce_finish<KIND>(total, reduced));
}

// Joins the parts of each kept position: WALKERS threads have every WALKERS-th part. Blocks (32, WALKERS), or (256, 1).
template <int KIND, int WALKERS, class R, class Y>
__device__ __forceinline__ void sward_combine_parts(const R* partial, int splits, i64 kept, i64 reduced, Y* y) {
    __shared__ R scratch[WALKERS][33];
    i64 at = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    R x = reduce_start<KIND, R>();
    if (at < kept) {
#pragma unroll 4
        for (int split = threadIdx.y; split < splits; split += WALKERS) x = reduce_join<KIND>(x, partial[split * kept + at]);
    }
    if (WALKERS > 1) {
        scratch[threadIdx.y][threadIdx.x] = x;
        __syncthreads();
        if (threadIdx.y != 0) return;
        for (int other = 1; other < WALKERS; ++other) x = reduce_join<KIND>(x, scratch[other][threadIdx.x]);
    }
    if (at < kept) y[at] = to<Y>(reduce_finish<KIND>(x, reduced));
}
