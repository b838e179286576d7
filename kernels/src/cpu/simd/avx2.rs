//! Sixteen lanes as two AVX2 registers.

use std::arch::x86_64::*;

use half::bf16;

use crate::cpu::features::Level;

use super::{LANES, Simd};

/// AVX2, FMA and F16C.
#[derive(Clone, Copy, Debug)]
pub struct Avx2(());

impl Avx2 {
    /// The proof that the machine has the instructions.
    /// # Safety
    /// The machine must have AVX2, FMA and F16C.
    #[inline(always)]
    pub unsafe fn new() -> Self {
        Avx2(())
    }
}

const _: () = assert!(LANES == 16);

/// Two registers of one kind.
type Pair<R> = (R, R);

/// Methods that do the same to both registers.
macro_rules! both {
    ($($name:ident($($arg:ident),*) -> $out:ty { $in:ty } = $body:expr;)*) => {
        $(
            #[inline(always)]
            fn $name(self, $($arg: $in),*) -> $out {
                // SAFETY: the token proves that the machine has the instructions.
                unsafe {
                    let low = { $(let $arg = $arg.0;)* $body };
                    let high = { $(let $arg = $arg.1;)* $body };
                    (low, high)
                }
            }
        )*
    };
}

impl Simd for Avx2 {
    type V = Pair<__m256>;
    type I = Pair<__m256i>;
    type M = Pair<__m256>;
    const LEVEL: Level = Level::Avx2;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::V {
        // SAFETY: the token proves that the machine has the instructions.
        let x = unsafe { _mm256_set1_ps(x) };
        (x, x)
    }
    #[inline(always)]
    fn splat_int(self, x: i32) -> Self::I {
        // SAFETY: the token proves that the machine has the instructions.
        let x = unsafe { _mm256_set1_epi32(x) };
        (x, x)
    }
    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> Self::V {
        // SAFETY: the caller promises sixteen readable values; the token proves the instructions.
        unsafe { (_mm256_loadu_ps(p), _mm256_loadu_ps(p.add(8))) }
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32, x: Self::V) {
        // SAFETY: the caller promises sixteen writable values; the token proves the instructions.
        unsafe {
            _mm256_storeu_ps(p, x.0);
            _mm256_storeu_ps(p.add(8), x.1);
        }
    }
    #[inline(always)]
    unsafe fn stream(self, p: *mut f32, x: Self::V) {
        // SAFETY: the caller promises sixteen writable values that begin a line; the token proves the instructions.
        unsafe {
            _mm256_stream_ps(p, x.0);
            _mm256_stream_ps(p.add(8), x.1);
        }
    }
    #[inline(always)]
    fn fence(self) {
        // SAFETY: every x86-64 processor has the instruction.
        unsafe { _mm_sfence() }
    }
    #[inline(always)]
    unsafe fn load_part(self, p: *const f32, n: usize) -> Self::V {
        let mut x = [0.0f32; LANES];
        // SAFETY: the caller promises `n` readable values, and the array holds sixteen.
        unsafe {
            std::ptr::copy_nonoverlapping(p, x.as_mut_ptr(), n);
            self.load(x.as_ptr())
        }
    }
    #[inline(always)]
    unsafe fn store_part(self, p: *mut f32, n: usize, x: Self::V) {
        let mut part = [0.0f32; LANES];
        // SAFETY: the caller promises `n` writable values, and the array holds sixteen.
        unsafe {
            self.store(part.as_mut_ptr(), x);
            std::ptr::copy_nonoverlapping(part.as_ptr(), p, n);
        }
    }
    #[inline(always)]
    unsafe fn load_bf16(self, p: *const bf16) -> Self::V {
        // SAFETY: the caller promises sixteen readable values; the token proves the instructions.
        unsafe {
            let low = _mm256_cvtepu16_epi32(_mm_loadu_si128(p.cast()));
            let high = _mm256_cvtepu16_epi32(_mm_loadu_si128(p.add(8).cast()));
            (_mm256_castsi256_ps(_mm256_slli_epi32::<16>(low)), _mm256_castsi256_ps(_mm256_slli_epi32::<16>(high)))
        }
    }
    #[inline(always)]
    unsafe fn store_bf16(self, p: *mut bf16, x: Self::V) {
        #[inline(always)]
        unsafe fn rounded(x: __m256) -> __m256i {
            // SAFETY: called only with the token at hand.
            unsafe {
                let bits = _mm256_castps_si256(x);
                let high = _mm256_srli_epi32::<16>(bits);
                let odd = _mm256_and_si256(high, _mm256_set1_epi32(1));
                let near = _mm256_srli_epi32::<16>(_mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff))));
                let nan = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_UNORD_Q>(x, x));
                _mm256_blendv_epi8(near, _mm256_or_si256(high, _mm256_set1_epi32(0x40)), nan)
            }
        }
        // SAFETY: the caller promises sixteen writable values; the token proves the instructions.
        unsafe {
            let packed = _mm256_packus_epi32(rounded(x.0), rounded(x.1));
            _mm256_storeu_si256(p.cast(), _mm256_permute4x64_epi64::<0b11_01_10_00>(packed));
        }
    }

    both! {
        add(a, b) -> Self::V { Self::V } = _mm256_add_ps(a, b);
        sub(a, b) -> Self::V { Self::V } = _mm256_sub_ps(a, b);
        mul(a, b) -> Self::V { Self::V } = _mm256_mul_ps(a, b);
        div(a, b) -> Self::V { Self::V } = _mm256_div_ps(a, b);
        fma(a, b, c) -> Self::V { Self::V } = _mm256_fmadd_ps(a, b, c);
        min(a, b) -> Self::V { Self::V } = _mm256_min_ps(a, b);
        max(a, b) -> Self::V { Self::V } = _mm256_max_ps(a, b);
        sqrt(a) -> Self::V { Self::V } = _mm256_sqrt_ps(a);
        round(a) -> Self::V { Self::V } = _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a);
        floor(a) -> Self::V { Self::V } = _mm256_floor_ps(a);
        ceil(a) -> Self::V { Self::V } = _mm256_ceil_ps(a);
        trunc(a) -> Self::V { Self::V } = _mm256_round_ps::<{ _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC }>(a);
        eq(a, b) -> Self::M { Self::V } = _mm256_cmp_ps::<_CMP_EQ_OQ>(a, b);
        lt(a, b) -> Self::M { Self::V } = _mm256_cmp_ps::<_CMP_LT_OQ>(a, b);
        le(a, b) -> Self::M { Self::V } = _mm256_cmp_ps::<_CMP_LE_OQ>(a, b);
        not(m) -> Self::M { Self::M } = _mm256_xor_ps(m, _mm256_castsi256_ps(_mm256_set1_epi32(-1)));
        and(a, b) -> Self::M { Self::M } = _mm256_and_ps(a, b);
        or(a, b) -> Self::M { Self::M } = _mm256_or_ps(a, b);
        select(m, yes, no) -> Self::V { Self::V } = _mm256_blendv_ps(no, yes, m);
        bits(a) -> Self::I { Self::V } = _mm256_castps_si256(a);
        from_bits(a) -> Self::V { Self::I } = _mm256_castsi256_ps(a);
        to_int(a) -> Self::I { Self::V } = _mm256_cvtps_epi32(a);
        from_int(a) -> Self::V { Self::I } = _mm256_cvtepi32_ps(a);
        add_int(a, b) -> Self::I { Self::I } = _mm256_add_epi32(a, b);
        sub_int(a, b) -> Self::I { Self::I } = _mm256_sub_epi32(a, b);
        and_int(a, b) -> Self::I { Self::I } = _mm256_and_si256(a, b);
        or_int(a, b) -> Self::I { Self::I } = _mm256_or_si256(a, b);
        xor_int(a, b) -> Self::I { Self::I } = _mm256_xor_si256(a, b);
        odd_lanes(a) -> Self::I { Self::I } = _mm256_srli_epi64::<32>(a);
        join_lanes(even, odd) -> Self::I { Self::I } = _mm256_blend_epi32::<0xaa>(even, _mm256_slli_epi64::<32>(odd));
        eq_int(a, b) -> Self::M { Self::I } = _mm256_castsi256_ps(_mm256_cmpeq_epi32(a, b));
    }

    #[inline(always)]
    fn mul_even(self, a: Self::I, b: u32) -> Self::I {
        // SAFETY: the token proves that the machine has the instructions.
        unsafe {
            let b = _mm256_set1_epi32(b as i32);
            (_mm256_mul_epu32(a.0, b), _mm256_mul_epu32(a.1, b))
        }
    }
    #[inline(always)]
    fn interleave(self, rows: [Self::V; 4]) -> [Self::V; 4] {
        /// Eight lanes of four rows: the first four lanes of all, then the others.
        #[inline(always)]
        unsafe fn half(rows: [__m256; 4]) -> [Pair<__m256>; 2] {
            // SAFETY: called only with the token at hand.
            unsafe {
                let low = [_mm256_unpacklo_ps(rows[0], rows[1]), _mm256_unpacklo_ps(rows[2], rows[3])];
                let high = [_mm256_unpackhi_ps(rows[0], rows[1]), _mm256_unpackhi_ps(rows[2], rows[3])];
                // Lanes 0 and 4, 1 and 5, 2 and 6, 3 and 7.
                let fours = [
                    _mm256_shuffle_ps::<0x44>(low[0], low[1]),
                    _mm256_shuffle_ps::<0xee>(low[0], low[1]),
                    _mm256_shuffle_ps::<0x44>(high[0], high[1]),
                    _mm256_shuffle_ps::<0xee>(high[0], high[1]),
                ];
                let [a, b, c, d] = fours;
                [
                    (_mm256_permute2f128_ps::<0x20>(a, b), _mm256_permute2f128_ps::<0x20>(c, d)),
                    (_mm256_permute2f128_ps::<0x31>(a, b), _mm256_permute2f128_ps::<0x31>(c, d)),
                ]
            }
        }
        // SAFETY: the token proves that the machine has the instructions.
        let [low, high] = unsafe { [half(rows.map(|row| row.0)), half(rows.map(|row| row.1))] };
        [low[0], low[1], high[0], high[1]]
    }
    #[inline(always)]
    fn sum(self, a: Self::V) -> f32 {
        // By halves: each lane with the one eight further on, then four, two and one.
        // SAFETY: the token proves that the machine has the instructions.
        unsafe {
            let x = _mm256_add_ps(a.0, a.1);
            let x = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
            let x = _mm_add_ps(x, _mm_movehl_ps(x, x));
            _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)))
        }
    }
    #[inline(always)]
    fn max_lane(self, a: Self::V) -> f32 {
        // The instruction forgets NaN in one of its operands.
        // SAFETY: the token proves that the machine has the instructions.
        unsafe {
            let nan = _mm256_or_ps(_mm256_cmp_ps::<_CMP_UNORD_Q>(a.0, a.0), _mm256_cmp_ps::<_CMP_UNORD_Q>(a.1, a.1));
            if _mm256_movemask_ps(nan) != 0 {
                return f32::NAN;
            }
            let x = _mm256_max_ps(a.0, a.1);
            let x = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
            let x = _mm_max_ps(x, _mm_movehl_ps(x, x));
            _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)))
        }
    }
    #[inline(always)]
    fn any(self, m: Self::M) -> bool {
        // SAFETY: the token proves that the machine has the instructions.
        unsafe { (_mm256_movemask_ps(m.0) | _mm256_movemask_ps(m.1)) != 0 }
    }
    #[inline(always)]
    fn shift_left<const N: u32>(self, a: Self::I) -> Self::I {
        // SAFETY: the token proves that the machine has the instructions.
        unsafe {
            let n = _mm_cvtsi32_si128(N as i32);
            (_mm256_sll_epi32(a.0, n), _mm256_sll_epi32(a.1, n))
        }
    }
    #[inline(always)]
    fn shift_right<const N: u32>(self, a: Self::I) -> Self::I {
        // SAFETY: the token proves that the machine has the instructions.
        unsafe {
            let n = _mm_cvtsi32_si128(N as i32);
            (_mm256_sra_epi32(a.0, n), _mm256_sra_epi32(a.1, n))
        }
    }
}
