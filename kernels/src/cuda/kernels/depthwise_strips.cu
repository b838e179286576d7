// Depthwise convolutions of stride 1 and dilation 1 with one result for each channel, and their gradients.
//
// A lane has a channel, a warp 32 neighbours; it walks down a strip of STRIP columns. Arithmetic is what counts (49 products for each element
// of a 7 x 7 filter), so all of it is between registers: those hold the filter and the HEIGHT rows of sums that the current row of the image adds to,
// or the sums for the filter and the HEIGHT rows of incoming gradients that the row meets. A strip reads each of its elements once, a row ahead.
// CHANNELS is a constant because all columns of a row are then read at constant distances from one address.

// The image that is read and the one that is written; `top` and `left` count the zeros before the one that is read.
struct StripShape {
    int height, width, out_height, out_width, top, left;
    // Elements of a row of each.
    int row, out_row;
    // Strips of a row; chunks of `chunk` rows of an image; strips of all chunks and images.
    int strips, chunks, chunk, items;
};

// What one warp walks: columns from `column` and rows from `first` to before `last` of one written image.
template <int STRIP> struct Strip {
    int image, column, first, last;

    __device__ __forceinline__ Strip(int item, const StripShape& s) {
        column = item % s.strips * STRIP;
        int rest = item / s.strips;
        first = rest % s.chunks * s.chunk;
        last = first + s.chunk < s.out_height ? first + s.chunk : s.out_height;
        image = rest / s.chunks;
    }
};

// Bit j: whether column `first` + j lies inside.
template <int COLUMNS> __device__ __forceinline__ u32 columns_inside(int first, int width) {
    u32 inside = 0;
#pragma unroll
    for (int j = 0; j < COLUMNS; ++j) inside |= u32(u32(first + j) < u32(width)) << j;
    return inside;
}

// An element as it was read, made a number only where it is used: so nothing waits for it before.
template <class T> struct Raw;

template <> struct Raw<float> {
    float bits;
    __device__ __forceinline__ void clear() { bits = 0.0f; }
    __device__ __forceinline__ void load(const float* from) { bits = *from; }
    __device__ __forceinline__ float value() const { return bits; }
};

template <> struct Raw<bf16> {
    u32 bits;
    __device__ __forceinline__ void clear() { bits = 0; }
    __device__ __forceinline__ void load(const bf16* from) { bits = from->bits; }
    __device__ __forceinline__ float value() const { return __int_as_float(int(bits << 16)); }
};

// Moves an address on by a row. The compiler takes the distance as it comes: else it computes the address anew for each column.
template <class T> __device__ __forceinline__ void next_row(T*& at, int elements) {
#ifndef SWARD_HOST
    asm volatile("" : "+r"(elements));
#endif
    at += elements;
}

// Neighbouring columns of a row, those whose bit is set.
template <int COLUMNS, int CHANNELS, class T>
__device__ __forceinline__ void load_columns(Raw<T> (&row)[COLUMNS], const T* from, u32 inside) {
#pragma unroll
    for (int j = 0; j < COLUMNS; ++j) {
        row[j].clear();
        if (inside >> j & 1) row[j].load(from + j * CHANNELS);
    }
}

