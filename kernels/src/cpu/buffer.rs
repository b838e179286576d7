//! Memory that a plan or a kernel keeps.

use std::cell::UnsafeCell;

/// Bytes of a cache line, and of a vector.
const LINE: usize = 64;
/// Bytes of a large page.
const LARGE_PAGE: usize = 2 << 20;

/// Zeroed memory that begins at a cache line, so that no vector straddles two; where it is large, at a page of two megabytes, which the
/// system is asked for: strided walks then miss fewer translations of addresses.
#[derive(Debug)]
pub(super) struct Buffer {
    _lines: UnsafeCell<Vec<[u64; LINE / 8]>>,
    pointer: *mut u8,
    bytes: usize,
}

// SAFETY: the memory is the buffer's own; who writes through the pointer says why nobody else does.
unsafe impl Send for Buffer {}
// SAFETY: as above.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// Memory of at least `bytes`.
    pub fn new(bytes: usize) -> Buffer {
        let alignment = if bytes >= 2 * LARGE_PAGE { LARGE_PAGE } else { LINE };
        // As much more as the beginning may move; zeroed pages cost nothing until they are touched.
        let mut lines = vec![[0u64; LINE / 8]; bytes.div_ceil(LINE) + alignment / LINE];
        let start = lines.as_mut_ptr().cast::<u8>();
        let pointer = start.wrapping_add(start.align_offset(alignment));
        if alignment == LARGE_PAGE {
            ask_for_large_pages(pointer, bytes / LARGE_PAGE * LARGE_PAGE);
        }
        Buffer { _lines: UnsafeCell::new(lines), pointer, bytes }
    }

    /// The first byte.
    pub fn pointer(&self) -> *mut u8 {
        self.pointer
    }

    /// Bytes that may be used.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// A wish: where the system has no such pages, everything works with small ones.
#[cfg(target_os = "linux")]
fn ask_for_large_pages(pointer: *mut u8, bytes: usize) {
    // SAFETY: the range lies within one allocation, and the advice changes no contents.
    let _ = unsafe { rustix::mm::madvise(pointer.cast(), bytes, rustix::mm::Advice::LinuxHugepage) };
}

#[cfg(not(target_os = "linux"))]
fn ask_for_large_pages(_: *mut u8, _: usize) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_begin_at_lines_and_are_zero() {
        for bytes in [0, 1, 64, 1000, 4 * LARGE_PAGE + 5] {
            let buffer = Buffer::new(bytes);
            assert_eq!(buffer.pointer() as usize % LINE, 0);
            // SAFETY: the buffer holds so many initialized bytes.
            let all = unsafe { std::slice::from_raw_parts_mut(buffer.pointer(), bytes) };
            assert!(all.iter().all(|byte| *byte == 0));
            all.fill(7);
            assert_eq!(buffer.bytes(), bytes);
        }
    }
}
