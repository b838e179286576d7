//! Exact and floor division, remainders.

use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use super::polynomial::{Atom, Monomial, Polynomial, Term};
use super::rational::{Rational, gcd};
use super::{Dim, DimError, Form, Obligation};

impl Dim {
    /// The quotient that must come out without a remainder, and the condition under which it does.
    ///
    /// Common factors cancel, so `(batch * tiles) / tiles` is `batch` and needs no condition.
    ///
    /// # Errors
    /// When the divisor is zero, when no sizes make the division come out, or on overflow.
    ///
    /// ```
    /// use sward_core::dim::Dim;
    /// let height = Dim::name("height");
    /// let (rows, obligation) = height.exact_div(&Dim::constant(32))?;
    /// assert_eq!(rows.to_string(), "height / 32");
    /// assert_eq!(obligation.unwrap().to_string(), "height % 32 == 0");
    /// assert!(Dim::constant(7).exact_div(&Dim::constant(2)).is_err());
    /// # Ok::<(), sward_core::dim::DimError>(())
    /// ```
    pub fn exact_div(&self, divisor: &Dim) -> Result<(Dim, Option<Obligation>), DimError> {
        if divisor.is_one() {
            return Ok((self.clone(), None));
        }
        if let (Some(dividend), Some(by)) = (self.as_constant(), divisor.as_constant()) {
            if by == 0 {
                return Err(DimError::DivisionByZero);
            }
            return match (dividend.checked_rem(by), dividend.checked_div(by)) {
                (Some(0), Some(quotient)) => Ok((Dim::constant(quotient), None)),
                (Some(_), Some(_)) => Err(DimError::NotDivisible { dividend: self.clone(), divisor: divisor.clone() }),
                _ => Err(DimError::Overflow),
            };
        }
        let quotient = divide(&self.to_polynomial(), &divisor.to_polynomial())?;
        let obligation = integrality(&quotient)?.map(|reduced| match &divisor.0 {
            // Division by a sum reads best as it was written.
            Form::Polynomial(polynomial) if polynomial.terms.len() > 1 => {
                Obligation { dividend: self.clone(), divisor: divisor.clone() }
            }
            _ => reduced,
        });
        if obligation.as_ref().is_some_and(never_holds) {
            return Err(DimError::NotDivisible { dividend: self.clone(), divisor: divisor.clone() });
        }
        Ok((Dim::from_polynomial(quotient)?, obligation))
    }

    /// The quotient rounded down.
    ///
    /// # Errors
    /// When the divisor is zero, or on overflow.
    ///
    /// ```
    /// use sward_core::dim::Dim;
    /// let n = Dim::name("n");
    /// let four = Dim::constant(4);
    /// assert_eq!(((&n * 4)? + 3)?.floor_div(&four)?, n);
    /// assert_eq!(n.floor_div(&four)?.floor_div(&Dim::constant(2))?, n.floor_div(&Dim::constant(8))?);
    /// # Ok::<(), sward_core::dim::DimError>(())
    /// ```
    pub fn floor_div(&self, divisor: &Dim) -> Result<Dim, DimError> {
        if divisor.is_one() {
            return Ok(self.clone());
        }
        let quotient = divide(&self.to_polynomial(), &divisor.to_polynomial())?;
        Dim::from_polynomial(floor(quotient)?)
    }

    /// The quotient rounded up.
    ///
    /// # Errors
    /// When the divisor is zero, or on overflow.
    pub fn ceil_div(&self, divisor: &Dim) -> Result<Dim, DimError> {
        if divisor.lower_bound().is_some_and(|bound| bound >= 1) {
            return self.plus(&divisor.minus(&Dim::ONE)?)?.floor_div(divisor);
        }
        Dim::ZERO.minus(&Dim::ZERO.minus(self)?.floor_div(divisor)?)
    }

