// Operands of products c[m][n] = sum over k of a(m, k) b(k, n): matrices, or what a convolution reads of its image.
//
// An operand gives, for its own coordinate (m or n), a Line, for k within its depth a Place, and for a line and a place the element's address;
// null stands for 0. Places go on by `next`, whose step is a place too, without a division. K_SIDE says that neighbours along k lie side by
// side, else those along the own coordinate do.

// A place along a sum over three axes, the last the fastest: below sizes that the operand knows, but for `high`.
struct Counters {
    int high, middle, low;
};

__device__ __forceinline__ Counters counters_of(i64 k, int middle_size, int low_size) {
    int low = int(k % low_size);
    k /= low_size;
    return {int(k / middle_size), int(k % middle_size), low};
}

__device__ __forceinline__ Counters add_counters(Counters place, Counters step, int middle_size, int low_size) {
    place.low += step.low;
    place.middle += step.middle;
    place.high += step.high;
    if (place.low >= low_size) {
        place.low -= low_size;
        ++place.middle;
    }
    if (place.middle >= middle_size) {
        place.middle -= middle_size;
        ++place.high;
    }
    return place;
}

// A matrix with strides.
template <class T, bool K_SIDE> struct Matrix {
    typedef T Element;
    static constexpr bool IS_K_SIDE = K_SIDE;
    typedef i64 Place;
    const T* base;
    i64 line_stride, k_stride, lines;
    __device__ __forceinline__ const T* origin() const { return base; }
    __device__ __forceinline__ Place place(i64 k) const { return k; }
    __device__ __forceinline__ Place next(Place place, Place step) const { return place + step; }

    struct Line {
        const T* start;
    };
    __device__ __forceinline__ Line line(i64 own) const {
        return {own < lines ? base + own * line_stride : nullptr};
    }
    __device__ __forceinline__ const T* at(Line line, Place k) const {
        return line.start ? line.start + k * k_stride : nullptr;
    }
};

// A convolution's sizes: image [batch, height, width, channels], weight [outputs, kernel height, kernel width, channels / groups].
struct ConvolutionShape {
    int height, width, channels, out_height, out_width, outputs;
    int kernel_height, kernel_width, stride_height, stride_width, top, left, dilation_height, dilation_width;
    int groups, batch;
};

// What the forward pass reads of the image: own coordinate (image, out row, out column), k = (tap's row, tap's column, channel of the group).
template <class T> struct Patches {
    typedef T Element;
    typedef Counters Place;
    static constexpr bool IS_K_SIDE = true;
    const T* x;
    ConvolutionShape s;
    i64 lines;
    __device__ __forceinline__ const T* origin() const { return x; }
    __device__ __forceinline__ Place place(i64 k) const { return counters_of(k, s.kernel_width, s.channels / s.groups); }
    __device__ __forceinline__ Place next(Place place, Place step) const { return add_counters(place, step, s.kernel_width, s.channels / s.groups); }

    struct Line {
        const T* image;
        int row, column;
    };
    __device__ __forceinline__ Line line(i64 own) const {
        if (own >= lines) return {nullptr, 0, 0};
        int column = int(own % s.out_width);
        own /= s.out_width;
        int row = int(own % s.out_height);
        const T* image = x + own / s.out_height * s.height * s.width * s.channels;
        return {image, row * s.stride_height - s.top, column * s.stride_width - s.left};
    }
    __device__ __forceinline__ const T* at(Line line, Place k) const {
        int row = line.row + k.high * s.dilation_height, column = line.column + k.middle * s.dilation_width;
        if (!line.image || row < 0 || row >= s.height || column < 0 || column >= s.width) return nullptr;
        return line.image + (i64(row) * s.width + column) * s.channels + k.low;
    }
};

