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
    int low, middle, high;
    // A division of 64 bits takes four times as long.
    if (at >> 32 == 0) {
        u32 own = u32(at), rest = own / axes.low_size;
        low = own % axes.low_size;
        middle = rest % axes.middle_size;
        high = rest / axes.middle_size;
    } else {
        low = int(at % axes.low_size);
        at /= axes.low_size;
        middle = int(at % axes.middle_size);
        high = int(at / axes.middle_size);
    }
    return {middle, low, axes.high.times(high).plus(axes.middle.times(middle)).plus(axes.low.times(low))};
}

// The same in runs of `unit` neighbours.
__device__ __forceinline__ Counted counted_units(const Axes& axes, i64 at, int unit) {
    Counted own = counted(axes, at / unit);
    own.move.elements += at % unit;
    return own;
}

// `step` further on.
__device__ __forceinline__ Counted counted_on(const Axes& axes, Counted at, const Counted& step) {
    at.low += step.low;
    at.middle += step.middle;
    at.move = at.move.plus(step.move);
    if (at.low >= axes.low_size) {
        at.low -= axes.low_size;
        ++at.middle;
        at.move = at.move.plus(axes.middle).plus(axes.low.times(-axes.low_size));
    }
    if (at.middle >= axes.middle_size) {
        at.middle -= axes.middle_size;
        at.move = at.move.plus(axes.high).plus(axes.middle.times(-axes.middle_size));
    }
    return at;
}

constexpr int CHUNK = 64;

// The axes along taps and `each` channels, by what a tap's row and column move.
__device__ __forceinline__ Axes taps_and_channels(int rows, int columns, int each, const Move& row, const Move& column, int unit) {
    if (unit == CHUNK) return {rows, columns, {0, 0, CHUNK}, row, column};
    return {columns, each, row, column, {0, 0, 1}};
}

// What a convolution reads of images: lines and places are ways that add up. An element outside of height and width is 0.
//
// Places count runs of `unit` neighbours. Along taps and channels that is one channel of a tap, channels the fastest; or CHUNK of them, the taps
// the fastest, so that what one tap reads is still near when the next reads it again, shifted by a pixel.
template <class T, bool K_SIDE> struct Window {
    typedef T Element;
    static constexpr bool IS_K_SIDE = K_SIDE;
    const T* base;
    Axes across, along;
    Move first;
    int height, width;
    i64 lines;
    int unit;
    __device__ __forceinline__ const T* origin() const { return base; }

    typedef Move Line;
    __device__ __forceinline__ Line line(i64 own) const {
        if (own < lines) return first.plus(counted(across, own).move);
        // Above every row, whatever is added.
        return {-(1 << 30), 0, 0};
    }
    typedef Counted Place;
    __device__ __forceinline__ Place place(i64 k) const { return counted_units(along, k, unit); }
    __device__ __forceinline__ Place next(const Place& place, const Place& step) const { return counted_on(along, place, step); }
    __device__ __forceinline__ const T* at(const Line& line, const Place& place) const {
        bool is_inside = u32(line.row + place.move.row) < u32(height) && u32(line.column + place.move.column) < u32(width);
        return is_inside ? base + line.elements + place.move.elements : nullptr;
    }
};

// What it reads of its weight, by the same places.
template <class T, bool K_SIDE> struct Taps {
    typedef T Element;
    static constexpr bool IS_K_SIDE = K_SIDE;
    const T* base;
    i64 line_stride;
    Axes along;
    i64 lines;
    int unit;
    __device__ __forceinline__ const T* origin() const { return base; }

    typedef const T* Line;
    __device__ __forceinline__ Line line(i64 own) const { return own < lines ? base + own * line_stride : nullptr; }
    typedef Counted Place;
    __device__ __forceinline__ Place place(i64 k) const { return counted_units(along, k, unit); }
    __device__ __forceinline__ Place next(const Place& place, const Place& step) const { return counted_on(along, place, step); }
    __device__ __forceinline__ const T* at(Line line, const Place& place) const { return line ? line + place.move.elements : nullptr; }
};

// A convolution's sizes: image [batch, height, width, channels], weight [outputs, kernel height, kernel width, channels / groups].
struct ConvolutionShape {
    int height, width, channels, out_height, out_width, outputs;
    int kernel_height, kernel_width, stride_height, stride_width, top, left, dilation_height, dilation_width;
    int groups, batch;
};

