//! The canonical form: a sum of monomials with rational coefficients.
//!
//! An exact quotient needs no node of its own: `height / 32` is the monomial `height` with the coefficient 1/32, and
//! `width / heads` has `heads` to the power of -1. So `height / 2 - height / 4` and `height / 4` are one form. What
//! remains opaque is an [`Atom`].

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use super::name::Name;
use super::rational::Rational;
use super::{Dim, DimError};

/// Largest number of parts in one form, counted through atoms: keeps hostile expressions from growing without bound.
const MAXIMUM_WEIGHT: usize = 4096;
/// Largest nesting of atoms, which bounds the depth of recursion.
const MAXIMUM_DEPTH: usize = 64;
/// Largest power of one atom.
const MAXIMUM_POWER: i32 = 64;

/// A factor that has no further structure as a product.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) enum Atom {
    Name(Name),
    /// The floor of a rational polynomial: `x // y` is the floor of `x / y`.
    Floor(Arc<Polynomial>),
    Minimum(Arc<[Dim]>),
    Maximum(Arc<[Dim]>),
    /// A sum as a divisor; occurs with negative powers alone, since positive ones are multiplied out.
    Sum(Arc<Polynomial>),
}

impl Atom {
    fn weight(&self) -> usize {
        match self {
            Atom::Name(_) => 1,
            Atom::Floor(inner) | Atom::Sum(inner) => 1 + inner.weight,
            Atom::Minimum(arguments) | Atom::Maximum(arguments) => {
                arguments.iter().fold(1, |weight, argument| weight + argument.weight())
            }
        }
    }

    fn depth(&self) -> usize {
        match self {
            Atom::Name(_) => 0,
            Atom::Floor(inner) | Atom::Sum(inner) => 1 + inner.depth,
            Atom::Minimum(arguments) | Atom::Maximum(arguments) => 1 + arguments.iter().map(Dim::depth).max().unwrap_or(0),
        }
    }
}

/// A product of atoms to nonzero powers, sorted by atom. Empty for a constant.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Monomial(pub SmallVec<[(Atom, i32); 1]>);

impl Monomial {
    pub fn of(atom: Atom) -> Monomial {
        Monomial(smallvec![(atom, 1)])
    }

    pub fn is_constant(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether no atom stands in a denominator, so that the value is an integer wherever the atoms are.
    pub fn is_whole(&self) -> bool {
        self.0.iter().all(|(_, power)| *power > 0)
    }

    pub fn power_of(&self, atom: &Atom) -> i32 {
        self.0.iter().find(|(own, _)| own == atom).map_or(0, |(_, power)| *power)
    }

    fn degree(&self) -> i64 {
        self.0.iter().map(|(_, power)| *power as i64).sum()
    }

    pub fn multiply(&self, other: &Monomial) -> Result<Monomial, DimError> {
        if other.0.is_empty() {
            return Ok(self.clone());
        }
        let mut factors = SmallVec::with_capacity(self.0.len() + other.0.len());
        let (mut left, mut right) = (self.0.iter().peekable(), other.0.iter().peekable());
        loop {
            let order = match (left.peek(), right.peek()) {
                (Some((a, _)), Some((b, _))) => a.cmp(b),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => return Ok(Monomial(factors)),
            };
            match order {
                Ordering::Less => factors.extend(left.next().cloned()),
                Ordering::Greater => factors.extend(right.next().cloned()),
                Ordering::Equal => {
                    if let (Some((atom, a)), Some((_, b))) = (left.next(), right.next()) {
                        let power = a + b;
                        if power.abs() > MAXIMUM_POWER {
                            return Err(DimError::TooComplex);
                        }
                        if power != 0 {
                            factors.push((atom.clone(), power));
                        }
                    }
                }
            }
        }
    }

    pub fn invert(&self) -> Monomial {
        Monomial(self.0.iter().map(|(atom, power)| (atom.clone(), -power)).collect())
    }
}

impl PartialOrd for Monomial {
    fn partial_cmp(&self, other: &Monomial) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Monomial {
    /// The graded lexicographic order, larger monomials first, so that constants come last. It is compatible with
    /// multiplication, which polynomial division relies on.
    fn cmp(&self, other: &Monomial) -> Ordering {
        other.degree().cmp(&self.degree()).then_with(|| {
            for (left, right) in self.0.iter().zip(&other.0) {
                let (left_exponent, right_exponent) = match left.0.cmp(&right.0) {
                    Ordering::Equal => (left.1, right.1),
                    Ordering::Less => (left.1, 0),
                    Ordering::Greater => (0, right.1),
                };
                if left_exponent != right_exponent {
                    return right_exponent.cmp(&left_exponent);
                }
            }
            let shared = self.0.len().min(other.0.len());
            let first_exponent = |monomial: &Monomial| monomial.0.get(shared).map_or(0, |(_, power)| *power);
            first_exponent(other).cmp(&first_exponent(self))
        })
    }
}

/// One monomial with its nonzero coefficient.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Term {
    pub monomial: Monomial,
    pub coefficient: Rational,
}

impl Term {
    pub fn constant(value: Rational) -> Term {
        Term { monomial: Monomial::default(), coefficient: value }
    }

