// CUDA C++ on the processor, for tests: the kernels' text compiles after this header by any C++17 compiler.
//
// A launch runs block after block. The threads of a block are fibers: each runs until it waits for its block or its warp, then the next one
// goes on, in rising order in about half of all launches and in falling order in the others: of two threads that lack a barrier between them,
// each goes first in some. Shared memory is static, dynamic shared memory is one buffer that is filled with NaNs before each block. Warp functions
// and the tensor core instruction exchange their operands through the warp, so that a wrong lane or a barrier that some threads miss shows.
// Asynchronous copies arrive when they are waited for, and not before.

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

#define SWARD_HOST 1
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __restrict__
#define __shared__ static
#define __launch_bounds__(...)

struct Index3 {
    unsigned x, y, z;
};
struct float4 {
    float x, y, z, w;
};

static Index3 threadIdx, blockIdx, blockDim, gridDim;

namespace shim {

constexpr int MOST_THREADS = 1024;
constexpr size_t STACK_BYTES = 128 << 10;

// An asynchronous copy on its way: 16 bytes, zeros where `from` is null.
struct Copy {
    void* to;
    const void* from;
};

struct Fiber {
    // Copies of groups that are not waited for yet, oldest first, and of the group that is still open.
    std::vector<std::vector<Copy>> groups;
    std::vector<Copy> open;
#if defined(__x86_64__)
    void* stack_pointer;
#else
    ucontext_t context;
#endif
    char* stack;
    Index3 index;
    bool is_done;
};

struct Warp {
    int alive, arrived;
    unsigned generation;
    alignas(16) unsigned char slot[32][32];
};

static Fiber fibers[MOST_THREADS];
static Warp warps[MOST_THREADS / 32];
static int thread_count, current, alive, block_arrived;
static unsigned block_generation;
static long idle;
static bool is_falling;
static void (*body)(void*);
static void* body_data;
static std::vector<float4> dynamic_memory;

#if defined(__x86_64__)
static void* scheduler_pointer;
// Saves the callee-saved registers on the old stack and takes those of the new one.
asm(R"(
.text
.local shim_switch
.type shim_switch, @function
shim_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size shim_switch, .-shim_switch
)");
extern "C" void shim_switch(void** save, void* take) __attribute__((visibility("hidden")));
#else
static ucontext_t scheduler_context;
#endif

inline void resume(int next) {
    int from = current;
    current = next;
    threadIdx = fibers[next].index;
    if (from == next) return;
#if defined(__x86_64__)
    shim_switch(&fibers[from].stack_pointer, fibers[next].stack_pointer);
#else
    swapcontext(&fibers[from].context, &fibers[next].context);
#endif
    threadIdx = fibers[current].index;
}

inline void fail(const char* what) {
    std::fprintf(stderr, "host shim: %s (block %u %u %u, thread %u %u)\n", what, blockIdx.x, blockIdx.y, blockIdx.z, threadIdx.x, threadIdx.y);
    std::abort();
}

// Lets the next thread that is not done go on.
inline void yield() {
    if (++idle > 4L * thread_count + 64) fail("a barrier is not reached by all threads");
    int next = current;
    do next = is_falling ? (next == 0 ? thread_count : next) - 1 : next + 1 == thread_count ? 0 : next + 1;
    while (fibers[next].is_done && next != current);
    resume(next);
}

inline void release_block() {
    if (alive > 0 && block_arrived == alive) {
        block_arrived = 0;
        ++block_generation;
        idle = 0;
    }
}

inline void release_warp(Warp& warp) {
    if (warp.alive > 0 && warp.arrived == warp.alive) {
        warp.arrived = 0;
        ++warp.generation;
        idle = 0;
    }
}

inline void block_barrier() {
    unsigned generation = block_generation;
    ++block_arrived;
    release_block();
    while (generation == block_generation) yield();
}

inline void warp_barrier() {
    Warp& warp = warps[current / 32];
    unsigned generation = warp.generation;
    ++warp.arrived;
    release_warp(warp);
    while (generation == warp.generation) yield();
}

inline void finish() {
    fibers[current].is_done = true;
    idle = 0;
    --alive;
    --warps[current / 32].alive;
    release_block();
    release_warp(warps[current / 32]);
    if (alive > 0) yield();
#if defined(__x86_64__)
    shim_switch(&fibers[current].stack_pointer, scheduler_pointer);
#else
    setcontext(&scheduler_context);
#endif
}

inline void thread_main() {
    body(body_data);
    finish();
    fail("a finished thread goes on");
}

inline void run_block() {
    alive = thread_count;
    block_arrived = 0;
    idle = 0;
    for (int warp = 0; warp * 32 < thread_count; ++warp) {
        warps[warp].alive = thread_count - warp * 32 < 32 ? thread_count - warp * 32 : 32;
        warps[warp].arrived = 0;
    }
    for (int at = 0; at < thread_count; ++at) {
        Fiber& fiber = fibers[at];
        if (!fiber.stack) fiber.stack = static_cast<char*>(std::malloc(STACK_BYTES));
        fiber.is_done = false;
        fiber.groups.clear();
        fiber.open.clear();
        unsigned rest = unsigned(at);
        fiber.index = {rest % blockDim.x, rest / blockDim.x % blockDim.y, rest / blockDim.x / blockDim.y};
#if defined(__x86_64__)
        void** top = reinterpret_cast<void**>((reinterpret_cast<size_t>(fiber.stack) + STACK_BYTES) & ~size_t(63));
        *--top = nullptr;
        *--top = reinterpret_cast<void*>(&thread_main);
        for (int saved = 0; saved < 6; ++saved) *--top = nullptr;
        fiber.stack_pointer = top;
#else
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = fiber.stack;
        fiber.context.uc_stack.ss_size = STACK_BYTES;
        fiber.context.uc_link = nullptr;
        makecontext(&fiber.context, &thread_main, 0);
#endif
    }
    current = is_falling ? thread_count - 1 : 0;
    threadIdx = fibers[current].index;
#if defined(__x86_64__)
    shim_switch(&scheduler_pointer, fibers[current].stack_pointer);
#else
    static volatile bool is_started;
    is_started = false;
    getcontext(&scheduler_context);
    if (!is_started) {
        is_started = true;
        setcontext(&fibers[current].context);
    }
#endif
}

template <class... A> struct Invocation {
    void (*kernel)(A...);
    void** arguments;
};

template <class... A, size_t... I> inline void invoke(Invocation<A...>* call, std::index_sequence<I...>) {
    call->kernel(*static_cast<A*>(call->arguments[I])...);
}

template <class... A> void run(void (*kernel)(A...), void** arguments, const unsigned* sizes, unsigned shared) {
    Invocation<A...> call{kernel, arguments};
    body = [](void* data) { invoke(static_cast<Invocation<A...>*>(data), std::index_sequence_for<A...>()); };
    body_data = &call;
    gridDim = {sizes[0], sizes[1], sizes[2]};
    blockDim = {sizes[3], sizes[4], sizes[5]};
    thread_count = int(blockDim.x * blockDim.y * blockDim.z);
    if (thread_count < 1 || thread_count > MOST_THREADS) fail("a block of so many threads");
    if (gridDim.x > 0x7fffffffu || gridDim.y > 65535 || gridDim.z > 65535) fail("a grid of so many blocks");
    static unsigned chance = 1;
    chance = chance * 1664525u + 1013904223u;
    is_falling = chance >> 31;
    dynamic_memory.resize(shared / sizeof(float4) + 1);
    for (blockIdx.z = 0; blockIdx.z < gridDim.z; ++blockIdx.z)
        for (blockIdx.y = 0; blockIdx.y < gridDim.y; ++blockIdx.y)
            for (blockIdx.x = 0; blockIdx.x < gridDim.x; ++blockIdx.x) {
                std::memset(dynamic_memory.data(), 0xff, dynamic_memory.size() * sizeof(float4));
                run_block();
            }
}

// Copies of groups that lie more than `left` groups back arrive.
inline void arrive(size_t left) {
    Fiber& fiber = fibers[current];
    while (fiber.groups.size() > left) {
        for (const Copy& copy : fiber.groups.front()) {
            if (copy.from) std::memcpy(copy.to, copy.from, 16);
            else std::memset(copy.to, 0, 16);
        }
        fiber.groups.erase(fiber.groups.begin());
    }
}

template <class T> inline T exchange(T value, int source) {
    static_assert(sizeof(T) <= 8, "a shuffled value");
    Warp& warp = warps[current / 32];
    std::memcpy(warp.slot[current % 32], &value, sizeof(T));
    warp_barrier();
    T result;
    std::memcpy(&result, warp.slot[source & 31], sizeof(T));
    warp_barrier();
    return result;
}

}  // namespace shim

