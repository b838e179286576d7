//! The dtypes of tensors that are computed from as f32.

use half::bf16;
use sward_core::program::DType;

use super::{LANES, Simd};

/// A type tensors are stored in and computed from as f32.
pub trait Element: Copy + Send + Sync + Default + PartialEq + std::fmt::Debug + 'static {
    /// Bytes of one element.
    const BYTES: usize = size_of::<Self>();
    /// This type.
    const DTYPE: DType;
    /// The value as f32.
    fn to_f32(self) -> f32;
    /// The nearest value, ties to even.
    fn from_f32(x: f32) -> Self;
    /// Sixteen elements.
    /// # Safety
    /// `p` must be valid for reading sixteen elements.
    unsafe fn load<S: Simd>(s: S, p: *const Self) -> S::V;
    /// Sixteen elements.
    /// # Safety
    /// `p` must be valid for writing sixteen elements.
    unsafe fn store<S: Simd>(s: S, p: *mut Self, x: S::V);
    /// The first `n` lanes; the others are zero.
    /// # Safety
    /// `p` must be valid for reading `n` elements.
    unsafe fn load_part<S: Simd>(s: S, p: *const Self, n: usize) -> S::V;
    /// The first `n` lanes.
    /// # Safety
    /// `p` must be valid for writing `n` elements.
    unsafe fn store_part<S: Simd>(s: S, p: *mut Self, n: usize, x: S::V);
}

impl Element for f32 {
    const DTYPE: DType = DType::F32;
    #[inline(always)]
    fn to_f32(self) -> f32 {
        self
    }
    #[inline(always)]
    fn from_f32(x: f32) -> Self {
        x
    }
    #[inline(always)]
    unsafe fn load<S: Simd>(s: S, p: *const Self) -> S::V {
        // SAFETY: the caller's promise.
        unsafe { s.load(p) }
    }
    #[inline(always)]
    unsafe fn store<S: Simd>(s: S, p: *mut Self, x: S::V) {
        // SAFETY: the caller's promise.
        unsafe { s.store(p, x) }
    }
    #[inline(always)]
    unsafe fn load_part<S: Simd>(s: S, p: *const Self, n: usize) -> S::V {
        // SAFETY: the caller's promise.
        unsafe { s.load_part(p, n) }
    }
    #[inline(always)]
    unsafe fn store_part<S: Simd>(s: S, p: *mut Self, n: usize, x: S::V) {
        // SAFETY: the caller's promise.
        unsafe { s.store_part(p, n, x) }
    }
}

impl Element for bf16 {
    const DTYPE: DType = DType::BF16;
    #[inline(always)]
    fn to_f32(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }
    #[inline(always)]
    fn from_f32(x: f32) -> Self {
        bf16::from_bits(round_to_bf16(x))
    }
    #[inline(always)]
    unsafe fn load<S: Simd>(s: S, p: *const Self) -> S::V {
        // SAFETY: the caller's promise.
        unsafe { s.load_bf16(p) }
    }
    #[inline(always)]
    unsafe fn store<S: Simd>(s: S, p: *mut Self, x: S::V) {
        // SAFETY: the caller's promise.
        unsafe { s.store_bf16(p, x) }
    }
    #[inline(always)]
    unsafe fn load_part<S: Simd>(s: S, p: *const Self, n: usize) -> S::V {
        let mut part = [bf16::ZERO; LANES];
        // SAFETY: the caller promises `n` readable elements, and the array holds sixteen.
        unsafe {
            std::ptr::copy_nonoverlapping(p, part.as_mut_ptr(), n);
            s.load_bf16(part.as_ptr())
        }
    }
    #[inline(always)]
    unsafe fn store_part<S: Simd>(s: S, p: *mut Self, n: usize, x: S::V) {
        let mut part = [bf16::ZERO; LANES];
        // SAFETY: the caller promises `n` writable elements, and the array holds sixteen.
        unsafe {
            s.store_bf16(part.as_mut_ptr(), x);
            std::ptr::copy_nonoverlapping(part.as_ptr(), p, n);
        }
    }
}

/// The bits of the bf16 nearest to `x`, ties to even; NaN stays NaN.
#[inline(always)]
pub(super) fn round_to_bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
    let quiet = (bits >> 16) | 0x40;
    (if x.is_nan() { quiet } else { rounded }) as u16
}

/// Copies `n` elements, converting.
///
/// # Safety
/// Both sides have `n` elements.
#[inline(always)]
pub unsafe fn convert<S: Simd, T: Element, U: Element>(s: S, from: *const T, to: *mut U, n: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        if T::DTYPE == DType::F32 && U::DTYPE == DType::BF16 && s.narrow(from.cast(), to.cast(), n) {
            return;
        }
        let mut i = 0;
        while i + LANES <= n {
            U::store(s, to.add(i), T::load(s, from.add(i)));
            i += LANES;
        }
        if i < n {
            U::store_part(s, to.add(i), n - i, T::load_part(s, from.add(i), n - i));
        }
    }
}