    /// Whether the value is an integer wherever the atoms are.
    pub fn is_whole(&self) -> bool {
        self.coefficient.is_whole() && self.monomial.is_whole()
    }

    pub fn multiply(&self, other: &Term) -> Result<Term, DimError> {
        Ok(Term {
            monomial: self.monomial.multiply(&other.monomial)?,
            coefficient: self.coefficient.multiply(other.coefficient)?,
        })
    }

    pub fn invert(&self) -> Result<Term, DimError> {
        Ok(Term { monomial: self.monomial.invert(), coefficient: self.coefficient.invert()? })
    }
}

/// A sum of terms with distinct monomials in falling order. Empty for zero.
#[derive(Clone, Debug)]
pub(crate) struct Polynomial {
    pub terms: Vec<Term>,
    weight: usize,
    depth: usize,
}

impl PartialEq for Polynomial {
    fn eq(&self, other: &Polynomial) -> bool {
        self.weight == other.weight && self.terms == other.terms
    }
}

impl Eq for Polynomial {}

impl Hash for Polynomial {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.terms.hash(state);
    }
}

impl PartialOrd for Polynomial {
    fn partial_cmp(&self, other: &Polynomial) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Polynomial {
    fn cmp(&self, other: &Polynomial) -> Ordering {
        let key = |term: &Term| term.coefficient;
        for (left, right) in self.terms.iter().zip(&other.terms) {
            let order = left.monomial.cmp(&right.monomial).then_with(|| key(left).cmp(&key(right)));
            if order != Ordering::Equal {
                return order;
            }
        }
        self.terms.len().cmp(&other.terms.len())
    }
}

impl Polynomial {
    /// Sorts terms, adds those of the same monomial, cancels divisors that are sums.
    pub fn from_terms(mut terms: Vec<Term>) -> Result<Polynomial, DimError> {
        terms.sort_by(|left, right| left.monomial.cmp(&right.monomial));
        let mut merged: Vec<Term> = Vec::with_capacity(terms.len());
        for term in terms {
            match merged.last_mut() {
                Some(last) if last.monomial == term.monomial => {
                    last.coefficient = last.coefficient.add(term.coefficient)?;
                }
                _ => {
                    if merged.last().is_some_and(|last| last.coefficient.is_zero()) {
                        merged.pop();
                    }
                    merged.push(term);
                }
            }
        }
        if merged.last().is_some_and(|last| last.coefficient.is_zero()) {
            merged.pop();
        }
        let polynomial = Polynomial::sorted(merged)?;
        super::divide::cancel_sums(polynomial)
    }