    /// The remainder of floor division, which has the sign of the divisor.
    ///
    /// # Errors
    /// When the divisor is zero, or on overflow.
    ///
    /// ```
    /// use sward_core::dim::Dim;
    /// let height = Dim::name("height");
    /// assert_eq!((&height + 64)?.modulo(&Dim::constant(32))?.to_string(), "height % 32");
    /// # Ok::<(), sward_core::dim::DimError>(())
    /// ```
    pub fn modulo(&self, divisor: &Dim) -> Result<Dim, DimError> {
        if divisor.is_one() {
            return Ok(Dim::ZERO);
        }
        self.minus(&self.floor_div(divisor)?.times(divisor)?)
    }
}

/// The quotient as a polynomial with rational coefficients and powers of either sign.
pub(crate) fn divide(dividend: &Polynomial, divisor: &Polynomial) -> Result<Polynomial, DimError> {
    match divisor.terms.as_slice() {
        [] => Err(DimError::DivisionByZero),
        [term] => dividend.multiply_term(&term.invert()?),
        _ => {
            let content = content(divisor)?;
            let primitive = divisor.multiply_term(&content.invert()?)?;
            let inverse =
                Term { monomial: Monomial(smallvec![(Atom::Sum(Arc::new(primitive)), -1)]), coefficient: Rational::ONE };
            dividend.multiply_term(&content.invert()?.multiply(&inverse)?)
        }
    }
}

/// The greatest common factor of all terms, signed so that the first coefficient of the rest is positive.
fn content(polynomial: &Polynomial) -> Result<Term, DimError> {
    let (mut numerator, mut denominator) = (0, 1);
    for term in &polynomial.terms {
        numerator = gcd(numerator, term.coefficient.numerator as i128);
        let own = term.coefficient.denominator as i128;
        denominator = least_common_multiple(denominator, own)?;
    }
    let sign = polynomial.terms.first().map_or(1, |term| term.coefficient.numerator.signum());
    let mut shared = polynomial.terms.first().map(|term| term.monomial.clone()).unwrap_or_default();
    for (atom, power) in &mut shared.0 {
        *power = polynomial.terms.iter().map(|term| term.monomial.power_of(atom)).min().unwrap_or(0);
    }
    // An atom absent from the first term may still stand in a denominator of another.
    for (atom, power) in polynomial.terms.iter().flat_map(|term| &term.monomial.0) {
        if *power < 0 && shared.power_of(atom) == 0 {
            let least = polynomial.terms.iter().map(|term| term.monomial.power_of(atom)).min().unwrap_or(0);
            shared.0.retain(|(own, _)| own != atom);
            shared = shared.multiply(&Monomial(smallvec![(atom.clone(), least)]))?;
        }
    }
    shared.0.retain(|(_, power)| *power != 0);
    Ok(Term { monomial: shared, coefficient: Rational::reduced(numerator * sign as i128, denominator)? })
}

pub(crate) fn least_common_multiple(left: i128, right: i128) -> Result<i128, DimError> {
    let multiple = (left / gcd(left, right)).checked_mul(right).ok_or(DimError::Overflow)?;
    if multiple > i64::MAX as i128 { Err(DimError::Overflow) } else { Ok(multiple) }
}

/// The smallest term that makes every coefficient and power whole when multiplied in.
pub(crate) fn common_denominator<'a>(terms: impl Iterator<Item = &'a Term> + Clone) -> Result<Term, DimError> {
    let mut coefficient = 1_i128;
    let mut monomial = Monomial::default();
    for term in terms {
        coefficient = least_common_multiple(coefficient, term.coefficient.denominator as i128)?;
        for (atom, power) in &term.monomial.0 {
            let missing = -power - monomial.power_of(atom);
            if *power < 0 && missing > 0 {
                monomial = monomial.multiply(&Monomial(smallvec![(atom.clone(), missing)]))?;
            }
        }
    }
    Ok(Term { monomial, coefficient: Rational::reduced(coefficient, 1)? })
}

