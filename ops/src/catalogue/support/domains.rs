//! Rules for domains that several ops share.

use crate::catalogue::prelude::*;

/// What is known of a weighted sum: finite where the input is.
pub(crate) fn finite_if(inputs: &[&SymbolicType]) -> Domain {
    if inputs.iter().all(|input| input.domain.is_finite()) { Domain::FINITE } else { Domain::ANY }
}

/// The smallest interval that contains the domains of all.
pub(crate) fn joined<'t>(types: impl IntoIterator<Item = &'t SymbolicType>) -> Domain {
    let mut domains = types.into_iter().map(|own| own.domain);
    let first = domains.next().unwrap_or(Domain::ANY);
    domains.fold(first, |joined, own| joined.join(&own))
}

/// The domain of sums of one or more elements: the sign is kept, bounds are not.
pub(crate) fn summed(domain: Domain) -> Domain {
    Domain {
        low: if domain.low >= 0.0 { domain.low } else { f64::NEG_INFINITY },
        low_open: domain.low_open || domain.low < 0.0 && domain.low.is_finite(),
        high: if domain.high <= 0.0 { domain.high } else { f64::INFINITY },
        high_open: domain.high_open || domain.high > 0.0 && domain.high.is_finite(),
    }
    .settled()
}

/// The domain of a whole number from 0 to a size less one.
pub(crate) fn index_below(size: &Dim) -> Domain {
    match size.as_constant() {
        Some(size) => Domain::closed(0.0, (size - 1).max(0) as f64),
        None => Domain::NON_NEGATIVE,
    }
}

/// The domain of a tensor's elements as numbers; truth values are 0 and 1.
pub(crate) fn values(tensor: &SymbolicType) -> Domain {
    if tensor.dtype == DType::Bool { Domain::PROBABILITY } else { tensor.domain }
}
