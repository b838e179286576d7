// The operations of scalar expressions, as `core/src/scalar` defines them, for float and double.

// Philox4x32-10 (Salmon et al., 2011): core's `philox4x32`.
struct Philox {
    u32 word[4];
};

__device__ __forceinline__ Philox philox(const Control* control, u32 stream, u64 block) {
    u32 c0 = u32(block), c1 = u32(block >> 32) ^ control->step_high, c2 = stream, c3 = control->step_low;
    u32 k0 = control->seed_low, k1 = control->seed_high ^ 0x73776172u;
#pragma unroll
    for (int round = 0; round < 10; ++round) {
        u64 first = u64(c0) * 0xD2511F53u, second = u64(c2) * 0xCD9E8D57u;
        u32 next0 = u32(second >> 32) ^ c1 ^ k0, next2 = u32(first >> 32) ^ c3 ^ k1;
        c1 = u32(second);
        c3 = u32(first);
        c0 = next0;
        c2 = next2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    Philox result;
    result.word[0] = c0;
    result.word[1] = c1;
    result.word[2] = c2;
    result.word[3] = c3;
    return result;
}

// The number in [0, 1) of one element of a stream: core's `RunKey::uniform`.
__device__ __forceinline__ float uniform(const Philox& block, u64 element) {
    u32 low = element & 1 ? block.word[1] : block.word[0], high = element & 1 ? block.word[3] : block.word[2];
    return float((element & 2 ? high : low) >> 8) * (1.0f / 16777216.0f);
}

__device__ __forceinline__ float s_pow(float a, float b) { return powf(a, b); }
__device__ __forceinline__ double s_pow(double a, double b) { return pow(a, b); }
template <class R> __device__ __forceinline__ R s_min(R a, R b) { return a != a || b != b ? R(not_a_number()) : (a < b ? a : b); }
template <class R> __device__ __forceinline__ R s_max(R a, R b) { return a != a || b != b ? R(not_a_number()) : (a > b ? a : b); }
template <class R> __device__ __forceinline__ R s_sign(R a) { return R(a > R(0)) - R(a < R(0)); }
__device__ __forceinline__ float s_abs(float a) { return fabsf(a); }
__device__ __forceinline__ double s_abs(double a) { return fabs(a); }
__device__ __forceinline__ float s_floor(float a) { return floorf(a); }
__device__ __forceinline__ double s_floor(double a) { return floor(a); }
__device__ __forceinline__ float s_round(float a) { return rintf(a); }
__device__ __forceinline__ double s_round(double a) { return rint(a); }
__device__ __forceinline__ float s_exp(float a) { return expf(a); }
__device__ __forceinline__ double s_exp(double a) { return exp(a); }
__device__ __forceinline__ float s_ln(float a) { return logf(a); }
__device__ __forceinline__ double s_ln(double a) { return log(a); }
__device__ __forceinline__ float s_log1p(float a) { return log1pf(a); }
__device__ __forceinline__ double s_log1p(double a) { return log1p(a); }
__device__ __forceinline__ float s_expm1(float a) { return expm1f(a); }
__device__ __forceinline__ double s_expm1(double a) { return expm1(a); }
__device__ __forceinline__ float s_sqrt(float a) { return sqrtf(a); }
__device__ __forceinline__ double s_sqrt(double a) { return sqrt(a); }
__device__ __forceinline__ float s_rsqrt(float a) { return rsqrtf(a); }
__device__ __forceinline__ double s_rsqrt(double a) { return 1.0 / sqrt(a); }
// a / by, where `by` is a constant between 2^-100 and 2^100 and `inverse` its reciprocal: the quotient's residue mends its last place, so that
// quotients that are floats are exact.
__device__ __forceinline__ float s_divide_by(float a, float by, float inverse) {
    float rough = a * inverse;
    float quotient = fmaf(fmaf(-rough, by, a), inverse, rough);
    return quotient == quotient ? quotient : rough;
}

// Without branches, which would keep the elements of a pack from being computed side by side. Errors of the four that follow: at most 6 units of
// the last place, from the roundings of the two polynomials; those before rounding are 2e-8.

__device__ __forceinline__ float s_sigmoid(float a) {
    float e = expf(-fabsf(a)), inverse = reciprocal(1.0f + e);
    return a >= 0.0f ? inverse : e * inverse;
}
__device__ __forceinline__ double s_sigmoid(double a) {
    double e = exp(-fabs(a));
    return a >= 0.0 ? 1.0 / (1.0 + e) : e / (1.0 + e);
}

// a P(a^2) / Q(a^2), a minimax approximation up to where the result rounds to 1.
__device__ __forceinline__ float s_tanh(float a) {
    float square = fminf(a * a, 81.3604f);
    float p = fmaf(1.3319072067474735e-08f, square, 2.0583480363711715e-05f);
    p = fmaf(p, square, 0.003494034521281719f);
    p = fmaf(p, square, 0.13379718363285065f);
    p = fmaf(p, square, 1.0f);
    float q = fmaf(7.762019436086121e-07f, square, 0.0003283092810306698f);
    q = fmaf(q, square, 0.025871073827147484f);
    q = fmaf(q, square, 0.4671303331851959f);
    q = fmaf(q, square, 1.0f);
    return hold_to_unit(a * p * reciprocal(q));
}
__device__ __forceinline__ double s_tanh(double a) { return tanh(a); }

// The larger of a and 0, and log(1 + e) = 2 artanh(e / (2 + e)) for e = exp(-|a|) in [0, 1].
__device__ __forceinline__ float s_softplus(float a) {
    float e = expf(-fabsf(a)), part = e * reciprocal(2.0f + e), square = part * part;
    float series = fmaf(0.2817833423614502f, square, 0.27960604429244995f);
    series = fmaf(series, square, 0.40024909377098083f);
    series = fmaf(series, square, 0.6666631698608398f);
    series = fmaf(series, square, 2.0f);
    return fmaxf(a, 0.0f) + part * series;
}
__device__ __forceinline__ double s_softplus(double a) {
    return a != a ? a : (a > 0.0 ? a : 0.0) + log1p(exp(-fabs(a)));
}

__device__ __forceinline__ float s_erf(float a) {
    float square = fminf(a * a, 15.405625f);
    float p = fmaf(2.0460208816075465e-06f, square, 0.0002848450094461441f);
    p = fmaf(p, square, 0.0037726047448813915f);
    p = fmaf(p, square, 0.05276946723461151f);
    p = fmaf(p, square, 0.19059500098228455f);
    p = fmaf(p, square, 1.1283791065216064f);
    float q = fmaf(3.8047783164074644e-05f, square, 0.001163871493190527f);
    q = fmaf(q, square, 0.014983306638896465f);
    q = fmaf(q, square, 0.11418323963880539f);
    q = fmaf(q, square, 0.502243161201477f);
    q = fmaf(q, square, 1.0f);
    return hold_to_unit(a * p * reciprocal(q));
}
__device__ __forceinline__ double s_erf(double a) { return erf(a); }
__device__ __forceinline__ float s_lgamma(float a) { return lgammaf(a); }
__device__ __forceinline__ double s_lgamma(double a) { return lgamma(a); }
__device__ __forceinline__ float s_sin(float a) { return sinf(a); }
__device__ __forceinline__ double s_sin(double a) { return sin(a); }
__device__ __forceinline__ float s_cos(float a) { return cosf(a); }
__device__ __forceinline__ double s_cos(double a) { return cos(a); }

// The series of `core/src/scalar/special.rs`, in double: float would lose half of its digits in the recurrence.
__device__ inline double s_digamma(double x) {
    if (x != x) return x;
    if (x == 0.0) return 1.0 / x < 0.0 ? double(infinity()) : -double(infinity());
    double reflected = 0.0;
    if (x < 0.0) {
        if (x == floor(x)) return double(not_a_number());
        reflected = -3.141592653589793 / tan(3.141592653589793 * (x - round(x)));
        x = 1.0 - x;
    }
    double sum = 0.0;
    for (; x < 12.0; x += 1.0) sum += 1.0 / x;
    double inverse = 1.0 / x, square = inverse * inverse;
    double tail = -3617.0 / 8160.0 * square;
    tail = (tail + 1.0 / 12.0) * square;
    tail = (tail - 691.0 / 32760.0) * square;
    tail = (tail + 1.0 / 132.0) * square;
    tail = (tail - 1.0 / 240.0) * square;
    tail = (tail + 1.0 / 252.0) * square;
    tail = (tail - 1.0 / 120.0) * square;
    tail = (tail + 1.0 / 12.0) * square;
    return log(x) - 0.5 * inverse - tail - sum + reflected;
}
__device__ inline float s_digamma(float a) { return float(s_digamma(double(a))); }

__device__ inline double s_trigamma(double x) {
    if (x != x) return x;
    double outer = 0.0, sign = 1.0;
    if (x <= 0.0) {
        if (x == floor(x)) return double(infinity());
        double sine = sin(3.141592653589793 * (x - round(x)));
        outer = (3.141592653589793 / sine) * (3.141592653589793 / sine);
        sign = -1.0;
        x = 1.0 - x;
    }
    double sum = 0.0;
    for (; x < 12.0; x += 1.0) sum += 1.0 / (x * x);
    double inverse = 1.0 / x, square = inverse * inverse;
    double tail = -3617.0 / 510.0 * square;
    tail = (tail + 7.0 / 6.0) * square;
    tail = (tail - 691.0 / 2730.0) * square;
    tail = (tail + 5.0 / 66.0) * square;
    tail = (tail - 1.0 / 30.0) * square;
    tail = (tail + 1.0 / 42.0) * square;
    tail = (tail - 1.0 / 30.0) * square;
    tail = (tail + 1.0 / 6.0) * square;
    return outer + sign * (sum + inverse * (1.0 + 0.5 * inverse + tail));
}
__device__ inline float s_trigamma(float a) { return float(s_trigamma(double(a))); }
