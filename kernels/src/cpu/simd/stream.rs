//! Stores past the caches.
//!
//! An ordinary store reads its line before it writes there, so a result costs two transfers of memory; a store past the caches costs one. It
//! pays only for a result that no cache could hold until it is read (anything smaller the next kernel would find in a cache), and where a
//! kernel does little but move memory: ordinary stores are carried out beside the arithmetic that follows, these hold it up.

use std::sync::OnceLock;

use super::{LANES, Simd};

/// Bytes of a cache line, and of a vector.
pub const LINE: usize = 4 * LANES;
/// The last cache's size where the system does not tell it.
const USUAL_CACHE: usize = 32 << 20;

/// Whether results of so many bytes go past the caches.
pub fn outgrows_caches(bytes: usize) -> bool {
    static LAST_CACHE: OnceLock<usize> = OnceLock::new();
    bytes > *LAST_CACHE.get_or_init(|| largest_cache().unwrap_or(USUAL_CACHE))
}

/// The largest cache that the first processor reads through.
#[cfg(target_os = "linux")]
fn largest_cache() -> Option<usize> {
    let caches = std::fs::read_dir("/sys/devices/system/cpu/cpu0/cache").ok()?;
    caches.filter_map(|cache| parse_size(&std::fs::read_to_string(cache.ok()?.path().join("size")).ok()?)).max()
}

#[cfg(not(target_os = "linux"))]
fn largest_cache() -> Option<usize> {
    None
}

/// The bytes of a size as Linux writes it: `32768K`.
#[cfg(target_os = "linux")]
fn parse_size(size: &str) -> Option<usize> {
    size.trim().strip_suffix('K')?.parse::<usize>().ok()?.checked_mul(1024)
}

/// Copies `bytes` bytes from memory that is near; the lines that they fill go past the caches, what is left at both ends does not.
/// [`Simd::fence`] must follow before another thread may read them.
///
/// # Safety
/// `from` is readable and `to` writable for so many bytes, and they do not overlap.
#[inline(always)]
pub unsafe fn stream<S: Simd>(s: S, from: *const u8, to: *mut u8, bytes: usize) {
    // Not `align_offset`, which may give up.
    let head = ((to as usize).wrapping_neg() % LINE).min(bytes);
    let whole = head + (bytes - head) / LINE * LINE;
    // SAFETY: all parts lie within the caller's bytes; lines begin where a line begins.
    unsafe {
        std::ptr::copy_nonoverlapping(from, to, head);
        let mut at = head;
        while at < whole {
            s.stream(to.add(at).cast(), s.load(from.add(at).cast()));
            at += LINE;
        }
        std::ptr::copy_nonoverlapping(from.add(whole), to.add(whole), bytes - whole);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::features::Features;
    use crate::cpu::simd::{Kernel, dispatch};

    struct Copy<'a>(&'a [u8], *mut u8);

    impl Kernel for Copy<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            // SAFETY: the test gives as many bytes on both sides.
            unsafe { stream(s, self.0.as_ptr(), self.1, self.0.len()) };
            s.fence();
        }
    }

    #[test]
    fn streams_write_their_bytes_and_no_others() {
        let from: Vec<u8> = (0..400u32).map(|i| (i * 7 + 3) as u8).collect();
        for features in Features::available() {
            for start in (0..LINE).step_by(2) {
                for bytes in (0..20).chain(54..75).chain([128, 190, 191, 192, 193, 260]) {
                    let mut to = vec![0u8; 500];
                    dispatch(features.level(), Copy(&from[5..5 + bytes], to[start..].as_mut_ptr()));
                    assert_eq!(to[start..start + bytes], from[5..5 + bytes], "{bytes} from {start} at {:?}", features.level());
                    assert!(to[..start].iter().chain(&to[start + bytes..]).all(|byte| *byte == 0));
                }
            }
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn sizes_of_caches_are_read() {
        assert_eq!(parse_size("32768K\n"), Some(32 << 20));
        assert_eq!(parse_size("none"), None);
        assert!(!outgrows_caches(1 << 10) && outgrows_caches(1 << 40));
    }
}
