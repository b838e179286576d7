// Hopper's warpgroup products: 64 rows by N columns by 16 of bf16 with f32 sums, whose right factor (and left factor, if it likes) lies in
// shared memory as a descriptor says. PTX ISA, "Asynchronous Warpgroup Level Matrix Multiply-Accumulate Instructions"; sm_90a alone.
//
// A tile in shared memory is cut into panels of 64 columns: a row of a panel has 128 bytes, and its eight chunks of 16 bytes stand at the
// places (chunk ^ row % 8), so that eight rows of one chunk lie in different banks (the descriptor's 128-byte swizzle). Panels begin at
// multiples of 1,024 bytes.

constexpr int PANEL_ROWS = 64, PANEL = PANEL_ROWS * 64, PANEL_BYTES = PANEL * 2;

#if !defined(SWARD_HOST) && !defined(__CUDA_ARCH_FEAT_SM90_ALL)
#error "warpgroup products are compiled for sm_90a alone"
#endif

// The address within shared memory.
__device__ __forceinline__ u32 shared_address(const void* pointer) {
#ifdef SWARD_HOST
    return u32(static_cast<const char*>(pointer) - reinterpret_cast<const char*>(shim::dynamic_memory.data()));
#else
    return u32(__cvta_generic_to_shared(pointer));
#endif
}

// A matrix in shared memory: from one group of eight rows to the next there are 1,024 bytes. Of a TRANSPOSED factor, whose fast axis is not the
// sum's, there are PANEL_BYTES from one panel to the next; of others this offset is not read, and 1 by convention.
template <bool TRANSPOSED> __device__ __forceinline__ u64 matrix_descriptor(const bf16* first) {
    constexpr u64 LEADING = TRANSPOSED ? PANEL_BYTES / 16 : 1, STRIDE = 1024 / 16, SWIZZLE_128_BYTES = 1;
    return u64(shared_address(first) / 16 & 0x3fff) | LEADING << 16 | STRIDE << 32 | SWIZZLE_128_BYTES << 62;
}

#ifdef SWARD_HOST
// The element of a matrix that a descriptor names: `line` along rows of a left or columns of a right factor, `k` along the sum.
inline float described(u64 descriptor, int line, int k, bool is_transposed) {
    u64 start = (descriptor & 0x3fff) * 16, leading = (descriptor >> 16 & 0x3fff) * 16, stride = (descriptor >> 32 & 0x3fff) * 16;
    if (descriptor >> 62 != 1) shim::fail("a descriptor without the swizzle of 128 bytes");
    u64 address = start + (is_transposed ? line % 64 * 2 + line / 64 * leading + k % 8 * 128 + k / 8 * stride
                                         : line % 8 * 128 + line / 8 * stride + k * 2);
    address ^= (address >> 7 & 7) << 4;
    if (address + 2 > shim::dynamic_memory.size() * sizeof(float4)) shim::fail("a descriptor that leads out of shared memory");
    bf16 x;
    std::memcpy(&x, reinterpret_cast<const char*>(shim::dynamic_memory.data()) + address, 2);
    return bf16_to_float(x);
}
#endif

// What other threads wrote to shared memory is there for warpgroup products after this and a barrier.
__device__ __forceinline__ void publish_shared() {
#ifndef SWARD_HOST
    asm volatile("fence.proxy.async.shared::cta;" : : : "memory");
#endif
}

// Stands before the first product and after registers that products read were written.
__device__ __forceinline__ void begin_products() {
#ifdef SWARD_HOST
    shim::warp_barrier();
#else
    asm volatile("wgmma.fence.sync.aligned;" : : : "memory");
#endif
}

// Ends a group of products; groups are waited for in their order.
__device__ __forceinline__ void commit_products() {
#ifndef SWARD_HOST
    asm volatile("wgmma.commit_group.sync.aligned;" : : : "memory");
#endif
}

// Waits until at most N groups are on their way.
template <int N> __device__ __forceinline__ void wait_products() {
#ifdef SWARD_HOST
    shim::warp_barrier();
#else
    asm volatile("wgmma.wait_group.sync.aligned %0;" : : "n"(N) : "memory");
#endif
}

