//! Symbolic sizes.
//!
//! A [`Dim`] is an integer that may depend on named sizes, each of which is at least 1. It is kept in a canonical form,
//! so that two sizes that are equal by arithmetic are equal as values: `(a + b) * 2` and `2 * b + 2 * a` have the same
//! hash. Where the form cannot decide, [`compare`] searches for sizes that tell the two apart.
//!
//! Arithmetic is checked. `+`, `-` and `*` give a [`Result`], as a product of shapes may exceed 64 bits.
//!
//! ```
//! use sward_core::dim::Dim;
//! # fn main() -> Result<(), sward_core::dim::DimError> {
//! let height = Dim::name("height");
//! // A convolution with kernel 3, stride 2 and padding 1.
//! let after = (((&height + 2)? - 3)?.floor_div(&Dim::constant(2))? + 1)?;
//! assert_eq!(after, height.ceil_div(&Dim::constant(2))?);
//! assert_eq!(after.to_string(), "(height + 1) // 2");
//! # Ok(())
//! # }
//! ```

mod bounds;
mod compare;
mod display;
mod divide;
mod evaluate;
mod extremum;
mod facts;
mod name;
mod polynomial;
mod rational;
#[cfg(test)]
mod tests;
mod unify;

use std::collections::BTreeSet;
use std::sync::Arc;

pub use compare::{Counterexample, Verdict, compare};
pub use evaluate::Sizes;
pub use name::Name;
pub use unify::{Bindings, Unification, unify};

use polynomial::{Atom, Monomial, Polynomial, Term};
use rational::Rational;

/// A symbolic size in canonical form.
///
/// Plain constants and single names need no allocation; everything else is shared by reference count.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Dim(Form);

#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Form {
    Constant(i64),
    Name(Name),
    /// Neither a constant nor a single name.
    Polynomial(Arc<Polynomial>),
}

/// A condition that must hold for a size to make sense: `dividend % divisor == 0`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Obligation {
    /// What is divided.
    pub dividend: Dim,
    /// What it is divided by.
    pub divisor: Dim,
}

impl std::fmt::Display for Obligation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        display::write_obligation(formatter, &self.dividend, &self.divisor)
    }
}

/// Why arithmetic with sizes fails.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DimError {
    /// A value or coefficient leaves the range of 64-bit integers.
    #[error("a size exceeds the range of 64-bit integers")]
    Overflow,
    /// An expression has too many terms or too deep a nesting to be kept in canonical form.
    #[error("a size is too complex: too many terms or too deep a nesting")]
    TooComplex,
    /// A divisor is zero.
    #[error("division by zero")]
    DivisionByZero,
    /// An exact division cannot come out, whatever the sizes are.
    #[error("{dividend} is not divisible by {divisor}")]
    NotDivisible {
        /// What is divided.
        dividend: Dim,
        /// What it is divided by.
        divisor: Dim,
    },
    /// An exact division does not come out at the sizes given.
    #[error("{dividend} = {value} is not divisible by {divisor}")]
    NotDivisibleAt {
        /// What is divided.
        dividend: Dim,
        /// What it is divided by.
        divisor: Dim,
        /// The value of the dividend.
        value: i64,
    },
    /// A name has no value.
    #[error("the size `{0}` has no value")]
    UnknownName(Name),
    /// A power has a negative or a symbolic exponent.
    #[error("a size cannot be raised to the power of {0}")]
    Exponent(Dim),
}

impl Dim {
    /// The size 0.
    pub const ZERO: Dim = Dim::constant(0);
    /// The size 1.
    pub const ONE: Dim = Dim::constant(1);

    /// A known size.
    pub const fn constant(value: i64) -> Dim {
        Dim(Form::Constant(value))
    }

    /// A size known by its name alone.
    pub fn name(name: &str) -> Dim {
        Dim(Form::Name(Name::new(name)))
    }

    /// The value of a size that depends on no name.
    pub fn as_constant(&self) -> Option<i64> {
        match self.0 {
            Form::Constant(value) => Some(value),
            _ => None,
        }
    }

