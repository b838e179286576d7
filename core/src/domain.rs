//! What values the elements of a tensor may have.

use std::fmt;

/// An interval of numbers, closed or open at each end.
///
/// A closed infinite end includes infinity. Bounds are those of exact arithmetic: softplus is positive although it rounds
/// to 0 far below zero. Whether NaN can occur is not tracked, except that it counts as [`Domain::ANY`] alone.
///
/// ```
/// use sward_core::domain::Domain;
/// assert!(Domain::NON_NEGATIVE.contains(&Domain::POSITIVE));
/// assert!(!Domain::POSITIVE.contains(&Domain::NON_NEGATIVE));
/// assert_eq!(Domain::PROBABILITY.join(&Domain::FINITE), Domain::FINITE);
/// assert_eq!(Domain::POSITIVE.to_string(), "Positive");
/// assert_eq!(Domain::closed(-1.0, 1.0).to_string(), "[-1, 1]");
/// assert_eq!(Domain::closed(0.1 + 0.2, 1e6).to_string(), "[0.3, 1000000]");
/// ```
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Domain {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// Whether the lower end itself is left out.
    pub low_open: bool,
    /// Whether the upper end itself is left out.
    pub high_open: bool,
}

impl Domain {
    /// Anything, infinities and NaN included.
    pub const ANY: Domain = Domain::closed(f64::NEG_INFINITY, f64::INFINITY);
    /// Every finite number.
    pub const FINITE: Domain = Domain::open(f64::NEG_INFINITY, f64::INFINITY);
    /// Finite and at least 0.
    pub const NON_NEGATIVE: Domain = Domain { low: 0.0, high: f64::INFINITY, low_open: false, high_open: true };
    /// Finite and above 0.
    pub const POSITIVE: Domain = Domain::open(0.0, f64::INFINITY);
    /// From 0 to 1.
    pub const PROBABILITY: Domain = Domain::closed(0.0, 1.0);
    /// From 0 to 1, the range of pixels; as an interval the same as [`Domain::PROBABILITY`].
    pub const UNIT: Domain = Domain::closed(0.0, 1.0);

    /// The names that a graph file may use, with what they mean.
    pub const NAMED: [(&'static str, Domain); 6] = [
        ("Any", Domain::ANY),
        ("Finite", Domain::FINITE),
        ("NonNegative", Domain::NON_NEGATIVE),
        ("Positive", Domain::POSITIVE),
        ("Probability", Domain::PROBABILITY),
        ("Unit", Domain::UNIT),
    ];

    /// An interval with both ends.
    pub const fn closed(low: f64, high: f64) -> Domain {
        Domain { low, high, low_open: false, high_open: false }
    }

    /// An interval without its ends.
    pub const fn open(low: f64, high: f64) -> Domain {
        Domain { low, high, low_open: true, high_open: true }
    }

    /// A single value.
    pub const fn point(value: f64) -> Domain {
        Domain::closed(value, value)
    }

    /// The domain that a graph file names.
    ///
    /// ```
    /// use sward_core::domain::Domain;
    /// assert_eq!(Domain::from_name("NonNegative"), Some(Domain::NON_NEGATIVE));
    /// assert_eq!(Domain::from_name("Negative"), None);
    /// ```
    pub fn from_name(name: &str) -> Option<Domain> {
        Domain::NAMED.iter().find(|(own, _)| *own == name).map(|(_, domain)| *domain)
    }

    /// Whether a number lies inside. NaN lies in [`Domain::ANY`] alone.
    pub fn contains_value(&self, value: f64) -> bool {
        if value.is_nan() {
            return *self == Domain::ANY;
        }
        let above = if self.low_open { value > self.low } else { value >= self.low };
        let below = if self.high_open { value < self.high } else { value <= self.high };
        above && below
    }

    /// Whether every value of another domain lies inside.
    pub fn contains(&self, other: &Domain) -> bool {
        let low = self.low < other.low || self.low == other.low && (!self.low_open || other.low_open);
        let high = self.high > other.high || self.high == other.high && (!self.high_open || other.high_open);
        low && high
    }

    /// The smallest interval that contains both, [settled](Domain::settled).
    pub fn join(&self, other: &Domain) -> Domain {
        let (low, low_open) = match self.low.total_cmp(&other.low) {
            std::cmp::Ordering::Less => (self.low, self.low_open),
            std::cmp::Ordering::Greater => (other.low, other.low_open),
            std::cmp::Ordering::Equal => (self.low, self.low_open && other.low_open),
        };
        let (high, high_open) = match self.high.total_cmp(&other.high) {
            std::cmp::Ordering::Greater => (self.high, self.high_open),
            std::cmp::Ordering::Less => (other.high, other.high_open),
            std::cmp::Ordering::Equal => (self.high, self.high_open && other.high_open),
        };
        Domain { low, high, low_open, high_open }.settled()
    }

    /// Itself; [`Domain::ANY`] where it has no bound and one of the infinities, which says as little.
    ///
    /// ```
    /// use sward_core::domain::Domain;
    /// assert_eq!(Domain { low_open: true, ..Domain::ANY }.settled(), Domain::ANY);
    /// assert_eq!(Domain::FINITE.settled(), Domain::FINITE);
    /// ```
    pub fn settled(self) -> Domain {
        let is_bounded = self.low > f64::NEG_INFINITY || self.high < f64::INFINITY;
        if is_bounded || self == Domain::FINITE { self } else { Domain::ANY }
    }

    /// Whether infinities are left out.
    pub fn is_finite(&self) -> bool {
        Domain::FINITE.contains(self)
    }
}

impl Default for Domain {
    fn default() -> Domain {
        Domain::ANY
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((name, _)) = Domain::NAMED.iter().find(|(_, domain)| domain == self) {
            return formatter.write_str(name);
        }
        let end = |value: f64| match value {
            f64::INFINITY => "infinity".to_owned(),
            f64::NEG_INFINITY => "-infinity".to_owned(),
            value => number_text(value),
        };
        let (open, close) = (if self.low_open { '(' } else { '[' }, if self.high_open { ')' } else { ']' });
        write!(formatter, "{open}{}, {}{close}", end(self.low), end(self.high))
    }
}

/// A number to twelve digits: what stands behind them in an end that was computed is its rounding. What is not whole is not shown as if it
/// were: just above 1 is no probability.
fn number_text(value: f64) -> String {
    let short: f64 = format!("{value:.11e}").parse().unwrap_or(value);
    let shown = if short.fract() == 0.0 { value } else { short };
    let text = format!("{shown:?}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_shown_short_and_never_as_what_they_are_not() {
        for (value, text) in [
            (1e-6 - 4.0 * f64::EPSILON * 1e-6, "1e-6"),
            (1e-4 - 4.0 * f64::EPSILON * 1e-4, "0.0001"),
            (-0.171, "-0.171"),
            (1.0, "1"),
            (1.0 + f64::EPSILON, "1.0000000000000002"),
            (1e300, "1e300"),
            (f64::INFINITY, "infinity"),
        ] {
            assert_eq!(Domain::closed(-2.0, value).to_string(), format!("[-2, {text}]"));
        }
    }
}
