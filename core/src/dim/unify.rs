//! Matching a declared size with an actual one.

use std::collections::{BTreeMap, BTreeSet};

use super::compare::{Counterexample, Verdict, compare};
use super::divide::{divide, integrality};
use super::name::Name;
use super::polynomial::{Atom, Polynomial};
use super::{Dim, DimError, Form, Obligation, collect_polynomial_names};

/// What the names of a declaration stand for.
///
/// The names of the declaration are its own: an actual size may use the same name for something else.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Bindings(BTreeMap<Name, Dim>);

impl Bindings {
    /// No bindings.
    pub fn new() -> Bindings {
        Bindings::default()
    }

    /// What a name stands for.
    pub fn get(&self, name: &str) -> Option<&Dim> {
        self.0.get(name)
    }

    /// Binds a name and gives what it stood for before.
    pub fn insert(&mut self, name: impl Into<Name>, dim: Dim) -> Option<Dim> {
        self.0.insert(name.into(), dim)
    }

    /// Names and sizes, by name.
    pub fn iter(&self) -> impl Iterator<Item = (Name, &Dim)> {
        self.0.iter().map(|(name, dim)| (*name, dim))
    }

    /// A declared size in the caller's terms; names without a binding stay.
    ///
    /// # Errors
    /// As [`Dim::substitute`].
    pub fn apply(&self, pattern: &Dim) -> Result<Dim, DimError> {
        pattern.substitute(&|name| self.0.get(name).cloned())
    }
}

/// How a declared size and an actual one fit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unification {
    /// They are equal, perhaps by a new binding, perhaps under a new condition.
    Matches(Option<Obligation>),
    /// They differ.
    Differs {
        /// The declared size in the caller's terms.
        expected: Dim,
        /// Sizes at which they differ: the declared size is on the left.
        counterexample: Counterexample,
    },
    /// They are neither proved equal nor told apart.
    Undecided {
        /// The declared size in the caller's terms.
        expected: Dim,
    },
    /// No value of the name makes them equal, as for `2 * channels` and 7.
    Unsolvable {
        /// The name that the pattern could bind.
        name: Name,
    },
    /// The declared size has names that nothing binds and that this size cannot determine.
    Unbound(Vec<Name>),
}

/// Matches a declared size with an actual one, under obligations on the actual sizes that are known to hold.
///
/// A bare name without a binding takes the actual size. Otherwise bound names are replaced; one name that remains and
/// occurs linearly is solved for; without one the two sizes are compared.
///
/// ```
/// use sward_core::dim::{Bindings, Dim, Unification, unify};
/// let mut bindings = Bindings::new();
/// let pattern = (Dim::name("channels") * 2)?;
/// let outcome = unify(&pattern, &Dim::constant(192), &mut bindings, &[])?;
/// assert_eq!(outcome, Unification::Matches(None));
/// assert_eq!(bindings.get("channels"), Some(&Dim::constant(96)));
/// # Ok::<(), sward_core::dim::DimError>(())
/// ```
///
/// # Errors
/// When the arithmetic overflows or grows too large.
pub fn unify(pattern: &Dim, actual: &Dim, bindings: &mut Bindings, known: &[Obligation]) -> Result<Unification, DimError> {
    if let Form::Constant(_) = pattern.0 {
        return Ok(from_verdict(pattern.clone(), actual, known));
    }
    if let Form::Name(name) = pattern.0 {
        return Ok(match bindings.0.get(&name) {
            Some(bound) => from_verdict(bound.clone(), actual, known),
            None => {
                bindings.0.insert(name, actual.clone());
                Unification::Matches(None)
            }
        });
    }
    let names = pattern.names();
    let unbound: Vec<Name> = names.into_iter().filter(|name| !bindings.0.contains_key(name)).collect();
    match unbound.as_slice() {
        [] => {
            let expected = bindings.apply(pattern)?;
            // `height / 2` of a size that is odd is no size: its condition holds from here on.
            let obligation = integrality(&expected.to_polynomial())?.filter(|own| !known.contains(own));
            Ok(match from_verdict(expected, actual, known) {
                Unification::Matches(_) => Unification::Matches(obligation),
                other => other,
            })
        }
        [name] => match solve(pattern, *name, actual, bindings) {
            Ok(Some((value, obligation))) => {
                let obligation = obligation.filter(|own| !known.contains(own));
                bindings.0.insert(*name, value);
                Ok(Unification::Matches(obligation))
            }
            Ok(None) => Ok(Unification::Unbound(unbound)),
            Err(DimError::NotDivisible { .. }) => Ok(Unification::Unsolvable { name: *name }),
            Err(error) => Err(error),
        },
        _ => Ok(Unification::Unbound(unbound)),
    }
}

fn from_verdict(expected: Dim, actual: &Dim, known: &[Obligation]) -> Unification {
    match compare(&expected, actual, known) {
        Verdict::Equal => Unification::Matches(None),
        Verdict::Different(counterexample) => Unification::Differs { expected, counterexample },
        Verdict::Undecided => Unification::Undecided { expected },
    }
}

/// Solves `factor * name + rest == actual`; nothing where the name is not linear.
fn solve(pattern: &Dim, name: Name, actual: &Dim, bindings: &Bindings) -> Result<Option<(Dim, Option<Obligation>)>, DimError> {
    let atom = Atom::Name(name);
    let (mut factor, mut rest) = (Polynomial::zero(), Polynomial::zero());
    for term in &pattern.to_polynomial().terms {
        let mut others = term.clone();
        others.monomial.0.retain(|(own, _)| *own != atom);
        let others = Polynomial::sorted(vec![others])?;
        let mut names = BTreeSet::new();
        collect_polynomial_names(&others, &mut names);
        match term.monomial.power_of(&atom) {
            _ if names.contains(&name) => return Ok(None),
            0 => rest = rest.add(&others)?,
            1 => factor = factor.add(&others)?,
            _ => return Ok(None),
        }
    }
    let replace = |polynomial: Polynomial| -> Result<Polynomial, DimError> {
        super::evaluate::substitute(&polynomial, &|own| bindings.get(own).cloned())
    };
    let (factor, rest) = (replace(factor)?, replace(rest)?);
    if factor.as_constant().is_some_and(|value| value.is_zero()) {
        return Ok(None);
    }
    let quotient = divide(&actual.to_polynomial().subtract(&rest)?, &factor)?;
    let obligation = integrality(&quotient)?;
    if obligation.as_ref().is_some_and(super::divide::never_holds) {
        return Err(DimError::NotDivisible { dividend: actual.clone(), divisor: pattern.clone() });
    }
    let value = Dim::from_polynomial(quotient)?;
    match value.as_constant() {
        // A name stands for at least 1, so a solution below is none.
        Some(..1) => Err(DimError::NotDivisible { dividend: actual.clone(), divisor: pattern.clone() }),
        _ => Ok(Some((value, obligation))),
    }
}
