// What all kernels share: dtypes, control block, vectors, sums over warps and blocks.
//
// The same text is compiled by NVRTC for GPUs and, after host_shim.h, by a C++ compiler for tests on the processor (SWARD_HOST).

#ifdef SWARD_HOST
#define SWARD_ALIGN(bytes) alignas(bytes)
#else
#define SWARD_ALIGN(bytes) __align__(bytes)
#define SWARD_ENTRY(name)
#define DYNAMIC_SHARED(type, name)             \
    extern __shared__ float4 sward_dynamic[];  \
    type* name = reinterpret_cast<type*>(sward_dynamic)
#endif

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

// The upper half of a float.
struct bf16 {
    u16 bits;
};

// What a run tells its kernels, and they it. Lies at the start of the plan's memory.
struct Control {
    u32 seed_low, seed_high, step_low, step_high;
    // (instruction << 40 | element) of the first index that lies outside its axis; all ones where there is none.
    u64 bad_index;
    // The first element that is not finite, where one is looked for; all ones where there is none.
    u64 not_finite;
};

// Whether a bad index stops what would change parameters and state.
__device__ __forceinline__ bool is_halted(const Control* control) {
    return control->bad_index != ~0ull;
}

__device__ __forceinline__ float infinity() {
    return __int_as_float(0x7f800000);
}

__device__ __forceinline__ float not_a_number() {
    return __int_as_float(0x7fc00000);
}

// 1 / x within one unit of the last place, for 2^-126 <= |x| <= 2^126; beyond that 0 or an infinity. A division as such takes three times as
// long, and a call.
__device__ __forceinline__ float reciprocal(float x) {
#ifdef SWARD_HOST
    return 1.0f / x;
#else
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
#endif
}

// x held between -1 and 1; NaN stays NaN.
__device__ __forceinline__ float hold_to_unit(float x) {
#ifdef SWARD_HOST
    return x > 1.0f ? 1.0f : x < -1.0f ? -1.0f : x;
#else
    asm("min.NaN.f32 %0, %0, 0f3F800000;" : "+f"(x));
    asm("max.NaN.f32 %0, %0, 0fBF800000;" : "+f"(x));
    return x;
#endif
}

// Conversions: T to R, with one rounding.

__device__ __forceinline__ float bf16_to_float(bf16 x) {
    return __int_as_float(int(u32(x.bits) << 16));
}

