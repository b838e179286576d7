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

// The tile of this block, of TILE rows and columns or what is left of them; moves the tensors to its first row and column. Grids have fewer than
// 2^31 blocks, so that 32 bits suffice.
template <int TILE, class T> struct TransposeTile {
    int rows, columns;

    __device__ __forceinline__ TransposeTile(const T*& from, T*& to, const TransposeShape& shape) {
        u32 rest = blockIdx.x, tiles = u32(shape.column_tiles);
        i64 column = i64(rest % tiles) * TILE;
        rest /= tiles;
        tiles = u32(shape.row_tiles);
        i64 row = i64(rest % tiles) * TILE;
        rest /= tiles;
#pragma unroll
        for (int axis = 2; axis >= 0; --axis) {
            u32 size = u32(shape.outer_sizes[axis]), position = rest;
            // The first needs no division, and one axis is what there mostly is.
            if (axis > 0) {
                if (size == 1) continue;
                position = rest % size;
                rest /= size;
            }
            from += position * shape.outer_from[axis];
            to += position * shape.outer_to[axis];
        }
        from += row + column * shape.column_stride;
        to += row * shape.to_row + column;
        rows = shape.rows - row < TILE ? int(shape.rows - row) : TILE;
        columns = shape.columns - column < TILE ? int(shape.columns - column) : TILE;
    }
};

template <class T> __device__ __forceinline__ void sward_transpose(const T* from, T* to, TransposeShape shape) {
    __shared__ T tile[32][33];
    const TransposeTile<32, T> own(from, to, shape);
    const int x = threadIdx.x, y = threadIdx.y;
    from += x + y * shape.column_stride;
    T values[4];
#pragma unroll
    for (int k = 0; k < 4; ++k)
        values[k] = x < own.rows && y + 8 * k < own.columns ? from[8 * k * shape.column_stride] : T(0);
#pragma unroll
    for (int k = 0; k < 4; ++k) tile[y + 8 * k][x] = values[k];
    __syncthreads();
    to += y * shape.to_row + x;
#pragma unroll
    for (int k = 0; k < 4; ++k)
        if (y + 8 * k < own.rows && x < own.columns) to[8 * k * shape.to_row] = tile[x][y + 8 * k];
}

// The same for elements of 2 bytes by pairs, where all sizes and strides are even: tiles of 64 x 64, read and written in words of two
// neighbours. A thread takes 2 rows of 2 columns and makes 2 columns of 2 rows of them; even and odd rows lie apart, so that no two lanes want
// one bank of shared memory. Blocks (32, 8).
__device__ __forceinline__ void sward_transpose_pairs(const u16* from, u16* to, TransposeShape shape) {
    __shared__ u32 tile[2][32][33];
    const TransposeTile<64, u16> own(from, to, shape);
    const int x = threadIdx.x, y = threadIdx.y;
    from += 2 * x + 2 * y * shape.column_stride;
    u32 left[4], right[4];
#pragma unroll
    for (int k = 0; k < 4; ++k) {
        bool is_inside = 2 * x < own.rows && 2 * (y + 8 * k) < own.columns;
        const u16* source = from + 16 * k * shape.column_stride;
        left[k] = is_inside ? *reinterpret_cast<const u32*>(source) : 0;
        right[k] = is_inside ? *reinterpret_cast<const u32*>(source + shape.column_stride) : 0;
    }
#pragma unroll
    for (int k = 0; k < 4; ++k) {
        tile[0][x][y + 8 * k] = (left[k] & 0xffff) | (right[k] << 16);
        tile[1][x][y + 8 * k] = (left[k] >> 16) | (right[k] & 0xffff0000u);
    }
    __syncthreads();
    to += y * shape.to_row + 2 * x;
#pragma unroll
    for (int k = 0; k < 8; ++k)
        if (y + 8 * k < own.rows && 2 * x < own.columns)
            *reinterpret_cast<u32*>(to + 8 * k * shape.to_row) = tile[y % 2][y / 2 + 4 * k][x];
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

// Mirrored or repeated borders. MODE 0 reflects, 1 replicates. INDEX counts the elements: 32 bits where they suffice, as division is slow.
template <class T, int RANK, int MODE, class INDEX>
__device__ __forceinline__ void sward_pad(const T* x, T* y, PadShape shape, i64 elements) {
    i64 at = global_thread();
    if (at >= elements) return;
    INDEX rest = INDEX(at);
    i64 source = 0, stride = 1;
#pragma unroll
    for (int axis = RANK - 1; axis >= 0; --axis) {
        INDEX size = INDEX(shape.outer[axis]);
        i64 position = i64(rest % size) - shape.low[axis], last = shape.inner[axis] - 1;
        rest /= size;
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
template <class T, class SUM, int RANK, int MODE, class INDEX>
__device__ __forceinline__ void sward_pad_gradient(const T* dy, T* dx, PadShape shape, i64 elements) {
    i64 at = global_thread();
    if (at >= elements) return;
    PadSources<MODE> sources[RANK];
    INDEX rest = INDEX(at);
    i64 total = 1;
#pragma unroll
    for (int axis = RANK - 1; axis >= 0; --axis) {
        i64 size = shape.inner[axis];
        sources[axis] = {i64(rest % INDEX(size)), shape.low[axis], shape.outer[axis] - shape.low[axis] - size, size - 1};
        rest /= INDEX(size);
        total *= sources[axis].count();
    }
    SUM sum = SUM(0);
    for (i64 pick = 0; pick < total; ++pick) {
        INDEX left = INDEX(pick);
        i64 source = 0, stride = 1;
#pragma unroll
        for (int axis = RANK - 1; axis >= 0; --axis) {
            INDEX count = INDEX(sources[axis].count());
            source += sources[axis].nth(left % count) * stride;
            left /= count;
            stride *= shape.outer[axis];
        }
        sum += to<SUM>(dy[source]);
    }
    dx[at] = to<T>(sum);
}
