//! Sixteen f32 lanes, whatever the machine.
//!
//! A kernel is a [`Kernel`] whose `run` is generic over [`Simd`]; [`dispatch`] calls it compiled for the wanted [`Level`]. The width is sixteen
//! lanes at every level (one AVX-512 register, two AVX2 registers, or an array), so blocks, tails and summation trees are the same
//! everywhere, and only the rounding of a fused multiply-add tells the levels apart.
//!
//! `min` and `max` follow the x86 rule at every level: the second operand is the answer when either is not a number.

use half::bf16;

use super::features::Level;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod element;
pub mod math;
mod portable;
pub mod stream;

#[cfg(target_arch = "x86_64")]
pub use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub use avx512::Avx512;
use element::round_to_bf16;
pub use element::{Element, convert};
pub use portable::Portable;

/// The number of lanes of every vector.
pub const LANES: usize = 16;

/// Operations on sixteen lanes. A value of an implementing type is the proof that the machine has its instructions.
///
/// Pointer arguments are unaligned; `n` is at most [`LANES`], and lanes from `n` on are zero when loaded and untouched when stored.
#[allow(missing_docs, reason = "each method is the operation it is named after")]
#[allow(clippy::wrong_self_convention, reason = "`self` is the level, not what is converted")]
pub trait Simd: Copy + Send + Sync + 'static {
    /// Sixteen f32.
    type V: Copy;
    /// Sixteen 32-bit integers.
    type I: Copy;
    /// Sixteen truth values.
    type M: Copy;
    /// The level whose instructions these are.
    const LEVEL: Level;

    fn splat(self, x: f32) -> Self::V;
    /// # Safety
    /// `p` must be valid for reading sixteen f32.
    unsafe fn load(self, p: *const f32) -> Self::V;
    /// # Safety
    /// `p` must be valid for writing sixteen f32.
    unsafe fn store(self, p: *mut f32, x: Self::V);
    /// Stores past the caches; [`Simd::fence`] must follow before another thread may read it.
    /// # Safety
    /// `p` must be valid for writing sixteen f32, and begin a line of 64 bytes.
    #[inline(always)]
    unsafe fn stream(self, p: *mut f32, x: Self::V) {
        // SAFETY: the caller's promise.
        unsafe { self.store(p, x) }
    }
    /// Makes stores past the caches come before whatever this thread stores next.
    #[inline(always)]
    fn fence(self) {}
    /// # Safety
    /// `p` must be valid for reading `n` f32.
    unsafe fn load_part(self, p: *const f32, n: usize) -> Self::V;
    /// # Safety
    /// `p` must be valid for writing `n` f32.
    unsafe fn store_part(self, p: *mut f32, n: usize, x: Self::V);
    /// # Safety
    /// `p` must be valid for reading sixteen bf16.
    unsafe fn load_bf16(self, p: *const bf16) -> Self::V;
    /// Rounds to nearest even.
    /// # Safety
    /// `p` must be valid for writing sixteen bf16.
    unsafe fn store_bf16(self, p: *mut bf16, x: Self::V);

    /// Rounds `n` f32 to bf16 by an instruction for that, which takes subnormal numbers for zero; false where there is none, and nothing was done.
    /// # Safety
    /// `from` must be valid for reading and `to` for writing `n` elements.
    #[inline(always)]
    unsafe fn narrow(self, from: *const f32, to: *mut bf16, n: usize) -> bool {
        let _ = (from, to, n);
        false
    }
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`, fused where the level has it.
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    fn sqrt(self, a: Self::V) -> Self::V;
    /// To nearest, ties to even.
    fn round(self, a: Self::V) -> Self::V;
    fn floor(self, a: Self::V) -> Self::V;
    fn ceil(self, a: Self::V) -> Self::V;
    fn trunc(self, a: Self::V) -> Self::V;

    fn eq(self, a: Self::V, b: Self::V) -> Self::M;
    fn lt(self, a: Self::V, b: Self::V) -> Self::M;
    fn le(self, a: Self::V, b: Self::V) -> Self::M;
    fn not(self, m: Self::M) -> Self::M;
    fn and(self, a: Self::M, b: Self::M) -> Self::M;
    fn or(self, a: Self::M, b: Self::M) -> Self::M;
    fn any(self, m: Self::M) -> bool;
    /// `yes` where `m`, else `no`.
    fn select(self, m: Self::M, yes: Self::V, no: Self::V) -> Self::V;

    fn bits(self, a: Self::V) -> Self::I;
    fn from_bits(self, a: Self::I) -> Self::V;
    /// To the nearest integer; the input must lie within the range of i32.
    fn to_int(self, a: Self::V) -> Self::I;
    fn from_int(self, a: Self::I) -> Self::V;
    fn splat_int(self, x: i32) -> Self::I;
    fn add_int(self, a: Self::I, b: Self::I) -> Self::I;
    fn sub_int(self, a: Self::I, b: Self::I) -> Self::I;
    fn and_int(self, a: Self::I, b: Self::I) -> Self::I;
    fn or_int(self, a: Self::I, b: Self::I) -> Self::I;
    fn xor_int(self, a: Self::I, b: Self::I) -> Self::I;
    fn eq_int(self, a: Self::I, b: Self::I) -> Self::M;
    fn shift_left<const N: u32>(self, a: Self::I) -> Self::I;
    /// Arithmetic.
    fn shift_right<const N: u32>(self, a: Self::I) -> Self::I;

    /// `x * 2^n` for whole `n` in -252 ..= 254, rounded once; where `n` is not a number, `x` must not be one either.
    #[inline(always)]
    fn scale(self, x: Self::V, n: Self::V) -> Self::V {
        let n = self.to_int(self.select(self.is_nan(n), self.zero(), n));
        let half = self.shift_right::<1>(n);
        let rest = self.sub_int(n, half);
        let bias = self.splat_int(127);
        let a = self.from_bits(self.shift_left::<23>(self.add_int(half, bias)));
        let b = self.from_bits(self.shift_left::<23>(self.add_int(rest, bias)));
        self.mul(self.mul(x, a), b)
    }
    /// Products of lanes 0, 2, 4, ... with `b`, all unsigned: the lower half where the lane was, the upper half in the next one.
    #[inline(always)]
    fn mul_even(self, a: Self::I, b: u32) -> Self::I {
        let mut x = self.to_array(self.from_bits(a));
        for i in (0..LANES).step_by(2) {
            let product = u64::from(x[i].to_bits()) * u64::from(b);
            x[i] = f32::from_bits(product as u32);
            x[i + 1] = f32::from_bits((product >> 32) as u32);
        }
        self.bits(self.from_array(x))
    }
    /// Lanes 1, 3, 5, ... one lane down, zeros between them.
    #[inline(always)]
    fn odd_lanes(self, a: Self::I) -> Self::I {
        let x = self.to_array(self.from_bits(a));
        let mut out = [0.0; LANES];
        for i in (0..LANES).step_by(2) {
            out[i] = x[i + 1];
        }
        self.bits(self.from_array(out))
    }
    /// Lanes 0, 2, 4, ... of `even`, and as lanes 1, 3, 5, ... the same lanes of `odd`.
    #[inline(always)]
    fn join_lanes(self, even: Self::I, odd: Self::I) -> Self::I {
        let (mut out, odd) = (self.to_array(self.from_bits(even)), self.to_array(self.from_bits(odd)));
        for i in (0..LANES).step_by(2) {
            out[i + 1] = odd[i];
        }
        self.bits(self.from_array(out))
    }
    /// Four rows as one sequence: the first lanes of all, then the second lanes of all, and so on.
    #[inline(always)]
    fn interleave(self, rows: [Self::V; 4]) -> [Self::V; 4] {
        let rows = rows.map(|row| self.to_array(row));
        let mut out = [[0.0; LANES]; 4];
        for i in 0..4 * LANES {
            out[i / LANES][i % LANES] = rows[i % 4][i / 4];
        }
        out.map(|row| self.from_array(row))
    }
    /// Turns sixteen rows into sixteen columns.
    #[inline(always)]
    fn transpose(self, rows: [Self::V; LANES]) -> [Self::V; LANES] {
        let rows = rows.map(|row| self.to_array(row));
        let mut out = [[0.0; LANES]; LANES];
        for i in 0..LANES {
            for j in 0..LANES {
                out[j][i] = rows[i][j];
            }
        }
        out.map(|row| self.from_array(row))
    }
    #[inline(always)]
    fn zero(self) -> Self::V {
        self.splat(0.0)
    }
    #[inline(always)]
    fn abs(self, a: Self::V) -> Self::V {
        self.from_bits(self.and_int(self.bits(a), self.splat_int(0x7fff_ffff)))
    }
    #[inline(always)]
    fn neg(self, a: Self::V) -> Self::V {
        self.from_bits(self.xor_int(self.bits(a), self.splat_int(i32::MIN)))
    }
    /// The magnitude of `a` with the sign of `b`.
    #[inline(always)]
    fn copysign(self, a: Self::V, b: Self::V) -> Self::V {
        let magnitude = self.and_int(self.bits(a), self.splat_int(0x7fff_ffff));
        self.from_bits(self.or_int(magnitude, self.and_int(self.bits(b), self.splat_int(i32::MIN))))
    }
    #[inline(always)]
    fn is_nan(self, a: Self::V) -> Self::M {
        self.not(self.eq(a, a))
    }
    /// The greater, or NaN when either is NaN.
    #[inline(always)]
    fn max_nan(self, a: Self::V, b: Self::V) -> Self::V {
        self.select(self.is_nan(a), a, self.max(a, b))
    }
    /// Two rows of bf16 as one row of pairs: the first row's bits below the second's.
    #[inline(always)]
    fn interleave_bf16(self, low: Self::V, high: Self::V) -> Self::V {
        let low = self.and_int(self.shift_right::<16>(self.bits(low)), self.splat_int(0xffff));
        self.from_bits(self.or_int(low, self.bits(high)))
    }
    /// The lesser, or NaN when either is NaN.
    #[inline(always)]
    fn min_nan(self, a: Self::V, b: Self::V) -> Self::V {
        self.select(self.is_nan(a), a, self.min(a, b))
    }
    #[inline(always)]
    fn to_array(self, a: Self::V) -> [f32; LANES] {
        let mut out = [0.0; LANES];
        // SAFETY: the array holds sixteen f32.
        unsafe { self.store(out.as_mut_ptr(), a) };
        out
    }
    #[inline(always)]
    fn from_array(self, a: [f32; LANES]) -> Self::V {
        // SAFETY: the array holds sixteen f32.
        unsafe { self.load(a.as_ptr()) }
    }
    /// The sum of the lanes by halves: a fixed tree.
    #[inline(always)]
    fn sum(self, a: Self::V) -> f32 {
        let mut x = self.to_array(a);
        let mut half = LANES / 2;
        while half > 0 {
            for i in 0..half {
                x[i] += x[i + half];
            }
            half /= 2;
        }
        x[0]
    }
    /// The greatest lane, or NaN if there is one.
    #[inline(always)]
    fn max_lane(self, a: Self::V) -> f32 {
        let mut x = self.to_array(a);
        let mut half = LANES / 2;
        while half > 0 {
            for i in 0..half {
                x[i] = if x[i].is_nan() || x[i] > x[i + half] { x[i] } else { x[i + half] };
            }
            half /= 2;
        }
        x[0]
    }
}

/// Asks for the line of an address before it is read. Any address may be named: nothing is read where there is no memory.
#[inline(always)]
pub fn prefetch<T>(p: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 processor has the instruction, and it never faults.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(p.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = p;
}

/// As [`prefetch`], but only as near as the second cache: for more than the first would hold.
#[inline(always)]
pub fn prefetch_second<T>(p: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 processor has the instruction, and it never faults.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T1 }>(p.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = p;
}

/// Work that [`dispatch`] compiles for each level. `run` must be `#[inline(always)]`, or it is compiled without the level's instructions.
pub trait Kernel {
    /// What the work gives back.
    type Output;
    /// Does the work.
    fn run<S: Simd>(self, s: S) -> Self::Output;
}

/// Runs a kernel compiled for `level`, which must come from [`Features`](super::features::Features) (and so exists on this machine).
#[inline]
pub fn dispatch<K: Kernel>(level: Level, kernel: K) -> K::Output {
    match level {
        // SAFETY: a level above Portable is only given out by `Features` after detection.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { run_avx512(kernel) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { run_avx2(kernel) },
        _ => run_portable(kernel),
    }
}

// Each kernel is compiled once for a level and called: what calls it from another kernel stays small.
#[inline(never)]
fn run_portable<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Portable)
}

#[cfg(target_arch = "x86_64")]
#[inline(never)]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c,bmi2")]
unsafe fn run_avx512<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: the function's own features are those that the token stands for.
    kernel.run(unsafe { Avx512::new() })
}

#[cfg(target_arch = "x86_64")]
#[inline(never)]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn run_avx2<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: the function's own features are those that the token stands for.
    kernel.run(unsafe { Avx2::new() })
}

#[cfg(test)]
mod lane_tests;
#[cfg(test)]
mod tests;