/// A term with positive powers as a polynomial, divisors that are sums multiplied out.
pub(crate) fn expand(term: &Term) -> Result<Polynomial, DimError> {
    let mut plain = Term { monomial: Monomial::default(), coefficient: term.coefficient };
    let mut sums = Polynomial::constant(Rational::ONE);
    for (atom, power) in &term.monomial.0 {
        match atom {
            Atom::Sum(sum) if *power > 0 => sums = sums.multiply(&sum.power(power.unsigned_abs())?)?,
            _ => plain.monomial = plain.monomial.multiply(&Monomial(smallvec![(atom.clone(), *power)]))?,
        }
    }
    sums.multiply_term(&plain)
}

/// The condition under which a polynomial is an integer, if one is needed.
pub(crate) fn integrality(polynomial: &Polynomial) -> Result<Option<Obligation>, DimError> {
    let broken: Vec<Term> = polynomial.terms.iter().filter(|term| !term.is_whole()).cloned().collect();
    if broken.is_empty() {
        return Ok(None);
    }
    let denominator = common_denominator(broken.iter())?;
    let fraction = Polynomial::sorted(broken)?;
    let mut numerator = Polynomial::zero();
    for term in &fraction.terms {
        numerator = numerator.add(&expand(&term.multiply(&denominator)?)?)?;
    }
    Ok(Some(Obligation { dividend: Dim::from_polynomial(numerator)?, divisor: Dim::from_polynomial(expand(&denominator)?)? }))
}

/// Whether a condition fails at all sizes, as `(2 * n + 1) % 2 == 0` does.
pub(crate) fn never_holds(obligation: &Obligation) -> bool {
    let Some(divisor) = obligation.divisor.as_constant() else {
        return false;
    };
    let dividend = obligation.dividend.to_polynomial();
    if !dividend.terms.iter().all(Term::is_whole) {
        return false;
    }
    let variable = dividend.terms.iter().filter(|term| !term.monomial.is_constant());
    let step = variable.fold(divisor as i128, |step, term| gcd(step, term.coefficient.numerator as i128));
    step != 0 && dividend.constant_term().numerator as i128 % step != 0
}

/// The floor of a polynomial: whole parts move out, what remains becomes an atom in its own canonical form.
pub(crate) fn floor(polynomial: Polynomial) -> Result<Polynomial, DimError> {
    let (mut outside, mut inside) = (Vec::new(), Vec::new());
    for term in polynomial.terms {
        if !term.monomial.is_whole() {
            inside.push(term);
            continue;
        }
        let whole = Rational::whole(term.coefficient.floor());
        let rest = term.coefficient.subtract(whole)?;
        if !whole.is_zero() {
            outside.push(Term { monomial: term.monomial.clone(), coefficient: whole });
        }
        if !rest.is_zero() {
            inside.push(Term { coefficient: rest, ..term });
        }
    }
    let outside = Polynomial::sorted(outside)?;
    let inside = round_constant(Polynomial::sorted(inside)?)?;
    if inside.as_constant().is_some() {
        // A constant that is left inside lies in [0, 1).
        return Ok(outside);
    }
    let atom = match unnest(&inside)? {
        Some(flat) => floor(flat)?,
        None => Polynomial::atom(Atom::Floor(Arc::new(inside)))?,
    };
    outside.add(&atom)
}

/// Lowers the constant to the grid of the other terms: `(2 * n + 1) // 4` is `n // 2`.
fn round_constant(inside: Polynomial) -> Result<Polynomial, DimError> {
    let constant = inside.constant_term();
    if constant.is_zero() || !inside.terms.iter().all(|term| term.monomial.is_whole()) {
        return Ok(inside);
    }
    let variable: Vec<Term> = inside.terms.iter().filter(|term| !term.monomial.is_constant()).cloned().collect();
    let grid = variable.iter().try_fold(1, |grid, term| least_common_multiple(grid, term.coefficient.denominator as i128))?;
    let steps = (constant.numerator as i128 * grid).div_euclid(constant.denominator as i128);
    let mut terms = variable;
    if steps != 0 {
        terms.push(Term::constant(Rational::reduced(steps, grid)?));
    }
    Polynomial::sorted(terms)
}