// Stands after the wait for the products that make these sums: nothing that reads them moves before it.
template <int BLOCKS> __device__ __forceinline__ void arrived(float (&c)[BLOCKS][4]) {
#ifndef SWARD_HOST
#pragma unroll
    for (int at = 0; at < BLOCKS * 4; ++at) asm volatile("" : "+f"(c[at / 4][at % 4]) : : "memory");
#endif
}

// The constraint "+f" of sums that a product adds to, "=f" of those that it begins: what it does not read must not be written before it.
#define C4(kind, c, block) kind(c[block][0]), kind(c[block][1]), kind(c[block][2]), kind(c[block][3])
#define C32(kind, c, block)                                                                                        \
    C4(kind, c, block), C4(kind, c, block + 1), C4(kind, c, block + 2), C4(kind, c, block + 3), C4(kind, c, block + 4), \
        C4(kind, c, block + 5), C4(kind, c, block + 6), C4(kind, c, block + 7)
#define C64(kind, c, block) C32(kind, c, block), C32(kind, c, block + 8)
#define SUMS_32                                                                                                          \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, " \
    "%25, %26, %27, %28, %29, %30, %31"
#define SUMS_64                                                                                                          \
    SUMS_32 ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, " \
            "%53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"

#define SUMS_128                                                                                                     \
    SUMS_64 ", %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, %80, %81, %82, %83, " \
        "%84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, %96, %97, %98, %99, %100, %101, %102, "         \
        "%103, %104, %105, %106, %107, %108, %109, %110, %111, %112, %113, %114, %115, %116, %117, %118, "           \
        "%119, %120, %121, %122, %123, %124, %125, %126, %127"

// c [64][BLOCKS * 8] = (ADDS: +=) a [64][16] b [16][BLOCKS * 8], both in shared memory. A factor's fast axis is the sum's, of a TRANSPOSED one its
// own. A thread's sums are those of `mma_16x8x16` for its warp's 16 rows.
#ifdef SWARD_HOST
template <bool ADDS, bool TRANSPOSED_A, bool TRANSPOSED_B, int BLOCKS> inline void multiply_shared(float (&c)[BLOCKS][4], u64 a, u64 b) {
    int warp = shim::current / 32 % 4, lane = shim::current % 32;
    for (int at = 0; at < BLOCKS * 4; ++at) {
        int row = warp * 16 + lane / 4 + at % 4 / 2 * 8, column = at / 4 * 8 + lane % 4 * 2 + at % 2;
        float sum = ADDS ? c[at / 4][at % 4] : 0.0f;
        for (int k = 0; k < 16; ++k) sum += described(a, row, k, TRANSPOSED_A) * described(b, column, k, TRANSPOSED_B);
        c[at / 4][at % 4] = sum;
    }
    shim::warp_barrier();
}
#else
template <bool ADDS, bool TRANSPOSED_A, bool TRANSPOSED_B> __device__ __forceinline__ void multiply_shared(float (&c)[8][4], u64 a, u64 b) {
    if (ADDS)
        asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" SUMS_32 "}, %32, %33, 1, 1, 1, %34, %35;"
                     : C32("+f", c, 0)
                     : "l"(a), "l"(b), "n"(int(TRANSPOSED_A)), "n"(int(TRANSPOSED_B)));
    else
        asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" SUMS_32 "}, %32, %33, 0, 1, 1, %34, %35;"
                     : C32("=f", c, 0)
                     : "l"(a), "l"(b), "n"(int(TRANSPOSED_A)), "n"(int(TRANSPOSED_B)));
}

// ADDS alone.
template <bool ADDS, bool TRANSPOSED_A, bool TRANSPOSED_B> __device__ __forceinline__ void multiply_shared(float (&c)[16][4], u64 a, u64 b) {
    static_assert(ADDS, "such products are added");
    asm volatile("wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" SUMS_64 "}, %64, %65, 1, 1, 1, %66, %67;"
                 : C64("+f", c, 0)
                 : "l"(a), "l"(b), "n"(int(TRANSPOSED_A)), "n"(int(TRANSPOSED_B)));
}

