// The optimizer's step, the norm of all gradients, and the search for values that are not finite.

// What an optimizer's rule is made of; see `ops/src/primitives/optimizer_update.rs`.
struct OptimizerShape {
    float weight_decay;
    // SGD: momentum, dampening, nesterov (0 or 1). Adam: beta1, beta2, epsilon.
    float first, second, third;
};

enum OptimizerRule { SGD, SGD_MOMENTUM, ADAM, ADAMW };

// One thread for each element; settings are in device memory, so that a recorded step stays valid when they change.
template <class P, class G, int RULE>
__device__ __forceinline__ void sward_optimizer_update(
    const Control* control, const P* parameter, const G* gradient, const float* settings, const float* first_moment,
    const float* second_moment, P* new_parameter, float* new_first, float* new_second, OptimizerShape shape, i64 elements) {
    i64 at = global_thread();
    if (at >= elements || is_halted(control)) return;
    float rate = settings[0], p = to<float>(parameter[at]), g = to<float>(gradient[at]) * settings[1];
    if (RULE == SGD || RULE == SGD_MOMENTUM) {
        g += shape.weight_decay * p;
        if (RULE == SGD_MOMENTUM) {
            float taken = settings[2] != 0.0f ? 1.0f : 1.0f - shape.second;
            float buffer = shape.first * first_moment[at] + taken * g;
            new_first[at] = buffer;
            g = shape.third != 0.0f ? g + shape.first * buffer : buffer;
        }
        new_parameter[at] = to<P>(p - rate * g);
        return;
    }
    if (RULE == ADAM) g += shape.weight_decay * p;
    if (RULE == ADAMW) p *= 1.0f - rate * shape.weight_decay;
    float mean = first_moment[at], square = second_moment[at];
    mean += (1.0f - shape.first) * (g - mean);
    square = shape.second * square + (1.0f - shape.second) * g * g;
    new_first[at] = mean;
    new_second[at] = square;
    float root = sqrtf(square) / sqrtf(settings[3]) + shape.third;
    new_parameter[at] = to<P>(p - rate / settings[2] * mean / root);
}

// The sum of squares of `chunk` elements by each block of 256: one number of `parts`.
template <class T> __device__ __forceinline__ void sward_sum_squares(const T* x, float* parts, i64 chunk, i64 elements) {
    __shared__ float scratch[33];
    i64 first = i64(blockIdx.x) * chunk, end = first + chunk < elements ? first + chunk : elements;
    float sum = 0.0f;
    for (i64 at = first + threadIdx.x; at < end; at += 256) {
        float value = to<float>(x[at]);
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
