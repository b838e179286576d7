//! Learning rates over steps, and the small rules of a training loop: moving averages, early stopping, clipping.
//!
//! A rate is a closed formula of the step, equal to what PyTorch's `lr_scheduler` of the same name gives at that step, so
//! that a resumed run needs no scheduler state. [`Plateau`] and [`EarlyStopping`] react to metrics; their state
//! is plain data that a checkpoint carries.

use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// A learning rate as a function of the step.
///
/// ```
/// use sward::schedule::{Schedule, Shape, Warmup};
/// let schedule = Schedule {
///     warmup: Warmup { steps: 100, start_factor: 0.0 },
///     shape: Shape::Cosine { steps: 900, minimum: 0.0 },
/// };
/// assert_eq!(schedule.rate(3e-4, 50), 1.5e-4);
/// assert_eq!(schedule.rate(3e-4, 100), 3e-4);
/// assert!(schedule.rate(3e-4, 1000) < 1e-12);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// The linear rise before the shape begins.
    pub warmup: Warmup,
    /// What follows; its step 0 is the first step after the warmup.
    pub shape: Shape,
}

/// A linear rise to the base rate, PyTorch's `LinearLR`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Warmup {
    /// How many steps it lasts; 0 for none.
    pub steps: u64,
    /// The share of the base rate at step 0. With 0 the first step learns nothing, as in `transformers`.
    pub start_factor: f64,
}

/// The shape of a schedule after its warmup. Lengths are in steps, minima are rates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Shape {
    /// The base rate throughout.
    Constant,
    /// Half a cosine from the base rate to `minimum`, which it then keeps (`CosineAnnealingLR`).
    Cosine {
        /// How long the fall takes.
        steps: u64,
        /// The rate at the end.
        minimum: f64,
    },
    /// Falls as in `Cosine`, each from the base rate again (`CosineAnnealingWarmRestarts`); the last cycle repeats.
    WarmRestarts {
        /// The length of each cycle.
        cycles: Vec<u64>,
        /// The rate that each cycle falls towards.
        minimum: f64,
    },
    /// Rise to the base rate, then fall far below the start, both as cosines (`OneCycleLR`).
    OneCycle {
        /// How long both take.
        steps: u64,
        /// The share of steps in the rise; PyTorch's default is 0.3.
        rise: f64,
        /// Base rate over first rate; PyTorch's default is 25.
        start_divisor: f64,
        /// First rate over last rate; PyTorch's default is 10,000.
        end_divisor: f64,
    },
    /// Times `gamma` after every `every` steps (`StepLR`).
    Step {
        /// How many steps one rate lasts.
        every: u64,
        /// The factor between one rate and the next.
        gamma: f64,
    },
    /// Times `gamma` at each milestone (`MultiStepLR`).
    MultiStep {
        /// The steps at which the rate changes, in any order.
        milestones: Vec<u64>,
        /// The factor between one rate and the next.
        gamma: f64,
    },
}

/// Why a schedule is no schedule.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("the schedule's `{setting}` {reason}")]
pub struct ScheduleError {
    /// The field's name.
    pub setting: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

impl Schedule {
    /// The base rate throughout.
    pub fn constant() -> Self {
        Self { warmup: Warmup::default(), shape: Shape::Constant }
    }

    /// Refuses settings for which [`Schedule::rate`] has no meaning. Call it once, before training.
    ///
    /// # Errors
    /// The first setting that is out of range.
    pub fn validate(&self) -> Result<(), ScheduleError> {
        let positive = |setting, steps: u64| require(setting, steps > 0, || "must be at least one step".into());
        let factor = |setting, value: f64| {
            require(setting, value.is_finite() && value >= 0.0, || format!("must be zero or more, not {value}"))
        };
        factor("start_factor", self.warmup.start_factor)?;
        match &self.shape {
            Shape::Constant => Ok(()),
            Shape::Cosine { steps, minimum } => positive("steps", *steps).and(factor("minimum", *minimum)),
            Shape::WarmRestarts { cycles, minimum } => {
                require("cycles", !cycles.is_empty(), || "must name at least one cycle".into())?;
                cycles.iter().try_for_each(|&steps| positive("cycles", steps))?;
                factor("minimum", *minimum)
            }
            Shape::OneCycle { steps, rise, start_divisor, end_divisor } => {
                positive("steps", *steps)?;
                // Shorter rises or falls would divide by nothing.
                let peak = rise * *steps as f64 - 1.0;
                let fits = *rise > 0.0 && *rise < 1.0 && peak > 0.0 && peak < *steps as f64 - 1.0;
                require("rise", fits, || format!("must leave steps to rise and to fall, but {rise} of {steps} does not"))?;
                for (setting, value) in [("start_divisor", *start_divisor), ("end_divisor", *end_divisor)] {
                    require(setting, value.is_finite() && value > 0.0, || format!("must be above zero, not {value}"))?;
                }
                Ok(())
            }
            Shape::Step { every, gamma } => positive("every", *every).and(factor("gamma", *gamma)),
            Shape::MultiStep { gamma, .. } => factor("gamma", *gamma),
        }
    }

