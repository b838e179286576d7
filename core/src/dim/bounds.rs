//! Bounds of sizes when every name is at least 1.

use super::polynomial::{Atom, Polynomial, Term};
use super::rational::Rational;
use super::{Dim, Form};

impl Dim {
    /// The largest lower bound that simple reasoning finds when every name is at least 1; `None` where it finds none.
    ///
    /// ```
    /// use sward_core::dim::Dim;
    /// let n = Dim::name("n");
    /// assert_eq!(((&n * 2)? + 3)?.lower_bound(), Some(5));
    /// assert_eq!(n.modulo(&Dim::constant(8))?.lower_bound(), Some(0));
    /// assert_eq!((Dim::constant(8) - &n)?.lower_bound(), None);
    /// # Ok::<(), sward_core::dim::DimError>(())
    /// ```
    pub fn lower_bound(&self) -> Option<i64> {
        match &self.0 {
            Form::Constant(value) => Some(*value),
            Form::Name(_) => Some(1),
            // The value is an integer, so a fractional bound rounds up.
            Form::Polynomial(polynomial) => lower_bound(polynomial)?.negate().ok()?.floor().checked_neg(),
        }
    }
}

/// A lower bound of the value: first as it stands, then with floors below zero replaced by what they round.
pub(crate) fn lower_bound(polynomial: &Polynomial) -> Option<Rational> {
    let direct = sum_of_bounds(polynomial).or_else(|| shifted_bound(polynomial));
    match relax_floors(polynomial) {
        Some(relaxed) => {
            let indirect = sum_of_bounds(&relaxed).or_else(|| shifted_bound(&relaxed));
            direct.max(indirect)
        }
        None => direct,
    }
}

fn sum_of_bounds(polynomial: &Polynomial) -> Option<Rational> {
    let mut total = Rational::ZERO;
    for term in &polynomial.terms {
        total = total.add(term_bound(term)?).ok()?;
    }
    Some(total)
}

fn term_bound(term: &Term) -> Option<Rational> {
    if term.monomial.is_constant() {
        return Some(term.coefficient);
    }
    if term.coefficient.numerator < 0 {
        return None;
    }
    let mut bound = term.coefficient;
    for (atom, power) in &term.monomial.0 {
        let least = atom_bound(atom)?;
        if least < Rational::ZERO || *power < 0 && least < Rational::ONE {
            return None;
        }
        // A divisor may be as large as it likes, so the quotient is only known to be positive.
        bound = if *power < 0 { Rational::ZERO } else { bound.multiply(least.power(*power).ok()?).ok()? };
    }
    Some(bound)
}

fn atom_bound(atom: &Atom) -> Option<Rational> {
    match atom {
        Atom::Name(_) => Some(Rational::ONE),
        Atom::Floor(inner) => Some(Rational::whole(lower_bound(inner)?.floor())),
        Atom::Sum(inner) => lower_bound(inner),
        Atom::Minimum(arguments) => {
            let bounds: Option<Vec<i64>> = arguments.iter().map(Dim::lower_bound).collect();
            bounds?.into_iter().min().map(Rational::whole)
        }
        Atom::Maximum(arguments) => arguments.iter().filter_map(Dim::lower_bound).max().map(Rational::whole),
    }
}

/// Replaces `-c * floor(p)` by `-c * p`, which is no larger.
fn relax_floors(polynomial: &Polynomial) -> Option<Polynomial> {
    let mut relaxed = Polynomial::zero();
    let mut changed = false;
    for term in &polynomial.terms {
        let single = Polynomial::sorted(vec![term.clone()]).ok()?;
        let replaced = match term.monomial.0.as_slice() {
            [(Atom::Floor(inner), 1)] if term.coefficient < Rational::ZERO => {
                changed = true;
                inner.scale(term.coefficient).ok()?
            }
            _ => single,
        };
        relaxed = relaxed.add(&replaced).ok()?;
    }
    changed.then_some(relaxed)
}

/// With every name written as 1 plus something non-negative, a polynomial without negative coefficients is at least
/// its constant: so `a * b - a` is at least 0.
fn shifted_bound(polynomial: &Polynomial) -> Option<Rational> {
    const LARGEST_DEGREE: i32 = 6;
    let mut shifted = Polynomial::zero();
    for term in &polynomial.terms {
        let mut product = Polynomial::constant(term.coefficient);
        for (atom, power) in &term.monomial.0 {
            if !matches!(atom, Atom::Name(_)) || !(1..=LARGEST_DEGREE).contains(power) {
                return None;
            }
            let above_one = Polynomial::atom(atom.clone()).ok()?.add(&Polynomial::constant(Rational::ONE)).ok()?;
            product = product.multiply(&above_one.power(power.unsigned_abs()).ok()?).ok()?;
        }
        shifted = shifted.add(&product).ok()?;
    }
    let constant = shifted.constant_term();
    let others = shifted.terms.iter().filter(|term| !term.monomial.is_constant());
    others.into_iter().all(|term| term.coefficient > Rational::ZERO).then_some(constant)
}
