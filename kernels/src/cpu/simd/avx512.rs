//! Sixteen lanes as one AVX-512 register.

use std::arch::x86_64::*;

use half::bf16;

use crate::cpu::features::{Level, has_dot};

use super::{LANES, Simd};

/// AVX-512 F, BW, DQ and VL.
#[derive(Clone, Copy, Debug)]
pub struct Avx512(());

impl Avx512 {
    /// The proof that the machine has the instructions.
    /// # Safety
    /// The machine must have AVX-512 F, BW, DQ and VL.
    #[inline(always)]
    pub unsafe fn new() -> Self {
        Avx512(())
    }
}

const _: () = assert!(LANES == 16);

#[inline(always)]
fn first(n: usize) -> __mmask16 {
    ((1u32 << n) - 1) as __mmask16
}

/// As [`Simd::narrow`].
///
/// # Safety
/// As there, and the machine must have AVX-512 BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
unsafe fn narrow(from: *const f32, to: *mut bf16, n: usize) {
    // SAFETY: the caller promises the elements; masks leave out what is not among them.
    unsafe {
        let mut i = 0;
        while i + 2 * LANES <= n {
            let pair = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(from.add(i + LANES)), _mm512_loadu_ps(from.add(i)));
            _mm512_storeu_si512(to.add(i).cast(), std::mem::transmute::<__m512bh, __m512i>(pair));
            i += 2 * LANES;
        }
        while i < n {
            let lanes = first(LANES.min(n - i));
            let part = _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(lanes, from.add(i)));
            _mm256_mask_storeu_epi16(to.add(i).cast(), lanes, std::mem::transmute::<__m256bh, __m256i>(part));
            i += LANES;
        }
    }
}

/// Methods that are one expression of intrinsics.
macro_rules! methods {
    ($($name:ident($($arg:ident: $ty:ty),*) -> $out:ty = $body:expr;)*) => {
        $(
            #[inline(always)]
            fn $name(self, $($arg: $ty),*) -> $out {
                // SAFETY: the token proves that the machine has the instructions.
                unsafe { $body }
            }
        )*
    };
}

/// Joins the lanes by halves: each with the one eight further on, then four, two and one.
macro_rules! halves {
    ($x:expr, |$a:ident, $b:ident| $join:expr) => {{
        // SAFETY: the token proves that the machine has the instructions.
        unsafe {
            let $a = $x;
            let $b = _mm512_shuffle_f32x4::<0b01_00_11_10>($a, $a);
            let $a = $join;
            let $b = _mm512_shuffle_f32x4::<0b10_11_00_01>($a, $a);
            let $a = $join;
            let $b = _mm512_permute_ps::<0b01_00_11_10>($a);
            let $a = $join;
            let $b = _mm512_permute_ps::<0b10_11_00_01>($a);
            _mm512_cvtss_f32($join)
        }
    }};
}

