//! Sixteen lanes as plain arrays: the path that every machine can run.

use half::bf16;

use crate::cpu::features::Level;

use super::{LANES, Simd, round_to_bf16};

/// Plain Rust.
#[derive(Clone, Copy, Debug)]
pub struct Portable;

#[inline(always)]
fn map<A: Copy, B: Default + Copy>(a: [A; LANES], f: impl Fn(A) -> B) -> [B; LANES] {
    let mut out = [B::default(); LANES];
    for i in 0..LANES {
        out[i] = f(a[i]);
    }
    out
}

#[inline(always)]
fn zip<A: Copy, B: Default + Copy>(a: [A; LANES], b: [A; LANES], f: impl Fn(A, A) -> B) -> [B; LANES] {
    let mut out = [B::default(); LANES];
    for i in 0..LANES {
        out[i] = f(a[i], b[i]);
    }
    out
}

impl Simd for Portable {
    type V = [f32; LANES];
    type I = [i32; LANES];
    type M = [bool; LANES];
    const LEVEL: Level = Level::Portable;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::V {
        [x; LANES]
    }
    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> Self::V {
        // SAFETY: the caller promises sixteen readable values.
        unsafe { p.cast::<Self::V>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32, x: Self::V) {
        // SAFETY: the caller promises sixteen writable values.
        unsafe { p.cast::<Self::V>().write_unaligned(x) }
    }
    #[inline(always)]
    unsafe fn load_part(self, p: *const f32, n: usize) -> Self::V {
        let mut x = [0.0; LANES];
        // SAFETY: the caller promises `n` readable values.
        unsafe { std::ptr::copy_nonoverlapping(p, x.as_mut_ptr(), n) };
        x
    }
    #[inline(always)]
    unsafe fn store_part(self, p: *mut f32, n: usize, x: Self::V) {
        // SAFETY: the caller promises `n` writable values.
        unsafe { std::ptr::copy_nonoverlapping(x.as_ptr(), p, n) }
    }
    #[inline(always)]
    unsafe fn load_bf16(self, p: *const bf16) -> Self::V {
        // SAFETY: the caller promises sixteen readable values.
        let x = unsafe { p.cast::<[u16; LANES]>().read_unaligned() };
        map(x, |x| f32::from_bits(u32::from(x) << 16))
    }
    #[inline(always)]
    unsafe fn store_bf16(self, p: *mut bf16, x: Self::V) {
        let x = map(x, round_to_bf16);
        // SAFETY: the caller promises sixteen writable values.
        unsafe { p.cast::<[u16; LANES]>().write_unaligned(x) }
    }

    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| a * b)
    }
    #[inline(always)]
    fn div(self, a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| a / b)
    }
    #[inline(always)]
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        zip(zip(a, b, |a, b| a * b), c, |a, b| a + b)
    }
    #[inline(always)]
    fn min(self, a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn sqrt(self, a: Self::V) -> Self::V {
        map(a, f32::sqrt)
    }
    #[inline(always)]
    fn round(self, a: Self::V) -> Self::V {
        map(a, f32::round_ties_even)
    }
    #[inline(always)]
    fn floor(self, a: Self::V) -> Self::V {
        map(a, f32::floor)
    }
    #[inline(always)]
    fn ceil(self, a: Self::V) -> Self::V {
        map(a, f32::ceil)
    }
    #[inline(always)]
    fn trunc(self, a: Self::V) -> Self::V {
        map(a, f32::trunc)
    }

    #[inline(always)]
    fn eq(self, a: Self::V, b: Self::V) -> Self::M {
        zip(a, b, |a, b| a == b)
    }
    #[inline(always)]
    fn lt(self, a: Self::V, b: Self::V) -> Self::M {
        zip(a, b, |a, b| a < b)
    }
    #[inline(always)]
    fn le(self, a: Self::V, b: Self::V) -> Self::M {
        zip(a, b, |a, b| a <= b)
    }
    #[inline(always)]
    fn not(self, m: Self::M) -> Self::M {
        map(m, |m| !m)
    }
    #[inline(always)]
    fn and(self, a: Self::M, b: Self::M) -> Self::M {
        zip(a, b, |a, b| a & b)
    }
    #[inline(always)]
    fn or(self, a: Self::M, b: Self::M) -> Self::M {
        zip(a, b, |a, b| a | b)
    }
    #[inline(always)]
    fn any(self, m: Self::M) -> bool {
        m.into_iter().any(|m| m)
    }
    #[inline(always)]
    fn select(self, m: Self::M, yes: Self::V, no: Self::V) -> Self::V {
        let mut out = no;
        for i in 0..LANES {
            out[i] = if m[i] { yes[i] } else { no[i] };
        }
        out
    }

    #[inline(always)]
    fn bits(self, a: Self::V) -> Self::I {
        map(a, |a| a.to_bits() as i32)
    }
    #[inline(always)]
    fn from_bits(self, a: Self::I) -> Self::V {
        map(a, |a| f32::from_bits(a as u32))
    }
    #[inline(always)]
    fn to_int(self, a: Self::V) -> Self::I {
        map(a, |a| a.round_ties_even() as i32)
    }
    #[inline(always)]
    fn from_int(self, a: Self::I) -> Self::V {
        map(a, |a| a as f32)
    }
    #[inline(always)]
    fn splat_int(self, x: i32) -> Self::I {
        [x; LANES]
    }
    #[inline(always)]
    fn add_int(self, a: Self::I, b: Self::I) -> Self::I {
        zip(a, b, i32::wrapping_add)
    }
    #[inline(always)]
    fn sub_int(self, a: Self::I, b: Self::I) -> Self::I {
        zip(a, b, i32::wrapping_sub)
    }
    #[inline(always)]
    fn and_int(self, a: Self::I, b: Self::I) -> Self::I {
        zip(a, b, |a, b| a & b)
    }
    #[inline(always)]
    fn or_int(self, a: Self::I, b: Self::I) -> Self::I {
        zip(a, b, |a, b| a | b)
    }
    #[inline(always)]
    fn xor_int(self, a: Self::I, b: Self::I) -> Self::I {
        zip(a, b, |a, b| a ^ b)
    }
    #[inline(always)]
    fn eq_int(self, a: Self::I, b: Self::I) -> Self::M {
        zip(a, b, |a, b| a == b)
    }
    #[inline(always)]
    fn shift_left<const N: u32>(self, a: Self::I) -> Self::I {
        map(a, |a| a << N)
    }
    #[inline(always)]
    fn shift_right<const N: u32>(self, a: Self::I) -> Self::I {
        map(a, |a| a >> N)
    }
}
