//! Deciding whether two sizes are equal, with a counterexample where they are not.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::divide::{integrality, least_common_multiple};
use super::facts::{Facts, fresh_name};
use super::name::Name;
use super::polynomial::{Atom, Polynomial};
use super::{Dim, DimError, Obligation, Sizes};

/// What is known about the equality of two sizes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Equal at all sizes that meet the obligations.
    Equal,
    /// Different, with sizes that show it.
    Different(Counterexample),
    /// Neither proved equal nor told apart by the search.
    Undecided,
}

/// Sizes at which two dims differ.
///
/// ```
/// use sward_core::dim::{Dim, Verdict, compare};
/// let height = Dim::name("height");
/// let down = height.floor_div(&Dim::constant(32))?;
/// let up = height.ceil_div(&Dim::constant(32))?;
/// let Verdict::Different(example) = compare(&down, &up, &[]) else { panic!() };
/// assert_eq!(example.to_string(), "height = 33 gives 1 on the left and 2 on the right");
/// # Ok::<(), sward_core::dim::DimError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Counterexample {
    /// A value for each name that either side depends on.
    pub sizes: Sizes,
    /// The value of the left side.
    pub left: i64,
    /// The value of the right side.
    pub right: i64,
}

impl fmt::Display for Counterexample {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (left, right) = (self.left, self.right);
        if self.sizes.is_empty() {
            return write!(formatter, "{left} on the left and {right} on the right");
        }
        let verb = if self.sizes.len() == 1 { "gives" } else { "give" };
        write!(formatter, "{} {verb} {left} on the left and {right} on the right", self.sizes)
    }
}

/// Compares two sizes under obligations that are known to hold.
///
/// The normal form decides first, with the obligations as rewrites; then a bounded, deterministic search looks for sizes
/// that tell the two apart; then a proof by cases over the remainders of floor divisions by constants.
/// That each side is an integer is taken as an obligation too.
///
/// ```
/// use sward_core::dim::{Dim, Obligation, Verdict, compare};
/// let (height, stride) = (Dim::name("height"), Dim::constant(32));
/// let back = (height.floor_div(&stride)? * 32)?;
/// let divisible = Obligation { dividend: height.clone(), divisor: stride };
/// assert_eq!(compare(&back, &height, &[divisible]), Verdict::Equal);
/// assert!(matches!(compare(&back, &height, &[]), Verdict::Different(_)));
/// # Ok::<(), sward_core::dim::DimError>(())
/// ```
pub fn compare(left: &Dim, right: &Dim, obligations: &[Obligation]) -> Verdict {
    if left == right {
        return Verdict::Equal;
    }
    if let (Some(left), Some(right)) = (left.as_constant(), right.as_constant()) {
        return Verdict::Different(Counterexample { sizes: Sizes::new(), left, right });
    }
    let mut obligations = obligations.to_vec();
    for side in [left, right] {
        obligations.extend(integrality(&side.to_polynomial()).ok().flatten());
    }
    let names = &left.names() | &right.names();
    let facts = Facts::about(&names, &obligations);
    let rewritten = (facts.apply(left), facts.apply(right));
    if let (Ok(left), Ok(right)) = &rewritten
        && left == right
    {
        return Verdict::Equal;
    }
    if let Some(counterexample) = search(left, right, &facts) {
        return Verdict::Different(counterexample);
    }
    match rewritten {
        (Ok(left), Ok(right)) if equal_in_all_cases(&left, &right, &facts.rewritten()).unwrap_or(false) => Verdict::Equal,
        _ => Verdict::Undecided,
    }
}

/// Values to try first: small ones, primes, powers of two and their neighbours.
const VALUES: [i64; 36] = [
    2, 3, 5, 7, 4, 6, 8, 1, 9, 11, 10, 12, 13, 15, 16, 17, 19, 23, 25, 31, 32, 33, 48, 49, 63, 64, 65, 97, 101, 127, 128, 129,
    224, 225, 255, 257,
];
/// How many assignments the search tries; enough for floors by a few hundred, and some milliseconds at most.
const TRIALS: usize = 2048;

struct Search<'a> {
    left: &'a Dim,
    right: &'a Dim,
    facts: &'a Facts,
    /// The names of both sides and of the obligations, each in terms of the free names.
    images: Vec<(Name, Dim)>,
    /// The names that either side depends on.
    shown: BTreeSet<Name>,
    fallback: Option<Counterexample>,
}

