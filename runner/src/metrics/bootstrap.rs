//! Bootstrap intervals: how far a score, or the difference of two, would move with other rows from the same field.

use crate::random::{Lane, Stream, purpose};
use rayon::prelude::*;

use super::{MetricError, check_length};

/// Settings of a bootstrap.
#[derive(Debug, Clone, PartialEq)]
pub struct Bootstrap {
    /// How many resamples are drawn.
    pub resamples: u32,
    /// The share of resamples that the interval covers, in (0, 1).
    pub level: f64,
    /// The seed of the draws.
    pub seed: u64,
    /// The group of each row. Whole groups are drawn where it is given: photographs of one date and place are not
    /// independent, and drawing rows would make the interval too narrow.
    pub groups: Option<Vec<usize>>,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self { resamples: 2000, level: 0.95, seed: 42, groups: None }
    }
}

/// An estimate with its percentile interval.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Interval {
    /// The value on all rows.
    pub estimate: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// The standard deviation over resamples.
    pub standard_error: f64,
    /// The share of resamples that the interval covers.
    pub level: f64,
    /// How many resamples had a value.
    pub resamples: u32,
}

impl Interval {
    /// Whether the interval leaves out zero: a difference that is unlikely to be chance.
    pub fn excludes_zero(&self) -> bool {
        self.low > 0.0 || self.high < 0.0
    }
}

/// The percentile bootstrap of a statistic of rows.
///
/// `statistic` gets row numbers, with repeats, and gives `None` where it has no value on them (an AUC of one class). The
/// draws are keyed by resample, so the interval does not depend on the number of threads.
///
/// # Errors
/// Settings out of range, no rows, or a statistic without a value on all rows or on over half of the resamples.
pub fn bootstrap(
    rows: usize,
    settings: &Bootstrap,
    statistic: impl Fn(&[usize]) -> Option<f64> + Sync,
) -> Result<Interval, MetricError> {
    let metric = "bootstrap";
    let wrong = |reason: String| Err(MetricError::Setting { metric, reason });
    if settings.resamples < 2 {
        return wrong(format!("at least 2 resamples are needed, not {}", settings.resamples));
    }
    if !(settings.level > 0.0 && settings.level < 1.0) {
        return wrong(format!("the level must lie between 0 and 1, not {}", settings.level));
    }
    if rows == 0 {
        return Err(MetricError::NothingObserved { metric, target: None });
    }
    let members = members_of_groups(rows, settings.groups.as_deref())?;
    let everything: Vec<usize> = (0..rows).collect();
    let undefined = |reason| MetricError::Undefined { metric, target: None, reason };
    let estimate = statistic(&everything).ok_or_else(|| undefined("the statistic has no value on all rows"))?;

    let draw = |resample: u32| {
        let mut stream = Stream::new(settings.seed, Lane { purpose: purpose::BOOTSTRAP, outer: 0, inner: resample });
        let drawn = (0..members.len()).flat_map(|_| &members[stream.below(members.len() as u64) as usize]);
        statistic(&drawn.copied().collect::<Vec<usize>>())
    };
    let mut values: Vec<f64> =
        (0..settings.resamples).into_par_iter().map(draw).collect::<Vec<_>>().into_iter().flatten().collect();
    if values.len() < 2 || values.len() * 2 < settings.resamples as usize {
        return Err(undefined("the statistic has no value on over half of the resamples"));
    }
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    values.sort_by(f64::total_cmp);
    let tail = (1.0 - settings.level) / 2.0;
    Ok(Interval {
        estimate,
        low: quantile(&values, tail),
        high: quantile(&values, 1.0 - tail),
        standard_error: (squares / (values.len() - 1) as f64).sqrt(),
        level: settings.level,
        resamples: values.len() as u32,
    })
}

/// The bootstrap of a difference on the same rows: `arm - base`, both scored on the same draws.
///
/// Two systems rise and fall together on easy and hard rows. Pairing takes that common part out, so a small difference
/// shows on few rows.
///
/// # Errors
/// As [`bootstrap`].
pub fn paired_bootstrap(
    rows: usize,
    settings: &Bootstrap,
    base: impl Fn(&[usize]) -> Option<f64> + Sync,
    arm: impl Fn(&[usize]) -> Option<f64> + Sync,
) -> Result<Interval, MetricError> {
    bootstrap(rows, settings, |drawn| Some(arm(drawn)? - base(drawn)?))
}

