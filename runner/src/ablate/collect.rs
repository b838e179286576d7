//! From finished jobs to a paired comparison.

use std::path::Path;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::plan::{Job, Plan};
use crate::experiment::Joined;
use crate::metrics::{Bootstrap, Interval, paired_bootstrap};
use crate::rundir::Standing;
use crate::train::{Labelled, OpenedRun, TrainError};

/// One arm's result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArmResult {
    /// Its name.
    pub name: String,
    /// What it changes.
    pub explanation: String,
    /// The choice of each axis that is not the base's.
    pub choices: IndexMap<String, String>,
    /// Its finished jobs.
    pub finished: usize,
    /// How many there are to be.
    pub of: usize,
    /// The metric of each seed over all folds' rows together; empty while a job is missing.
    pub values: Vec<f64>,
    /// The mean over seeds.
    pub value: Option<f64>,
    /// The effect of each seed against the base with that seed.
    pub effects: Vec<f64>,
    /// The mean effect with its interval over samples; none for the base, and while a job is missing.
    pub effect: Option<Interval>,
    /// Parameters.
    pub parameters: Option<u64>,
    /// Floating-point operations of a forward pass of one sample, losses included.
    pub flops: Option<u64>,
    /// Seconds of training, all jobs together.
    pub seconds: Option<f64>,
}

/// All arms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The version of this description.
    pub version: u32,
    /// The ablation's name.
    pub name: String,
    /// The metric, `val/...`.
    pub metric: String,
    /// Which way it is better.
    pub larger_is_better: bool,
    /// The seeds.
    pub seeds: Vec<u64>,
    /// The folds.
    pub folds: Vec<usize>,
    /// How many samples are compared; 0 while the base has not finished.
    pub samples: usize,
    /// The columns whose groups are drawn whole in resamples; empty where rows are drawn.
    pub groups: Vec<String>,
    /// The finished jobs of all.
    pub finished: usize,
    /// How many there are to be.
    pub of: usize,
    /// The base, then the others.
    pub arms: Vec<ArmResult>,
}

/// An arm whose jobs have finished: out-of-fold rows by seed, with the run that knows its metrics.
pub struct ArmRows {
    /// The experiment of its first run.
    pub joined: Joined,
    /// By seed.
    pub seeds: Vec<Labelled>,
}

/// Reads the rows of an arm; `None` while a job is missing.
///
/// # Errors
/// A run that cannot be read.
pub fn arm_rows(directory: &Path, plan: &Plan, arm: usize) -> Result<Option<ArmRows>, TrainError> {
    let jobs: Vec<Job> = plan.jobs().into_iter().filter(|job| job.arm == arm).collect();
    let mut first = None;
    let mut seeds = Vec::new();
    for &seed in &plan.seeds {
        let mut parts = Vec::new();
        for job in jobs.iter().filter(|job| job.seed == seed) {
            let path = directory.join(&job.directory);
            if Standing::of(&path)? != Standing::Finished {
                return Ok(None);
            }
            let run = OpenedRun::open(&path)?;
            parts.push(Labelled::read(&run)?);
            first.get_or_insert(run);
        }
        seeds.push(Labelled::join(parts)?);
    }
    Ok(first.map(|run: OpenedRun| ArmRows { joined: run.joined, seeds }))
}

impl ArmRows {
    /// The metric of one seed on the rows at some positions; `None` where it has no value.
    fn measure(&self, metric: &str, seed: usize, positions: &[usize]) -> Option<f64> {
        let name = metric.strip_prefix("val/").unwrap_or(metric);
        let (_, own) = self.joined.experiment.metrics.iter().find(|(own, _)| own.value == name)?;
        let value = self.seeds[seed].measure_at(&self.joined, own, positions).ok()?;
        value.is_finite().then_some(value)
    }

    /// The mean over seeds.
    fn mean(&self, metric: &str, positions: &[usize]) -> Option<f64> {
        let values: Option<Vec<f64>> = (0..self.seeds.len()).map(|seed| self.measure(metric, seed, positions)).collect();
        values.map(|values| values.iter().sum::<f64>() / values.len() as f64)
    }

    /// Why rows cannot be paired with those of another arm; `None` where they can.
    fn unpaired(&self, base: &ArmRows) -> Option<String> {
        for (own, other) in self.seeds.iter().zip(&base.seeds) {
            if own.rows != other.rows || own.samples != other.samples {
                return Some("it was validated on other rows than the base".to_owned());
            }
            let known = |labelled: &Labelled| format!("{:?}", labelled.labels);
            if known(own) != known(other) {
                return Some("its rows have other labels than those of the base".to_owned());
            }
        }
        None
    }
}