impl Simd for Avx512 {
    type V = __m512;
    type I = __m512i;
    type M = __mmask16;
    const LEVEL: Level = Level::Avx512;

    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> Self::V {
        // SAFETY: the caller promises sixteen readable values; the token proves the instructions.
        unsafe { _mm512_loadu_ps(p) }
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32, x: Self::V) {
        // SAFETY: the caller promises sixteen writable values; the token proves the instructions.
        unsafe { _mm512_storeu_ps(p, x) }
    }
    #[inline(always)]
    unsafe fn stream(self, p: *mut f32, x: Self::V) {
        // SAFETY: the caller promises sixteen writable values that begin a line; the token proves the instructions.
        unsafe { _mm512_stream_ps(p, x) }
    }
    #[inline(always)]
    fn fence(self) {
        // SAFETY: every x86-64 processor has the instruction.
        unsafe { _mm_sfence() }
    }
    #[inline(always)]
    unsafe fn load_part(self, p: *const f32, n: usize) -> Self::V {
        // SAFETY: masked lanes are not read; the caller promises the others.
        unsafe { _mm512_maskz_loadu_ps(first(n), p) }
    }
    #[inline(always)]
    unsafe fn store_part(self, p: *mut f32, n: usize, x: Self::V) {
        // SAFETY: masked lanes are not written; the caller promises the others.
        unsafe { _mm512_mask_storeu_ps(p, first(n), x) }
    }
    #[inline(always)]
    unsafe fn load_bf16(self, p: *const bf16) -> Self::V {
        // SAFETY: the caller promises sixteen readable values; the token proves the instructions.
        unsafe { _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(_mm256_loadu_si256(p.cast())))) }
    }
    #[inline(always)]
    unsafe fn store_bf16(self, p: *mut bf16, x: Self::V) {
        // SAFETY: the caller promises sixteen writable values; the token proves the instructions.
        unsafe {
            let bits = _mm512_castps_si512(x);
            let high = _mm512_srli_epi32::<16>(bits);
            let odd = _mm512_and_si512(high, _mm512_set1_epi32(1));
            let rounded = _mm512_srli_epi32::<16>(_mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff))));
            let nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(x, x);
            let out = _mm512_mask_or_epi32(rounded, nan, high, _mm512_set1_epi32(0x40));
            _mm256_storeu_si256(p.cast(), _mm512_cvtepi32_epi16(out));
        }
    }

    #[inline(always)]
    unsafe fn narrow(self, from: *const f32, to: *mut bf16, n: usize) -> bool {
        if !has_dot() {
            return false;
        }
        // SAFETY: the caller's promise, and the machine has the instructions.
        unsafe { narrow(from, to, n) };
        true
    }
    methods! {
        splat(x: f32) -> Self::V = _mm512_set1_ps(x);
        add(a: Self::V, b: Self::V) -> Self::V = _mm512_add_ps(a, b);
        sub(a: Self::V, b: Self::V) -> Self::V = _mm512_sub_ps(a, b);
        mul(a: Self::V, b: Self::V) -> Self::V = _mm512_mul_ps(a, b);
        div(a: Self::V, b: Self::V) -> Self::V = _mm512_div_ps(a, b);
        fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V = _mm512_fmadd_ps(a, b, c);
        min(a: Self::V, b: Self::V) -> Self::V = _mm512_min_ps(a, b);
        max(a: Self::V, b: Self::V) -> Self::V = _mm512_max_ps(a, b);
        sqrt(a: Self::V) -> Self::V = _mm512_sqrt_ps(a);
        round(a: Self::V) -> Self::V = _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a);
        floor(a: Self::V) -> Self::V = _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC }>(a);
        ceil(a: Self::V) -> Self::V = _mm512_roundscale_ps::<{ _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC }>(a);
        trunc(a: Self::V) -> Self::V = _mm512_roundscale_ps::<{ _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC }>(a);
        eq(a: Self::V, b: Self::V) -> Self::M = _mm512_cmp_ps_mask::<_CMP_EQ_OQ>(a, b);
        lt(a: Self::V, b: Self::V) -> Self::M = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b);
        le(a: Self::V, b: Self::V) -> Self::M = _mm512_cmp_ps_mask::<_CMP_LE_OQ>(a, b);
        select(m: Self::M, yes: Self::V, no: Self::V) -> Self::V = _mm512_mask_blend_ps(m, no, yes);
        bits(a: Self::V) -> Self::I = _mm512_castps_si512(a);
        from_bits(a: Self::I) -> Self::V = _mm512_castsi512_ps(a);
        to_int(a: Self::V) -> Self::I = _mm512_cvtps_epi32(a);
        from_int(a: Self::I) -> Self::V = _mm512_cvtepi32_ps(a);
        splat_int(x: i32) -> Self::I = _mm512_set1_epi32(x);
        add_int(a: Self::I, b: Self::I) -> Self::I = _mm512_add_epi32(a, b);
        sub_int(a: Self::I, b: Self::I) -> Self::I = _mm512_sub_epi32(a, b);
        and_int(a: Self::I, b: Self::I) -> Self::I = _mm512_and_si512(a, b);
        or_int(a: Self::I, b: Self::I) -> Self::I = _mm512_or_si512(a, b);
        xor_int(a: Self::I, b: Self::I) -> Self::I = _mm512_xor_si512(a, b);
        eq_int(a: Self::I, b: Self::I) -> Self::M = _mm512_cmpeq_epi32_mask(a, b);
        mul_even(a: Self::I, b: u32) -> Self::I = _mm512_mul_epu32(a, _mm512_set1_epi32(b as i32));
        odd_lanes(a: Self::I) -> Self::I = _mm512_srli_epi64::<32>(a);
        join_lanes(even: Self::I, odd: Self::I) -> Self::I = _mm512_mask_blend_epi32(0xaaaa, even, _mm512_slli_epi64::<32>(odd));
        abs(a: Self::V) -> Self::V = _mm512_abs_ps(a);
        scale(x: Self::V, n: Self::V) -> Self::V = _mm512_scalef_ps(x, n);
    }

    #[inline(always)]
    fn interleave(self, rows: [Self::V; 4]) -> [Self::V; 4] {
        // SAFETY: the token proves that the machine has the instructions.
        unsafe {
            let low = _mm512_castps_pd(_mm512_unpacklo_ps(rows[0], rows[1]));
            let high = _mm512_castps_pd(_mm512_unpackhi_ps(rows[0], rows[1]));
            let low2 = _mm512_castps_pd(_mm512_unpacklo_ps(rows[2], rows[3]));
            let high2 = _mm512_castps_pd(_mm512_unpackhi_ps(rows[2], rows[3]));
            // fours[j] holds in its part p the rows' lanes 4 p + j.
            let fours = [
                _mm512_castpd_ps(_mm512_unpacklo_pd(low, low2)),
                _mm512_castpd_ps(_mm512_unpackhi_pd(low, low2)),
                _mm512_castpd_ps(_mm512_unpacklo_pd(high, high2)),
                _mm512_castpd_ps(_mm512_unpackhi_pd(high, high2)),
            ];
            // Parts 0 and 1 of two rows, then parts 2 and 3; of each pair the same parts again.
            let low = [_mm512_shuffle_f32x4::<0x44>(fours[0], fours[1]), _mm512_shuffle_f32x4::<0x44>(fours[2], fours[3])];
            let high = [_mm512_shuffle_f32x4::<0xee>(fours[0], fours[1]), _mm512_shuffle_f32x4::<0xee>(fours[2], fours[3])];
            [
                _mm512_shuffle_f32x4::<0x88>(low[0], low[1]),
                _mm512_shuffle_f32x4::<0xdd>(low[0], low[1]),
                _mm512_shuffle_f32x4::<0x88>(high[0], high[1]),
                _mm512_shuffle_f32x4::<0xdd>(high[0], high[1]),
            ]
        }
    }
    #[inline(always)]
    fn transpose(self, rows: [Self::V; LANES]) -> [Self::V; LANES] {
        let mut pairs = rows;
        let mut fours = rows;
        let mut out = rows;
        // SAFETY: the token proves that the machine has the instructions.
        unsafe {
            for i in 0..8 {
                pairs[2 * i] = _mm512_unpacklo_ps(rows[2 * i], rows[2 * i + 1]);
                pairs[2 * i + 1] = _mm512_unpackhi_ps(rows[2 * i], rows[2 * i + 1]);
            }
            // fours[4 i + j] holds column j of rows 4 i .. 4 i + 4, of every 128-bit part.
            for i in 0..4 {
                let p: [__m512d; 4] = [0, 1, 2, 3].map(|j| _mm512_castps_pd(pairs[4 * i + j]));
                fours[4 * i] = _mm512_castpd_ps(_mm512_unpacklo_pd(p[0], p[2]));
                fours[4 * i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(p[0], p[2]));
                fours[4 * i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(p[1], p[3]));
                fours[4 * i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(p[1], p[3]));
            }
            for j in 0..4 {
                let low = _mm512_shuffle_f32x4::<0x88>(fours[j], fours[4 + j]);
                let high = _mm512_shuffle_f32x4::<0xdd>(fours[j], fours[4 + j]);
                let low2 = _mm512_shuffle_f32x4::<0x88>(fours[8 + j], fours[12 + j]);
                let high2 = _mm512_shuffle_f32x4::<0xdd>(fours[8 + j], fours[12 + j]);
                out[j] = _mm512_shuffle_f32x4::<0x88>(low, low2);
                out[8 + j] = _mm512_shuffle_f32x4::<0xdd>(low, low2);
                out[4 + j] = _mm512_shuffle_f32x4::<0x88>(high, high2);
                out[12 + j] = _mm512_shuffle_f32x4::<0xdd>(high, high2);
            }
        }
        out
    }
    #[inline(always)]
    fn sum(self, x: Self::V) -> f32 {
        halves!(x, |a, b| self.add(a, b))
    }
    #[inline(always)]
    fn max_lane(self, x: Self::V) -> f32 {
        halves!(x, |a, b| self.max_nan(a, b))
    }
    #[inline(always)]
    fn any(self, m: Self::M) -> bool {
        m != 0
    }
    #[inline(always)]
    fn not(self, m: Self::M) -> Self::M {
        !m
    }
    #[inline(always)]
    fn and(self, a: Self::M, b: Self::M) -> Self::M {
        a & b
    }
    #[inline(always)]
    fn or(self, a: Self::M, b: Self::M) -> Self::M {
        a | b
    }
    #[inline(always)]
    fn shift_left<const N: u32>(self, a: Self::I) -> Self::I {
        // SAFETY: the token proves that the machine has the instructions.
        unsafe { _mm512_slli_epi32::<N>(a) }
    }
    #[inline(always)]
    fn shift_right<const N: u32>(self, a: Self::I) -> Self::I {
        // SAFETY: the token proves that the machine has the instructions.
        unsafe { _mm512_srai_epi32::<N>(a) }
    }
}
