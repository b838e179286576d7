// The optimizer's step, the norm of all gradients, and the search for values that are not finite.

// What an optimizer's rule is made of; see `ops/src/primitives/optimizer_update.rs`.
struct OptimizerShape {
    float weight_decay;
    // SGD: momentum, dampening, nesterov (0 or 1). Adam: beta1, beta2, epsilon.
    float first, second, third;
};

enum OptimizerRule { SGD, SGD_MOMENTUM, ADAM, ADAMW };

// What one element becomes. `settings` are rate, scale of the gradient and what the rule takes from the number of steps.
template <int RULE>
__device__ __forceinline__ void optimizer_rule(float& p, float g, float& mean, float& square, const float (&settings)[4], const OptimizerShape& shape) {
    float rate = settings[0];
    g *= settings[1];
    if (RULE == SGD || RULE == SGD_MOMENTUM) {
        g += shape.weight_decay * p;
        if (RULE == SGD_MOMENTUM) {
            float taken = settings[2] != 0.0f ? 1.0f : 1.0f - shape.second;
            mean = shape.first * mean + taken * g;
            g = shape.third != 0.0f ? g + shape.first * mean : mean;
        }
        p -= rate * g;
        return;
    }
    if (RULE == ADAM) g += shape.weight_decay * p;
    if (RULE == ADAMW) p *= 1.0f - rate * shape.weight_decay;
    mean += (1.0f - shape.first) * (g - mean);
    square = shape.second * square + (1.0f - shape.second) * g * g;
    float root = sqrtf(square) / sqrtf(settings[3]) + shape.third;
    p -= rate / settings[2] * mean / root;
}

// One thread for four elements, which are all on their way before the first is waited for; settings are in device memory, so that a recorded step
// stays valid when they change.
template <class P, class G, int RULE>
__device__ __forceinline__ void sward_optimizer_update(
    const Control* control, const P* parameter, const G* gradient, const float* settings, const float* first_moment,
    const float* second_moment, P* new_parameter, float* new_first, float* new_second, OptimizerShape shape, i64 elements) {
    constexpr bool HAS_FIRST = RULE != SGD, HAS_SECOND = RULE == ADAM || RULE == ADAMW;
    i64 at = global_thread() * 4;
    // The last thread may have fewer than four.
    bool is_whole = at + 4 <= elements;
    Pack<P, 4> p = {};
    Pack<G, 4> g = {};
    Pack<float, 4> mean = {}, square = {};
    if (is_whole) {
        p = load_pack<4>(parameter + at);
        g = load_pack<4>(gradient + at);
        if (HAS_FIRST) mean = load_pack<4>(first_moment + at);
        if (HAS_SECOND) square = load_pack<4>(second_moment + at);
    } else {
#pragma unroll
        for (int j = 0; j < 3; ++j) {
            if (at + j >= elements) break;
            p.of[j] = parameter[at + j];
            g.of[j] = gradient[at + j];
            if (HAS_FIRST) mean.of[j] = first_moment[at + j];
            if (HAS_SECOND) square.of[j] = second_moment[at + j];
        }
    }
    float set[4] = {settings[0], settings[1], HAS_FIRST ? settings[2] : 0.0f, HAS_SECOND ? settings[3] : 0.0f};
    __syncwarp();
    if (at >= elements || is_halted(control)) return;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
        float value = to<float>(p.of[j]);
        optimizer_rule<RULE>(value, to<float>(g.of[j]), mean.of[j], square.of[j], set, shape);
        p.of[j] = to<P>(value);
    }
    if (is_whole) {
        store_pack<4>(new_parameter + at, p);
        if (HAS_FIRST) store_pack<4>(new_first + at, mean);
        if (HAS_SECOND) store_pack<4>(new_second + at, square);
        return;
    }
#pragma unroll
    for (int j = 0; j < 3; ++j) {
        if (at + j >= elements) break;
        new_parameter[at + j] = p.of[j];
        if (HAS_FIRST) new_first[at + j] = mean.of[j];
        if (HAS_SECOND) new_second[at + j] = square.of[j];
    }
}

// The sum of squares of `chunk` elements, a multiple of PACK, by each block of 256: one number of `parts`.
template <class T, int PACK> __device__ __forceinline__ void sward_sum_squares(const T* x, float* parts, i64 chunk, i64 elements) {
    __shared__ float scratch[33];
    i64 first = i64(blockIdx.x) * chunk, end = first + chunk < elements ? first + chunk : elements;
    i64 whole = end - end % PACK;
    float sum = 0.0f;
#pragma unroll 4
    for (i64 at = first + threadIdx.x * PACK; at < whole; at += 256 * PACK) {
        Pack<T, PACK> values = load_pack<PACK>(x + at);
#pragma unroll
        for (int j = 0; j < PACK; ++j) {
            float value = to<float>(values.of[j]);
            sum += value * value;
        }
    }
    if (whole + threadIdx.x < end) {
        float value = to<float>(x[whole + threadIdx.x]);
        sum += value * value;
    }
    sum = row_sum<256>(sum, scratch);
    if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

// The sum of all parts, in a fixed order, by one block of 256.
__device__ __forceinline__ void sward_sum_parts(const float* parts, float* y, i64 count) {
    __shared__ float scratch[33];
    float sum = 0.0f;
    for (i64 at = threadIdx.x; at < count; at += 256) sum += parts[at];
    sum = row_sum<256>(sum, scratch);
    if (threadIdx.x == 0) *y = sum;
}

// Notes the first element that is not finite.
template <class T> __device__ __forceinline__ void sward_first_not_finite(Control* control, const T* x, i64 elements) {
    i64 at = global_thread();
    if (at >= elements) return;
    float value = to<float>(x[at]);
    if (!(fabsf(value) < infinity())) atomicMin(&control->not_finite, u64(at));
}