// The convolution, or with FLIPPED its gradient in the image: a convolution of the incoming gradient with the filter turned around.
// BIAS: whether `bias` [CHANNELS] is added. Blocks of 128 threads: four strips of the same channels.
template <class T, class W, class B, class Y, int HEIGHT, int WIDTH, int STRIP, int CHANNELS, int FLIPPED, int BIAS>
__device__ __forceinline__ void sward_depthwise_strips(const T* x, const W* weight, const B* bias, Y* y, StripShape s) {
    constexpr int TAPS = HEIGHT * WIDTH, SPAN = STRIP + WIDTH - 1, GROUPS = (CHANNELS + 31) / 32;
    // An odd stride: 32 lanes read one tap of their channels from different banks.
    constexpr int STRIDE = TAPS | 1;
    __shared__ float shared[32 * STRIDE];
    int lane = threadIdx.x % 32, first_channel = int(blockIdx.x % GROUPS) * 32, channel = first_channel + lane;
    for (int at = threadIdx.x; at < 32 * TAPS; at += 128) {
        int own = at / TAPS;
        if (first_channel + own < CHANNELS) shared[own * STRIDE + at % TAPS] = to<float>(weight[i64(first_channel) * TAPS + at]);
    }
    __syncthreads();
    int item = int(blockIdx.x / GROUPS) * 4 + threadIdx.x / 32;
    if (item >= s.items || channel >= CHANNELS) return;
    float filter[TAPS];
#pragma unroll
    for (int tap = 0; tap < TAPS; ++tap) filter[tap] = shared[lane * STRIDE + (FLIPPED ? TAPS - 1 - tap : tap)];
    float start = BIAS ? to<float>(bias[channel]) : 0.0f;
    Strip<STRIP> strip(item, s);
    // The image's rows that count; the row of results that the current one completes, from the strip's first on, and how many there are.
    int row = strip.first < s.top ? 0 : strip.first - s.top, end = strip.last - 1 + HEIGHT - s.top;
    if (end > s.height) end = s.height;
    int complete = row + s.top - (HEIGHT - 1) - strip.first, rows = strip.last - strip.first;
    end += complete - row;
    u32 inside = columns_inside<SPAN>(strip.column - s.left, s.width);
    inside |= columns_inside<STRIP>(strip.column, s.out_width) << SPAN;
    const T* source = x + ((i64(strip.image) * s.height + row) * s.width + strip.column - s.left) * CHANNELS + channel;
    Y* target = y + ((i64(strip.image) * s.out_height + strip.first + complete) * s.out_width + strip.column) * CHANNELS + channel;
    Raw<T> ahead[SPAN];
    load_columns<SPAN, CHANNELS>(ahead, source, inside);
    // sums[i] takes the filter's row HEIGHT - 1 - i from the current row of the image; sums[0] is complete after it.
    float sums[HEIGHT][STRIP];
#pragma unroll
    for (int i = 0; i < HEIGHT; ++i)
#pragma unroll
        for (int c = 0; c < STRIP; ++c) sums[i][c] = start;
    auto store = [&]() {
        if (complete >= 0) {
#pragma unroll
            for (int c = 0; c < STRIP; ++c)
                if (inside >> (SPAN + c) & 1) target[c * CHANNELS] = to<Y>(sums[0][c]);
        }
        ++complete;
        next_row(target, s.out_row);
    };
#pragma unroll 1
    while (complete < end) {
        next_row(source, s.row);
        u32 wanted = complete + 1 < end ? inside : 0;
#pragma unroll
        for (int j = 0; j < SPAN; ++j) {
            float value = ahead[j].value();
            if (wanted >> j & 1) ahead[j].load(source + j * CHANNELS);
#pragma unroll
            for (int i = 0; i < HEIGHT; ++i) {
#pragma unroll
                for (int c = 0; c < STRIP; ++c) {
                    int tap = j - c;
                    if (tap < 0 || tap >= WIDTH) continue;
                    // The first product moves the sums on by a row.
                    float before = tap > 0 ? sums[i][c] : i + 1 < HEIGHT ? sums[i + 1 < HEIGHT ? i + 1 : i][c] : start;
                    sums[i][c] = before + filter[(HEIGHT - 1 - i) * WIDTH + tap] * value;
                }
            }
        }
        store();
    }
    // Rows of zeros below the image.
#pragma unroll 1
    while (complete < rows) {
#pragma unroll
        for (int i = 0; i + 1 < HEIGHT; ++i)
#pragma unroll
            for (int c = 0; c < STRIP; ++c) sums[i][c] = sums[i + 1][c];
        store();
    }
}