// What the forward pass reads of the image: lines (image, out row, out column), k the taps and channels of the group.
template <class T> __device__ __forceinline__ Window<T, true> patches(const T* x, const ConvolutionShape& s, int unit) {
    i64 pixel = s.channels, line = s.width * pixel;
    Move row = {s.dilation_height, 0, s.dilation_height * line}, column = {0, s.dilation_width, s.dilation_width * pixel};
    return {x,
            {s.out_height, s.out_width, {0, 0, s.height * line}, {s.stride_height, 0, s.stride_height * line}, {0, s.stride_width, s.stride_width * pixel}},
            taps_and_channels(s.kernel_height, s.kernel_width, s.channels / s.groups, row, column, unit),
            {-s.top, -s.left, -s.top * line - s.left * pixel},
            s.height,
            s.width,
            i64(s.batch) * s.out_height * s.out_width,
            unit};
}

// The weight for that: lines the outputs of the group.
template <class T> __device__ __forceinline__ Taps<T, true> weight_rows(const T* weight, const ConvolutionShape& s, int unit) {
    i64 each = s.channels / s.groups, row = s.kernel_width * each;
    Axes along = taps_and_channels(s.kernel_height, s.kernel_width, int(each), {0, 0, row}, {0, 0, each}, unit);
    return {weight, s.kernel_height * row, along, s.outputs / s.groups, unit};
}

// What the gradient in the weight reads of the image: lines (tap's row, tap's column, channel of the group), k = (image, out row, out column).
template <class T> __device__ __forceinline__ Window<T, false> positions(const T* x, const ConvolutionShape& s) {
    Window<T, true> own = patches(x, s, 1);
    return {x, own.along, own.across, own.first, s.height, s.width, i64(s.kernel_height) * s.kernel_width * (s.channels / s.groups), 1};
}

// One axis of an image's positions of one phase (position % stride), and of the taps that reach them: others would meet no result.
struct Phase {
    // The first tap, from one to the next, their number; the result that the first tap meets at the first position, and how far the next
    // tap's lies before it; the number of positions.
    int first_tap, tap_step, taps, first_result, result_step, positions;
    // A size that may be divided by; where there are no taps nothing is summed.
    __device__ __forceinline__ int counted_taps() const { return taps > 0 ? taps : 1; }
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

// What the gradient in the image reads of dy at positions of two phases: lines (image, row, column), k the taps and outputs of the group.
template <class T>
__device__ __forceinline__ Window<T, true> gradient_patches(const T* dy, const ConvolutionShape& s, const Phase& rows, const Phase& columns, int unit) {
    i64 pixel = s.outputs, line = s.out_width * pixel;
    Move row = {-rows.result_step, 0, -rows.result_step * line}, column = {0, -columns.result_step, -columns.result_step * pixel};
    return {dy,
            {rows.positions, columns.positions, {0, 0, s.out_height * line}, {1, 0, line}, {0, 1, pixel}},
            taps_and_channels(rows.counted_taps(), columns.counted_taps(), s.outputs / s.groups, row, column, unit),
            {rows.first_result, columns.first_result, rows.first_result * line + columns.first_result * pixel},
            s.out_height,
            s.out_width,
            i64(s.batch) * rows.positions * columns.positions,
            unit};
}

// The weight for that: lines the channels of the group. From one output, tap and channel to the next there are so many elements.
template <class T, bool K_SIDE>
__device__ __forceinline__ Taps<T, K_SIDE> phase_weight(
    const T* weight, const ConvolutionShape& s, const Phase& rows, const Phase& columns, i64 output, i64 tap, i64 channel, int unit) {
    i64 row = s.kernel_width * tap;
    Axes along = taps_and_channels(
        rows.counted_taps(), columns.counted_taps(), s.outputs / s.groups, {0, 0, rows.tap_step * row}, {0, 0, columns.tap_step * tap}, unit);
    if (unit == 1) along.low.elements = output;
    return {weight + rows.first_tap * row + columns.first_tap * tap, channel, along, s.channels / s.groups, unit};
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
};

// The same of rows that are positions of two phases in images.
template <class Y> struct PhaseResult {
    Y* y;
    ConvolutionShape s;
    int first_row, first_column, phase_rows, phase_columns;
    i64 rows, columns;
    __device__ __forceinline__ Y* row_start(i64 row) const {
        Axes axes = {phase_rows, phase_columns, {0, 0, i64(s.height) * s.width}, {0, 0, i64(s.stride_height) * s.width}, {0, 0, s.stride_width}};
        return y + (counted(axes, row).move.elements + first_row * s.width + first_column) * s.channels;
    }
    __device__ __forceinline__ void put(i64 row, i64 column, float value) const {
        if (row < rows && column < columns) row_start(row)[column] = to<Y>(value);
    }
};