/// Puts the finished jobs of an ablation together.
///
/// # Errors
/// A run that cannot be read, or an arm whose rows cannot be paired with the base's.
pub fn collect(directory: &Path, plan: &Plan) -> Result<Comparison, TrainError> {
    let jobs = plan.jobs();
    let base = arm_rows(directory, plan, 0)?;
    let samples = base.as_ref().and_then(|base| base.seeds.first()).map_or(0, |labelled| labelled.rows.len());
    let positions: Vec<usize> = (0..samples).collect();
    let mut arms = Vec::with_capacity(plan.arms.len());
    for (number, planned) in plan.arms.iter().enumerate() {
        let mut seconds = Some(0.0);
        let mut finished = 0;
        for job in jobs.iter().filter(|job| job.arm == number) {
            let path = directory.join(&job.directory);
            if Standing::of(&path)? == Standing::Finished {
                finished += 1;
                let own = crate::cv::read_result(&path, job.fold, 0)?.seconds;
                seconds = seconds.zip(own).map(|(sum, own)| sum + own);
            }
        }
        let of = plan.seeds.len() * plan.folds.len();
        let mut result = ArmResult {
            name: planned.name.clone(),
            explanation: planned.explanation.clone(),
            choices: planned.choices.clone(),
            finished,
            of,
            values: Vec::new(),
            value: None,
            effects: Vec::new(),
            effect: None,
            parameters: planned.parameters,
            flops: planned.flops,
            seconds: seconds.filter(|_| finished > 0),
        };
        let rows = match number {
            0 => None,
            _ if finished == of => arm_rows(directory, plan, number)?,
            _ => None,
        };
        let own = if number == 0 { base.as_ref() } else { rows.as_ref() };
        if let (Some(own), Some(base)) = (own, &base) {
            if let Some(cause) = own.unpaired(base) {
                let source = Box::new(TrainError::Usage(format!("samples cannot be paired: {cause}")));
                return Err(TrainError::Arm { arm: planned.name.clone(), source });
            }
            measure(&mut result, plan, own, (number > 0).then_some(base), &positions)?;
        }
        arms.push(result);
    }
    let first = base.as_ref().and_then(|base| base.seeds.first()).filter(|labelled| labelled.group_numbers().is_some());
    let groups = first.and_then(|labelled| labelled.groups.clone());
    Ok(Comparison {
        version: 1,
        name: plan.name.clone(),
        metric: plan.metric.clone(),
        larger_is_better: plan.larger_is_better,
        seeds: plan.seeds.clone(),
        folds: plan.folds.clone(),
        samples,
        groups: groups.map(|(columns, _)| columns).unwrap_or_default(),
        finished: arms.iter().map(|arm| arm.finished).sum(),
        of: jobs.len(),
        arms,
    })
}

/// Fills in values and effects.
fn measure(
    result: &mut ArmResult,
    plan: &Plan,
    own: &ArmRows,
    base: Option<&ArmRows>,
    positions: &[usize],
) -> Result<(), TrainError> {
    let metric = plan.metric.as_str();
    let value = |rows: &ArmRows, seed: usize| rows.measure(metric, seed, positions).unwrap_or(f64::NAN);
    result.values = (0..own.seeds.len()).map(|seed| value(own, seed)).collect();
    result.value = own.mean(metric, positions);
    let Some(base) = base else { return Ok(()) };
    result.effects = (0..own.seeds.len()).map(|seed| value(own, seed) - value(base, seed)).collect();
    let settings = Bootstrap { groups: own.seeds[0].group_numbers(), ..Bootstrap::default() };
    let interval = paired_bootstrap(positions.len(), &settings, |rows| base.mean(metric, rows), |rows| own.mean(metric, rows));
    result.effect = match interval {
        Ok(interval) => Some(interval),
        // A metric without a value on these rows is told as such by the empty cells.
        Err(crate::metrics::MetricError::Undefined { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    Ok(())
}

impl ArmResult {
    /// The standard deviation of effects over seeds; `None` for fewer than two.
    pub fn spread(&self) -> Option<f64> {
        let values = if self.effects.is_empty() { &self.values } else { &self.effects };
        if values.len() < 2 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
        Some((squares / (values.len() - 1) as f64).sqrt())
    }
}
