//! Where the survey went, what stands on each quadrat, and what was weighed.

use super::species::{MIXTURES, Mixture, STATES, State};
use crate::random::{Lane, Stream, purpose};

/// What a random stream of the survey is for.
pub mod part {
    /// The visits.
    pub const VISITS: u32 = 16;
    /// What stands on a quadrat, and what is weighed.
    pub const QUADRAT: u32 = 17;
    /// The names of the samples.
    pub const NAMES: u32 = 18;
    /// The photograph.
    pub const SCENE: u32 = 19;
}

/// About how many quadrats one visit takes.
const QUADRATS_PER_VISIT: usize = 9;

/// The fewest visits.
const FEWEST_VISITS: usize = 8;

/// The share of visits to mixtures without clover.
const WITHOUT_CLOVER: f64 = 0.24;

/// The standard deviation of the logarithm of a weighed mass around what stands there: cutting height, roots, sorting, scales.
const WEIGHING: f64 = 0.2;

/// Dry masses on a quadrat, in grams.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Biomass {
    /// Green leaves other than clover.
    pub green: f64,
    /// Dead leaves and litter.
    pub dead: f64,
    /// Clover.
    pub clover: f64,
}

/// Weighed masses in units of 0.0001 g: whole numbers, so that the tables' sums hold to the last digit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measured {
    /// `Dry_Green_g`.
    pub green: u64,
    /// `Dry_Dead_g`.
    pub dead: u64,
    /// `Dry_Clover_g`.
    pub clover: u64,
}

/// What the survey did not find the time for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// Everything was sorted and weighed.
    Nothing,
    /// Clover was not sorted from the grass: neither of the two is known, their sum is.
    CloverNotSorted,
    /// Nothing was sorted: only the total is known.
    NothingSorted,
}

/// One quadrat, its photograph and its masses.
#[derive(Debug, Clone, PartialEq)]
pub struct Quadrat {
    /// Its number in the order of the visits.
    pub index: usize,
    /// The number in `ID<number>`.
    pub number: u64,
    /// Index into the survey's visits.
    pub visit: usize,
    /// What stands there.
    pub truth: Biomass,
    /// What was weighed.
    pub measured: Measured,
    /// What was not.
    pub missing: Missing,
    /// `Pre_GSHH_NDVI` in hundredths.
    pub ndvi_hundredths: i64,
    /// `Height_Ave_cm` in thirds: the mean of three readings in whole centimetres.
    pub height_thirds: u64,
}

impl Quadrat {
    /// `train/ID....jpg` or `test/ID....jpg`.
    pub fn image_path(&self, visit: &Visit) -> String {
        format!("{}/ID{}.jpg", if visit.is_test { "test" } else { "train" }, self.number)
    }

    /// The height in centimetres.
    pub fn height(&self) -> f64 {
        self.height_thirds as f64 / 3.0
    }
}

/// One place on one day.
#[derive(Debug, Clone, PartialEq)]
pub struct Visit {
    /// Where.
    pub state: State,
    /// When: `2015/9/4`.
    pub date: String,
    /// What grows there.
    pub mixture: Mixture,
    /// Whether its quadrats are in the test set. A visit is never in both.
    pub is_test: bool,
    /// The usual masses there and then.
    pub usual: Biomass,
    /// From an overcast sky (0) to bright sun (1).
    pub sun: f64,
    /// From cool (-1) to warm (1) light.
    pub warmth: f64,
}

/// The whole survey.
#[derive(Debug, Clone, PartialEq)]
pub struct Survey {
    /// The seed that everything follows from.
    pub seed: u64,
    /// The visits, by date.
    pub visits: Vec<Visit>,
    /// The quadrats, sorted by their numbers.
    pub quadrats: Vec<Quadrat>,
}

impl Survey {
    /// Draws a survey of `samples` quadrats.
    pub fn new(samples: usize, seed: u64) -> Self {
        let count = samples.div_ceil(QUADRATS_PER_VISIT).max(FEWEST_VISITS);
        let stream =
            |part, inner: usize| Stream::new(seed, Lane { purpose: purpose::EXAMPLES, outer: part, inner: inner as u32 });
        let visits = visits(count, &mut stream(part::VISITS, 0));
        let numbers = numbers(samples, &mut stream(part::NAMES, 0));
        let draw = |index: usize| {
            let visit = index * count / samples;
            quadrat(index, numbers[index], visit, &visits[visit], &mut stream(part::QUADRAT, index))
        };
        let mut quadrats: Vec<Quadrat> = (0..samples).map(draw).collect();
        quadrats.sort_by_key(|quadrat| quadrat.number);
        Self { seed, visits, quadrats }
    }

    /// The random stream of one part for one quadrat.
    pub fn stream(&self, part: u32, index: usize) -> Stream {
        Stream::new(self.seed, Lane { purpose: purpose::EXAMPLES, outer: part, inner: index as u32 })
    }
}

