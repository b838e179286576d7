//! Minimum and maximum of sizes.

use super::polynomial::{Atom, Polynomial, Term};
use super::rational::{Rational, gcd};
use super::{Dim, DimError, Form};

#[derive(Clone, Copy, PartialEq)]
enum Direction {
    Minimum,
    Maximum,
}

impl Dim {
    /// The smaller of two sizes. (`min` and `max` are those of [`Ord`], which orders the forms and not the values.)
    ///
    /// # Errors
    /// On overflow, or when the form grows too large.
    ///
    /// ```
    /// use sward_core::dim::Dim;
    /// let n = Dim::name("n");
    /// assert_eq!(n.minimum(&(&n + 1)?)?, n);
    /// assert_eq!(n.minimum(&Dim::constant(8))?.to_string(), "min(8, n)");
    /// # Ok::<(), sward_core::dim::DimError>(())
    /// ```
    pub fn minimum(&self, other: &Dim) -> Result<Dim, DimError> {
        extremum(Direction::Minimum, [self, other])
    }

    /// The larger of two sizes.
    ///
    /// # Errors
    /// On overflow, or when the form grows too large.
    pub fn maximum(&self, other: &Dim) -> Result<Dim, DimError> {
        extremum(Direction::Maximum, [self, other])
    }
}

/// Flattens nested extrema, drops arguments that another one always beats, moves shared parts out.
fn extremum(direction: Direction, arguments: [&Dim; 2]) -> Result<Dim, DimError> {
    let mut flat: Vec<Dim> = Vec::new();
    for argument in arguments {
        match nested(direction, argument)? {
            Some(inner) => flat.extend(inner),
            None => flat.push(argument.clone()),
        }
    }
    flat.sort();
    flat.dedup();
    let mut kept: Vec<Dim> = Vec::new();
    for (position, candidate) in flat.iter().enumerate() {
        let mut beaten = false;
        for (rival_position, rival) in flat.iter().enumerate() {
            if position != rival_position && always_beats(direction, rival, candidate) {
                // Of two that always tie, the first stays.
                beaten |= rival_position < position || !always_beats(direction, candidate, rival);
            }
        }
        if !beaten {
            kept.push(candidate.clone());
        }
    }
    if let [single] = kept.as_slice() {
        return Ok(single.clone());
    }
    build(direction, &kept)
}

/// The arguments of `2 * min(a, b) + c`, with the factor and the rest moved in; nothing for other forms.
fn nested(direction: Direction, dim: &Dim) -> Result<Option<Vec<Dim>>, DimError> {
    let Form::Polynomial(polynomial) = &dim.0 else {
        return Ok(None);
    };
    let mut extremum: Option<(&Term, &[Dim])> = None;
    for term in &polynomial.terms {
        let arguments = match (direction, term.monomial.0.as_slice()) {
            (Direction::Minimum, [(Atom::Minimum(arguments), 1)]) => arguments,
            (Direction::Maximum, [(Atom::Maximum(arguments), 1)]) => arguments,
            _ => continue,
        };
        if extremum.is_some() || term.coefficient < Rational::ZERO {
            return Ok(None);
        }
        extremum = Some((term, arguments));
    }
    let Some((term, arguments)) = extremum else {
        return Ok(None);
    };
    let others = polynomial.terms.iter().filter(|other| *other != term).cloned().collect();
    let rest = Polynomial::sorted(others)?;
    let moved = |argument: &Dim| Dim::from_polynomial(argument.to_polynomial().scale(term.coefficient)?.add(&rest)?);
    arguments.iter().map(moved).collect::<Result<_, _>>().map(Some)
}

fn always_beats(direction: Direction, rival: &Dim, candidate: &Dim) -> bool {
    let margin = match direction {
        Direction::Minimum => candidate.minus(rival),
        Direction::Maximum => rival.minus(candidate),
    };
    margin.ok().and_then(|margin| margin.lower_bound()).is_some_and(|bound| bound >= 0)
}

/// `min(4 * a + c, 2 * b + c)` becomes `2 * min(2 * a, b) + c`.
fn build(direction: Direction, arguments: &[Dim]) -> Result<Dim, DimError> {
    let mut polynomials: Vec<Polynomial> = arguments.iter().map(Dim::to_polynomial).collect();
    let shared = shared_terms(&polynomials)?;
    for polynomial in &mut polynomials {
        *polynomial = polynomial.subtract(&shared)?;
    }
    let all_whole = polynomials.iter().all(|polynomial| polynomial.terms.iter().all(Term::is_whole));
    let coefficients = polynomials.iter().flat_map(|polynomial| &polynomial.terms).map(|term| term.coefficient);
    let factor = coefficients.fold(0, |factor, own| gcd(factor, own.numerator as i128));
    let factor = if all_whole && factor > 1 { Rational::reduced(factor, 1)? } else { Rational::ONE };
    let mut rest = Vec::with_capacity(polynomials.len());
    for polynomial in polynomials {
        rest.push(Dim::from_polynomial(polynomial.scale(factor.invert()?)?)?);
    }
    rest.sort();
    let atom = match direction {
        Direction::Minimum => Atom::Minimum(rest.into()),
        Direction::Maximum => Atom::Maximum(rest.into()),
    };
    Dim::from_polynomial(Polynomial::atom(atom)?.scale(factor)?.add(&shared)?)
}

/// Terms that all arguments have with the same coefficient; of the constants, the smallest.
fn shared_terms(polynomials: &[Polynomial]) -> Result<Polynomial, DimError> {
    let Some((first, others)) = polynomials.split_first() else {
        return Ok(Polynomial::zero());
    };
    let mut shared: Vec<Term> = first
        .terms
        .iter()
        .filter(|term| !term.monomial.is_constant() && term.is_whole())
        .filter(|term| others.iter().all(|other| other.terms.contains(term)))
        .cloned()
        .collect();
    let none_constant = polynomials.iter().all(|polynomial| polynomial.as_constant().is_none());
    let constants = polynomials.iter().map(Polynomial::constant_term);
    if let Some(least) = constants.min()
        && none_constant
        && least.is_whole()
        && !least.is_zero()
    {
        shared.push(Term::constant(least));
    }
    Polynomial::from_terms(shared)
}
