//! Random numbers that depend on what they are for, not on when they are drawn.
//!
//! [`Draws`] is a counter-based generator (Philox4x32-10, Salmon et al., SC 2011) keyed by seed, epoch, sample and node. The same key
//! gives the same numbers on every machine, in any order, on any number of threads, so an augmented batch can be made again exactly.

use super::error::{Result, parameter};

const MULTIPLIER_0: u32 = 0xD251_1F53;
const MULTIPLIER_1: u32 = 0xCD9E_8D57;
const WEYL_0: u32 = 0x9E37_79B9;
const WEYL_1: u32 = 0xBB67_AE85;

/// Ten rounds of Philox 4x32: a bijection of the counter for every key.
pub fn philox4x32_10(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for round in 0..10 {
        if round > 0 {
            key[0] = key[0].wrapping_add(WEYL_0);
            key[1] = key[1].wrapping_add(WEYL_1);
        }
        let low_product = u64::from(MULTIPLIER_0) * u64::from(counter[0]);
        let high_product = u64::from(MULTIPLIER_1) * u64::from(counter[2]);
        counter = [
            (high_product >> 32) as u32 ^ counter[1] ^ key[0],
            high_product as u32,
            (low_product >> 32) as u32 ^ counter[3] ^ key[1],
            low_product as u32,
        ];
    }
    counter
}

/// What random numbers are drawn for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DrawKey {
    /// The run's seed.
    pub seed: u64,
    /// The pass over the data, from 0.
    pub epoch: u32,
    /// The sample's index in the table.
    pub sample: u32,
    /// The transform's index in its graph.
    pub node: u32,
}

impl DrawKey {
    /// The same key for another node.
    pub fn at_node(self, node: u32) -> DrawKey {
        DrawKey { node, ..self }
    }

    /// The generator of this key, at its start.
    pub fn draws(self) -> Draws {
        Draws {
            key: self,
            block: 0,
            words: [0; 4],
            used: 4,
        }
    }
}

/// A sequence of random numbers for one [`DrawKey`].
#[derive(Clone, Debug)]
pub struct Draws {
    key: DrawKey,
    block: u32,
    words: [u32; 4],
    used: usize,
}

impl Draws {
    /// What the numbers are drawn for.
    pub fn key(&self) -> DrawKey {
        self.key
    }

    /// 32 random bits.
    pub fn word(&mut self) -> u32 {
        if self.used == 4 {
            let DrawKey {
                seed,
                epoch,
                sample,
                node,
            } = self.key;
            self.words = philox4x32_10(
                [self.block, node, sample, epoch],
                [seed as u32, (seed >> 32) as u32],
            );
            self.block = self.block.wrapping_add(1);
            self.used = 0;
        }
        self.used += 1;
        self.words[self.used - 1]
    }