    /// The name of a size that is one name and nothing more.
    pub fn as_name(&self) -> Option<Name> {
        match self.0 {
            Form::Name(name) => Some(name),
            _ => None,
        }
    }

    /// Whether the size is the constant 1, which broadcasts.
    pub fn is_one(&self) -> bool {
        self.0 == Form::Constant(1)
    }

    /// The sum of any number of sizes.
    ///
    /// # Errors
    /// When a coefficient leaves 64 bits or the form grows too large.
    pub fn sum<'a>(dims: impl IntoIterator<Item = &'a Dim>) -> Result<Dim, DimError> {
        dims.into_iter().try_fold(Dim::ZERO, |total, dim| total.plus(dim))
    }

    /// The product of any number of sizes, 1 for none.
    ///
    /// # Errors
    /// When a coefficient leaves 64 bits or the form grows too large.
    ///
    /// ```
    /// use sward_core::dim::Dim;
    /// let shape = [Dim::name("batch"), Dim::constant(3), Dim::constant(8)];
    /// assert_eq!(Dim::product(&shape)?.to_string(), "24 * batch");
    /// # Ok::<(), sward_core::dim::DimError>(())
    /// ```
    pub fn product<'a>(dims: impl IntoIterator<Item = &'a Dim>) -> Result<Dim, DimError> {
        dims.into_iter().try_fold(Dim::ONE, |total, dim| total.times(dim))
    }

    /// The size to a constant, non-negative power.
    ///
    /// # Errors
    /// On overflow, and on an exponent that is negative or symbolic.
    pub fn power(&self, exponent: &Dim) -> Result<Dim, DimError> {
        let Some(Ok(count)) = exponent.as_constant().map(u32::try_from) else {
            return Err(DimError::Exponent(exponent.clone()));
        };
        Dim::from_polynomial(self.to_polynomial().power(count)?)
    }

    fn plus(&self, other: &Dim) -> Result<Dim, DimError> {
        match (&self.0, &other.0) {
            (Form::Constant(a), Form::Constant(b)) => a.checked_add(*b).map(Dim::constant).ok_or(DimError::Overflow),
            (Form::Constant(0), _) => Ok(other.clone()),
            (_, Form::Constant(0)) => Ok(self.clone()),
            _ => Dim::from_polynomial(self.to_polynomial().add(&other.to_polynomial())?),
        }
    }

    fn minus(&self, other: &Dim) -> Result<Dim, DimError> {
        match (&self.0, &other.0) {
            (Form::Constant(a), Form::Constant(b)) => a.checked_sub(*b).map(Dim::constant).ok_or(DimError::Overflow),
            (_, Form::Constant(0)) => Ok(self.clone()),
            _ if self == other => Ok(Dim::ZERO),
            _ => Dim::from_polynomial(self.to_polynomial().subtract(&other.to_polynomial())?),
        }
    }

    fn times(&self, other: &Dim) -> Result<Dim, DimError> {
        match (&self.0, &other.0) {
            (Form::Constant(a), Form::Constant(b)) => a.checked_mul(*b).map(Dim::constant).ok_or(DimError::Overflow),
            (Form::Constant(0), _) | (_, Form::Constant(0)) => Ok(Dim::ZERO),
            (Form::Constant(1), _) => Ok(other.clone()),
            (_, Form::Constant(1)) => Ok(self.clone()),
            _ => Dim::from_polynomial(self.to_polynomial().multiply(&other.to_polynomial())?),
        }
    }

    /// The names that the size depends on, in order.
    ///
    /// ```
    /// use sward_core::dim::Dim;
    /// let area = (Dim::name("width") * Dim::name("height"))?;
    /// let names: Vec<_> = area.names().iter().map(|name| name.as_str()).collect();
    /// assert_eq!(names, ["height", "width"]);
    /// # Ok::<(), sward_core::dim::DimError>(())
    /// ```
    pub fn names(&self) -> BTreeSet<Name> {
        let mut names = BTreeSet::new();
        self.collect_names(&mut names);
        names
    }

    fn collect_names(&self, names: &mut BTreeSet<Name>) {
        match &self.0 {
            Form::Constant(_) => {}
            Form::Name(name) => {
                names.insert(*name);
            }
            Form::Polynomial(polynomial) => collect_polynomial_names(polynomial, names),
        }
    }

    fn weight(&self) -> usize {
        match &self.0 {
            Form::Polynomial(polynomial) => polynomial.weight(),
            _ => 1,
        }
    }

    fn depth(&self) -> usize {
        match &self.0 {
            Form::Polynomial(polynomial) => polynomial.depth(),
            _ => 0,
        }
    }

    fn to_polynomial(&self) -> Polynomial {
        match &self.0 {
            Form::Constant(value) => Polynomial::constant(Rational::whole(*value)),
            Form::Name(name) => {
                let term = Term { monomial: Monomial::of(Atom::Name(*name)), coefficient: Rational::ONE };
                Polynomial::sorted(vec![term]).unwrap_or_else(|_| Polynomial::zero())
            }
            Form::Polynomial(polynomial) => Polynomial::clone(polynomial),
        }
    }

    fn from_polynomial(polynomial: Polynomial) -> Result<Dim, DimError> {
        if let Some(value) = polynomial.as_constant() {
            if value.is_whole() {
                return Ok(Dim::constant(value.numerator));
            }
            return Err(DimError::NotDivisible {
                dividend: Dim::constant(value.numerator),
                divisor: Dim::constant(value.denominator),
            });
        }
        if let [term] = polynomial.terms.as_slice()
            && term.coefficient == Rational::ONE
            && let [(Atom::Name(name), 1)] = term.monomial.0.as_slice()
        {
            return Ok(Dim(Form::Name(*name)));
        }
        Ok(Dim(Form::Polynomial(Arc::new(polynomial))))
    }
}