#define SWARD_ENTRY(name)                                                                                        \
    extern "C" void name##_host(void** arguments, const unsigned* sizes, unsigned shared) { shim::run(name, arguments, sizes, shared); }
#define DYNAMIC_SHARED(type, name) type* name = reinterpret_cast<type*>(shim::dynamic_memory.data())

inline void __syncthreads() { shim::block_barrier(); }
inline void __syncwarp() { shim::warp_barrier(); }
// Blocks run one after the other, so that what one wrote is there for the next.
inline void __threadfence() {}
inline unsigned atomicInc(unsigned* counter, unsigned last) {
    unsigned before = *counter;
    *counter = before >= last ? 0 : before + 1;
    return before;
}
template <class T> inline T __shfl_xor_sync(unsigned, T value, int distance) { return shim::exchange(value, shim::current % 32 ^ distance); }
template <class T> inline T __shfl_sync(unsigned, T value, int source) { return shim::exchange(value, source); }

inline float __int_as_float(int bits) {
    float x;
    std::memcpy(&x, &bits, 4);
    return x;
}
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline int __float_as_int(float x) {
    int bits;
    std::memcpy(&bits, &x, 4);
    return bits;
}
inline unsigned long long atomicMin(unsigned long long* at, unsigned long long value) {
    unsigned long long old = *at;
    if (value < old) *at = value;
    return old;
}
