//! In which order samples are seen: a pure function of seed and epoch, so that a resumed run continues in the middle of an
//! epoch without having drawn what came before, and without depending on workers.

use crate::random::{Lane, Stream, purpose};

/// How the samples of an epoch are chosen.
#[derive(Debug, Clone, PartialEq)]
pub enum Sampler {
    /// Every sample once, in the order given; for validation and prediction.
    Sequential,
    /// Every sample once, in a random order.
    Uniform,
    /// As many draws as samples, with replacement, each with a chance proportional to its weight
    /// (PyTorch's `WeightedRandomSampler`).
    Weighted(Vec<f64>),
    /// As `Weighted`, so that every class is drawn equally often. One class number per sample.
    ClassBalanced(Vec<usize>),
}

/// Why a sampler cannot draw.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SamplerError {
    /// A weight that is negative, NaN or infinite.
    #[error("the weight of sample {sample} is {weight}: weights must be finite and not negative")]
    Weight {
        /// The sample's place among the training samples.
        sample: usize,
        /// The weight.
        weight: f64,
    },
    /// No sample can be drawn.
    #[error("every weight is zero: no sample can be drawn")]
    NothingToDraw,
    /// Not one weight or class per sample.
    #[error("the sampler has {found} {what} for {samples} samples")]
    Length {
        /// `weights` or `classes`.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many are needed.
        samples: usize,
    },
    /// No samples, or a batch of none.
    #[error("there is nothing to batch: {samples} samples in batches of {batch}")]
    Empty {
        /// The number of samples.
        samples: usize,
        /// The batch size.
        batch: usize,
    },
}

/// The batches of a run.
///
/// ```
/// use sward::samplers::{Batches, Sampler};
/// let batches = Batches::new(Sampler::Uniform, 10, 4, false, 42)?;
/// assert_eq!(batches.steps_per_epoch(), 3);
/// // Step 4 is the second step of the second epoch, whether or not steps 0 to 3 were taken in this process.
/// assert_eq!(batches.batch(4), batches.epoch(1)[4..8]);
/// # Ok::<(), sward::samplers::SamplerError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Batches {
    draw: Draw,
    samples: usize,
    batch: usize,
    drop_last: bool,
    seed: u64,
}

#[derive(Debug, Clone)]
enum Draw {
    Sequential,
    Shuffle,
    /// Sums of weights up to and with each sample.
    Cumulative(Vec<f64>),
}

impl Batches {
    /// Batches of `batch` out of `samples`; the last of an epoch is smaller, or dropped with `drop_last`.
    ///
    /// # Errors
    /// Weights or classes that do not fit the samples, or nothing to draw.
    pub fn new(sampler: Sampler, samples: usize, batch: usize, drop_last: bool, seed: u64) -> Result<Self, SamplerError> {
        if samples == 0 || batch == 0 || (drop_last && samples < batch) {
            return Err(SamplerError::Empty { samples, batch });
        }
        let draw = match sampler {
            Sampler::Sequential => Draw::Sequential,
            Sampler::Uniform => Draw::Shuffle,
            Sampler::Weighted(weights) => Draw::Cumulative(cumulative(&weights, "weights", samples)?),
            Sampler::ClassBalanced(classes) => {
                let mut sizes = vec![0u64; classes.iter().max().map_or(0, |&last| last + 1)];
                classes.iter().for_each(|&class| sizes[class] += 1);
                let weights: Vec<f64> = classes.iter().map(|&class| 1.0 / sizes[class] as f64).collect();
                Draw::Cumulative(cumulative(&weights, "classes", samples)?)
            }
        };
        Ok(Self { draw, samples, batch, drop_last, seed })
    }

    /// How many batches an epoch has.
    pub fn steps_per_epoch(&self) -> u64 {
        let steps = if self.drop_last { self.samples / self.batch } else { self.samples.div_ceil(self.batch) };
        steps as u64
    }

    /// The samples of an epoch in order.
    pub fn epoch(&self, epoch: u64) -> Vec<usize> {
        let mut stream = Stream::new(self.seed, Lane { purpose: purpose::EPOCH_ORDER, outer: epoch as u32, inner: 0 });
        match &self.draw {
            Draw::Sequential => (0..self.samples).collect(),
            Draw::Shuffle => {
                let mut order: Vec<usize> = (0..self.samples).collect();
                stream.shuffle(&mut order);
                order
            }
            Draw::Cumulative(sums) => {
                let total = sums[sums.len() - 1];
                let last = sums.partition_point(|&sum| sum < total);
                // A sample of weight 0 has the sum of its forerunner, and is never the first to exceed a draw.
                let draw = |point: f64| sums.partition_point(|&sum| sum <= point).min(last);
                (0..self.samples).map(|_| draw(stream.unit() * total)).collect()
            }
        }
    }

