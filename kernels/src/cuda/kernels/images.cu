// Pooling and resizing of images [batch, height, width, channels]: one thread for each element of the result, channels side by side; where
// maxima are looked for, for a pack of channels.

// The sizes of a pooling; the last four repeat the first in the order height, width.
struct PoolShape {
    int height, width, channels, out_height, out_width;
    int kernel[2], stride[2], padding[2], dilation[2];
    int include_padding;
};

struct Place {
    i64 image;
    int row, column, channel;
};

__device__ __forceinline__ Place place_of(i64 at, int height, int width, int channels) {
    Place place;
    place.channel = int(at % channels);
    at /= channels;
    place.column = int(at % width);
    at /= width;
    place.row = int(at % height);
    place.image = at / height;
    return place;
}

__device__ __forceinline__ i64 offset_of(i64 image, int row, int column, int channel, int height, int width, int channels) {
    return ((image * height + row) * width + column) * channels + channel;
}

// The first maximum of a window in each of PACK channels, row by row, and where it lies (row * width + column); -1 where it holds padding alone.
template <int PACK, class T>
__device__ __forceinline__ void first_maximum(const T* x, const PoolShape& s, i64 image, int row, int column, int channel, int (&places)[PACK], float (&best)[PACK]) {
#pragma unroll
    for (int u = 0; u < PACK; ++u) {
        places[u] = -1;
        best[u] = -infinity();
    }
    for (int i = 0; i < s.kernel[0]; ++i) {
        int y = row * s.stride[0] + i * s.dilation[0] - s.padding[0];
        if (y < 0 || y >= s.height) continue;
        for (int j = 0; j < s.kernel[1]; ++j) {
            int z = column * s.stride[1] + j * s.dilation[1] - s.padding[1];
            if (z < 0 || z >= s.width) continue;
            Pack<T, PACK> values = load_pack<PACK>(x + offset_of(image, y, z, channel, s.height, s.width, s.channels));
#pragma unroll
            for (int u = 0; u < PACK; ++u) {
                float value = to<float>(values.of[u]);
                if (places[u] < 0 || value > best[u] || (value != value && best[u] == best[u])) {
                    best[u] = value;
                    places[u] = y * s.width + z;
                }
            }
        }
    }
}

// One thread for PACK neighbours, as for the gradient.
template <int PACK, class T> __device__ __forceinline__ void sward_max_pool(const T* x, T* y, PoolShape s, i64 elements) {
    i64 at = global_thread() * PACK;
    if (at >= elements) return;
    Place p = place_of(at, s.out_height, s.out_width, s.channels);
    int places[PACK];
    float best[PACK];
    first_maximum(x, s, p.image, p.row, p.column, p.channel, places, best);
    Pack<T, PACK> pack;
#pragma unroll
    for (int u = 0; u < PACK; ++u) pack.of[u] = to<T>(best[u]);
    store_pack(y + at, pack);
}

// The windows along one axis that read a position: from `first` to `end`, those whose taps fit.
__device__ __forceinline__ void windows_of(int position, int kernel, int stride, int padding, int dilation, int count, int& first, int& end) {
    int reach = (kernel - 1) * dilation, low = position + padding - reach;
    first = low <= 0 ? 0 : (low + stride - 1) / stride;
    end = (position + padding) / stride + 1;
    if (end > count) end = count;
}

template <int PACK, class D, class T>
__device__ __forceinline__ void sward_max_pool_gradient(const D* dy, const T* x, D* dx, PoolShape s, i64 elements) {
    i64 at = global_thread() * PACK;
    if (at >= elements) return;
    Place p = place_of(at, s.height, s.width, s.channels);
    int first_row, end_row, first_column, end_column;
    windows_of(p.row, s.kernel[0], s.stride[0], s.padding[0], s.dilation[0], s.out_height, first_row, end_row);
    windows_of(p.column, s.kernel[1], s.stride[1], s.padding[1], s.dilation[1], s.out_width, first_column, end_column);
    float sums[PACK];
#pragma unroll
    for (int u = 0; u < PACK; ++u) sums[u] = 0.0f;
    for (int i = first_row; i < end_row; ++i)
        for (int j = first_column; j < end_column; ++j) {
            int places[PACK];
            float best[PACK];
            first_maximum(x, s, p.image, i, j, p.channel, places, best);
            Pack<D, PACK> slopes = load_pack<PACK>(dy + offset_of(p.image, i, j, p.channel, s.out_height, s.out_width, s.channels));
#pragma unroll
            for (int u = 0; u < PACK; ++u)
                if (places[u] == p.row * s.width + p.column) sums[u] += to<float>(slopes.of[u]);
        }
    Pack<D, PACK> pack;
#pragma unroll
    for (int u = 0; u < PACK; ++u) pack.of[u] = to<D>(sums[u]);
    store_pack(dx + at, pack);
}

// The positions of window `index` in an axis.
__device__ __forceinline__ void window_range(int index, int kernel, int stride, int padding, int size, int& first, int& end) {
    first = index * stride - padding;
    end = first + kernel;
    if (first < 0) first = 0;
    if (end > size) end = size;
}

// What a window's sum is divided by.
__device__ __forceinline__ float pool_divisor(const PoolShape& s, int row, int column) {
    int first_row, end_row, first_column, end_column;
    if (s.include_padding) {
        int rows = row * s.stride[0] + s.kernel[0], columns = column * s.stride[1] + s.kernel[1];
        int most_rows = s.height + 2 * s.padding[0], most_columns = s.width + 2 * s.padding[1];
        rows = (rows < most_rows ? rows : most_rows) - row * s.stride[0];
        columns = (columns < most_columns ? columns : most_columns) - column * s.stride[1];
        return float(rows * columns);
    }
    window_range(row, s.kernel[0], s.stride[0], s.padding[0], s.height, first_row, end_row);
    window_range(column, s.kernel[1], s.stride[1], s.padding[1], s.width, first_column, end_column);
    int rows = end_row > first_row ? end_row - first_row : 0, columns = end_column > first_column ? end_column - first_column : 0;
    return float(rows * columns);
}

