// Moving elements: strided copies, transposes, padding, filling. T is an unsigned type of the element's size, or a pack of them.

// Axes of a copy, outermost first; the first RANK count. Strides are in elements of T and may be negative.
struct CopyShape {
    i64 sizes[8];
    i64 from[8];
    i64 to[8];
};

// One thread for each element.
template <class T, int RANK>
__device__ __forceinline__ void sward_copy_strided(const T* from, T* to, CopyShape shape, i64 elements) {
    i64 at = global_thread();
    if (at >= elements) return;
    i64 source = 0, target = 0;
    if (elements < (1ll << 31)) {
        u32 rest = u32(at);
#pragma unroll
        for (int axis = RANK - 1; axis >= 0; --axis) {
            u32 size = u32(shape.sizes[axis]), position = axis == 0 ? rest : rest % size;
            rest /= size;
            source += position * shape.from[axis];
            target += position * shape.to[axis];
        }
    } else {
        i64 rest = at;
#pragma unroll
        for (int axis = RANK - 1; axis >= 0; --axis) {
            i64 position = axis == 0 ? rest : rest % shape.sizes[axis];
            rest /= shape.sizes[axis];
            source += position * shape.from[axis];
            target += position * shape.to[axis];
        }
    }
    to[target] = from[source];
}

// [outer, rows, columns] from a tensor where neighbours along `rows` lie side by side and columns `column_stride` apart. The outer position
// is taken apart into up to three axes. Blocks (32, 8), one for each tile of 32 x 32.
struct TransposeShape {
    i64 rows, columns, column_stride;
    i64 to_row;
    i64 outer_sizes[3], outer_from[3], outer_to[3];
    i64 row_tiles, column_tiles;
};

template <class T> __device__ __forceinline__ void sward_transpose(const T* from, T* to, TransposeShape shape) {
    __shared__ T tile[32][33];
    i64 rest = blockIdx.x;
    i64 column_tile = rest % shape.column_tiles;
    rest /= shape.column_tiles;
    i64 row_tile = rest % shape.row_tiles;
    rest /= shape.row_tiles;
    for (int axis = 2; axis >= 0; --axis) {
        i64 position = rest % shape.outer_sizes[axis];
        rest /= shape.outer_sizes[axis];
        from += position * shape.outer_from[axis];
        to += position * shape.outer_to[axis];
    }
    i64 row = row_tile * 32 + threadIdx.x;
    for (int step = threadIdx.y; step < 32; step += 8) {
        i64 column = column_tile * 32 + step;
        if (row < shape.rows && column < shape.columns) tile[step][threadIdx.x] = from[row + column * shape.column_stride];
    }
    __syncthreads();
    i64 column = column_tile * 32 + threadIdx.x;
    for (int step = threadIdx.y; step < 32; step += 8) {
        i64 out_row = row_tile * 32 + step;
        if (out_row < shape.rows && column < shape.columns) to[out_row * shape.to_row + column] = tile[threadIdx.x][step];
    }
}

// One number everywhere.
template <class T> __device__ __forceinline__ void sward_fill(T* y, i64 bits, i64 elements) {
    i64 at = global_thread();
    if (at < elements) y[at] = T(bits);
}

// What a run leaves in a parameter; nothing after a bad index.
__device__ __forceinline__ void sward_copy_update(const Control* control, const u8* from, u8* to, i64 bytes) {
    i64 at = global_thread() * 16;
    if (is_halted(control)) return;
    if (at + 16 <= bytes)
        store_pack<16>(to + at, load_pack<16>(from + at));
    else
        for (; at < bytes; ++at) to[at] = from[at];
}

__device__ __forceinline__ void sward_iota(i64* y, i64 elements) {
    i64 at = global_thread();
    if (at < elements) y[at] = at;
}

// Sizes of what is padded, and what is added before each axis.
struct PadShape {
    i64 outer[8];
    i64 inner[8];
    i64 low[8];
};

// Mirrored or repeated borders. MODE 0 reflects, 1 replicates.
template <class T, int RANK, int MODE>
__device__ __forceinline__ void sward_pad(const T* x, T* y, PadShape shape, i64 elements) {
    i64 at = global_thread();
    if (at >= elements) return;
    i64 rest = at, source = 0, stride = 1;
#pragma unroll
    for (int axis = RANK - 1; axis >= 0; --axis) {
        i64 position = rest % shape.outer[axis] - shape.low[axis], last = shape.inner[axis] - 1;
        rest /= shape.outer[axis];
        if (MODE == 0)
            position = position < 0 ? -position : position > last ? 2 * last - position : position;
        else
            position = position < 0 ? 0 : position > last ? last : position;
        source += position * stride;
        stride *= shape.inner[axis];
    }
    y[at] = x[source];
}

// The padded positions along one axis that show `inner`: `count` of them in rising order, by `nth`.
template <int MODE> struct PadSources {
    i64 inner, low, high, last;
    __device__ __forceinline__ i64 count() const {
        if (MODE == 1) return 1 + (inner == 0 ? low : 0) + (inner == last ? high : 0);
        return 1 + (inner >= 1 && inner <= low ? 1 : 0) + (inner < last && last - inner <= high ? 1 : 0);
    }
    __device__ __forceinline__ i64 nth(i64 index) const {
        if (MODE == 1) return (inner == 0 ? 0 : low + inner) + index;
        bool is_mirrored_low = inner >= 1 && inner <= low;
        if (is_mirrored_low && index == 0) return low - inner;
        if (index == (is_mirrored_low ? 1 : 0)) return low + inner;
        return low + 2 * last - inner;
    }
};

// The gradient of mirrored or repeated borders: each element gathers what it was shown as, in row-major order.
template <class T, class SUM, int RANK, int MODE>
__device__ __forceinline__ void sward_pad_gradient(const T* dy, T* dx, PadShape shape, i64 elements) {
    i64 at = global_thread();
    if (at >= elements) return;
    PadSources<MODE> sources[RANK];
    i64 rest = at, total = 1;
#pragma unroll
    for (int axis = RANK - 1; axis >= 0; --axis) {
        i64 size = shape.inner[axis];
        sources[axis] = {rest % size, shape.low[axis], shape.outer[axis] - shape.low[axis] - size, size - 1};
        rest /= size;
        total *= sources[axis].count();
    }
    SUM sum = SUM(0);
    for (i64 pick = 0; pick < total; ++pick) {
        i64 left = pick, source = 0, stride = 1;
#pragma unroll
        for (int axis = RANK - 1; axis >= 0; --axis) {
            i64 count = sources[axis].count();
            source += sources[axis].nth(left % count) * stride;
            left /= count;
            stride *= shape.outer[axis];
        }
        sum += to<SUM>(dy[source]);
    }
    dx[at] = to<T>(sum);
}