__device__ __forceinline__ bf16 float_to_bf16(float x) {
    bf16 y;
#ifdef SWARD_HOST
    u32 bits = u32(__float_as_int(x));
    y.bits = x != x ? 0x7fff : u16((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
#else
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
#endif
    return y;
}

template <class R> struct Number;

template <> struct Number<float> {
    static __device__ __forceinline__ float of(float x) { return x; }
    static __device__ __forceinline__ float of(double x) { return float(x); }
    static __device__ __forceinline__ float of(bf16 x) { return bf16_to_float(x); }
    static __device__ __forceinline__ float of(i64 x) { return float(x); }
    static __device__ __forceinline__ float of(u8 x) { return float(x); }
    static __device__ __forceinline__ float of(bool x) { return x ? 1.0f : 0.0f; }
};

template <> struct Number<double> {
    static __device__ __forceinline__ double of(float x) { return x; }
    static __device__ __forceinline__ double of(double x) { return x; }
    static __device__ __forceinline__ double of(bf16 x) { return bf16_to_float(x); }
    static __device__ __forceinline__ double of(i64 x) { return double(x); }
    static __device__ __forceinline__ double of(u8 x) { return x; }
    static __device__ __forceinline__ double of(bool x) { return x ? 1.0 : 0.0; }
};

template <> struct Number<bf16> {
    static __device__ __forceinline__ bf16 of(float x) { return float_to_bf16(x); }
    static __device__ __forceinline__ bf16 of(double x) { return float_to_bf16(float(x)); }
    static __device__ __forceinline__ bf16 of(bf16 x) { return x; }
    static __device__ __forceinline__ bf16 of(bool x) { return float_to_bf16(x ? 1.0f : 0.0f); }
};

template <> struct Number<i64> {
    static __device__ __forceinline__ i64 of(float x) { return i64(x); }
    static __device__ __forceinline__ i64 of(double x) { return i64(x); }
    static __device__ __forceinline__ i64 of(i64 x) { return x; }
    static __device__ __forceinline__ i64 of(bool x) { return x; }
};

// A bool is stored as a byte 0 or 1.
template <> struct Number<u8> {
    static __device__ __forceinline__ u8 of(float x) { return x != 0.0f; }
    static __device__ __forceinline__ u8 of(double x) { return x != 0.0; }
    static __device__ __forceinline__ u8 of(u8 x) { return x; }
    static __device__ __forceinline__ u8 of(bool x) { return x; }
};

template <class R, class T> __device__ __forceinline__ R to(T x) {
    return Number<R>::of(x);
}

// N elements that are read or written at once; their address is a multiple of their size.
template <class T, int N> struct SWARD_ALIGN(sizeof(T) * N > 16 ? 16 : sizeof(T) * N) Pack {
    T of[N];
};

template <class P> __device__ __forceinline__ void check_alignment(const void* address) {
#ifdef SWARD_HOST
    if (reinterpret_cast<size_t>(address) % alignof(P) != 0) shim::fail("a pack that is not aligned");
#endif
}

template <int N, class T> __device__ __forceinline__ Pack<T, N> load_pack(const T* from) {
    check_alignment<Pack<T, N>>(from);
    return *reinterpret_cast<const Pack<T, N>*>(from);
}

template <int N, class T> __device__ __forceinline__ void store_pack(T* at, const Pack<T, N>& pack) {
    check_alignment<Pack<T, N>>(at);
#ifndef SWARD_HOST
    // The compiler takes packs of halves apart into stores of two or four bytes; it keeps instructions that are written out. In any memory.
    constexpr int BYTES = sizeof(Pack<T, N>);
    if constexpr (sizeof(T) <= 2 && BYTES % 16 == 0) {
#pragma unroll
        for (int part = 0; part < BYTES / 16; ++part) {
            const u32* words = reinterpret_cast<const u32*>(&pack) + 4 * part;
            asm volatile("st.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(reinterpret_cast<char*>(at) + 16 * part), "r"(words[0]),
                         "r"(words[1]), "r"(words[2]), "r"(words[3])
                         : "memory");
        }
        return;
    }
    if constexpr (sizeof(T) <= 2 && BYTES == 8) {
        const u32* words = reinterpret_cast<const u32*>(&pack);
        asm volatile("st.v2.u32 [%0], {%1, %2};" ::"l"(at), "r"(words[0]), "r"(words[1]) : "memory");
        return;
    }
    if constexpr (sizeof(T) <= 2 && BYTES == 4) {
        asm volatile("st.u32 [%0], %1;" ::"l"(at), "r"(*reinterpret_cast<const u32*>(&pack)) : "memory");
        return;
    }
#endif
    *reinterpret_cast<Pack<T, N>*>(at) = pack;
}

// Sums and extremes over the lanes of a warp: every lane gets the result, by one fixed tree.

template <class T> __device__ __forceinline__ T warp_sum(T x) {
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) x += __shfl_xor_sync(0xffffffffu, x, distance);
    return x;
}

// NaN wins.
__device__ __forceinline__ float larger(float a, float b) {
    return a != a || b != b ? not_a_number() : (a > b ? a : b);
}

__device__ __forceinline__ float warp_max(float x) {
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) x = larger(x, __shfl_xor_sync(0xffffffffu, x, distance));
    return x;
}

// The same over the LANES threads that work on one row (a warp, or a whole block); `scratch` has 33 elements, used where LANES > 32.
template <int LANES, class T> __device__ __forceinline__ T row_sum(T x, T* scratch) {
    x = warp_sum(x);
    if (LANES == 32) return x;
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    __syncthreads();
    if (lane == 0) scratch[warp] = x;
    __syncthreads();
    T total = scratch[0];
    for (int other = 1; other < LANES / 32; ++other) total += scratch[other];
    return total;
}

template <int LANES> __device__ __forceinline__ float row_max(float x, float* scratch) {
    x = warp_max(x);
    if (LANES == 32) return x;
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    __syncthreads();
    if (lane == 0) scratch[warp] = x;
    __syncthreads();
    float most = scratch[0];
    for (int other = 1; other < LANES / 32; ++other) most = larger(most, scratch[other]);
    return most;
}

// The position of this thread among all of a one-dimensional launch.
__device__ __forceinline__ i64 global_thread() {
    return i64(blockIdx.x) * blockDim.x + threadIdx.x;
}