    /// The samples of step `step`, counted from 0 over all epochs. A loop over an epoch had better take
    /// [`Batches::epoch`] once and cut it with [`Batches::range`].
    pub fn batch(&self, step: u64) -> Vec<usize> {
        let (epoch, place) = self.place(step);
        self.epoch(epoch)[self.range(place)].to_vec()
    }

    /// The epoch of a step, and which of its steps it is.
    pub fn place(&self, step: u64) -> (u64, u64) {
        (step / self.steps_per_epoch(), step % self.steps_per_epoch())
    }

    /// Where in an epoch's order the samples of its step `place` lie.
    pub fn range(&self, place: u64) -> std::ops::Range<usize> {
        let start = place as usize * self.batch;
        start.min(self.samples)..(start + self.batch).min(self.samples)
    }
}

fn cumulative(weights: &[f64], what: &'static str, samples: usize) -> Result<Vec<f64>, SamplerError> {
    if weights.len() != samples {
        return Err(SamplerError::Length { what, found: weights.len(), samples });
    }
    if let Some((sample, &weight)) = weights.iter().enumerate().find(|(_, weight)| !weight.is_finite() || **weight < 0.0) {
        return Err(SamplerError::Weight { sample, weight });
    }
    let sums: Vec<f64> = weights
        .iter()
        .scan(0.0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        })
        .collect();
    if sums[sums.len() - 1] > 0.0 { Ok(sums) } else { Err(SamplerError::NothingToDraw) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn counts(sampler: Sampler, samples: usize, epochs: u64) -> Vec<f64> {
        let batches = Batches::new(sampler, samples, 3, false, 7).unwrap();
        let mut counts = vec![0.0; samples];
        for epoch in 0..epochs {
            batches.epoch(epoch).into_iter().for_each(|sample| counts[sample] += 1.0);
        }
        counts
    }

    #[test]
    fn weights_set_how_often_a_sample_is_drawn() {
        let weights = vec![0.0, 1.0, 2.0, 0.0, 5.0, 0.0];
        let counts = counts(Sampler::Weighted(weights.clone()), 6, 4000);
        for (count, weight) in counts.iter().zip(weights) {
            let expected = 24_000.0 * weight / 8.0;
            assert!((count - expected).abs() <= 4.0 * expected.sqrt(), "{count} draws, {expected} expected");
        }
    }

    #[test]
    fn classes_are_drawn_equally_often() {
        let classes = vec![0, 0, 0, 0, 0, 0, 0, 1, 2, 2];
        let counts = counts(Sampler::ClassBalanced(classes.clone()), 10, 3000);
        for class in 0..3 {
            let drawn: f64 = (0..10).filter(|&sample| classes[sample] == class).map(|sample| counts[sample]).sum();
            assert!((drawn - 10_000.0).abs() < 350.0, "class {class}: {drawn}");
        }
    }

    #[test]
    fn bad_weights_are_refused_by_sample() {
        let weighted = |weights: &[f64]| Batches::new(Sampler::Weighted(weights.to_vec()), 2, 1, false, 0);
        assert!(weighted(&[1.0, -1.0]).unwrap_err().to_string().starts_with("the weight of sample 1 is -1"));
        assert!(weighted(&[1.0, f64::NAN]).is_err());
        assert_eq!(weighted(&[0.0, 0.0]).unwrap_err(), SamplerError::NothingToDraw);
        assert_eq!(weighted(&[1.0]).unwrap_err().to_string(), "the sampler has 1 weights for 2 samples");
        assert!(Batches::new(Sampler::Uniform, 3, 4, true, 0).is_err(), "an epoch would have no step");
    }

    proptest! {
        #[test]
        fn an_epoch_is_cut_into_its_batches(samples in 1usize..60, batch in 1usize..20, drop_last: bool, seed: u64) {
            let Ok(batches) = Batches::new(Sampler::Uniform, samples, batch, drop_last, seed) else {
                prop_assert!(drop_last && samples < batch);
                return Ok(());
            };
            for epoch in 0..3 {
                let order = batches.epoch(epoch);
                let mut sorted = order.clone();
                sorted.sort_unstable();
                prop_assert_eq!(sorted, (0..samples).collect::<Vec<_>>());
                let first = epoch * batches.steps_per_epoch();
                let joined: Vec<usize> =
                    (first..first + batches.steps_per_epoch()).flat_map(|step| batches.batch(step)).collect();
                let kept = if drop_last { samples - samples % batch } else { samples };
                prop_assert_eq!(&joined, &order[..kept]);
            }
            if samples > 20 {
                prop_assert_ne!(batches.epoch(0), batches.epoch(1));
            }
        }
    }
}