template <bool ADDS, bool TRANSPOSED_A, bool TRANSPOSED_B> __device__ __forceinline__ void multiply_shared(float (&c)[32][4], u64 a, u64 b) {
    static_assert(ADDS, "such products are added");
    asm volatile("wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16 {" SUMS_128 "}, %128, %129, 1, 1, 1, %130, %131;"
                 : C64("+f", c, 0), C64("+f", c, 16)
                 : "l"(a), "l"(b), "n"(int(TRANSPOSED_A)), "n"(int(TRANSPOSED_B)));
}
#endif

#ifdef SWARD_HOST
template <int BLOCKS> inline void multiply_columns_on_host(float (&c)[BLOCKS][4], const u32 (&a)[4], u64 b) {
    shim::Warp& warp = shim::warps[shim::current / 32];
    int lane = shim::current % 32;
    std::memcpy(warp.slot[lane], a, sizeof(a));
    shim::warp_barrier();
    for (int at = 0; at < BLOCKS * 4; ++at) {
        int row = lane / 4 + at % 4 / 2 * 8, column = at / 4 * 8 + lane % 4 * 2 + at % 2;
        float sum = c[at / 4][at % 4];
        for (int k = 0; k < 16; ++k) {
            u32 packed;
            std::memcpy(&packed, warp.slot[row % 8 * 4 + k % 8 / 2] + 4 * (row / 8 + k / 8 * 2), 4);
            float left = bf16_to_float(bf16{u16(k % 2 ? packed >> 16 : packed)});
            sum += left * described(b, column, k, true);
        }
        c[at / 4][at % 4] = sum;
    }
    shim::warp_barrier();
}
#endif

// c [64][BLOCKS * 8] += a [64][16] in registers (each warp's 16 rows as `mma_16x8x16` has them) times b [16][BLOCKS * 8] in shared memory, its columns the fast axis.
__device__ __forceinline__ void multiply_columns(float (&c)[8][4], const u32 (&a)[4], u64 b) {
#ifdef SWARD_HOST
    multiply_columns_on_host(c, a, b);
#else
    asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" SUMS_32 "}, {%32, %33, %34, %35}, %36, 1, 1, 1, 1;"
                 : C32("+f", c, 0)
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
#endif
}

__device__ __forceinline__ void multiply_columns(float (&c)[16][4], const u32 (&a)[4], u64 b) {
#ifdef SWARD_HOST
    multiply_columns_on_host(c, a, b);
#else
    asm volatile("wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" SUMS_64 "}, {%64, %65, %66, %67}, %68, 1, 1, 1, 1;"
                 : C64("+f", c, 0)
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
#endif
}

// Rows of one head, on their way to tiles of 64 rows in panels: each of THREADS threads copies chunks of 16 bytes of one column.
template <int WIDTH, int THREADS> struct HeadRows {
    // Rows from one chunk of a thread to its next: a multiple of 8, so that all its chunks have one place in their rows.
    static constexpr int STEP = THREADS / (WIDTH / 8);
    static_assert(STEP % 8 == 0 && 64 % STEP == 0, "threads and rows do not fit");
    const bf16* source;
    i64 stride;
    int row, place;

    __device__ __forceinline__ HeadRows(const bf16* from, int batch, int head, int heads, int rows) {
        int column = threadIdx.x % (WIDTH / 8) * 8;
        row = threadIdx.x / (WIDTH / 8);
        stride = i64(heads) * WIDTH;
        source = from + (i64(batch) * rows + row) * stride + head * WIDTH + column;
        place = column / 64 * PANEL + row * 64 + ((column % 64 / 8) ^ (row % 8)) * 8;
    }

    // Starts the copy of rows first .. first + 64; zeros beyond `rows`.
    __device__ __forceinline__ void copy(bf16* tile, int first, int rows) const {
        const bf16* from = source + first * stride;
#pragma unroll
        for (int step = 0; step < 64; step += STEP)
            copy_16_async(tile + place + step * 64, from + step * stride, first + row + step < rows);
    }
};

// The first multiple of 1,024 bytes of shared memory: where panels may begin.
__device__ __forceinline__ bf16* first_panel(bf16* shared) {
    return shared + (1024 - shared_address(shared) % 1024) % 1024 / 2;
}
