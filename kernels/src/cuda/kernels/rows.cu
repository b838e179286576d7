// Work on rows of WIDTH elements: softmax, layer norm and their gradients. LANES threads hold one row in registers: a warp, or a block of
// LANES. Each thread has PARTS packs of PACK neighbours, LANES * PACK apart, so that reads are wide and side by side.

template <int WIDTH, int LANES, int PACK> struct Row {
    static constexpr int PARTS = (WIDTH + LANES * PACK - 1) / (LANES * PACK);
    float of[PARTS * PACK];

    static __device__ __forceinline__ int column(int part) {
        return (part * LANES + int(threadIdx.x) % LANES) * PACK;
    }

    // Elements beyond the row become `rest`.
    template <class T> __device__ __forceinline__ void load(const T* row, float rest) {
#pragma unroll
        for (int part = 0; part < PARTS; ++part) {
            if (column(part) < WIDTH) {
                Pack<T, PACK> pack = load_pack<PACK>(row + column(part));
#pragma unroll
                for (int j = 0; j < PACK; ++j) of[part * PACK + j] = to<float>(pack.of[j]);
            } else {
#pragma unroll
                for (int j = 0; j < PACK; ++j) of[part * PACK + j] = rest;
            }
        }
    }

    template <class T> __device__ __forceinline__ void store(T* row) const {
#pragma unroll
        for (int part = 0; part < PARTS; ++part) {
            if (column(part) >= WIDTH) continue;
            Pack<T, PACK> pack;
#pragma unroll
            for (int j = 0; j < PACK; ++j) pack.of[j] = to<T>(of[part * PACK + j]);
            store_pack<PACK>(row + column(part), pack);
        }
    }

    // Whether element `at` of this thread lies within the row.
    static __device__ __forceinline__ bool is_inside(int at) {
        return column(at / PACK) < WIDTH;
    }
};

#define EACH_ELEMENT(R, at) for (int at = 0; at < R::PARTS * PACK; ++at)

// The row that this thread works on; blocks have 128 threads where LANES is 32, else LANES.
template <int LANES> __device__ __forceinline__ i64 own_row() {
    return LANES == 32 ? i64(blockIdx.x) * 4 + threadIdx.x / 32 : i64(blockIdx.x);
}

template <class X, class Y, int WIDTH, int LANES, int PACK, int LOG>
__device__ __forceinline__ void sward_softmax(const X* x, Y* y, i64 rows) {
    __shared__ float scratch[33];
    typedef Row<WIDTH, LANES, PACK> R;
    i64 row = own_row<LANES>();
    if (row >= rows) return;
    R values;
    values.load(x + row * WIDTH, -infinity());
    float most = -infinity();
#pragma unroll
    EACH_ELEMENT(R, at) most = larger(most, values.of[at]);
    most = row_max<LANES>(most, scratch);
    float total = 0.0f;
#pragma unroll
    EACH_ELEMENT(R, at) {
        values.of[at] -= most;
        if (R::is_inside(at)) {
            float grown = expf(values.of[at]);
            total += grown;
            if (!LOG) values.of[at] = grown;
        }
    }
    total = row_sum<LANES>(total, scratch);
    float shift = LOG ? logf(total) : 0.0f, factor = 1.0f / total;
#pragma unroll
    EACH_ELEMENT(R, at) values.of[at] = LOG ? values.of[at] - shift : values.of[at] * factor;
    values.store(y + row * WIDTH);
}

template <class X, class Y, int WIDTH, int LANES, int PACK, int LOG>
__device__ __forceinline__ void sward_softmax_gradient(const X* dy, const Y* y, X* dx, i64 rows) {
    __shared__ float scratch[33];
    typedef Row<WIDTH, LANES, PACK> R;
    i64 row = own_row<LANES>();
    if (row >= rows) return;
    R incoming, result;
    incoming.load(dy + row * WIDTH, 0.0f);
    result.load(y + row * WIDTH, 0.0f);
    float sum = 0.0f;
#pragma unroll
    EACH_ELEMENT(R, at) sum += LOG ? incoming.of[at] : incoming.of[at] * result.of[at];
    sum = row_sum<LANES>(sum, scratch);
#pragma unroll
    EACH_ELEMENT(R, at)
        incoming.of[at] = LOG ? incoming.of[at] - expf(result.of[at]) * sum : result.of[at] * (incoming.of[at] - sum);
    incoming.store(dx + row * WIDTH);
}

