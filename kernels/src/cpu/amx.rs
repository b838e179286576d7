//! AMX tiles by inline assembly: the tile intrinsics are not stable, the mnemonics are.
//!
//! Tiles are used in one shape only: sixteen rows of sixty-four bytes. Registers: 0 to 3 accumulate a 2 x 2 block of 16 x 16 f32, 4 and 5 hold
//! rows of A, 6 and 7 hold packed columns of B.

/// Asks the operating system for tile state, once; says whether bf16 tiles may be used.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub fn request() -> bool {
    use std::arch::x86_64::{__cpuid, __cpuid_count};
    const AMX_BF16: u32 = 1 << 22;
    const AMX_TILE: u32 = 1 << 24;
    const ARCH_PRCTL: i64 = 158;
    const ARCH_REQ_XCOMP_PERM: u64 = 0x1023;
    const XFEATURE_XTILEDATA: u64 = 18;
    if __cpuid(0).eax < 7 {
        return false;
    }
    let leaf = __cpuid_count(7, 0);
    if leaf.edx & AMX_BF16 == 0 || leaf.edx & AMX_TILE == 0 {
        return false;
    }
    let granted: i64;
    // SAFETY: the system call reads no memory; it only changes which register state the process may use.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => granted,
            in("rdi") ARCH_REQ_XCOMP_PERM,
            in("rsi") XFEATURE_XTILEDATA,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    granted == 0
}

/// Tiles exist on x86-64 only.
#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
pub fn request() -> bool {
    false
}