fn search(left: &Dim, right: &Dim, facts: &Facts) -> Option<Counterexample> {
    let shown = &left.names() | &right.names();
    let mut images = Vec::new();
    let mut free = BTreeSet::new();
    for name in &shown | &facts.names() {
        let image = facts.apply(&Dim::from(name)).ok()?;
        free.extend(image.names());
        images.push((name, image));
    }
    let free: Vec<Name> = free.into_iter().collect();
    let mut search = Search { left, right, facts, images, shown, fallback: None };
    let mut attempt = |values: &mut dyn FnMut(usize) -> i64| {
        let sizes: Sizes = free.iter().enumerate().map(|(position, name)| (*name, values(position))).collect();
        search.attempt(&sizes)
    };
    for start in 0..VALUES.len() {
        if let Some(found) = attempt(&mut |position| VALUES[(start + position) % VALUES.len()]) {
            return Some(found);
        }
    }
    if free.len() == 1 {
        for value in 1..=TRIALS as i64 {
            if let Some(found) = attempt(&mut |_| value) {
                return Some(found);
            }
        }
        return search.fallback;
    }
    // Knuth's linear congruential generator: the same assignments on every machine.
    let mut state = 42_u64;
    for trial in 0..TRIALS {
        let range = if trial % 2 == 0 { 12 } else { 160 };
        let found = attempt(&mut |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 33) % range) as i64 + 1
        });
        if found.is_some() {
            return found;
        }
    }
    search.fallback
}

impl Search<'_> {
    /// A counterexample of plausible sizes; one with an empty or negative side is kept for the case that no other is found.
    fn attempt(&mut self, free: &Sizes) -> Option<Counterexample> {
        let mut sizes = Sizes::new();
        for (name, image) in &self.images {
            let value = image.evaluate(free).ok()?;
            if value < 1 {
                return None;
            }
            sizes.insert(*name, value);
        }
        let (left, right) = (self.left.evaluate(&sizes).ok()?, self.right.evaluate(&sizes).ok()?);
        if left == right || !self.facts.hold(&sizes) {
            return None;
        }
        let sizes = sizes.iter().filter(|(name, _)| self.shown.contains(name)).collect();
        let found = Counterexample { sizes, left, right };
        if left >= 1 && right >= 1 {
            return Some(found);
        }
        self.fallback.get_or_insert(found);
        None
    }
}

/// Splits each name by its remainder, so that floors by constants come out, and compares every case that the obligations allow.
fn equal_in_all_cases(left: &Dim, right: &Dim, obligations: &[Obligation]) -> Result<bool, DimError> {
    const LARGEST_NUMBER_OF_CASES: i64 = 512;
    let mut periods: BTreeMap<Name, i64> = BTreeMap::new();
    for side in [left, right] {
        collect_periods(&side.to_polynomial(), 1, &mut periods)?;
    }
    for obligation in obligations {
        if let Some(divisor) = obligation.divisor.as_constant() {
            collect_periods(&obligation.dividend.to_polynomial(), divisor as i128, &mut periods)?;
        }
    }
    let cases = periods.values().try_fold(1_i64, |product, period| product.checked_mul(*period));
    let Some(cases) = cases.filter(|cases| (2..=LARGEST_NUMBER_OF_CASES).contains(cases)) else {
        return Ok(false);
    };
    for case in 0..cases {
        let mut rest = case;
        let mut images: Vec<(Name, Dim)> = Vec::with_capacity(periods.len());
        for (position, (name, period)) in periods.iter().enumerate() {
            let image = ((fresh_name(*name, position) * *period)? - rest % period)?;
            images.push((*name, image));
            rest /= period;
        }
        let image_of = |own: &str| images.iter().find(|(name, _)| name.as_str() == own).map(|(_, dim)| dim.clone());
        let is_excluded = |obligation: &Obligation| -> Result<bool, DimError> {
            let divisor = obligation.divisor.substitute(&image_of)?;
            let remainder = obligation.dividend.substitute(&image_of)?.modulo(&divisor)?;
            Ok(remainder.as_constant().is_some_and(|remainder| remainder != 0))
        };
        // An obligation that cannot be evaluated excludes nothing.
        if obligations.iter().any(|obligation| is_excluded(obligation).unwrap_or(false)) {
            continue;
        }
        if left.substitute(&image_of)? != right.substitute(&image_of)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The period of each name under the floors by constants that it stands in.
fn collect_periods(polynomial: &Polynomial, outer: i128, periods: &mut BTreeMap<Name, i64>) -> Result<(), DimError> {
    for (atom, _) in polynomial.terms.iter().flat_map(|term| &term.monomial.0) {
        match atom {
            Atom::Name(_) => {}
            Atom::Sum(inner) => collect_periods(inner, outer, periods)?,
            Atom::Minimum(arguments) | Atom::Maximum(arguments) => {
                for argument in arguments.iter() {
                    collect_periods(&argument.to_polynomial(), outer, periods)?;
                }
            }
            Atom::Floor(inner) => {
                let mut period = outer;
                for term in &inner.terms {
                    let product = outer.checked_mul(term.coefficient.denominator as i128);
                    period = least_common_multiple(period, product.ok_or(DimError::Overflow)?)?;
                }
                for (part, power) in inner.terms.iter().flat_map(|term| &term.monomial.0) {
                    if let (Atom::Name(name), 1..) = (part, power) {
                        let own = periods.entry(*name).or_insert(1);
                        let joint = least_common_multiple(*own as i128, period)?;
                        *own = i64::try_from(joint).map_err(|_| DimError::Overflow)?;
                    }
                }
                collect_periods(inner, period, periods)?;
            }
        }
    }
    Ok(())
}