// What the gradient in the image reads of dy: own coordinate (image, row, column), k = (tap's row, tap's column, output of the group).
template <class T> struct GradientPatches {
    typedef T Element;
    typedef Counters Place;
    static constexpr bool IS_K_SIDE = true;
    const T* dy;
    ConvolutionShape s;
    i64 lines;
    __device__ __forceinline__ const T* origin() const { return dy; }
    __device__ __forceinline__ Place place(i64 k) const { return counters_of(k, s.kernel_width, s.outputs / s.groups); }
    __device__ __forceinline__ Place next(Place place, Place step) const { return add_counters(place, step, s.kernel_width, s.outputs / s.groups); }

    struct Line {
        const T* image;
        int row, column;
    };
    __device__ __forceinline__ Line line(i64 own) const {
        if (own >= lines) return {nullptr, 0, 0};
        int column = int(own % s.width);
        own /= s.width;
        int row = int(own % s.height);
        return {dy + own / s.height * s.out_height * s.out_width * s.outputs, row + s.top, column + s.left};
    }
    __device__ __forceinline__ const T* at(Line line, Place k) const {
        int row = line.row - k.high * s.dilation_height, column = line.column - k.middle * s.dilation_width;
        if (!line.image || row < 0 || column < 0) return nullptr;
        // Most convolutions move by one, and a division takes as long as all the rest.
        if (s.stride_height != 1 || s.stride_width != 1) {
            if (row % s.stride_height != 0 || column % s.stride_width != 0) return nullptr;
            row /= s.stride_height;
            column /= s.stride_width;
        }
        if (row >= s.out_height || column >= s.out_width) return nullptr;
        return line.image + (i64(row) * s.out_width + column) * s.outputs + k.low;
    }
};

// The weight for the gradient in the image: own coordinate the channel of the group, k = (tap's row, tap's column, output of the group).
template <class T> struct TransposedWeight {
    typedef T Element;
    typedef Counters Place;
    static constexpr bool IS_K_SIDE = false;
    const T* weight;
    ConvolutionShape s;
    i64 lines;
    __device__ __forceinline__ const T* origin() const { return weight; }
    __device__ __forceinline__ Place place(i64 k) const { return counters_of(k, s.kernel_width, s.outputs / s.groups); }
    __device__ __forceinline__ Place next(Place place, Place step) const { return add_counters(place, step, s.kernel_width, s.outputs / s.groups); }

    struct Line {
        const T* start;
    };
    __device__ __forceinline__ Line line(i64 own) const {
        return {own < lines ? weight + own : nullptr};
    }
    __device__ __forceinline__ const T* at(Line line, Place k) const {
        if (!line.start) return nullptr;
        i64 tap = (i64(k.low) * s.kernel_height + k.high) * s.kernel_width + k.middle;
        return line.start + tap * (s.channels / s.groups);
    }
};

// What the gradient in the weight reads of the image: own coordinate (tap, channel of the group), k = (image, out row, out column).
template <class T> struct PositionPatches {
    typedef T Element;
    typedef Counters Place;
    static constexpr bool IS_K_SIDE = false;
    const T* x;
    ConvolutionShape s;
    i64 lines;
    __device__ __forceinline__ const T* origin() const { return x; }
    __device__ __forceinline__ Place place(i64 k) const { return counters_of(k, s.out_height, s.out_width); }
    __device__ __forceinline__ Place next(Place place, Place step) const { return add_counters(place, step, s.out_height, s.out_width); }

    struct Line {
        const T* start;
        int row, column;
    };
    __device__ __forceinline__ Line line(i64 own) const {
        if (own >= lines) return {nullptr, 0, 0};
        int each = s.channels / s.groups;
        int tap = int(own) / each;
        int row = tap / s.kernel_width * s.dilation_height - s.top, column = tap % s.kernel_width * s.dilation_width - s.left;
        return {x + own % each, row, column};
    }
    __device__ __forceinline__ const T* at(Line line, Place k) const {
        int row = line.row + k.middle * s.stride_height, column = line.column + k.low * s.stride_width;
        if (!line.start || row < 0 || row >= s.height || column < 0 || column >= s.width) return nullptr;
        return line.start + ((i64(k.high) * s.height + row) * s.width + column) * s.channels;
    }
};

// Where results go: element (m, n) of a dense result, or of one split's part of it in f32.
template <class Y> struct Result {
    Y* y;
    i64 row_stride;
    i64 rows, columns;
    __device__ __forceinline__ void put(i64 row, i64 column, float value) const {
        if (row < rows && column < columns) y[row * row_stride + column] = to<Y>(value);
    }
    // This and the next column, where columns are even and rows begin at even elements.
    __device__ __forceinline__ void put_pair(i64 row, i64 column, float value, float next) const {
        if (row < rows && column < columns) store_pack(y + row * row_stride + column, Pack<Y, 2>{{to<Y>(value), to<Y>(next)}});
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
