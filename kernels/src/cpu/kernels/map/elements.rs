//! Elements of operands and results in the dtypes that a map knows, read and written as f32.

use half::bf16;

use crate::cpu::simd::{self, Element, LANES, Simd, convert};

/// Elements of bf16 that are rounded at once before they are stored past the caches.
const PIECE: usize = 768;

/// The elements of an operand or a result.
#[derive(Clone, Copy, Debug)]
pub enum Elements {
    /// f32 elements.
    F32(*mut f32),
    /// bf16 elements.
    Bf16(*mut bf16),
    /// Bytes 0 and 1.
    Bool(*mut u8),
}

impl Elements {
    /// The first element's address.
    pub(super) fn address(self) -> *const u8 {
        match self {
            Elements::F32(p) => p.cast(),
            Elements::Bf16(p) => p.cast(),
            Elements::Bool(p) => p,
        }
    }

    /// Bytes of an element.
    pub(super) fn bytes(self) -> usize {
        match self {
            Elements::F32(_) => 4,
            Elements::Bf16(_) => 2,
            Elements::Bool(_) => 1,
        }
    }
}

// SAFETY: operands are only read, results written in disjoint blocks; the callers promise that the memory stays.
unsafe impl Send for Elements {}
// SAFETY: as above.
unsafe impl Sync for Elements {}

#[inline(always)]
pub(super) unsafe fn one(elements: Elements, at: usize) -> f32 {
    // SAFETY: the caller promises the element.
    unsafe {
        match elements {
            Elements::F32(p) => *p.add(at),
            Elements::Bf16(p) => (*p.add(at)).to_f32(),
            Elements::Bool(p) => f32::from(*p.add(at)),
        }
    }
}

/// Reads `n` contiguous elements as f32.
#[inline(always)]
pub(super) unsafe fn read<S: Simd>(s: S, elements: Elements, at: usize, n: usize, to: *mut f32) {
    // SAFETY: the caller promises `n` elements on both sides.
    unsafe {
        match elements {
            Elements::F32(p) => convert(s, p.add(at).cast_const(), to, n),
            Elements::Bf16(p) => convert(s, p.add(at).cast_const(), to, n),
            Elements::Bool(p) => {
                for i in 0..n {
                    *to.add(i) = f32::from(*p.add(at + i));
                }
            }
        }
    }
}

#[inline(always)]
pub(super) unsafe fn fill<S: Simd>(s: S, value: f32, n: usize, to: *mut f32) {
    let value = s.splat(value);
    for i in (0..n).step_by(LANES) {
        // SAFETY: the caller promises `n` elements.
        unsafe { s.store_part(to.add(i), LANES.min(n - i), value) };
    }
}

/// Stores `n` computed elements past the caches; [`Simd::fence`] must follow before another thread may read them.
#[inline(always)]
pub(super) unsafe fn stream<S: Simd>(s: S, from: (*const f32, usize), elements: Elements, at: usize, n: usize) {
    // SAFETY: the caller promises `n` elements on both sides; bf16 pass through pieces of whole lines.
    unsafe {
        match (elements, from.1) {
            (Elements::F32(p), usize::MAX) => simd::stream::stream(s, from.0.cast(), p.add(at).cast(), 4 * n),
            (Elements::Bf16(p), usize::MAX) => {
                let mut piece = [bf16::ZERO; PIECE];
                for i in (0..n).step_by(PIECE) {
                    let n = PIECE.min(n - i);
                    convert(s, from.0.add(i), piece.as_mut_ptr(), n);
                    simd::stream::stream(s, piece.as_ptr().cast(), p.add(at + i).cast(), 2 * n);
                }
            }
            _ => store(s, from, elements, at, n),
        }
    }
}

/// Stores `n` computed elements.
#[inline(always)]
pub(in crate::cpu::kernels) unsafe fn store<S: Simd>(s: S, from: (*const f32, usize), elements: Elements, at: usize, n: usize) {
    let (from, mask) = from;
    if let (Elements::Bf16(p), usize::MAX) = (elements, mask) {
        // SAFETY: the caller promises `n` elements on both sides.
        unsafe { convert(s, from, p.add(at), n) };
        return;
    }
    for i in (0..n).step_by(LANES) {
        let part = LANES.min(n - i);
        // SAFETY: the caller promises `n` elements on both sides; registers and lines hold whole vectors, memory is read in place only then.
        unsafe {
            let x = s.load(from.add(i & mask));
            match elements {
                Elements::F32(p) => s.store_part(p.add(at + i), part, x),
                Elements::Bf16(p) => bf16::store_part(s, p.add(at + i), part, x),
                Elements::Bool(p) => {
                    let x = s.to_array(x);
                    for j in 0..part {
                        *p.add(at + i + j) = u8::from(x[j] != 0.0);
                    }
                }
            }
        }
    }
}
