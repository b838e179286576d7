// Operands of products c[m][n] = sum over k of a(m, k) b(k, n): matrices, or what a convolution reads of its image, and where results go.
//
// An operand gives, for its own coordinate (m or n), a Line, for k within its depth a Place, and for a line and a place the element's address;
// null stands for 0. Places go on by `next`, whose step is a place too, without a division. K_SIDE says that neighbours along k lie side by
// side, else those along the own coordinate do.

// A matrix with strides.
template <class T, bool K_SIDE> struct Matrix {
    typedef T Element;
    static constexpr bool IS_K_SIDE = K_SIDE;
    const T* base;
    i64 line_stride, k_stride, lines;
    __device__ __forceinline__ const T* origin() const { return base; }

    typedef const T* Line;
    __device__ __forceinline__ Line line(i64 own) const { return own < lines ? base + own * line_stride : nullptr; }
    typedef i64 Place;
    __device__ __forceinline__ Place place(i64 k) const { return k * k_stride; }
    __device__ __forceinline__ Place next(Place place, Place step) const { return place + step; }
    __device__ __forceinline__ const T* at(Line line, Place place) const { return line ? line + place : nullptr; }
};

// A way within images: rows, columns, elements.
struct Move {
    int row, column;
    i64 elements;
    __device__ __forceinline__ Move plus(const Move& other) const {
        return {row + other.row, column + other.column, elements + other.elements};
    }
    __device__ __forceinline__ Move times(int count) const { return {row * count, column * count, elements * count}; }
};

// What a coordinate over three axes, the last the fastest, means in images: what one of each axis moves.
struct Axes {
    int middle_size, low_size;
    Move high, middle, low;
};

struct Counted {
    int middle, low;
    Move move;
};

__device__ __forceinline__ Counted counted(const Axes& axes, i64 at) {
    int low = int(at % axes.low_size);
    at /= axes.low_size;
    int middle = int(at % axes.middle_size);
    Move move = axes.high.times(int(at / axes.middle_size)).plus(axes.middle.times(middle)).plus(axes.low.times(low));
    return {middle, low, move};
}

// What a convolution reads of images, or of its weight: lines and places are ways that add up. An element outside of height and width is 0.
template <class T, bool K_SIDE> struct Window {
    typedef T Element;
    static constexpr bool IS_K_SIDE = K_SIDE;
    const T* base;
    Axes across, along;
    Move first;
    int height, width;
    i64 lines;
    __device__ __forceinline__ const T* origin() const { return base; }

    typedef Move Line;
    __device__ __forceinline__ Line line(i64 own) const {
        if (own < lines) return first.plus(counted(across, own).move);
        // Above every row, whatever is added.
        return {-(1 << 30), 0, 0};
    }
    typedef Counted Place;
    __device__ __forceinline__ Place place(i64 k) const { return counted(along, k); }
    __device__ __forceinline__ Place next(Place place, const Place& step) const {
        place.low += step.low;
        place.middle += step.middle;
        place.move = place.move.plus(step.move);
        if (place.low >= along.low_size) {
            place.low -= along.low_size;
            ++place.middle;
            place.move = place.move.plus(along.middle).plus(along.low.times(-along.low_size));
        }
        if (place.middle >= along.middle_size) {
            place.middle -= along.middle_size;
            place.move = place.move.plus(along.high).plus(along.middle.times(-along.middle_size));
        }
        return place;
    }
    __device__ __forceinline__ const T* at(const Line& line, const Place& place) const {
        bool is_inside = u32(line.row + place.move.row) < u32(height) && u32(line.column + place.move.column) < u32(width);
        return is_inside ? base + line.elements + place.move.elements : nullptr;
    }
};

// A convolution's sizes: image [batch, height, width, channels], weight [outputs, kernel height, kernel width, channels / groups].
struct ConvolutionShape {
    int height, width, channels, out_height, out_width, outputs;
    int kernel_height, kernel_width, stride_height, stride_width, top, left, dilation_height, dilation_width;
    int groups, batch;
};

// What the forward pass reads of the image: lines (image, out row, out column), k = (tap's row, tap's column, channel of the group).
template <class T> __device__ __forceinline__ Window<T, true> patches(const T* x, const ConvolutionShape& s) {
    i64 line = i64(s.width) * s.channels;
    return {x,
            {s.out_height, s.out_width, {0, 0, s.height * line}, {s.stride_height, 0, s.stride_height * line},
             {0, s.stride_width, i64(s.stride_width) * s.channels}},
            {s.kernel_width, s.channels / s.groups, {s.dilation_height, 0, s.dilation_height * line},
             {0, s.dilation_width, i64(s.dilation_width) * s.channels}, {0, 0, 1}},
            {-s.top, -s.left, -s.top * line - i64(s.left) * s.channels},
            s.height,
            s.width,
            i64(s.batch) * s.out_height * s.out_width};
}