// The gradient in the weight: part b of `parts` [blocks of 32 channels, CHANNELS, HEIGHT, WIDTH] gets the sum over the strips of the
// four warps of block b, in their order. The shape is the convolution's: `height` x `width` is x.
template <class D, class T, int HEIGHT, int WIDTH, int STRIP, int CHANNELS>
__device__ __forceinline__ void sward_depthwise_strips_weight_gradient(const D* dy, const T* x, float* parts, StripShape s) {
    constexpr int TAPS = HEIGHT * WIDTH, SPAN = STRIP + WIDTH - 1, GROUPS = (CHANNELS + 31) / 32;
    constexpr int STRIDE = TAPS | 1;
    __shared__ float shared[32 * STRIDE];
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    int first_channel = int(blockIdx.x % GROUPS) * 32, channel = first_channel + lane, part = int(blockIdx.x / GROUPS);
    float sums[HEIGHT][WIDTH];
#pragma unroll
    for (int i = 0; i < HEIGHT; ++i)
#pragma unroll
        for (int tap = 0; tap < WIDTH; ++tap) sums[i][tap] = 0.0f;
#pragma unroll 1
    for (int item = part * 4 + warp; item < s.items && channel < CHANNELS; item += gridDim.x / GROUPS * 4) {
        Strip<STRIP> strip(item, s);
        int row = strip.first < s.top ? 0 : strip.first - s.top, end = strip.last - 1 + HEIGHT - s.top;
        if (end > s.height) end = s.height;
        u32 inside = columns_inside<SPAN>(strip.column - s.left, s.width);
        inside |= columns_inside<STRIP>(strip.column, s.out_width) << SPAN;
        const T* source = x + ((i64(strip.image) * s.height + row) * s.width + strip.column - s.left) * CHANNELS + channel;
        const D* incoming = dy + ((i64(strip.image) * s.out_height + strip.first) * s.out_width + strip.column) * CHANNELS + channel;
        // Rows of dy that are still to come, counted from `next`, and from there on the rows of x.
        int left = strip.last - strip.first, before = row + s.top - strip.first;
        Raw<T> ahead[SPAN];
        load_columns<SPAN, CHANNELS>(ahead, source, inside);
        Raw<D> next[STRIP];
        load_columns<STRIP, CHANNELS>(next, incoming, inside >> SPAN);
        // met[i]: the row of dy that the current row of x meets at the filter's row i.
        float met[HEIGHT][STRIP];
#pragma unroll
        for (int i = 0; i < HEIGHT; ++i)
#pragma unroll
            for (int c = 0; c < STRIP; ++c) met[i][c] = 0.0f;
        auto move_on = [&]() {
#pragma unroll
            for (int i = HEIGHT - 1; i > 0; --i)
#pragma unroll
                for (int c = 0; c < STRIP; ++c) met[i][c] = met[i - 1][c];
#pragma unroll
            for (int c = 0; c < STRIP; ++c) met[0][c] = next[c].value();
            next_row(incoming, s.out_row);
            load_columns<STRIP, CHANNELS>(next, incoming, --left > 0 ? inside >> SPAN : 0);
        };
#pragma unroll 1
        for (; before > 0; --before) move_on();
        int count = end - row;
#pragma unroll 1
        while (count > 0) {
            move_on();
            --count;
            next_row(source, s.row);
            u32 wanted = count > 0 ? inside : 0;
#pragma unroll
            for (int j = 0; j < SPAN; ++j) {
                float value = ahead[j].value();
                if (wanted >> j & 1) ahead[j].load(source + j * CHANNELS);
#pragma unroll
                for (int i = 0; i < HEIGHT; ++i) {
#pragma unroll
                    for (int c = 0; c < STRIP; ++c) {
                        int tap = j - c;
                        if (tap >= 0 && tap < WIDTH) sums[i][tap] += met[i][c] * value;
                    }
                }
            }
        }
    }
    for (int other = 0; other < 4; ++other) {
        if (warp == other) {
#pragma unroll
            for (int tap = 0; tap < TAPS; ++tap) {
                float* sum = shared + lane * STRIDE + tap;
                *sum = other == 0 ? sums[tap / WIDTH][tap % WIDTH] : *sum + sums[tap / WIDTH][tap % WIDTH];
            }
        }
        __syncthreads();
    }
    for (int at = threadIdx.x; at < 32 * TAPS; at += 128) {
        int own = at / TAPS;
        if (first_channel + own < CHANNELS) parts[(i64(part) * CHANNELS + first_channel) * TAPS + at] = shared[own * STRIDE + at % TAPS];
    }
}
