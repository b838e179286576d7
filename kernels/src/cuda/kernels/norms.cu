// Layer norm and its gradient. LANES threads hold a row: a power of two of them up to a warp, in blocks of 128, or whole warps that are a block.
// Each thread has the same columns of all its rows, so that weights and the sums over rows stay in registers. AT_ONCE rows of a thread are on
// their way together.

// The groups of LANES threads of a block.
template <int LANES> __device__ constexpr int norm_groups() {
    return LANES <= 32 ? 128 / LANES : 1;
}

// This thread's elements of a row as they are stored; zeros where there are none.
template <class T, class R, int PACK> struct Stored {
    Pack<T, PACK> of[R::PARTS];

    __device__ __forceinline__ void load(const T* from, i64 row, i64 rows, int width) {
#pragma unroll
        for (int part = 0; part < R::PARTS; ++part) {
            if (row < rows && R::is_inside(part * PACK)) {
                of[part] = load_pack<PACK>(from + row * width + R::column(part));
            } else {
#pragma unroll
                for (int j = 0; j < PACK; ++j) of[part].of[j] = to<T>(0.0f);
            }
        }
    }

    __device__ __forceinline__ float at(int element) const {
        return to<float>(of[element / PACK].of[element % PACK]);
    }
};

// Sums over the LANES threads of a row, each in one fixed order; every thread gets them. `scratch` [LANES / 32][COUNT] must not be the one of the
// call before.
template <int LANES, int COUNT> __device__ __forceinline__ void norm_sums(float (&sums)[COUNT], float* scratch) {
#pragma unroll
    for (int distance = LANES < 32 ? LANES / 2 : 16; distance > 0; distance /= 2) {
#pragma unroll
        for (int i = 0; i < COUNT; ++i) sums[i] += __shfl_xor_sync(0xffffffffu, sums[i], distance);
    }
    if (LANES <= 32) return;
    if (threadIdx.x % 32 == 0) {
#pragma unroll
        for (int i = 0; i < COUNT; ++i) scratch[threadIdx.x / 32 * COUNT + i] = sums[i];
    }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < COUNT; ++i) {
        sums[i] = scratch[i];
#pragma unroll
        for (int warp = 1; warp < LANES / 32; ++warp) sums[i] += scratch[warp * COUNT + i];
    }
}

// CENTERED takes the mean off. WEIGHT and BIAS say which of those are there.
template <class X, class P, class Q, int WIDTH, int LANES, int PACK, int AT_ONCE, int CENTERED, int WEIGHT, int BIAS>
__device__ __forceinline__ void
sward_layer_norm(const X* x, const P* weight, const Q* bias, X* y, float* means, float* rstds, float epsilon, i64 rows) {
    constexpr int GROUPS = norm_groups<LANES>();
    __shared__ float scratch[2][(LANES + 31) / 32 * AT_ONCE];
    typedef Row<WIDTH, LANES, PACK> R;
    R factor, shift;
    if (WEIGHT) factor.load(weight, 0.0f);
    if (BIAS) shift.load(bias, 0.0f);
    const int group = LANES <= 32 ? threadIdx.x / LANES : 0;
    i64 base = i64(blockIdx.x) * GROUPS * AT_ONCE, stride = i64(gridDim.x) * GROUPS * AT_ONCE;
    Stored<X, R, PACK> next[AT_ONCE];
#pragma unroll
    for (int b = 0; b < AT_ONCE; ++b) next[b].load(x, base + b * GROUPS + group, rows, WIDTH);
    // As many turns for all threads of a block, which wait for each other.
    for (; base < rows; base += stride) {
        float values[AT_ONCE][R::PARTS * PACK], sums[AT_ONCE], means_of[AT_ONCE];
#pragma unroll
        for (int b = 0; b < AT_ONCE; ++b) {
            sums[b] = 0.0f;
#pragma unroll
            EACH_ELEMENT(R, at) {
                values[b][at] = next[b].at(at);
                if (CENTERED) sums[b] += values[b][at];
            }
        }
#pragma unroll
        for (int b = 0; b < AT_ONCE; ++b) next[b].load(x, base + stride + b * GROUPS + group, rows, WIDTH);
        if (CENTERED) norm_sums<LANES>(sums, scratch[0]);
#pragma unroll
        for (int b = 0; b < AT_ONCE; ++b) {
            means_of[b] = CENTERED ? sums[b] * (1.0f / WIDTH) : 0.0f;
            sums[b] = 0.0f;
#pragma unroll
            EACH_ELEMENT(R, at) {
                values[b][at] -= means_of[b];
                if (R::is_inside(at)) sums[b] += values[b][at] * values[b][at];
            }
        }
        norm_sums<LANES>(sums, scratch[1]);
#pragma unroll
        for (int b = 0; b < AT_ONCE; ++b) {
            i64 row = base + b * GROUPS + group;
            if (row >= rows) continue;
            float rstd = rsqrtf(sums[b] * (1.0f / WIDTH) + epsilon);
#pragma unroll
            for (int part = 0; part < R::PARTS; ++part) {
                if (!R::is_inside(part * PACK)) continue;
                Pack<X, PACK> pack;
#pragma unroll
                for (int j = 0; j < PACK; ++j) {
                    int at = part * PACK + j;
                    float normal = values[b][at] * rstd;
                    if (WEIGHT) normal *= factor.of[at];
                    pack.of[j] = to<X>(BIAS ? normal + shift.of[at] : normal);
                }
                store_pack<PACK>(y + row * WIDTH + R::column(part), pack);
            }
            if (R::column(0) == 0) {
                means[row] = means_of[b];
                rstds[row] = rstd;
            }
        }
    }
}

