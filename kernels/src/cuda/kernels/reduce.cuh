// Sums, means and extremes of a value f(kept, reduced) over `reduced`, by fixed trees: the same bits in every run.
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
template <int KIND, int LANES, class R, class F, class Y>
__device__ __forceinline__ void reduce_rows(const F& f, i64 kept, i64 reduced, i64 chunk, Y* y, R* partial) {
    __shared__ R scratch[33];
    i64 row = i64(blockIdx.x) * (256 / LANES) + threadIdx.x / LANES;
    i64 first = i64(blockIdx.y) * chunk, end = first + chunk < reduced ? first + chunk : reduced;
    bool is_inside = row < kept;
    R x = reduce_start<KIND, R>();
    if (is_inside)
        for (i64 at = first + threadIdx.x % LANES; at < end; at += LANES) x = reduce_join<KIND>(x, R(f(row, at)));
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

// The innermost axis is kept: 32 threads stand side by side, 8 walk. Blocks (32, 8); grid (columns of blocks, splits).
template <int KIND, class R, class F, class Y>
__device__ __forceinline__ void reduce_columns(const F& f, i64 kept, i64 reduced, i64 chunk, Y* y, R* partial) {
    __shared__ R scratch[8][33];
    i64 column = i64(blockIdx.x) * 32 + threadIdx.x;
    i64 first = i64(blockIdx.y) * chunk, end = first + chunk < reduced ? first + chunk : reduced;
    R x = reduce_start<KIND, R>();
    if (column < kept)
        for (i64 at = first + threadIdx.y; at < end; at += 8) x = reduce_join<KIND>(x, R(f(column, at)));
    scratch[threadIdx.y][threadIdx.x] = x;
    __syncthreads();
    if (threadIdx.y != 0 || column >= kept) return;
    for (int other = 1; other < 8; ++other) x = reduce_join<KIND>(x, scratch[other][threadIdx.x]);
    if (gridDim.y > 1)
        partial[i64(blockIdx.y) * kept + column] = x;
    else
        y[column] = to<Y>(reduce_finish<KIND>(x, reduced));
}

// One thread for each kept position.
template <int KIND, class R, class Y>
__device__ __forceinline__ void sward_combine_parts(const R* partial, int splits, i64 kept, i64 reduced, Y* y) {
    i64 at = global_thread();
    if (at >= kept) return;
    R x = partial[at];
    for (int split = 1; split < splits; ++split) x = reduce_join<KIND>(x, partial[split * kept + at]);
    y[at] = to<Y>(reduce_finish<KIND>(x, reduced));
}
