//! Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).
//!
//! A number is a pure function of a seed, a [`Lane`] and a position, so that shuffles, draws and augmentations do not
//! depend on the number of threads, on the order of work, or on what was drawn before. There is no global state.

/// The rounds that Philox4x32-10 makes.
const ROUNDS: u32 = 10;

/// One block of Philox4x32-10: a bijection of the 128-bit counter under a 64-bit key.
pub fn philox4x32(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let [mut c0, mut c1, mut c2, mut c3] = counter;
    let [mut k0, mut k1] = key;
    for _ in 0..ROUNDS {
        let first = u64::from(c0) * 0xD251_1F53;
        let second = u64::from(c2) * 0xCD9E_8D57;
        let next0 = (second >> 32) as u32 ^ c1 ^ k0;
        let next2 = (first >> 32) as u32 ^ c3 ^ k1;
        c1 = second as u32;
        c3 = first as u32;
        c0 = next0;
        c2 = next2;
        k0 = k0.wrapping_add(0x9E37_79B9);
        k1 = k1.wrapping_add(0xBB67_AE85);
    }
    [c0, c1, c2, c3]
}

/// What a stream of random numbers is for. Two lanes never share a number under one seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lane {
    /// The purpose: one constant per kind of use, see [`purpose`].
    pub purpose: u32,
    /// The epoch, the fold, or whatever repeats on the outside.
    pub outer: u32,
    /// The sample, the resample, or whatever repeats on the inside.
    pub inner: u32,
}

/// The purposes in use. A new use takes a new number, because reuse would correlate two parts of a run.
pub mod purpose {
    /// The order of samples in an epoch.
    pub const EPOCH_ORDER: u32 = 1;
    /// The assignment of rows or groups to folds.
    pub const FOLDS: u32 = 2;
    /// The resamples of a bootstrap.
    pub const BOOTSTRAP: u32 = 3;
    /// Initial values of parameters.
    pub const INITIAL_VALUES: u32 = 4;
    /// Random transforms of one sample.
    pub const TRANSFORM: u32 = 5;
    /// Random mixing of a batch (mixup, CutMix).
    pub const BATCH_MIX: u32 = 6;
    /// Random ops inside a program (dropout, drop path).
    pub const PROGRAM: u32 = 7;
    /// The data of example projects.
    pub const EXAMPLES: u32 = 20;
}

/// A sequence of random numbers for one [`Lane`] under one seed.
///
/// ```
/// use sward::random::{Lane, Stream, purpose};
/// let lane = Lane { purpose: purpose::EPOCH_ORDER, outer: 3, inner: 0 };
/// let mut first = Stream::new(42, lane);
/// let mut second = Stream::new(42, lane);
/// assert_eq!(first.below(1000), second.below(1000));
/// ```
#[derive(Debug, Clone)]
pub struct Stream {
    key: [u32; 2],
    counter: [u32; 4],
    block: [u32; 4],
    used: usize,
}

impl Stream {
    /// The stream of `lane` under `seed`, at its start. It holds 2^34 numbers of 32 bits.
    pub fn new(seed: u64, lane: Lane) -> Self {
        Self {
            key: [seed as u32, (seed >> 32) as u32],
            counter: [0, lane.inner, lane.outer, lane.purpose],
            block: [0; 4],
            used: 4,
        }
    }

    /// The next 32 uniformly distributed bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.used == 4 {
            self.block = philox4x32(self.counter, self.key);
            self.counter[0] = self.counter[0].wrapping_add(1);
            self.used = 0;
        }
        self.used += 1;
        self.block[self.used - 1]
    }

    /// The next 64 uniformly distributed bits.
    pub fn next_u64(&mut self) -> u64 {
        let low = u64::from(self.next_u32());
        low | u64::from(self.next_u32()) << 32
    }

    /// A uniform number in `[0, 1)` with 53 random bits.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// A uniform number in `[low, high)`; `low` where the two are equal.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// A uniform integer in `0..bound`, without modulo bias (Lemire, 2019). `bound` 0 gives 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 {
            return 0;
        }
        let threshold = bound.wrapping_neg() % bound;
        loop {
            let product = u128::from(self.next_u64()) * u128::from(bound);
            if product as u64 >= threshold {
                return (product >> 64) as u64;
            }
        }
    }

    /// A normal deviate with mean 0 and standard deviation 1 (Box and Muller, 1958).
    ///
    /// It uses `libm`, whose bits do not depend on the platform's mathematics library.
    pub fn normal(&mut self) -> f64 {
        // 1 - unit() lies in (0, 1], where the logarithm is finite.
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.unit()));
        radius * libm::cos(std::f64::consts::TAU * self.unit())
    }

    /// Shuffles in place (Fisher and Yates): every order is equally likely.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LANE: Lane = Lane { purpose: purpose::EPOCH_ORDER, outer: 0, inner: 0 };

    #[test]
    fn philox_gives_the_known_answers_of_random123() {
        assert_eq!(philox4x32([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox4x32([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        assert_eq!(
            philox4x32([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn lanes_and_seeds_give_different_numbers() {
        let first = |seed, lane| Stream::new(seed, lane).next_u64();
        let base = first(42, LANE);
        assert_ne!(base, first(43, LANE));
        assert_ne!(base, first(42 + (1 << 32), LANE));
        assert_ne!(base, first(42, Lane { outer: 1, ..LANE }));
        assert_ne!(base, first(42, Lane { inner: 1, ..LANE }));
        assert_ne!(base, first(42, Lane { purpose: purpose::FOLDS, ..LANE }));
    }

    #[test]
    fn bounded_integers_are_uniform() {
        // Chi-square with 6 degrees of freedom stays under 22.5 with probability 0.999.
        let mut stream = Stream::new(7, LANE);
        let mut counts = [0u32; 7];
        for _ in 0..70_000 {
            counts[stream.below(7) as usize] += 1;
        }
        let chi_square: f64 = counts.iter().map(|&n| (f64::from(n) - 10_000.0).powi(2) / 10_000.0).sum();
        assert!(chi_square < 22.5, "chi-square {chi_square}, counts {counts:?}");
    }

    #[test]
    fn normal_deviates_have_the_moments_of_the_normal_distribution() {
        let mut stream = Stream::new(7, LANE);
        let draws: Vec<f64> = (0..100_000).map(|_| stream.normal()).collect();
        let moment = |power| draws.iter().map(|x| x.powi(power)).sum::<f64>() / draws.len() as f64;
        assert!(moment(1).abs() < 0.015);
        assert!((moment(2) - 1.0).abs() < 0.02);
        assert!(moment(3).abs() < 0.06);
        assert!((moment(4) - 3.0).abs() < 0.15);
    }

    #[test]
    fn a_shuffle_is_a_permutation_and_moves_every_place() {
        let mut hits = vec![vec![0u32; 5]; 5];
        for seed in 0..5_000 {
            let mut items: Vec<usize> = (0..5).collect();
            Stream::new(seed, LANE).shuffle(&mut items);
            for (place, &item) in items.iter().enumerate() {
                hits[item][place] += 1;
            }
        }
        for row in &hits {
            assert_eq!(row.iter().sum::<u32>(), 5_000);
            assert!(row.iter().all(|&n| (850..1150).contains(&n)), "{hits:?}");
        }
    }
}
