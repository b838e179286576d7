// Convolutions whose groups have one channel each: image [batch, height, width, channels], weight [outputs, kernel height, kernel width, 1]
// with outputs = channels * MULTIPLIER. Bound by memory: one thread for PACK neighbouring channels of a position.

struct DepthwiseShape {
    int height, width, channels, out_height, out_width, outputs;
    int kernel_height, kernel_width, stride_height, stride_width, top, left, dilation_height, dilation_width;
    int groups, batch;
};

// PACK > 1 needs a multiplier of 1.
template <class T, class W, class Y, int PACK>
__device__ __forceinline__ void sward_depthwise(const T* x, const W* weight, Y* y, DepthwiseShape s, i64 packs) {
    i64 at = global_thread();
    if (at >= packs) return;
    i64 rest = at * PACK;
    int output = int(rest % s.outputs);
    rest /= s.outputs;
    int column = int(rest % s.out_width);
    rest /= s.out_width;
    int row = int(rest % s.out_height);
    i64 image = rest / s.out_height;
    int channel = output / (s.outputs / s.channels), taps = s.kernel_height * s.kernel_width;
    float sums[PACK];
#pragma unroll
    for (int j = 0; j < PACK; ++j) sums[j] = 0.0f;
    for (int i = 0; i < s.kernel_height; ++i) {
        int source_row = row * s.stride_height + i * s.dilation_height - s.top;
        if (source_row < 0 || source_row >= s.height) continue;
        for (int k = 0; k < s.kernel_width; ++k) {
            int source_column = column * s.stride_width + k * s.dilation_width - s.left;
            if (source_column < 0 || source_column >= s.width) continue;
            Pack<T, PACK> values = load_pack<PACK>(x + ((image * s.height + source_row) * s.width + source_column) * s.channels + channel);
#pragma unroll
            for (int j = 0; j < PACK; ++j)
                sums[j] += to<float>(values.of[j]) * to<float>(weight[i64(output + j) * taps + i * s.kernel_width + k]);
        }
    }
    Pack<Y, PACK> result;
#pragma unroll
    for (int j = 0; j < PACK; ++j) result.of[j] = to<Y>(sums[j]);
    store_pack<PACK>(y + at * PACK, result);
}

// The gradient in the image.
template <class T, class W, class Y, int PACK>
__device__ __forceinline__ void sward_depthwise_input_gradient(const T* dy, const W* weight, Y* dx, DepthwiseShape s, i64 packs) {
    i64 at = global_thread();
    if (at >= packs) return;
    i64 rest = at * PACK;
    int channel = int(rest % s.channels);
    rest /= s.channels;
    int column = int(rest % s.width);
    rest /= s.width;
    int row = int(rest % s.height);
    i64 image = rest / s.height;
    int multiplier = s.outputs / s.channels, taps = s.kernel_height * s.kernel_width;
    float sums[PACK];
#pragma unroll
    for (int j = 0; j < PACK; ++j) sums[j] = 0.0f;
    for (int i = 0; i < s.kernel_height; ++i) {
        int out_row = row + s.top - i * s.dilation_height;
        if (out_row < 0 || out_row % s.stride_height != 0 || out_row / s.stride_height >= s.out_height) continue;
        out_row /= s.stride_height;
        for (int k = 0; k < s.kernel_width; ++k) {
            int out_column = column + s.left - k * s.dilation_width;
            if (out_column < 0 || out_column % s.stride_width != 0 || out_column / s.stride_width >= s.out_width) continue;
            const T* source = dy + ((image * s.out_height + out_row) * s.out_width + out_column / s.stride_width) * s.outputs;
            for (int other = 0; other < multiplier; ++other) {
                int output = channel * multiplier + other;
                Pack<T, PACK> values = load_pack<PACK>(source + output);
#pragma unroll
                for (int j = 0; j < PACK; ++j)
                    sums[j] += to<float>(values.of[j]) * to<float>(weight[i64(output + j) * taps + i * s.kernel_width + k]);
            }
        }
    }
    Pack<Y, PACK> result;
#pragma unroll
    for (int j = 0; j < PACK; ++j) result.of[j] = to<Y>(sums[j]);
    store_pack<PACK>(dx + at * PACK, result);
}

// The gradient in the weight, over `chunk` out rows of all images: part blockIdx.z of `parts` [chunks, outputs, kernel height, kernel width].
// Blocks (32 outputs, 8 walkers); blockIdx.y = kernel row; up to WIDTH taps of a kernel row at once.
template <class D, class T, int WIDTH>
__device__ __forceinline__ void sward_depthwise_weight_gradient(const D* dy, const T* x, float* parts, DepthwiseShape s, int chunk) {
    __shared__ float scratch[8][33];
    int output = blockIdx.x * 32 + threadIdx.x, i = blockIdx.y, channel = output / (s.outputs / s.channels);
    bool is_inside = output < s.outputs;
    i64 first = i64(blockIdx.z) * chunk, rows = i64(s.batch) * s.out_height, end = first + chunk < rows ? first + chunk : rows;
    for (int first_tap = 0; first_tap < s.kernel_width; first_tap += WIDTH) {
        float sums[WIDTH];
#pragma unroll
        for (int k = 0; k < WIDTH; ++k) sums[k] = 0.0f;
        for (i64 line = first; is_inside && line < end; ++line) {
            int row = int(line % s.out_height) * s.stride_height + i * s.dilation_height - s.top;
            if (row < 0 || row >= s.height) continue;
            const T* source = x + (line / s.out_height * s.height + row) * s.width * s.channels + channel;
            for (int column = threadIdx.y; column < s.out_width; column += 8) {
                float incoming = to<float>(dy[(line * s.out_width + column) * s.outputs + output]);
#pragma unroll
                for (int k = 0; k < WIDTH; ++k) {
                    int tap = first_tap + k, source_column = column * s.stride_width + tap * s.dilation_width - s.left;
                    if (tap < s.kernel_width && source_column >= 0 && source_column < s.width)
                        sums[k] += incoming * to<float>(source[i64(source_column) * s.channels]);
                }
            }
        }
#pragma unroll
        for (int k = 0; k < WIDTH; ++k) {
            __syncthreads();
            scratch[threadIdx.y][threadIdx.x] = sums[k];
            __syncthreads();
            int tap = first_tap + k;
            if (threadIdx.y == 0 && is_inside && tap < s.kernel_width) {
                float sum = sums[k];
                for (int other = 1; other < 8; ++other) sum += scratch[other][threadIdx.x];
                i64 taps = i64(s.kernel_height) * s.kernel_width;
                parts[(i64(blockIdx.z) * s.outputs + output) * taps + i * s.kernel_width + tap] = sum;
            }
        }
    }
}