// A block's sum over its groups of what each of them has for every column, to `y`.
template <int WIDTH, int LANES, class R> __device__ __forceinline__ void norm_part(const R& sums, float* y) {
    if (LANES > 32) return sums.store(y);
    __shared__ float groups[norm_groups<LANES>() * (LANES > 32 ? 1 : WIDTH)];
    __syncthreads();
    sums.store(groups + threadIdx.x / LANES * WIDTH);
    __syncthreads();
#pragma unroll 1
    for (int column = threadIdx.x; column < WIDTH; column += 128) {
        float sum = groups[column];
#pragma unroll 4
        for (int other = 1; other < norm_groups<LANES>(); ++other) sum += groups[other * WIDTH + column];
        y[column] = sum;
    }
}

// dx of many rows by each block, which also sums dweight and dbias over its rows: row `blockIdx.x` of `parts` [blocks, DWEIGHT + DBIAS, WIDTH]
// gets them. The order of the sums depends on the number of blocks alone.
template <class X, class D, class P, int WIDTH, int LANES, int PACK, int AT_ONCE, int CENTERED, int WEIGHT, int DWEIGHT, int DBIAS>
__device__ __forceinline__ void sward_layer_norm_gradient(
    const D* dy, const X* x, const P* weight, const float* means, const float* rstds, X* dx, float* parts, i64 rows) {
    constexpr int GROUPS = norm_groups<LANES>();
    __shared__ float scratch[2][(LANES + 31) / 32 * AT_ONCE * 2];
    typedef Row<WIDTH, LANES, PACK> R;
    R factor, weight_sum, bias_sum;
    if (WEIGHT) factor.load(weight, 0.0f);
#pragma unroll
    EACH_ELEMENT(R, at) weight_sum.of[at] = bias_sum.of[at] = 0.0f;
    const int group = LANES <= 32 ? threadIdx.x / LANES : 0;
    i64 base = i64(blockIdx.x) * GROUPS * AT_ONCE, stride = i64(gridDim.x) * GROUPS * AT_ONCE;
    int turn = 0;
    for (; base < rows; base += stride, turn ^= 1) {
        Stored<D, R, PACK> incoming[AT_ONCE];
        Stored<X, R, PACK> values[AT_ONCE];
        float mean[AT_ONCE], rstd[AT_ONCE], sums[2 * AT_ONCE];
#pragma unroll
        for (int b = 0; b < AT_ONCE; ++b) {
            i64 row = base + b * GROUPS + group;
            incoming[b].load(dy, row, rows, WIDTH);
            values[b].load(x, row, rows, WIDTH);
            mean[b] = row < rows ? means[row] : 0.0f;
            rstd[b] = row < rows ? rstds[row] : 0.0f;
        }
        // Element `at` of row b: normalized, and what comes in for it.
        auto normal = [&](int b, int at) { return R::is_inside(at) ? (values[b].at(at) - mean[b]) * rstd[b] : 0.0f; };
        auto weighted = [&](int b, int at) { return WEIGHT ? incoming[b].at(at) * factor.of[at] : incoming[b].at(at); };
#pragma unroll
        for (int b = 0; b < AT_ONCE; ++b) {
            float sum = 0.0f, product = 0.0f;
#pragma unroll
            EACH_ELEMENT(R, at) {
                if (DWEIGHT) weight_sum.of[at] += incoming[b].at(at) * normal(b, at);
                if (DBIAS) bias_sum.of[at] += incoming[b].at(at);
                sum += weighted(b, at);
                product += weighted(b, at) * normal(b, at);
            }
            sums[2 * b] = sum;
            sums[2 * b + 1] = product;
        }
        norm_sums<LANES>(sums, scratch[turn]);
#pragma unroll
        for (int b = 0; b < AT_ONCE; ++b) {
            i64 row = base + b * GROUPS + group;
            if (row >= rows) continue;
            float shift = CENTERED ? sums[2 * b] * (1.0f / WIDTH) : 0.0f, product = sums[2 * b + 1] * (1.0f / WIDTH);
#pragma unroll
            for (int part = 0; part < R::PARTS; ++part) {
                if (!R::is_inside(part * PACK)) continue;
                Pack<X, PACK> pack;
#pragma unroll
                for (int j = 0; j < PACK; ++j) {
                    int at = part * PACK + j;
                    pack.of[j] = to<X>(rstd[b] * (weighted(b, at) - shift - normal(b, at) * product));
                }
                store_pack<PACK>(dx + row * WIDTH + R::column(part), pack);
            }
        }
    }
    if (DWEIGHT) norm_part<WIDTH, LANES>(weight_sum, parts + i64(blockIdx.x) * (DWEIGHT + DBIAS) * WIDTH);
    if (DBIAS) norm_part<WIDTH, LANES>(bias_sum, parts + (i64(blockIdx.x) * (DWEIGHT + DBIAS) + DWEIGHT) * WIDTH);
}