    /// A number in [0, 1) with 53 random bits.
    pub fn unit(&mut self) -> f64 {
        let bits = u64::from(self.word()) << 32 | u64::from(self.word());
        (bits >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A number in [low, high); `low` when the range is empty.
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// A number of `range`, from its first to its second end.
    pub fn within(&mut self, range: (f64, f64)) -> f64 {
        self.uniform(range.0, range.1)
    }

    /// An integer in 0..count, without bias; 0 when `count` is 0.
    pub fn below(&mut self, count: usize) -> usize {
        if count <= 1 {
            return 0;
        }
        let count = count as u64;
        // Values past the last whole multiple would favour small results (Lemire's rejection).
        let threshold = count.wrapping_neg() % count;
        loop {
            let bits = u64::from(self.word()) << 32 | u64::from(self.word());
            let product = u128::from(bits) * u128::from(count);
            if product as u64 >= threshold {
                return (product >> 64) as usize;
            }
        }
    }

    /// An integer in low..=high; `low` when the range is empty.
    pub fn integer(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// True with the given probability.
    pub fn happens(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Two independent standard normal numbers (Box and Muller).
    pub fn normal_pair(&mut self) -> (f64, f64) {
        // 1 - unit lies in (0, 1], so that the logarithm is finite.
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.unit()));
        let (sine, cosine) = libm::sincos(2.0 * std::f64::consts::PI * self.unit());
        (radius * cosine, radius * sine)
    }

    /// A standard normal number.
    pub fn normal(&mut self) -> f64 {
        self.normal_pair().0
    }

    /// A gamma number of unit scale (Marsaglia and Tsang), for shape > 0.
    fn gamma(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            let boost = libm::pow(1.0 - self.unit(), 1.0 / shape);
            return self.gamma(shape + 1.0) * boost;
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / libm::sqrt(9.0 * d);
        loop {
            let normal = self.normal();
            let v = (1.0 + c * normal).powi(3);
            if v > 0.0
                && libm::log(1.0 - self.unit())
                    < 0.5 * normal * normal + d - d * v + d * libm::log(v)
            {
                return d * v;
            }
        }
    }

    /// A number of the symmetric beta distribution, the mixing share of mixup and CutMix.
    pub fn beta(&mut self, alpha: f64) -> f64 {
        let first = self.gamma(alpha);
        let second = self.gamma(alpha);
        // Both underflow to zero only for a minute alpha, where all mass lies at the ends.
        if first + second > 0.0 {
            first / (first + second)
        } else {
            f64::from(u8::from(self.happens(0.5)))
        }
    }

    /// A random order of 0..count (Fisher and Yates).
    pub fn permutation(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for last in (1..count).rev() {
            order.swap(last, self.below(last + 1));
        }
        order
    }
}

/// Refuses a probability outside 0 to 1.
pub(crate) fn check_probability(
    transform: &'static str,
    name: &'static str,
    value: f64,
) -> Result<()> {
    if (0.0..=1.0).contains(&value) {
        return Ok(());
    }
    Err(parameter(transform, name, value, "between 0 and 1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known answers of Random123 (kat_vectors: philox4x32 10).
    #[test]
    fn philox_equals_random123() {
        assert_eq!(
            philox4x32_10([0; 4], [0; 2]),
            [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]
        );
        assert_eq!(
            philox4x32_10([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        assert_eq!(
            philox4x32_10(
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0]
            ),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    fn key(sample: u32) -> DrawKey {
        DrawKey {
            seed: 42,
            epoch: 1,
            sample,
            node: 3,
        }
    }

    #[test]
    fn every_part_of_the_key_changes_the_numbers() {
        let base = key(0);
        let others = [
            DrawKey { seed: 43, ..base },
            DrawKey {
                seed: 42 | 1 << 40,
                ..base
            },
            DrawKey { epoch: 2, ..base },
            DrawKey { sample: 1, ..base },
            DrawKey { node: 4, ..base },
        ];
        for other in others {
            assert_ne!(base.draws().word(), other.draws().word(), "{other:?}");
        }
        assert_eq!(base.draws().word(), base.draws().word());
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        let count = 40_000;
        let moments = |mut draw: Box<dyn FnMut(&mut Draws) -> f64>| {
            let mut draws = key(9).draws();
            let values: Vec<f64> = (0..count).map(|_| draw(&mut draws)).collect();
            let mean = values.iter().sum::<f64>() / count as f64;
            (
                mean,
                values
                    .iter()
                    .map(|value| (value - mean).powi(2))
                    .sum::<f64>()
                    / count as f64,
            )
        };
        let near = |(mean, variance): (f64, f64), expected: (f64, f64)| {
            let tolerance = 5.0 * (expected.1 / count as f64).sqrt();
            assert!(
                (mean - expected.0).abs() < tolerance,
                "mean {mean}, expected {}",
                expected.0
            );
            assert!(
                (variance / expected.1 - 1.0).abs() < 0.05,
                "variance {variance}, expected {}",
                expected.1
            );
        };
        near(
            moments(Box::new(|draws| draws.uniform(-1.0, 3.0))),
            (1.0, 16.0 / 12.0),
        );
        near(moments(Box::new(Draws::normal)), (0.0, 1.0));
        near(
            moments(Box::new(|draws| draws.below(6) as f64)),
            (2.5, 35.0 / 12.0),
        );
        for alpha in [0.2, 1.0, 4.0] {
            near(
                moments(Box::new(move |draws| draws.beta(alpha))),
                (0.5, 0.25 / (2.0 * alpha + 1.0)),
            );
        }
    }

    #[test]
    fn a_permutation_holds_every_index_once() {
        let mut order = key(1).draws().permutation(100);
        assert_ne!(order, (0..100).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..100).collect::<Vec<_>>());
    }
}