// What the gradient in the weight reads of the image: lines (tap's row, tap's column, channel of the group), k = (image, out row, out column).
template <class T> __device__ __forceinline__ Window<T, false> positions(const T* x, const ConvolutionShape& s) {
    Window<T, true> own = patches(x, s);
    return {x, own.along, own.across, own.first, s.height, s.width, i64(s.kernel_height) * s.kernel_width * (s.channels / s.groups)};
}

// One axis of an image's positions of one phase (position % stride), and of the taps that reach them: others would meet no result.
struct Phase {
    // The first tap, from one to the next, their number; the result that the first tap meets at the first position, and how far the next
    // tap's lies before it; the number of positions.
    int first_tap, tap_step, taps, first_result, result_step, positions;
};

__device__ __forceinline__ Phase phase_of(int phase, int size, int kernel, int stride, int zeros, int dilation) {
    int common = stride, rest = dilation % stride;
    while (rest != 0) {
        int next = common % rest;
        common = rest;
        rest = next;
    }
    int first = 0, step = stride / common;
    while (first < step && (phase + zeros - first * dilation) % stride != 0) ++first;
    int taps = first < step && first < kernel ? (kernel - 1 - first) / step + 1 : 0;
    return {first, step, taps, (phase + zeros - first * dilation) / stride, dilation / common, size > phase ? (size - 1 - phase) / stride + 1 : 0};
}

// A size that may be divided by; where there are no taps nothing is summed.
__device__ __forceinline__ int counted_taps(const Phase& phase) {
    return phase.taps > 0 ? phase.taps : 1;
}

// What the gradient in the image reads of dy at positions of two phases: lines (image, row, column), k = (tap's row, tap's column, output of the
// group).
template <class T> __device__ __forceinline__ Window<T, true> gradient_patches(const T* dy, const ConvolutionShape& s, const Phase& rows, const Phase& columns) {
    i64 line = i64(s.out_width) * s.outputs;
    return {dy,
            {rows.positions, columns.positions, {0, 0, s.out_height * line}, {1, 0, line}, {0, 1, s.outputs}},
            {counted_taps(columns), s.outputs / s.groups, {-rows.result_step, 0, -rows.result_step * line},
             {0, -columns.result_step, -i64(columns.result_step) * s.outputs}, {0, 0, 1}},
            {rows.first_result, columns.first_result, rows.first_result * line + i64(columns.first_result) * s.outputs},
            s.out_height,
            s.out_width,
            i64(s.batch) * rows.positions * columns.positions};
}

// The weight for that: lines the channels of the group.
template <class T> __device__ __forceinline__ Window<T, false> phase_weight(const T* weight, const ConvolutionShape& s, const Phase& rows, const Phase& columns) {
    i64 each = s.channels / s.groups, row = s.kernel_width * each;
    return {weight,
            {1, int(each), {0, 0, 0}, {0, 0, 0}, {0, 0, 1}},
            {counted_taps(columns), s.outputs / s.groups, {0, 0, rows.tap_step * row}, {0, 0, columns.tap_step * each}, {0, 0, s.kernel_height * row}},
            {0, 0, rows.first_tap * row + columns.first_tap * each},
            1,
            1,
            each};
}

// Where results go: element (m, n) of a dense result, or of one split's part of it in f32.
template <class Y> struct Result {
    Y* y;
    i64 row_stride;
    i64 rows, columns;
    // The first element of a row.
    __device__ __forceinline__ Y* row_start(i64 row) const { return y + row * row_stride; }
    __device__ __forceinline__ void put(i64 row, i64 column, float value) const {
        if (row < rows && column < columns) row_start(row)[column] = to<Y>(value);
    }
    // This and the next column, where columns are even and rows begin at even elements.
    __device__ __forceinline__ void put_pair(i64 row, i64 column, float value, float next) const {
        if (row < rows && column < columns) store_pack(row_start(row) + column, Pack<Y, 2>{{to<Y>(value), to<Y>(next)}});
    }
};

// The same for a product that is made with its rows and columns exchanged.
template <class Y> struct ExchangedResult {
    Result<Y> result;
    __device__ __forceinline__ void put_pair(i64 row, i64 column, float value, float next) const {
        result.put(column, row, value);
        result.put(column + 1, row, next);
    }
};

// The same of rows that are positions of two phases in images.
template <class Y> struct PhaseResult {
    Y* y;
    ConvolutionShape s;
    int first_row, first_column, phase_rows, phase_columns;
    i64 rows, columns;
    __device__ __forceinline__ Y* row_start(i64 row) const {
        int column = int(row % phase_columns) * s.stride_width + first_column;
        row /= phase_columns;
        int own = int(row % phase_rows) * s.stride_height + first_row;
        return y + ((row / phase_rows * s.height + own) * s.width + column) * s.channels;
    }
    __device__ __forceinline__ void put(i64 row, i64 column, float value) const {
        if (row < rows && column < columns) row_start(row)[column] = to<Y>(value);
    }
    __device__ __forceinline__ void put_pair(i64 row, i64 column, float value, float next) const {
        if (row < rows && column < columns) store_pack(row_start(row) + column, Pack<Y, 2>{{to<Y>(value), to<Y>(next)}});
    }
};