fn visits(count: usize, stream: &mut Stream) -> Vec<Visit> {
    let without = (WITHOUT_CLOVER * count as f64 + 0.5) as usize;
    let mut has_clover: Vec<bool> = (0..count).map(|index| index >= without).collect();
    stream.shuffle(&mut has_clover);
    let visit = |(index, has_clover): (usize, bool)| {
        let day = (index as f64 + stream.unit()) * 365.0 / count as f64;
        let state = STATES[weighted(stream)];
        let found: Vec<&Mixture> = MIXTURES
            .iter()
            .filter(|mixture| (mixture.clover > 0.0) == has_clover)
            .filter(|mixture| mixture.states.iter().any(|&at| STATES[at].name == state.name))
            .collect();
        let mixture = *found[stream.below(found.len() as u64) as usize];
        // Pasture of the south grows most in October and is driest in April.
        let growth = 0.5 + 0.5 * libm::cos(std::f64::consts::TAU * (day - 288.0) / 365.0);
        let mut level = |median: f64| median * libm::exp(0.35 * stream.normal());
        let usual = Biomass {
            green: level((10.0 + 22.0 * growth) * mixture.grass),
            dead: level(4.0 + 14.0 * (1.0 - growth)),
            clover: level((4.0 + 7.0 * growth) * mixture.clover),
        };
        let (sun, warmth) = (stream.unit(), stream.between(-1.0, 1.0));
        Visit { state, date: date(day as u32), mixture, is_test: index % 5 == 4, usual, sun, warmth }
    };
    has_clover.into_iter().enumerate().map(visit).collect()
}

fn weighted(stream: &mut Stream) -> usize {
    let total: u32 = STATES.iter().map(|state| state.weight).sum();
    let mut left = stream.below(u64::from(total)) as u32;
    let mut index = 0;
    while left >= STATES[index].weight {
        left -= STATES[index].weight;
        index += 1;
    }
    index
}

/// A day of 2015, counted from 0, as the competition writes it.
fn date(day: u32) -> String {
    const LENGTHS: [u32; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut left = day.min(364);
    let mut month = 0;
    while left >= LENGTHS[month] {
        left -= LENGTHS[month];
        month += 1;
    }
    format!("2015/{}/{}", month + 1, left + 1)
}

/// Different numbers of ten digits at most.
fn numbers(count: usize, stream: &mut Stream) -> Vec<u64> {
    let mut seen = std::collections::BTreeSet::new();
    let mut numbers = Vec::with_capacity(count);
    while numbers.len() < count {
        let number = 1_000_000 + stream.below(2_146_000_000);
        if seen.insert(number) {
            numbers.push(number);
        }
    }
    numbers
}

fn quadrat(index: usize, number: u64, visit_index: usize, visit: &Visit, stream: &mut Stream) -> Quadrat {
    let mut mass = |usual: f64, most: f64| (usual * libm::exp(0.5 * stream.normal())).min(most);
    let Biomass { green, dead, clover } = visit.usual;
    let mut truth = Biomass { green: mass(green, 150.0), dead: mass(dead, 80.0), clover: mass(clover, 70.0) };
    if stream.unit() < 0.13 {
        truth.clover = 0.0;
    }
    if stream.unit() < 0.1 {
        truth.dead = 0.0;
    }
    // A stand of clover alone.
    if visit.mixture.clover > 2.0 && truth.clover > 0.0 && stream.unit() < 0.2 {
        truth.green = 0.0;
    }
    let mut weigh = |grams: f64| {
        let weighed = grams * libm::exp(WEIGHING * stream.normal() - 0.5 * WEIGHING * WEIGHING);
        // What stands there is never weighed as nothing.
        if grams > 0.0 { ((weighed * 10_000.0 + 0.5) as u64).max(1) } else { 0 }
    };
    let measured = Measured { green: weigh(truth.green), dead: weigh(truth.dead), clover: weigh(truth.clover) };
    let is_mixed = measured.green > 0 && measured.clover > 0;
    let chance = stream.unit();
    let missing = match chance {
        _ if visit.is_test => Missing::Nothing,
        0.0..0.04 if measured.dead > 0 => Missing::NothingSorted,
        0.04..0.12 if is_mixed => Missing::CloverNotSorted,
        _ => Missing::Nothing,
    };
    let total = truth.green + truth.dead + truth.clover;
    let cover = 1.0 - libm::exp(-0.05 * truth.green - 0.08 * truth.clover);
    let ndvi = 0.2 + 0.68 * cover - 0.12 * truth.dead / total + 0.03 * stream.normal();
    let height = 1.5 + 0.17 * truth.green + 0.12 * truth.clover + 0.06 * truth.dead;
    let height = height * visit.mixture.height * libm::exp(0.15 * stream.normal());
    Quadrat {
        index,
        number,
        visit: visit_index,
        truth,
        measured,
        missing,
        ndvi_hundredths: ((ndvi.clamp(0.16, 0.91) * 100.0) + 0.5) as i64,
        height_thirds: (height.clamp(1.0, 70.0) * 3.0 + 0.5) as u64,
    }
}
