//! What every kernel benchmark shares.

#![allow(dead_code, reason = "each benchmark uses a part")]

use std::ops::{Deref, DerefMut};
use std::time::Instant;

/// A buffer whose pages have been touched.
pub struct Buffer<T>(Vec<T>);

impl<T: Copy> Buffer<T> {
    /// `n` elements by their index.
    pub fn filled(n: usize, f: impl Fn(usize) -> T) -> Self {
        Buffer((0..n).map(f).collect())
    }
}

impl<T> Deref for Buffer<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

/// A pool of `threads` threads.
pub fn pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads can be started")
}

/// The lower quartile of the seconds of each closure over rounds that take turns, so that a busy moment hits all alike.
pub fn quartile_seconds_of_each(closures: &mut [&mut dyn FnMut()]) -> Vec<f64> {
    let mut seconds = vec![Vec::new(); closures.len()];
    let start = Instant::now();
    let mut rounds = 0;
    while rounds < 5 || (start.elapsed().as_secs_f64() < 1.0 && rounds < 200) {
        for (closure, seconds) in closures.iter_mut().zip(&mut seconds) {
            let start = Instant::now();
            closure();
            seconds.push(start.elapsed().as_secs_f64());
        }
        rounds += 1;
    }
    seconds
        .into_iter()
        .map(|mut seconds| {
            seconds.sort_by(f64::total_cmp);
            // The lower quartile: other work on the machine only ever adds time.
            seconds[seconds.len() / 4]
        })
        .collect()
}
