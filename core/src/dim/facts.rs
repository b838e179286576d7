//! Obligations as rewrite facts: `height % 32 == 0` says that `height` is 32 times some size.

use std::collections::BTreeSet;

use super::name::Name;
use super::polynomial::{Atom, Term};
use super::rational::gcd;
use super::{Dim, DimError, Obligation, Sizes};

/// What a set of obligations says about names.
pub(crate) struct Facts {
    /// Names and what they are in terms of fresh names, to be applied in order.
    replacements: Vec<(Name, Dim)>,
    /// All obligations, to test sizes with.
    obligations: Vec<Obligation>,
}

impl Facts {
    /// Takes those obligations that touch, directly or through others, one of the names.
    pub fn about(names: &BTreeSet<Name>, obligations: &[Obligation]) -> Facts {
        let mut known = names.clone();
        let mut relevant: Vec<&Obligation> = Vec::new();
        loop {
            let before = relevant.len();
            for obligation in obligations {
                let own: BTreeSet<Name> = &obligation.dividend.names() | &obligation.divisor.names();
                if !relevant.contains(&obligation) && !own.is_disjoint(&known) {
                    known.extend(own);
                    relevant.push(obligation);
                }
            }
            if relevant.len() == before {
                break;
            }
        }
        let mut facts = Facts { replacements: Vec::new(), obligations: Vec::new() };
        for obligation in relevant {
            facts.obligations.push(obligation.clone());
            // A fact that cannot be turned into a rewrite still filters the sizes of the search.
            let rewritten = facts.apply(&obligation.dividend).and_then(|dividend| {
                let divisor = facts.apply(&obligation.divisor)?;
                solve(&dividend, &divisor, facts.replacements.len())
            });
            if let Ok(Some(replacement)) = rewritten {
                facts.replacements.push(replacement);
            }
        }
        facts
    }

    /// The size in terms of the fresh names.
    pub fn apply(&self, dim: &Dim) -> Result<Dim, DimError> {
        let mut current = dim.clone();
        for (name, value) in &self.replacements {
            current = current.substitute(&|own| (own == name.as_str()).then(|| value.clone()))?;
        }
        Ok(current)
    }

    /// The obligations in terms of the fresh names, for a proof by cases; those that cannot be expressed are left out.
    pub fn rewritten(&self) -> Vec<Obligation> {
        let rewrite = |own: &Obligation| -> Result<Obligation, DimError> {
            Ok(Obligation { dividend: self.apply(&own.dividend)?, divisor: self.apply(&own.divisor)? })
        };
        self.obligations.iter().filter_map(|own| rewrite(own).ok()).filter(|own| own.dividend.as_constant().is_none()).collect()
    }

    /// Whether all obligations hold at these sizes.
    pub fn hold(&self, sizes: &Sizes) -> bool {
        self.obligations.iter().all(|obligation| {
            match (obligation.dividend.evaluate(sizes), obligation.divisor.evaluate(sizes)) {
                (Ok(dividend), Ok(divisor)) => dividend.checked_rem(divisor) == Some(0),
                _ => false,
            }
        })
    }

    /// All names of the obligations.
    pub fn names(&self) -> BTreeSet<Name> {
        self.obligations.iter().flat_map(|own| [own.dividend.names(), own.divisor.names()]).flatten().collect()
    }
}

impl Obligation {
    /// Whether this holds wherever all of the others do, as far as rewriting shows.
    ///
    /// ```
    /// use sward_core::dim::{Dim, Obligation};
    /// let divides = |divisor: i64| Obligation { dividend: Dim::name("height"), divisor: Dim::constant(divisor) };
    /// assert!(divides(16).follows_from(&[divides(32)]));
    /// assert!(divides(12).follows_from(&[divides(4), divides(6)]));
    /// assert!(!divides(32).follows_from(&[divides(16)]));
    /// ```
    pub fn follows_from(&self, others: &[Obligation]) -> bool {
        let facts = Facts::about(&(&self.dividend.names() | &self.divisor.names()), others);
        let (Ok(dividend), Ok(divisor)) = (facts.apply(&self.dividend), facts.apply(&self.divisor)) else { return false };
        matches!(dividend.exact_div(&divisor), Ok((_, None)))
    }
}

/// A name that no file can contain, as an apostrophe does not belong to names.
pub(crate) fn fresh_name(base: Name, number: usize) -> Dim {
    Dim::name(&format!("{base}'{number}"))
}

/// Solves `dividend % divisor == 0` for one name.
fn solve(dividend: &Dim, divisor: &Dim, number: usize) -> Result<Option<(Name, Dim)>, DimError> {
    let polynomial = dividend.to_polynomial();
    let variable: Vec<&Term> = polynomial.terms.iter().filter(|term| !term.monomial.is_constant()).collect();
    if let (Some(modulus), [term]) = (divisor.as_constant(), variable.as_slice())
        && let [(Atom::Name(name), 1)] = term.monomial.0.as_slice()
        && modulus > 0
    {
        let step = term.coefficient.numerator as i128;
        let constant = polynomial.constant_term();
        if !term.coefficient.is_whole() || !constant.is_whole() {
            return Ok(None);
        }
        let solution = solve_congruence(step, constant.numerator as i128, modulus as i128);
        let multiple = |(period, below): (i64, i64)| Ok((*name, ((fresh_name(*name, number) * period)? - below)?));
        return solution.map(multiple).transpose();
    }
    // `name + rest` divisible by a divisor without that name: the name is the divisor times a fresh size, less the rest.
    for term in &variable {
        let [(Atom::Name(name), 1)] = term.monomial.0.as_slice() else {
            continue;
        };
        let rest = dividend.minus(&Dim::from(*name))?;
        let unit = term.coefficient == super::Rational::ONE;
        let alone = !rest.names().contains(name) && !divisor.names().contains(name);
        let positive = |dim: &Dim| dim.lower_bound().is_some_and(|bound| bound >= 1);
        if unit && alone && positive(dividend) && positive(divisor) {
            return Ok(Some((*name, fresh_name(*name, number).times(divisor)?.minus(&rest)?)));
        }
    }
    Ok(None)
}

/// The period and the distance below its multiples of all `x` with `(step * x + constant) % modulus == 0`.
fn solve_congruence(step: i128, constant: i128, modulus: i128) -> Option<(i64, i64)> {
    let common = gcd(step, modulus);
    if common == 0 || constant % common != 0 {
        return None;
    }
    let (step, constant, modulus) = (step / common, constant / common, modulus / common);
    let inverse = invert_modulo(step.rem_euclid(modulus), modulus)?;
    let residue = (-constant).rem_euclid(modulus).checked_mul(inverse)?.rem_euclid(modulus);
    let below = (modulus - residue).rem_euclid(modulus);
    Some((i64::try_from(modulus).ok()?, i64::try_from(below).ok()?))
}

fn invert_modulo(value: i128, modulus: i128) -> Option<i128> {
    let (mut old_rest, mut rest) = (value, modulus);
    let (mut old_factor, mut factor) = (1_i128, 0_i128);
    while rest != 0 {
        let quotient = old_rest / rest;
        (old_rest, rest) = (rest, old_rest - quotient * rest);
        (old_factor, factor) = (factor, old_factor - quotient * factor);
    }
    (old_rest == 1 || modulus == 1).then(|| old_factor.rem_euclid(modulus))
}
