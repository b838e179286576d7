//! What every kernel benchmark shares.

#![allow(dead_code, reason = "each benchmark uses a part")]

use std::ops::{Deref, DerefMut};
use std::time::Instant;

/// Seconds of this thread's own work when the pool has one thread (so that a busy machine does not count), else of the clock on the wall.
fn seconds() -> f64 {
    use rustix::time::{ClockId, clock_gettime};
    let clock = if rayon::current_num_threads() == 1 { ClockId::ThreadCPUTime } else { ClockId::Monotonic };
    let time = clock_gettime(clock);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// A buffer whose pages have been touched. It begins at a line of the cache, as tensors of a plan do.
pub struct Buffer<T> {
    elements: Vec<T>,
    start: usize,
}

impl<T: Copy> Buffer<T> {
    /// `n` elements by their index.
    pub fn filled(n: usize, f: impl Fn(usize) -> T) -> Self {
        let mut elements: Vec<T> = Vec::with_capacity(n + 64);
        let start = elements.as_ptr().align_offset(64);
        elements.extend((0..start + n).map(|i| f(usize::saturating_sub(i, start))));
        Buffer { elements, start }
    }
}

impl<T> Deref for Buffer<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.elements[self.start..]
    }
}

impl<T> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.elements[self.start..]
    }
}

/// A pool of `threads` threads.
pub fn pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads can be started")
}

/// The lower quartile of the seconds of each closure over rounds that take turns, so that a busy moment hits all alike.
pub fn quartile_seconds_of_each(closures: &mut [&mut dyn FnMut()]) -> Vec<f64> {
    let mut taken = vec![Vec::new(); closures.len()];
    let start = Instant::now();
    let mut rounds = 0;
    while rounds < 5 || (start.elapsed().as_secs_f64() < 1.0 && rounds < 200) {
        for (closure, taken) in closures.iter_mut().zip(&mut taken) {
            let start = seconds();
            closure();
            taken.push(seconds() - start);
        }
        rounds += 1;
    }
    taken.into_iter().map(lower_quartile).collect()
}

/// The lower quartile of some times: other work on the machine only ever adds time.
pub fn lower_quartile(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 4]
}
