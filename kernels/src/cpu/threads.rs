//! Parallel loops whose parts depend on the problem alone, and scratch memory that each thread keeps.

use std::cell::RefCell;

/// Runs `body` for every part in `0..parts`, on the current rayon pool.
///
/// Parts must not depend on one another. How they are dealt out is not fixed, so each must write its own part of the output only.
pub fn parallel(parts: usize, body: impl Fn(usize) + Sync) {
    use rayon::prelude::*;
    if parts <= 1 || rayon::current_num_threads() == 1 {
        (0..parts).for_each(body);
    } else {
        (0..parts).into_par_iter().with_max_len(1).for_each(&body);
    }
}

/// Cuts `0..length` into ranges of `grain` (the last may be shorter) and runs `body` on each.
pub fn parallel_ranges(length: usize, grain: usize, body: impl Fn(std::ops::Range<usize>) + Sync) {
    let grain = grain.max(1);
    parallel(length.div_ceil(grain), |part| body(part * grain..length.min((part + 1) * grain)));
}

/// A pointer that parts of a parallel loop share, each writing its own elements.
#[derive(Debug)]
pub struct Shared<T>(*mut T);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Shared<T> {}

// SAFETY: the pointer is only dereferenced by unsafe code whose callers promise that parts write disjoint elements.
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// Shares a slice for the time of a parallel loop.
    pub fn new(slice: &mut [T]) -> Self {
        Shared(slice.as_mut_ptr())
    }

    /// Shares an address; the same promises as for [`Shared::slice`] apply to its use.
    pub fn from_pointer(pointer: *mut T) -> Self {
        Shared(pointer)
    }

    /// The first element's address.
    #[inline(always)]
    pub fn pointer(self) -> *mut T {
        self.0
    }

    /// The elements in `range`.
    /// # Safety
    /// The range lies within the shared slice, the slice outlives the result, and no other part touches these elements meanwhile.
    #[inline(always)]
    pub unsafe fn slice<'a>(self, range: std::ops::Range<usize>) -> &'a mut [T] {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(range.start), range.len()) }
    }
}

/// Sixty-four bytes on their own cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line([u8; 64]);

thread_local! {
    static SCRATCH: RefCell<Vec<Vec<Line>>> = const { RefCell::new(Vec::new()) };
}

/// Cache-aligned memory that the thread keeps for the next caller. The contents are whatever was left there. Several may be held at once.
#[derive(Debug)]
pub struct Scratch(Vec<Line>);

impl Scratch {
    /// Memory of at least `bytes`.
    pub fn bytes(bytes: usize) -> Self {
        let mut lines = SCRATCH.with(|free| free.borrow_mut().pop()).unwrap_or_default();
        if lines.len() < bytes.div_ceil(64) {
            lines.resize(bytes.div_ceil(64), Line([0; 64]));
        }
        Scratch(lines)
    }

    /// Memory of at least `n` elements of four bytes.
    pub fn words(n: usize) -> Self {
        Self::bytes(n * 4)
    }

    /// The first byte's address, as that of any plain type; the memory is initialized.
    #[inline(always)]
    pub fn pointer<T>(&mut self) -> *mut T {
        self.0.as_mut_ptr().cast()
    }

    /// The first `n` f32.
    ///
    /// # Panics
    /// When the memory is shorter.
    pub fn floats(&mut self, n: usize) -> &mut [f32] {
        assert!(n * 4 <= self.0.len() * 64, "scratch of {} lines holds no {n} f32", self.0.len());
        // SAFETY: the memory is ours alone, initialized, aligned, and long enough.
        unsafe { std::slice::from_raw_parts_mut(self.pointer(), n) }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let lines = std::mem::take(&mut self.0);
        // While the thread ends its list may be gone already; then the memory goes too.
        let _ = SCRATCH.try_with(|free| free.borrow_mut().push(lines));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_everything_once() {
        for (length, grain) in [(0, 3), (1, 3), (7, 3), (9, 3), (5, 0)] {
            let mut seen = vec![0u8; length];
            let shared = Shared::new(&mut seen);
            // SAFETY: ranges are disjoint.
            parallel_ranges(length, grain, |range| unsafe { shared.slice(range) }.iter_mut().for_each(|seen| *seen += 1));
            assert!(seen.iter().all(|seen| *seen == 1));
        }
    }

    #[test]
    fn nested_scratch_is_disjoint_and_aligned() {
        let mut outer = Scratch::words(100);
        outer.floats(100).fill(1.0);
        Scratch::words(100).floats(100).fill(2.0);
        assert!(outer.floats(100).iter().all(|x| *x == 1.0));
        assert_eq!(outer.pointer::<u8>() as usize % 64, 0);
    }
}