    /// The rate of step `step`, counted from 0, for a parameter group of base rate `base`.
    pub fn rate(&self, base: f64, step: u64) -> f64 {
        if step < self.warmup.steps {
            let share = step as f64 / self.warmup.steps as f64;
            return base * (self.warmup.start_factor + (1.0 - self.warmup.start_factor) * share);
        }
        self.shape.rate(base, step - self.warmup.steps)
    }
}

fn require(setting: &'static str, holds: bool, reason: impl Fn() -> String) -> Result<(), ScheduleError> {
    if holds { Ok(()) } else { Err(ScheduleError { setting, reason: reason() }) }
}

impl Shape {
    fn rate(&self, base: f64, step: u64) -> f64 {
        match self {
            Self::Constant => base,
            Self::Cosine { steps, minimum } => half_cosine(base, *minimum, step.min(*steps) as f64 / *steps as f64),
            Self::WarmRestarts { cycles, minimum } => {
                let (place, length) = place_in_cycle(cycles, step);
                half_cosine(base, *minimum, place as f64 / length as f64)
            }
            Self::OneCycle { steps, rise, start_divisor, end_divisor } => {
                let first = base / start_divisor;
                let peak = rise * *steps as f64 - 1.0;
                let last = *steps as f64 - 1.0;
                let step = (step as f64).min(last);
                if step <= peak {
                    half_cosine(first, base, step / peak)
                } else {
                    half_cosine(base, first / end_divisor, (step - peak) / (last - peak))
                }
            }
            Self::Step { every, gamma } => base * libm::pow(*gamma, (step / every) as f64),
            Self::MultiStep { milestones, gamma } => {
                let passed = milestones.iter().filter(|&&milestone| milestone <= step).count();
                base * libm::pow(*gamma, passed as f64)
            }
        }
    }
}

/// Half a cosine wave from `start` at share 0 to `end` at share 1.
fn half_cosine(start: f64, end: f64, share: f64) -> f64 {
    end + (start - end) * (1.0 + libm::cos(PI * share)) / 2.0
}

/// How far into which length of cycle a step lies; the last cycle repeats.
fn place_in_cycle(cycles: &[u64], mut step: u64) -> (u64, u64) {
    for &length in cycles {
        if step < length {
            return (step, length);
        }
        step -= length;
    }
    let last = cycles.last().copied().unwrap_or(1).max(1);
    (step % last, last)
}

/// Whether a metric is better when it is larger or when it is smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    /// Smaller is better: losses and errors.
    Minimize,
    /// Larger is better: scores.
    Maximize,
}

impl Direction {
    /// Whether `value` is better than `best` by more than `margin`. A NaN never is; anything is better than a NaN.
    pub fn improves(self, value: f64, best: f64, margin: f64) -> bool {
        if best.is_nan() {
            return !value.is_nan();
        }
        match self {
            Self::Minimize => value < best - margin,
            Self::Maximize => value > best + margin,
        }
    }
}

/// How a threshold is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Threshold {
    /// As a share of the best value.
    Relative,
    /// In the metric's own unit.
    Absolute,
}

/// When and how far [`Plateau`] lowers the rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlateauSettings {
    /// Which way is better.
    pub direction: Direction,
    /// What a rate is multiplied with.
    pub factor: f64,
    /// How many observations without improvement are borne; the next one lowers the rate.
    pub patience: u32,
    /// How much counts as an improvement.
    pub threshold: f64,
    /// How `threshold` is meant.
    pub threshold_kind: Threshold,
    /// How many observations after a reduction are not counted.
    pub cooldown: u32,
    /// The lowest rate.
    pub minimum: f64,
}