/// Rewrites `(x // a + n) // b` to `(x + a * n) // (a * b)`: sound where `b` is a positive integer and `n` an integer.
fn unnest(inside: &Polynomial) -> Result<Option<Polynomial>, DimError> {
    for (position, term) in inside.terms.iter().enumerate() {
        let Some((Atom::Floor(inner), 1)) = term.monomial.0.iter().find(|(atom, _)| matches!(atom, Atom::Floor(_))) else {
            continue;
        };
        if term.coefficient.numerator != 1 {
            continue;
        }
        let divisors: SmallVec<[(Atom, i32); 1]> =
            term.monomial.0.iter().filter(|(atom, _)| *atom != Atom::Floor(inner.clone())).cloned().collect();
        if !divisors.iter().all(|(atom, power)| *power < 0 && is_positive(atom)) {
            continue;
        }
        let divisor = Term { monomial: Monomial(divisors), coefficient: term.coefficient };
        let undo = divisor.invert()?;
        let mut others = inside.terms.clone();
        others.remove(position);
        let mut whole = true;
        for other in &others {
            whole &= other.multiply(&undo)?.is_whole();
        }
        if whole {
            return Ok(Some(inner.multiply_term(&divisor)?.add(&Polynomial::sorted(others)?)?));
        }
    }
    Ok(None)
}

fn is_positive(atom: &Atom) -> bool {
    match atom {
        Atom::Name(_) => true,
        Atom::Sum(sum) => super::bounds::lower_bound(sum).is_some_and(|bound| bound >= Rational::ONE),
        _ => false,
    }
}

/// Divides out divisors that are sums: `(a * c + b * c) / (a + b)` is `c`.
pub(crate) fn cancel_sums(polynomial: Polynomial) -> Result<Polynomial, DimError> {
    let mut sums: Vec<Arc<Polynomial>> = Vec::new();
    for (atom, _) in polynomial.terms.iter().flat_map(|term| &term.monomial.0) {
        if let Atom::Sum(sum) = atom
            && !sums.contains(sum)
        {
            sums.push(sum.clone());
        }
    }
    for sum in sums {
        if let Some(simpler) = cancel_sum(&polynomial, &sum)? {
            return Ok(simpler);
        }
    }
    Ok(polynomial)
}

/// One division with remainder by the leading term; nothing where no term is divisible.
fn cancel_sum(polynomial: &Polynomial, sum: &Arc<Polynomial>) -> Result<Option<Polynomial>, DimError> {
    let atom = Atom::Sum(sum.clone());
    let Some(leading) = sum.terms.first() else {
        return Ok(None);
    };
    for term in &polynomial.terms {
        let divisible = term.monomial.power_of(&atom) < 0
            && leading.monomial.0.iter().all(|(own, power)| term.monomial.power_of(own) >= *power);
        if !divisible {
            continue;
        }
        // term = factor * leading / sum = factor - factor * (sum - leading) / sum.
        let factor = term.multiply(&leading.invert()?)?;
        let whole = factor.multiply(&Term { monomial: Monomial(smallvec![(atom.clone(), 1)]), coefficient: Rational::ONE })?;
        let mut terms: Vec<Term> = polynomial.terms.iter().filter(|other| *other != term).cloned().collect();
        terms.push(whole);
        for tail in &sum.terms[1..] {
            let mut product = factor.multiply(tail)?;
            product.coefficient = product.coefficient.negate()?;
            terms.push(product);
        }
        return Polynomial::from_terms(terms).map(Some);
    }
    Ok(None)
}
