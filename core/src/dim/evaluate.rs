//! Sizes as numbers, and sizes in place of names.

use std::collections::BTreeMap;
use std::fmt;

use super::divide::{self, floor};
use super::name::Name;
use super::polynomial::{Atom, Polynomial};
use super::rational::Rational;
use super::{Dim, DimError, Form};

/// The values of named sizes.
///
/// ```
/// use sward_core::dim::Sizes;
/// let sizes: Sizes = [("height", 224), ("batch", 8)].into_iter().collect();
/// assert_eq!(sizes.get("height"), Some(224));
/// assert_eq!(sizes.to_string(), "batch = 8, height = 224");
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash, Debug)]
pub struct Sizes(BTreeMap<Name, i64>);

impl Sizes {
    /// No values at all.
    pub fn new() -> Sizes {
        Sizes::default()
    }

    /// Sets the value of a name and gives the one it replaces.
    pub fn insert(&mut self, name: impl Into<Name>, value: i64) -> Option<i64> {
        self.0.insert(name.into(), value)
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<i64> {
        self.0.get(name).copied()
    }

    /// Names and values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (Name, i64)> + '_ {
        self.0.iter().map(|(name, value)| (*name, *value))
    }

    /// Whether no name has a value.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many names have a value.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl<N: Into<Name>> FromIterator<(N, i64)> for Sizes {
    fn from_iter<I: IntoIterator<Item = (N, i64)>>(entries: I) -> Sizes {
        Sizes(entries.into_iter().map(|(name, value)| (name.into(), value)).collect())
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (name, value)) in self.0.iter().enumerate() {
            let separator = if position == 0 { "" } else { ", " };
            write!(formatter, "{separator}{name} = {value}")?;
        }
        Ok(())
    }
}

impl Dim {
    /// The value at the sizes given.
    ///
    /// # Errors
    /// On a name without a value, an exact division that does not come out, a division by zero, and overflow.
    ///
    /// ```
    /// use sward_core::dim::{Dim, Sizes};
    /// let (rows, _) = Dim::name("height").exact_div(&Dim::constant(32))?;
    /// assert_eq!(rows.evaluate(&Sizes::from_iter([("height", 224)]))?, 7);
    /// let error = rows.evaluate(&Sizes::from_iter([("height", 225)])).unwrap_err();
    /// assert_eq!(error.to_string(), "height = 225 is not divisible by 32");
    /// # Ok::<(), sward_core::dim::DimError>(())
    /// ```
    pub fn evaluate(&self, sizes: &Sizes) -> Result<i64, DimError> {
        match &self.0 {
            Form::Constant(value) => Ok(*value),
            Form::Name(name) => value_of(*name, sizes),
            Form::Polynomial(polynomial) => {
                let value = evaluate(polynomial, sizes)?;
                if value.is_whole() { Ok(value.numerator) } else { Err(not_divisible(polynomial, value, sizes)) }
            }
        }
    }

    /// The size with names replaced; names for which the function gives nothing stay.
    ///
    /// # Errors
    /// When a replaced divisor is zero, an exact division turns out impossible, or on overflow.
    ///
    /// ```
    /// use sward_core::dim::Dim;
    /// let area = (Dim::name("height") * Dim::name("width"))?;
    /// let square = area.substitute(&|name| (name == "width").then(|| Dim::name("height")))?;
    /// assert_eq!(square.to_string(), "height ** 2");
    /// # Ok::<(), sward_core::dim::DimError>(())
    /// ```
    pub fn substitute(&self, replacement: &dyn Fn(&str) -> Option<Dim>) -> Result<Dim, DimError> {
        match &self.0 {
            Form::Constant(_) => Ok(self.clone()),
            Form::Name(name) => Ok(replacement(name.as_str()).unwrap_or_else(|| self.clone())),
            Form::Polynomial(polynomial) => {
                if self.names().iter().all(|name| replacement(name.as_str()).is_none()) {
                    return Ok(self.clone());
                }
                Dim::from_polynomial(substitute(polynomial, replacement)?)
            }
        }
    }
}