impl PlateauSettings {
    /// PyTorch's defaults: factor 0.1, patience 10, relative threshold 1e-4, no cooldown, minimum 0.
    pub fn new(direction: Direction) -> Self {
        Self {
            direction,
            factor: 0.1,
            patience: 10,
            threshold: 1e-4,
            threshold_kind: Threshold::Relative,
            cooldown: 0,
            minimum: 0.0,
        }
    }
}

/// Lowers the rate when a metric no longer improves, PyTorch's `ReduceLROnPlateau`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plateau {
    settings: PlateauSettings,
    best: Option<f64>,
    bad: u32,
    cooling: u32,
    reductions: u32,
}

impl Plateau {
    /// Before the first observation.
    pub fn new(settings: PlateauSettings) -> Self {
        Self { settings, best: None, bad: 0, cooling: 0, reductions: 0 }
    }

    /// Takes in one value of the metric; true where it lowers the rate.
    pub fn observe(&mut self, value: f64) -> bool {
        if self.better(value) {
            self.best = Some(value);
            self.bad = 0;
        } else {
            self.bad += 1;
        }
        if self.cooling > 0 {
            self.cooling -= 1;
            self.bad = 0;
        }
        let lowers = self.bad > self.settings.patience;
        if lowers {
            self.reductions += 1;
            self.cooling = self.settings.cooldown;
            self.bad = 0;
        }
        lowers
    }

    fn better(&self, value: f64) -> bool {
        let Some(best) = self.best else {
            return !value.is_nan();
        };
        match (self.settings.direction, self.settings.threshold_kind) {
            (Direction::Minimize, Threshold::Relative) => value < best * (1.0 - self.settings.threshold),
            (Direction::Minimize, Threshold::Absolute) => value < best - self.settings.threshold,
            (Direction::Maximize, Threshold::Relative) => value > best * (1.0 + self.settings.threshold),
            (Direction::Maximize, Threshold::Absolute) => value > best + self.settings.threshold,
        }
    }

    /// The rate of a group whose rate would be `base` without reductions.
    pub fn rate(&self, base: f64) -> f64 {
        // PyTorch leaves a rate alone where the step down would be smaller than this.
        const SMALLEST_STEP: f64 = 1e-8;
        (0..self.reductions).fold(base, |rate, _| {
            let lower = (rate * self.settings.factor).max(self.settings.minimum);
            if rate - lower > SMALLEST_STEP { lower } else { rate }
        })
    }
}

/// Ends a run whose metric no longer improves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EarlyStopping {
    /// Which way is better.
    pub direction: Direction,
    /// How many observations without improvement are borne; the run ends with the last of them.
    pub patience: u32,
    /// How much counts as an improvement, in the metric's own unit.
    pub min_delta: f64,
    best: Option<f64>,
    waited: u32,
}

/// What one observation means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The best value so far: save it.
    Best,
    /// Not better, and patience lasts.
    Wait,
    /// Not better, and patience is over.
    Stop,
}

impl EarlyStopping {
    /// Before the first observation. With patience 0 or 1, the first observation that is not better ends the run.
    pub fn new(direction: Direction, patience: u32, min_delta: f64) -> Self {
        Self { direction, patience, min_delta, best: None, waited: 0 }
    }

    /// Takes in one value of the metric. A NaN is never an improvement.
    pub fn observe(&mut self, value: f64) -> Verdict {
        if self.direction.improves(value, self.best.unwrap_or(f64::NAN), self.min_delta) {
            self.best = Some(value);
            self.waited = 0;
            return Verdict::Best;
        }
        self.waited += 1;
        if self.waited >= self.patience { Verdict::Stop } else { Verdict::Wait }
    }

    /// The best value so far.
    pub fn best(&self) -> Option<f64> {
        self.best
    }
}

/// The decay of an exponential moving average after `updates` updates.
///
/// With `warmup` it is `min(decay, (1 + updates) / (10 + updates))`, so that the first, random weights fade quickly.
pub fn ema_decay(decay: f64, updates: u64, warmup: bool) -> f64 {
    if !warmup {
        return decay;
    }
    decay.min((1.0 + updates as f64) / (10.0 + updates as f64))
}

/// Moves an average towards the weights: `average += (1 - decay) * (weight - average)`.
///
/// # Panics
/// Where the two differ in length.
pub fn ema_update(average: &mut [f32], weights: &[f32], decay: f64) {
    assert_eq!(average.len(), weights.len(), "an average and its weights have one shape");
    let share = (1.0 - decay) as f32;
    for (average, weight) in average.iter_mut().zip(weights) {
        *average += share * (weight - *average);
    }
}

