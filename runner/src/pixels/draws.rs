//! Random numbers that depend on what they are for, not on when they are drawn.
//!
//! [`Draws`] reads a counter-based [`Stream`] keyed by seed, epoch, sample and node. The same key gives
//! the same numbers on every machine, in any order, on any number of threads, so an augmented batch can be made again exactly.

use crate::random::{Lane, Stream, purpose};

use super::error::{Result, parameter};

/// What random numbers are drawn for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DrawKey {
    /// The run's seed.
    pub seed: u64,
    /// The pass over the data, from 0.
    pub epoch: u32,
    /// The sample's index in the table.
    pub sample: u32,
    /// The transform's index in its graph, below 2^24.
    pub node: u32,
}

impl DrawKey {
    /// The same key for another node.
    pub fn at_node(self, node: u32) -> DrawKey {
        DrawKey { node, ..self }
    }

    /// The generator of this key, at its start.
    pub fn draws(self) -> Draws {
        // The node stands above the purpose's byte, so that no other use of the seed meets these numbers.
        let purpose = purpose::TRANSFORM | self.node << 8;
        Draws::new(Stream::new(self.seed, Lane { purpose, outer: self.epoch, inner: self.sample }))
    }
}

/// A sequence of random numbers, with the distributions that augmentation needs.
#[derive(Clone, Debug)]
pub struct Draws {
    stream: Stream,
}

impl Draws {
    /// Draws from a stream, as the mixing of a batch does ([`purpose::BATCH_MIX`]).
    pub fn new(stream: Stream) -> Draws {
        Draws { stream }
    }

    /// 32 random bits.
    pub fn word(&mut self) -> u32 {
        self.stream.next_u32()
    }

    /// A number in [0, 1) with 53 random bits.
    pub fn unit(&mut self) -> f64 {
        self.stream.unit()
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
        self.stream.below(count as u64) as usize
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
            if v > 0.0 && libm::log(1.0 - self.unit()) < 0.5 * normal * normal + d - d * v + d * libm::log(v) {
                return d * v;
            }
        }
    }

    /// A number of the symmetric beta distribution, the mixing share of mixup and CutMix.
    pub fn beta(&mut self, alpha: f64) -> f64 {
        let first = self.gamma(alpha);
        let second = self.gamma(alpha);
        // Both underflow to zero only for a minute alpha, where all mass lies at the ends.
        if first + second > 0.0 { first / (first + second) } else { f64::from(u8::from(self.happens(0.5))) }
    }

    /// A random order of 0..count (Fisher and Yates).
    pub fn permutation(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        self.stream.shuffle(&mut order);
        order
    }
}

/// Refuses a probability outside 0 to 1.
pub(crate) fn check_probability(transform: &'static str, name: &'static str, value: f64) -> Result<()> {
    if (0.0..=1.0).contains(&value) {
        return Ok(());
    }
    Err(parameter(transform, name, value, "between 0 and 1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(sample: u32) -> DrawKey {
        DrawKey { seed: 42, epoch: 1, sample, node: 3 }
    }

    #[test]
    fn every_part_of_the_key_changes_the_numbers() {
        let base = key(0);
        let others = [
            DrawKey { seed: 43, ..base },
            DrawKey { seed: 42 | 1 << 40, ..base },
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
            (mean, values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count as f64)
        };
        let near = |(mean, variance): (f64, f64), expected: (f64, f64)| {
            let tolerance = 5.0 * (expected.1 / count as f64).sqrt();
            assert!((mean - expected.0).abs() < tolerance, "mean {mean}, expected {}", expected.0);
            assert!((variance / expected.1 - 1.0).abs() < 0.05, "variance {variance}, expected {}", expected.1);
        };
        near(moments(Box::new(|draws| draws.uniform(-1.0, 3.0))), (1.0, 16.0 / 12.0));
        near(moments(Box::new(Draws::normal)), (0.0, 1.0));
        near(moments(Box::new(|draws| draws.below(6) as f64)), (2.5, 35.0 / 12.0));
        for alpha in [0.2, 1.0, 4.0] {
            near(moments(Box::new(move |draws| draws.beta(alpha))), (0.5, 0.25 / (2.0 * alpha + 1.0)));
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