fn value_of(name: Name, sizes: &Sizes) -> Result<i64, DimError> {
    sizes.0.get(&name).copied().ok_or(DimError::UnknownName(name))
}

fn evaluate(polynomial: &Polynomial, sizes: &Sizes) -> Result<Rational, DimError> {
    let mut total = Rational::ZERO;
    for term in &polynomial.terms {
        let mut product = term.coefficient;
        for (atom, power) in &term.monomial.0 {
            let value = match atom {
                Atom::Name(name) => Rational::whole(value_of(*name, sizes)?),
                Atom::Floor(inner) => Rational::whole(evaluate(inner, sizes)?.floor()),
                Atom::Sum(inner) => evaluate(inner, sizes)?,
                Atom::Minimum(arguments) => Rational::whole(extreme(arguments, sizes, i64::min)?),
                Atom::Maximum(arguments) => Rational::whole(extreme(arguments, sizes, i64::max)?),
            };
            product = product.multiply(value.power(*power)?)?;
        }
        total = total.add(product)?;
    }
    Ok(total)
}

fn extreme(arguments: &[Dim], sizes: &Sizes, choose: fn(i64, i64) -> i64) -> Result<i64, DimError> {
    let mut chosen: Option<i64> = None;
    for argument in arguments {
        let value = argument.evaluate(sizes)?;
        chosen = Some(chosen.map_or(value, |so_far| choose(so_far, value)));
    }
    chosen.ok_or(DimError::Overflow)
}

/// Names the division that fails in the words of the size itself.
fn not_divisible(polynomial: &Polynomial, value: Rational, sizes: &Sizes) -> DimError {
    if let Ok(Some(obligation)) = divide::integrality(polynomial)
        && let Ok(dividend) = obligation.dividend.evaluate(sizes)
    {
        return DimError::NotDivisibleAt { dividend: obligation.dividend, divisor: obligation.divisor, value: dividend };
    }
    DimError::NotDivisible { dividend: Dim::constant(value.numerator), divisor: Dim::constant(value.denominator) }
}

pub(super) fn substitute(polynomial: &Polynomial, replacement: &dyn Fn(&str) -> Option<Dim>) -> Result<Polynomial, DimError> {
    let mut total = Polynomial::zero();
    for term in &polynomial.terms {
        let mut product = Polynomial::constant(term.coefficient);
        for (atom, power) in &term.monomial.0 {
            let replaced = match atom {
                Atom::Name(name) => replacement(name.as_str()).unwrap_or_else(|| Dim::from(*name)).to_polynomial(),
                Atom::Floor(inner) => floor(substitute(inner, replacement)?)?,
                Atom::Sum(inner) => substitute(inner, replacement)?,
                Atom::Minimum(arguments) => fold(arguments, replacement, Dim::minimum)?.to_polynomial(),
                Atom::Maximum(arguments) => fold(arguments, replacement, Dim::maximum)?.to_polynomial(),
            };
            let raised = replaced.power(power.unsigned_abs())?;
            product = if *power < 0 { divide::divide(&product, &raised)? } else { product.multiply(&raised)? };
        }
        total = total.add(&product)?;
    }
    Ok(total)
}

fn fold(
    arguments: &[Dim],
    replacement: &dyn Fn(&str) -> Option<Dim>,
    join: fn(&Dim, &Dim) -> Result<Dim, DimError>,
) -> Result<Dim, DimError> {
    let mut joined: Option<Dim> = None;
    for argument in arguments {
        let replaced = argument.substitute(replacement)?;
        joined = Some(match joined {
            Some(so_far) => join(&so_far, &replaced)?,
            None => replaced,
        });
    }
    joined.ok_or(DimError::TooComplex)
}