    /// Takes terms that are already merged and in order.
    pub fn sorted(terms: Vec<Term>) -> Result<Polynomial, DimError> {
        let (mut weight, mut depth) = (0_usize, 0_usize);
        for (atom, _) in terms.iter().flat_map(|term| &term.monomial.0) {
            weight = weight.saturating_add(atom.weight());
            depth = depth.max(atom.depth());
        }
        weight = weight.saturating_add(terms.len());
        if weight > MAXIMUM_WEIGHT || depth > MAXIMUM_DEPTH {
            return Err(DimError::TooComplex);
        }
        Ok(Polynomial { terms, weight, depth })
    }

    pub fn zero() -> Polynomial {
        Polynomial { terms: Vec::new(), weight: 0, depth: 0 }
    }

    pub fn constant(value: Rational) -> Polynomial {
        if value.is_zero() {
            return Polynomial::zero();
        }
        Polynomial { terms: vec![Term::constant(value)], weight: 1, depth: 0 }
    }

    pub fn atom(atom: Atom) -> Result<Polynomial, DimError> {
        Polynomial::sorted(vec![Term { monomial: Monomial::of(atom), coefficient: Rational::ONE }])
    }

    pub fn weight(&self) -> usize {
        self.weight
    }

    pub fn depth(&self) -> usize {
        self.depth
    }

    /// The value of a polynomial without atoms.
    pub fn as_constant(&self) -> Option<Rational> {
        match self.terms.as_slice() {
            [] => Some(Rational::ZERO),
            [term] if term.monomial.is_constant() => Some(term.coefficient),
            _ => None,
        }
    }

    /// The term without atoms, zero where there is none.
    pub fn constant_term(&self) -> Rational {
        match self.terms.last() {
            Some(term) if term.monomial.is_constant() => term.coefficient,
            // A Laurent monomial may sort after the constant.
            _ => self.terms.iter().find(|term| term.monomial.is_constant()).map_or(Rational::ZERO, |t| t.coefficient),
        }
    }

    pub fn add(&self, other: &Polynomial) -> Result<Polynomial, DimError> {
        Polynomial::from_terms(self.terms.iter().chain(&other.terms).cloned().collect())
    }

    pub fn subtract(&self, other: &Polynomial) -> Result<Polynomial, DimError> {
        self.add(&other.scale(Rational::whole(-1))?)
    }

    pub fn scale(&self, factor: Rational) -> Result<Polynomial, DimError> {
        if factor.is_zero() {
            return Ok(Polynomial::zero());
        }
        let mut scaled = self.clone();
        for term in &mut scaled.terms {
            term.coefficient = term.coefficient.multiply(factor)?;
        }
        Ok(scaled)
    }

    pub fn multiply(&self, other: &Polynomial) -> Result<Polynomial, DimError> {
        if let Some(factor) = other.as_constant() {
            return self.scale(factor);
        }
        if self.terms.len() * other.terms.len() > MAXIMUM_WEIGHT {
            return Err(DimError::TooComplex);
        }
        let mut terms = Vec::with_capacity(self.terms.len() * other.terms.len());
        for left in &self.terms {
            for right in &other.terms {
                terms.push(left.multiply(right)?);
            }
        }
        Polynomial::from_terms(terms)
    }

    pub fn multiply_term(&self, term: &Term) -> Result<Polynomial, DimError> {
        let terms = self.terms.iter().map(|own| own.multiply(term)).collect::<Result<_, _>>()?;
        Polynomial::from_terms(terms)
    }

    pub fn power(&self, exponent: u32) -> Result<Polynomial, DimError> {
        if exponent > MAXIMUM_POWER as u32 && self.as_constant().is_none() {
            return Err(DimError::TooComplex);
        }
        let (mut result, mut base, mut left) = (Polynomial::constant(Rational::ONE), self.clone(), exponent);
        while left > 0 {
            if left & 1 == 1 {
                result = result.multiply(&base)?;
            }
            left >>= 1;
            if left > 0 {
                base = base.multiply(&base)?;
            }
        }
        Ok(result)
    }
}