// The sums of `count` rows of `width` columns, `row_stride` apart, to `first`, and of what follows each of them to `second` where `columns` is
// more than `width`. 32 columns side by side, 32 walk, in one fixed order. Blocks (32, 32).
__device__ __forceinline__ void
sward_sum_rows(const float* parts, float* first, float* second, i64 count, i64 row_stride, i64 width, i64 columns) {
    __shared__ float scratch[32][33];
    i64 column = i64(blockIdx.x) * 32 + threadIdx.x;
    float sum = 0.0f;
    if (column < columns) {
#pragma unroll 4
        for (i64 row = threadIdx.y; row < count; row += 32) sum += parts[row * row_stride + column];
    }
    scratch[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y != 0 || column >= columns) return;
    for (int other = 1; other < 32; ++other) sum += scratch[other][threadIdx.x];
    (column < width ? first[column] : second[column - width]) = sum;
}

// The same of few rows that many columns are worth a thread for PACK neighbours each.
template <int PACK> __device__ __forceinline__ void sward_sum_few_rows(const float* parts, float* to, i64 count, i64 row_stride, i64 columns) {
    i64 column = global_thread() * PACK;
    if (column >= columns) return;
    Pack<float, PACK> sum = load_pack<PACK>(parts + column);
#pragma unroll 8
    for (i64 row = 1; row < count; ++row) {
        Pack<float, PACK> own = load_pack<PACK>(parts + row * row_stride + column);
#pragma unroll
        for (int u = 0; u < PACK; ++u) sum.of[u] += own.of[u];
    }
    store_pack(to + column, sum);
}