fn collect_polynomial_names(polynomial: &Polynomial, names: &mut BTreeSet<Name>) {
    for (atom, _) in polynomial.terms.iter().flat_map(|term| &term.monomial.0) {
        match atom {
            Atom::Name(name) => {
                names.insert(*name);
            }
            Atom::Floor(inner) | Atom::Sum(inner) => collect_polynomial_names(inner, names),
            Atom::Minimum(arguments) | Atom::Maximum(arguments) => {
                arguments.iter().for_each(|argument| argument.collect_names(names));
            }
        }
    }
}

impl From<i64> for Dim {
    fn from(value: i64) -> Dim {
        Dim::constant(value)
    }
}

impl From<Name> for Dim {
    fn from(name: Name) -> Dim {
        Dim(Form::Name(name))
    }
}

impl std::fmt::Debug for Dim {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Dim({self})")
    }
}

/// The operators take sizes by value or by reference, and integers on the right; they give a `Result`.
macro_rules! operator {
    ($trait:ident, $method:ident, $function:ident) => {
        impl std::ops::$trait<&Dim> for &Dim {
            type Output = Result<Dim, DimError>;
            fn $method(self, other: &Dim) -> Self::Output {
                self.$function(other)
            }
        }
        impl std::ops::$trait<Dim> for &Dim {
            type Output = Result<Dim, DimError>;
            fn $method(self, other: Dim) -> Self::Output {
                self.$function(&other)
            }
        }
        impl std::ops::$trait<&Dim> for Dim {
            type Output = Result<Dim, DimError>;
            fn $method(self, other: &Dim) -> Self::Output {
                self.$function(other)
            }
        }
        impl std::ops::$trait<Dim> for Dim {
            type Output = Result<Dim, DimError>;
            fn $method(self, other: Dim) -> Self::Output {
                self.$function(&other)
            }
        }
        impl std::ops::$trait<i64> for &Dim {
            type Output = Result<Dim, DimError>;
            fn $method(self, other: i64) -> Self::Output {
                self.$function(&Dim::constant(other))
            }
        }
        impl std::ops::$trait<i64> for Dim {
            type Output = Result<Dim, DimError>;
            fn $method(self, other: i64) -> Self::Output {
                self.$function(&Dim::constant(other))
            }
        }
    };
}

operator!(Add, add, plus);
operator!(Sub, sub, minus);
operator!(Mul, mul, times);
