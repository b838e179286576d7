// Picking by number, choosing and accumulating along an axis. Tensors are [outer, size, inner].

// Notes the first index of a program that lies outside its axis.
__device__ __forceinline__ void report_bad_index(Control* control, i64 instruction, i64 element) {
    atomicMin(&control->bad_index, (u64(instruction) << 40) | u64(element));
}

// y [outer, count, inner] = x [outer, size, inner] at indices [count].
template <class T>
__device__ __forceinline__ void sward_take(
    Control* control, i64 instruction, const T* x, const i64* indices, T* y, i64 size, i64 count, i64 inner, i64 elements) {
    i64 at = global_thread();
    if (at >= elements) return;
    i64 column = at % inner, rest = at / inner, position = rest % count, index = indices[position];
    bool is_inside = index >= 0 && index < size;
    if (!is_inside) report_bad_index(control, instruction, position);
    y[at] = is_inside ? x[(rest / count * size + index) * inner + column] : T(0);
}

// dx [outer, size, inner] = the sum of dy [outer, count, inner] by indices, in their order. A block of 128 for each (row, 128 columns).
template <class T>
__device__ __forceinline__ void sward_take_gradient(
    Control* control, i64 instruction, const T* dy, const i64* indices, float* dx, i64 size, i64 count, i64 inner) {
    __shared__ i64 picks[128];
    i64 row = blockIdx.x, outer = blockIdx.z;
    for (i64 column = i64(blockIdx.y) * 128 + threadIdx.x; column - threadIdx.x < inner; column += i64(gridDim.y) * 128) {
        float sum = 0.0f;
        for (i64 first = 0; first < count; first += 128) {
            __syncthreads();
            i64 position = first + threadIdx.x;
            i64 pick = position < count ? indices[position] : -1;
            picks[threadIdx.x] = pick;
            if (row == 0 && position < count && (pick < 0 || pick >= size)) report_bad_index(control, instruction, position);
            __syncthreads();
            if (column >= inner) continue;
            int here = count - first < 128 ? int(count - first) : 128;
            for (int other = 0; other < here; ++other)
                if (picks[other] == row) sum += to<float>(dy[(outer * count + first + other) * inner + column]);
        }
        if (column < inner) dx[(outer * size + row) * inner + column] = sum;
    }
}

// y [outer, count, inner] = x [outer, size, inner] at indices [outer, count, inner].
template <class T>
__device__ __forceinline__ void sward_take_along(
    Control* control, i64 instruction, const T* x, const i64* indices, T* y, i64 size, i64 count, i64 inner, i64 elements) {
    i64 at = global_thread();
    if (at >= elements) return;
    i64 index = indices[at];
    bool is_inside = index >= 0 && index < size;
    if (!is_inside) report_bad_index(control, instruction, at);
    y[at] = is_inside ? x[(at / inner / count * size + index) * inner + at % inner] : T(0);
}

template <class T>
__device__ __forceinline__ void sward_take_along_gradient(
    Control* control, i64 instruction, const T* dy, const i64* indices, float* dx, i64 size, i64 count, i64 inner, i64 elements) {
    i64 at = global_thread();
    if (at >= elements) return;
    i64 column = at % inner, row = at / inner % size, outer = at / inner / size;
    float sum = 0.0f;
    for (i64 position = 0; position < count; ++position) {
        i64 source = (outer * count + position) * inner + column, index = indices[source];
        if (index == row) sum += to<float>(dy[source]);
        if (row == 0 && (index < 0 || index >= size)) report_bad_index(control, instruction, source);
    }
    dx[at] = sum;
}

// Numbers by size with NaN above all.
template <class T> struct Sortable {
    typedef float type;
};
template <> struct Sortable<i64> {
    typedef i64 type;
};
template <> struct Sortable<u8> {
    typedef i64 type;
};

__device__ __forceinline__ float as_sortable(float x) { return x; }
__device__ __forceinline__ float as_sortable(bf16 x) { return to<float>(x); }
__device__ __forceinline__ i64 as_sortable(i64 x) { return x; }
__device__ __forceinline__ i64 as_sortable(u8 x) { return x; }

template <class S> __device__ __forceinline__ bool is_below(S a, S b) {
    return a < b || (a == a && b != b);
}

// An element and its place; better ones come first, equal ones by place.
template <class S> struct Candidate {
    S value;
    i64 place;
};

template <bool LARGEST, class S> __device__ __forceinline__ bool is_before(Candidate<S> a, Candidate<S> b) {
    if (b.place < 0) return a.place >= 0;
    if (a.place < 0) return false;
    if (LARGEST ? is_below(b.value, a.value) : is_below(a.value, b.value)) return true;
    if (LARGEST ? is_below(a.value, b.value) : is_below(b.value, a.value)) return false;
    return a.place < b.place;
}

template <bool LARGEST, class S> __device__ __forceinline__ Candidate<S> warp_best(Candidate<S> best) {
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) {
        Candidate<S> other = {
            __shfl_xor_sync(0xffffffffu, best.value, distance), __shfl_xor_sync(0xffffffffu, best.place, distance)};
        if (is_before<LARGEST>(other, best)) best = other;
    }
    return best;
}

