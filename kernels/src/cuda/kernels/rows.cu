// Work on rows of WIDTH elements: softmax and its gradient; the norms are in `norms.cu`. LANES threads hold one row in registers: a warp, or a block of
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
            if (is_inside(part * PACK)) {
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
            if (!is_inside(part * PACK)) continue;
            Pack<T, PACK> pack;
#pragma unroll
            for (int j = 0; j < PACK; ++j) pack.of[j] = to<T>(of[part * PACK + j]);
            store_pack<PACK>(row + column(part), pack);
        }
    }

    // Whether element `at` of this thread lies within the row.
    static __device__ __forceinline__ bool is_inside(int at) {
        return WIDTH % (LANES * PACK) == 0 || column(at / PACK) < WIDTH;
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