/// The Euclidean norm of all gradients together, summed in `f64` in the order given.
pub fn global_norm<'a>(gradients: impl IntoIterator<Item = &'a [f32]>) -> f64 {
    let square = |value: &f32| f64::from(*value) * f64::from(*value);
    gradients.into_iter().map(|gradient| gradient.iter().map(square).sum::<f64>()).sum::<f64>().sqrt()
}

/// What gradients of norm `norm` are multiplied with so that their norm is at most `max_norm`, PyTorch's
/// `clip_grad_norm_`: `min(1, max_norm / (norm + 1e-6))`. A norm that is not finite gives NaN or 0: guard it before.
pub fn clip_factor(norm: f64, max_norm: f64) -> f64 {
    let factor = max_norm / (norm + 1e-6);
    if factor > 1.0 { 1.0 } else { factor }
}

/// Multiplies a gradient in place, with the factor in the gradient's own precision.
pub fn scale_gradient(gradient: &mut [f32], factor: f64) {
    for value in gradient {
        *value *= factor as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_without_a_meaning_are_refused_by_name() {
        let error = |shape| Schedule { warmup: Warmup::default(), shape }.validate().unwrap_err().to_string();
        assert_eq!(error(Shape::Cosine { steps: 0, minimum: 0.0 }), "the schedule's `steps` must be at least one step");
        assert_eq!(
            error(Shape::WarmRestarts { cycles: vec![], minimum: 0.0 }),
            "the schedule's `cycles` must name at least one cycle"
        );
        let one_cycle = |steps, rise| Shape::OneCycle { steps, rise, start_divisor: 25.0, end_divisor: 1e4 };
        assert!(error(one_cycle(3, 0.3)).contains("0.3 of 3"));
        assert!(error(one_cycle(100, 1.0)).contains("`rise`"));
        assert!(error(Shape::Step { every: 0, gamma: 0.1 }).contains("`every`"));
        assert!(error(Shape::MultiStep { milestones: vec![], gamma: f64::NAN }).contains("`gamma`"));
        assert!(Schedule { warmup: Warmup::default(), shape: one_cycle(100, 0.3) }.validate().is_ok());
    }

    #[test]
    fn the_last_cycle_repeats_and_a_fall_keeps_its_minimum() {
        let restarts = Shape::WarmRestarts { cycles: vec![10, 20, 40], minimum: 0.0 };
        assert_eq!(restarts.rate(1.0, 70), 1.0);
        assert_eq!(restarts.rate(1.0, 75), restarts.rate(1.0, 35));
        assert_eq!(Shape::Cosine { steps: 10, minimum: 0.25 }.rate(1.0, 1000), 0.25);
    }

    #[test]
    fn early_stopping_ends_after_its_patience_and_counts_small_gains_as_none() {
        let mut stopping = EarlyStopping::new(Direction::Maximize, 3, 0.01);
        let verdicts: Vec<_> = [f64::NAN, 0.5, 0.505, 0.52, f64::NAN, 0.1, 0.52].map(|value| stopping.observe(value)).into();
        use Verdict::{Best, Stop, Wait};
        assert_eq!(verdicts, [Wait, Best, Wait, Best, Wait, Wait, Stop]);
        assert_eq!(stopping.best(), Some(0.52));
    }

    #[test]
    fn states_survive_a_checkpoint() {
        let mut plateau = Plateau::new(PlateauSettings { patience: 1, ..PlateauSettings::new(Direction::Minimize) });
        let mut stopping = EarlyStopping::new(Direction::Minimize, 4, 0.0);
        for value in [1.0, 0.1 + 0.2, 0.9] {
            plateau.observe(value);
            stopping.observe(value);
        }
        let text = serde_json::to_string(&(&plateau, &stopping)).unwrap();
        let (mut resumed, again): (Plateau, EarlyStopping) = serde_json::from_str(&text).unwrap();
        assert_eq!((&resumed, &again), (&plateau, &stopping));
        assert!(resumed.observe(0.9) && plateau.observe(0.9));
    }

    #[test]
    fn the_average_warms_up_to_its_decay() {
        assert_eq!(ema_decay(0.999, 0, true), 0.1);
        assert_eq!(ema_decay(0.999, 100_000, true), 0.999);
        assert_eq!(ema_decay(0.999, 0, false), 0.999);
    }
}
