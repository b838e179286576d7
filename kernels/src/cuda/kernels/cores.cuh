// Tensor cores: bf16 tiles of 16 x 8 x 16 with f32 sums, the loads of their fragments from shared memory, and asynchronous copies.
//
// Fragments, by lane (row = lane / 4, pair = lane % 4 * 2):
//   a (16 x 16): [0] row, pair; [1] row + 8, pair; [2] row, pair + 8; [3] row + 8, pair + 8
//   b (16 x 8):  [0] k = pair, column = lane / 4; [1] k = pair + 8
//   c (16 x 8):  [0..1] row, columns pair and pair + 1; [2..3] row + 8

__device__ __forceinline__ u32 pack_bf16(float low, float high) {
#ifdef SWARD_HOST
    return u32(float_to_bf16(low).bits) | u32(float_to_bf16(high).bits) << 16;
#else
    u32 packed;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
    return packed;
#endif
}

// c += a b.
__device__ __forceinline__ void mma_16x8x16(float (&c)[4], const u32 (&a)[4], const u32 (&b)[2]) {
#ifdef SWARD_HOST
    shim::Warp& warp = shim::warps[shim::current / 32];
    int lane = shim::current % 32;
    u32 mine[6] = {a[0], a[1], a[2], a[3], b[0], b[1]};
    std::memcpy(warp.slot[lane], mine, sizeof(mine));
    shim::warp_barrier();
    auto read = [&](int owner, int word, int half) {
        u32 packed;
        std::memcpy(&packed, warp.slot[owner] + 4 * word, 4);
        return bf16_to_float(bf16{u16(half ? packed >> 16 : packed)});
    };
    for (int part = 0; part < 4; ++part) {
        int row = lane / 4 + (part / 2) * 8, column = lane % 4 * 2 + part % 2;
        for (int k = 0; k < 16; ++k) {
            int pair = k % 8 / 2;
            float left = read(row % 8 * 4 + pair, row / 8 + k / 8 * 2, k % 2);
            float right = read(column * 4 + pair, 4 + k / 8, k % 2);
            c[part] += left * right;
        }
    }
    shim::warp_barrier();
#else
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

// Four 8 x 8 matrices of bf16: lane l names row l % 8 of matrix l / 8 (16 bytes in shared memory) and gets two neighbours of each matrix:
// row lane / 4, columns lane % 4 * 2 and the next; transposed, the column takes the row's place.
template <bool TRANSPOSED> __device__ __forceinline__ void load_matrices(u32 (&fragment)[4], const bf16* row) {
#ifdef SWARD_HOST
    shim::Warp& warp = shim::warps[shim::current / 32];
    int lane = shim::current % 32;
    if (reinterpret_cast<size_t>(row) % 16 != 0) shim::fail("a matrix row that is not aligned");
    std::memcpy(warp.slot[lane], row, 16);
    shim::warp_barrier();
    for (int matrix = 0; matrix < 4; ++matrix) {
        u16 halves[2];
        for (int j = 0; j < 2; ++j) {
            int r = lane / 4, c = lane % 4 * 2 + j;
            if (TRANSPOSED) { int swapped = r; r = c; c = swapped; }
            std::memcpy(&halves[j], warp.slot[matrix * 8 + r] + 2 * c, 2);
        }
        fragment[matrix] = u32(halves[0]) | u32(halves[1]) << 16;
    }
    shim::warp_barrier();
#else
    u32 address = u32(__cvta_generic_to_shared(row));
    if (TRANSPOSED)
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(fragment[0]), "=r"(fragment[1]), "=r"(fragment[2]), "=r"(fragment[3])
                     : "r"(address) : "memory");
    else
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(fragment[0]), "=r"(fragment[1]), "=r"(fragment[2]), "=r"(fragment[3])
                     : "r"(address) : "memory");
#endif
}

// The a fragment of the 16 x 16 block at (row, k) of a tile that is stored [row][k].
__device__ __forceinline__ void load_a(u32 (&a)[4], const bf16* tile, int stride, int row, int k) {
    int lane = threadIdx.x % 32, matrix = lane / 8, own = lane % 8;
    load_matrices<false>(a, tile + (row + (matrix & 1) * 8 + own) * stride + k + (matrix >> 1) * 8);
}

// The same of a tile that is stored [k][row].
__device__ __forceinline__ void load_a_transposed(u32 (&a)[4], const bf16* tile, int stride, int row, int k) {
    int lane = threadIdx.x % 32, matrix = lane / 8, own = lane % 8;
    load_matrices<true>(a, tile + (k + (matrix >> 1) * 8 + own) * stride + row + (matrix & 1) * 8);
}

// The b fragments of two neighbouring 16 x 8 blocks at (k, column) of a tile that is stored [column][k].
__device__ __forceinline__ void load_b(u32 (&b)[2][2], const bf16* tile, int stride, int k, int column) {
    int lane = threadIdx.x % 32, matrix = lane / 8, own = lane % 8;
    u32 four[4];
    load_matrices<false>(four, tile + (column + (matrix >> 1) * 8 + own) * stride + k + (matrix & 1) * 8);
    b[0][0] = four[0]; b[0][1] = four[1]; b[1][0] = four[2]; b[1][1] = four[3];
}

// The same of a tile that is stored [k][column].
__device__ __forceinline__ void load_b_transposed(u32 (&b)[2][2], const bf16* tile, int stride, int k, int column) {
    int lane = threadIdx.x % 32, matrix = lane / 8, own = lane % 8;
    u32 four[4];
    load_matrices<true>(four, tile + (k + (matrix & 1) * 8 + own) * stride + column + (matrix >> 1) * 8);
    b[0][0] = four[0]; b[0][1] = four[1]; b[1][0] = four[2]; b[1][1] = four[3];
}

// 16 bytes to shared memory, on their way while the thread goes on; zeros where `is_there` is false.
__device__ __forceinline__ void copy_16_async(void* to_shared, const void* from, bool is_there) {
#ifdef SWARD_HOST
    if (reinterpret_cast<size_t>(to_shared) % 16 != 0 || (is_there && reinterpret_cast<size_t>(from) % 16 != 0))
        shim::fail("an asynchronous copy that is not aligned");
    shim::fibers[shim::current].open.push_back({to_shared, is_there ? from : nullptr});
#else
    u32 address = u32(__cvta_generic_to_shared(to_shared));
    int bytes = is_there ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" : : "r"(address), "l"(from), "r"(bytes) : "memory");
#endif
}

__device__ __forceinline__ void commit_copies() {
#ifdef SWARD_HOST
    shim::Fiber& fiber = shim::fibers[shim::current];
    fiber.groups.push_back(std::move(fiber.open));
    fiber.open.clear();
#else
    asm volatile("cp.async.commit_group;" : : : "memory");
#endif
}

// Waits until at most N of the committed groups are on their way.
template <int N> __device__ __forceinline__ void wait_copies() {
#ifdef SWARD_HOST
    shim::arrive(N);
#else
    asm volatile("cp.async.wait_group %0;" : : "n"(N) : "memory");
#endif
}
