//! Decoded photographs that are kept in memory, up to a bound.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::pixels::{Picture, Result};

/// Pictures by row. Once the bound is reached no more are kept, so that a photograph is decoded once an epoch or once at all.
pub struct PictureCache {
    kept: Vec<OnceLock<Picture>>,
    free_bytes: AtomicUsize,
}

impl PictureCache {
    /// For so many rows, with a bound in bytes.
    pub fn new(rows: usize, bytes: usize) -> PictureCache {
        PictureCache { kept: (0..rows).map(|_| OnceLock::new()).collect(), free_bytes: AtomicUsize::new(bytes) }
    }

    /// A row's picture, made by `make` where it is not kept.
    ///
    /// # Errors
    /// As `make`.
    pub fn picture(&self, row: usize, make: impl FnOnce() -> Result<Picture>) -> Result<Picture> {
        if let Some(kept) = self.kept[row].get() {
            return Ok(kept.clone());
        }
        let picture = make()?;
        let bytes = picture.bytes();
        let taken = self.free_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free| free.checked_sub(bytes));
        if taken.is_ok() {
            // Two workers may have made the same picture; either one is right.
            let _ = self.kept[row].set(picture.clone());
        }
        Ok(picture)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_made_once_while_there_is_room_and_again_where_there_is_none() {
        let made = AtomicUsize::new(0);
        let cache = PictureCache::new(2, 50);
        let get = |row| {
            cache.picture(row, || {
                made.fetch_add(1, Ordering::Relaxed);
                Picture::filled(4, 4, &[row as u8, 0, 0])
            })
        };
        for _ in 0..3 {
            assert_eq!(get(0).expect("a picture").pixel(0, 0)[0], 0);
            assert_eq!(get(1).expect("a picture").pixel(0, 0)[0], 1);
        }
        // 48 bytes each: the first fits, the second never does.
        assert_eq!(made.load(Ordering::Relaxed), 1 + 3);
    }
}