// The first place of each line's extreme, NaN counting as the extreme: a warp for each line. Blocks of 128.
template <class T, int LARGEST>
__device__ __forceinline__ void sward_arg_reduce(const T* x, i64* y, i64 size, i64 inner, i64 lines) {
    typedef typename Sortable<T>::type S;
    i64 line = i64(blockIdx.x) * 4 + threadIdx.x / 32;
    if (line >= lines) return;
    const T* own = x + line / inner * size * inner + line % inner;
    Candidate<S> best = {S(0), -1};
    for (i64 place = threadIdx.x % 32; place < size; place += 32) {
        Candidate<S> next = {as_sortable(own[place * inner]), place};
        // For the smallest too, NaN is the extreme.
        bool is_best_nan = best.place >= 0 && best.value != best.value, is_next_nan = next.value != next.value;
        if (best.place < 0 || (!is_best_nan && (is_next_nan || is_before<LARGEST != 0>(next, best)))) best = next;
    }
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) {
        Candidate<S> other = {
            __shfl_xor_sync(0xffffffffu, best.value, distance), __shfl_xor_sync(0xffffffffu, best.place, distance)};
        bool is_best_nan = best.place >= 0 && best.value != best.value;
        bool is_other_nan = other.place >= 0 && other.value != other.value;
        bool wins = is_best_nan != is_other_nan ? is_other_nan
                  : is_best_nan                 ? other.place < best.place
                                                : is_before<LARGEST != 0>(other, best);
        if (wins) best = other;
    }
    if (threadIdx.x % 32 == 0) y[line] = best.place;
}

// The `count` best of each row, best first: each round looks for the best of those that come after the last. A block of 256 for each row.
template <class T, int LARGEST>
__device__ __forceinline__ void sward_top_k(const T* x, T* values, i64* places, i64 size, i64 count) {
    typedef typename Sortable<T>::type S;
    __shared__ S best_values[8];
    __shared__ i64 best_places[8];
    const T* row = x + i64(blockIdx.x) * size;
    Candidate<S> last = {S(0), -1};
    for (i64 rank = 0; rank < count; ++rank) {
        Candidate<S> best = {S(0), -1};
        for (i64 place = threadIdx.x; place < size; place += 256) {
            Candidate<S> next = {as_sortable(row[place]), place};
            bool is_left = last.place < 0 || is_before<LARGEST != 0>(last, next);
            if (is_left && is_before<LARGEST != 0>(next, best)) best = next;
        }
        best = warp_best<LARGEST != 0>(best);
        __syncthreads();
        if (threadIdx.x % 32 == 0) {
            best_values[threadIdx.x / 32] = best.value;
            best_places[threadIdx.x / 32] = best.place;
        }
        __syncthreads();
        best = {best_values[0], best_places[0]};
        for (int warp = 1; warp < 8; ++warp) {
            Candidate<S> other = {best_values[warp], best_places[warp]};
            if (is_before<LARGEST != 0>(other, best)) best = other;
        }
        if (threadIdx.x == 0) {
            values[i64(blockIdx.x) * count + rank] = row[best.place];
            places[i64(blockIdx.x) * count + rank] = best.place;
        }
        last = best;
    }
}

// Running sums along lines that lie side by side: one thread for each line. The sum of floats is a float, of integers an integer.
template <class T, class SUM, int REVERSE>
__device__ __forceinline__ void sward_running_sum_lines(const T* x, T* y, i64 size, i64 inner, i64 lines) {
    i64 line = global_thread();
    if (line >= lines) return;
    i64 start = line / inner * size * inner + line % inner;
    SUM sum = SUM(0);
    for (i64 step = 0; step < size; ++step) {
        i64 at = start + (REVERSE ? size - 1 - step : step) * inner;
        sum += to<SUM>(x[at]);
        y[at] = to<T>(sum);
    }
}

// Running sums along rows: a warp for each row takes 32 elements at a time. Blocks of 128.
template <class T, class SUM, int REVERSE>
__device__ __forceinline__ void sward_running_sum_rows(const T* x, T* y, i64 size, i64 rows) {
    i64 row = i64(blockIdx.x) * 4 + threadIdx.x / 32;
    if (row >= rows) return;
    int lane = threadIdx.x % 32;
    SUM before = SUM(0);
    for (i64 first = 0; first < size; first += 32) {
        i64 step = first + lane, at = row * size + (REVERSE ? size - 1 - step : step);
        SUM sum = step < size ? to<SUM>(x[at]) : SUM(0);
#pragma unroll
        for (int distance = 1; distance < 32; distance *= 2) {
            SUM other = __shfl_sync(0xffffffffu, sum, lane >= distance ? lane - distance : lane);
            if (lane >= distance) sum += other;
        }
        sum += before;
        if (step < size) y[at] = to<T>(sum);
        before = __shfl_sync(0xffffffffu, sum, 31);
    }
}