/// The rows of each group in order of first appearance; every row alone where there are no groups.
fn members_of_groups(rows: usize, groups: Option<&[usize]>) -> Result<Vec<Vec<usize>>, MetricError> {
    let Some(groups) = groups else {
        return Ok((0..rows).map(|row| vec![row]).collect());
    };
    check_length("the list of groups", rows, groups.len())?;
    let mut members: indexmap::IndexMap<usize, Vec<usize>> = indexmap::IndexMap::new();
    for (row, &group) in groups.iter().enumerate() {
        members.entry(group).or_default().push(row);
    }
    Ok(members.into_values().collect())
}

/// The quantile of sorted values with linear interpolation, numpy's default.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(values: &[f64]) -> impl Fn(&[usize]) -> Option<f64> + Sync + '_ {
        |rows| Some(rows.iter().map(|&row| values[row]).sum::<f64>() / rows.len() as f64)
    }

    fn noise(rows: usize, seed: u64) -> Vec<f64> {
        let mut stream = Stream::new(seed, Lane { purpose: 99, outer: 0, inner: 0 });
        (0..rows).map(|_| stream.normal()).collect()
    }

    #[test]
    fn the_interval_covers_the_truth_as_often_as_it_says() {
        // 200 samples of 60 normal deviates with mean 0: a binomial count of 190 with standard deviation 3.1.
        let settings = Bootstrap { resamples: 400, ..Bootstrap::default() };
        let covers = |seed| {
            let values = noise(60, seed);
            let interval = bootstrap(60, &settings, mean(&values)).unwrap();
            interval.low <= 0.0 && interval.high >= 0.0
        };
        let covered = (0..200).filter(|&seed| covers(seed)).count();
        assert!((178..=199).contains(&covered), "{covered} of 200");
    }

    #[test]
    fn pairing_finds_a_difference_that_two_intervals_hide() {
        let base = noise(80, 5);
        let arm: Vec<f64> = base.iter().zip(noise(80, 6)).map(|(value, other)| value + 0.1 + 0.02 * other).collect();
        let settings = Bootstrap::default();
        let paired = paired_bootstrap(80, &settings, mean(&base), mean(&arm)).unwrap();
        assert!(paired.excludes_zero() && (paired.estimate - 0.1).abs() < 0.01, "{paired:?}");
        let alone = bootstrap(80, &settings, mean(&arm)).unwrap();
        assert!(alone.high - alone.low > 10.0 * (paired.high - paired.low));
    }

    #[test]
    fn drawing_whole_groups_widens_the_interval() {
        let of_group = noise(10, 3);
        let values: Vec<f64> = (0..100).map(|row| of_group[row / 10]).collect();
        let rows = Bootstrap::default();
        let groups = Bootstrap { groups: Some((0..100).map(|row| row / 10).collect()), ..Bootstrap::default() };
        let width = |settings| {
            let interval = bootstrap(100, settings, mean(&values)).unwrap();
            interval.high - interval.low
        };
        assert!(width(&groups) > 2.0 * width(&rows));
    }

    #[test]
    fn the_interval_does_not_depend_on_threads() {
        let values = noise(50, 1);
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let many = rayon::ThreadPoolBuilder::new().num_threads(7).build().unwrap();
        let run = || bootstrap(50, &Bootstrap::default(), mean(&values)).unwrap();
        assert_eq!(one.install(run), many.install(run));
    }

    #[test]
    fn a_statistic_without_a_value_is_an_error() {
        let rare = |rows: &[usize]| (rows[0] == 0).then_some(1.0);
        let error = bootstrap(50, &Bootstrap::default(), rare).unwrap_err();
        assert!(error.to_string().contains("over half of the resamples"), "{error}");
        assert!(bootstrap(0, &Bootstrap::default(), |_| Some(0.0)).is_err());
        assert!(bootstrap(5, &Bootstrap { level: 1.0, ..Bootstrap::default() }, |_| Some(0.0)).is_err());
    }
}