// CENTERED takes the mean off. WEIGHT and BIAS say which of those are there.
template <class X, class P, class Q, int WIDTH, int LANES, int PACK, int CENTERED, int WEIGHT, int BIAS>
__device__ __forceinline__ void
sward_layer_norm(const X* x, const P* weight, const Q* bias, X* y, float* means, float* rstds, float epsilon, i64 rows) {
    __shared__ float scratch[33];
    typedef Row<WIDTH, LANES, PACK> R;
    i64 row = own_row<LANES>();
    if (row >= rows) return;
    R values;
    values.load(x + row * WIDTH, 0.0f);
    float mean = 0.0f;
    if (CENTERED) {
#pragma unroll
        EACH_ELEMENT(R, at) mean += values.of[at];
        mean = row_sum<LANES>(mean, scratch) * (1.0f / WIDTH);
    }
    float squares = 0.0f;
#pragma unroll
    EACH_ELEMENT(R, at) {
        values.of[at] -= mean;
        if (R::is_inside(at)) squares += values.of[at] * values.of[at];
    }
    float rstd = 1.0f / sqrtf(row_sum<LANES>(squares, scratch) * (1.0f / WIDTH) + epsilon);
    R factor, shift;
    if (WEIGHT) factor.load(weight, 0.0f);
    if (BIAS) shift.load(bias, 0.0f);
#pragma unroll
    EACH_ELEMENT(R, at) {
        float normal = values.of[at] * rstd;
        if (WEIGHT) normal *= factor.of[at];
        values.of[at] = BIAS ? normal + shift.of[at] : normal;
    }
    values.store(y + row * WIDTH);
    if (threadIdx.x % LANES == 0) {
        means[row] = mean;
        rstds[row] = rstd;
    }
}

// dx of many rows by each group of LANES threads, which also sums dweight and dbias over its rows: row `group` of `parts`
// [groups, DWEIGHT + DBIAS, WIDTH] gets them. The order of the sums depends on the number of groups alone.
template <class X, class D, class P, int WIDTH, int LANES, int PACK, int CENTERED, int WEIGHT, int DWEIGHT, int DBIAS>
__device__ __forceinline__ void sward_layer_norm_gradient(
    const D* dy, const X* x, const P* weight, const float* means, const float* rstds, X* dx, float* parts, i64 rows, i64 groups) {
    __shared__ float scratch[33];
    typedef Row<WIDTH, LANES, PACK> R;
    i64 group = own_row<LANES>();
    if (group >= groups) return;
    R factor, weight_sum, bias_sum;
    if (WEIGHT) factor.load(weight, 0.0f);
#pragma unroll
    EACH_ELEMENT(R, at) weight_sum.of[at] = bias_sum.of[at] = 0.0f;
    for (i64 row = group; row < rows; row += groups) {
        R incoming, normal;
        incoming.load(dy + row * WIDTH, 0.0f);
        normal.load(x + row * WIDTH, 0.0f);
        float mean = means[row], rstd = rstds[row], sum = 0.0f, product = 0.0f;
#pragma unroll
        EACH_ELEMENT(R, at) {
            normal.of[at] = R::is_inside(at) ? (normal.of[at] - mean) * rstd : 0.0f;
            if (DWEIGHT) weight_sum.of[at] += incoming.of[at] * normal.of[at];
            if (DBIAS) bias_sum.of[at] += incoming.of[at];
            if (WEIGHT) incoming.of[at] *= factor.of[at];
            sum += incoming.of[at];
            product += incoming.of[at] * normal.of[at];
        }
        float shift = CENTERED ? row_sum<LANES>(sum, scratch) * (1.0f / WIDTH) : 0.0f;
        product = row_sum<LANES>(product, scratch) * (1.0f / WIDTH);
#pragma unroll
        EACH_ELEMENT(R, at) incoming.of[at] = rstd * (incoming.of[at] - shift - normal.of[at] * product);
        incoming.store(dx + row * WIDTH);
    }
    if (DWEIGHT) weight_sum.store(parts + group * (DWEIGHT + DBIAS) * WIDTH);
    if (DBIAS) bias_sum.store(parts + (group * (DWEIGHT + DBIAS) + DWEIGHT) * WIDTH);
}

// The sum of `count` rows of `width`, in order: 32 columns side by side, 8 walk. Blocks (32, 8).
__device__ __forceinline__ void sward_sum_rows(const float* parts, float* y, i64 count, i64 row_stride, i64 width) {
    __shared__ float scratch[8][33];
    i64 column = i64(blockIdx.x) * 32 + threadIdx.x;
    float sum = 0.0f;
    if (column < width)
        for (i64 row = threadIdx.y; row < count; row += 8) sum += parts[row * row_stride + column];
    scratch[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y != 0 || column >= width) return;
    for (int other = 1; other < 8; ++other) sum += scratch[other][threadIdx.x];
    y[column] = sum;
}