template <class T> __device__ __forceinline__ void sward_average_pool(const T* x, T* y, PoolShape s, i64 elements) {
    i64 at = global_thread();
    if (at >= elements) return;
    Place p = place_of(at, s.out_height, s.out_width, s.channels);
    int first_row, end_row, first_column, end_column;
    window_range(p.row, s.kernel[0], s.stride[0], s.padding[0], s.height, first_row, end_row);
    window_range(p.column, s.kernel[1], s.stride[1], s.padding[1], s.width, first_column, end_column);
    float sum = 0.0f;
    for (int i = first_row; i < end_row; ++i)
        for (int j = first_column; j < end_column; ++j)
            sum += to<float>(x[offset_of(p.image, i, j, p.channel, s.height, s.width, s.channels)]);
    y[at] = to<T>(sum / pool_divisor(s, p.row, p.column));
}

template <class T> __device__ __forceinline__ void sward_average_pool_gradient(const T* dy, T* dx, PoolShape s, i64 elements) {
    i64 at = global_thread();
    if (at >= elements) return;
    Place p = place_of(at, s.height, s.width, s.channels);
    int first_row, end_row, first_column, end_column;
    windows_of(p.row, s.kernel[0], s.stride[0], s.padding[0], 1, s.out_height, first_row, end_row);
    windows_of(p.column, s.kernel[1], s.stride[1], s.padding[1], 1, s.out_width, first_column, end_column);
    float sum = 0.0f;
    for (int i = first_row; i < end_row; ++i)
        for (int j = first_column; j < end_column; ++j)
            sum += to<float>(dy[offset_of(p.image, i, j, p.channel, s.out_height, s.out_width, s.channels)]) / pool_divisor(s, i, j);
    dx[at] = to<T>(sum);
}

// Window `index` of `count` over `size` positions: PyTorch's bounds, which may overlap.
__device__ __forceinline__ int adaptive_first(int index, int count, int size) {
    return int(i64(index) * size / count);
}
__device__ __forceinline__ int adaptive_end(int index, int count, int size) {
    return int((i64(index + 1) * size + count - 1) / count);
}

template <class T> __device__ __forceinline__ void sward_adaptive_average_pool(const T* x, T* y, PoolShape s, i64 elements) {
    i64 at = global_thread();
    if (at >= elements) return;
    Place p = place_of(at, s.out_height, s.out_width, s.channels);
    int first_row = adaptive_first(p.row, s.out_height, s.height), end_row = adaptive_end(p.row, s.out_height, s.height);
    int first_column = adaptive_first(p.column, s.out_width, s.width), end_column = adaptive_end(p.column, s.out_width, s.width);
    float sum = 0.0f;
    for (int i = first_row; i < end_row; ++i)
        for (int j = first_column; j < end_column; ++j)
            sum += to<float>(x[offset_of(p.image, i, j, p.channel, s.height, s.width, s.channels)]);
    y[at] = to<T>(sum / float((end_row - first_row) * (end_column - first_column)));
}

template <class T>
__device__ __forceinline__ void sward_adaptive_average_pool_gradient(const T* dy, T* dx, PoolShape s, i64 elements) {
    i64 at = global_thread();
    if (at >= elements) return;
    Place p = place_of(at, s.height, s.width, s.channels);
    // Window i holds position p exactly when i * size < (p + 1) * count and (i + 1) * size > p * count.
    int first_row = int(i64(p.row) * s.out_height / s.height), first_column = int(i64(p.column) * s.out_width / s.width);
    float sum = 0.0f;
    for (int i = first_row; i < s.out_height && adaptive_first(i, s.out_height, s.height) <= p.row; ++i) {
        int rows = adaptive_end(i, s.out_height, s.height) - adaptive_first(i, s.out_height, s.height);
        for (int j = first_column; j < s.out_width && adaptive_first(j, s.out_width, s.width) <= p.column; ++j) {
            int columns = adaptive_end(j, s.out_width, s.width) - adaptive_first(j, s.out_width, s.width);
            sum += to<float>(dy[offset_of(p.image, i, j, p.channel, s.out_height, s.out_width, s.channels)]) / float(rows * columns);
        }
    }
    dx[at] = to<T>(sum);
}

// What each position of a result reads along one axis: `weights[first[i] .. first[i + 1]]` of the positions from `start[i]` on. For a
// gradient the tables are those of the transpose, so that both directions are one kernel.
template <class T>
__device__ __forceinline__ void sward_resample(
    const T* x, T* y, const int* row_start, const int* row_first, const float* row_weights, const int* column_start,
    const int* column_first, const float* column_weights, int height, int width, int channels, int out_height, int out_width,
    i64 elements) {
    i64 at = global_thread();
    if (at >= elements) return;
    Place p = place_of(at, out_height, out_width, channels);
    float sum = 0.0f;
    int rows = row_first[p.row + 1] - row_first[p.row], columns = column_first[p.column + 1] - column_first[p.column];
    for (int i = 0; i < rows; ++i) {
        float line = 0.0f;
        for (int j = 0; j < columns; ++j)
            line += column_weights[column_first[p.column] + j] *
                    to<float>(x[offset_of(p.image, row_start[p.row] + i, column_start[p.column] + j, p.channel, height, width, channels)]);
        sum += row_weights[row_first[p.row] + i] * line;
    }
    y[at] = to<T>(sum);
}
