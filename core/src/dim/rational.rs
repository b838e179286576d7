//! Exact fractions of 64-bit integers, the coefficients of a polynomial.

use std::cmp::Ordering;

use super::DimError;

/// A fraction in lowest terms with a positive denominator.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Rational {
    pub numerator: i64,
    pub denominator: i64,
}

pub(crate) fn gcd(left: i128, right: i128) -> i128 {
    let (mut left, mut right) = (left.unsigned_abs(), right.unsigned_abs());
    while right != 0 {
        (left, right) = (right, left % right);
    }
    // Both come from 64-bit values or products of two, which leaves the sign bit free.
    left as i128
}

impl Rational {
    pub const ZERO: Rational = Rational::whole(0);
    pub const ONE: Rational = Rational::whole(1);

    pub const fn whole(value: i64) -> Rational {
        Rational { numerator: value, denominator: 1 }
    }

    /// Reduces `numerator / denominator`; the denominator must not be zero.
    pub fn reduced(numerator: i128, denominator: i128) -> Result<Rational, DimError> {
        if denominator == 0 {
            return Err(DimError::DivisionByZero);
        }
        let divisor = gcd(numerator, denominator) * denominator.signum();
        let narrow = |value: i128| i64::try_from(value).map_err(|_| DimError::Overflow);
        Ok(Rational { numerator: narrow(numerator / divisor)?, denominator: narrow(denominator / divisor)? })
    }

    pub fn is_zero(self) -> bool {
        self.numerator == 0
    }

    pub fn is_whole(self) -> bool {
        self.denominator == 1
    }

    pub fn floor(self) -> i64 {
        self.numerator.div_euclid(self.denominator)
    }

    pub fn add(self, other: Rational) -> Result<Rational, DimError> {
        if self.denominator == 1 && other.denominator == 1 {
            return self.numerator.checked_add(other.numerator).map(Rational::whole).ok_or(DimError::Overflow);
        }
        let (a, b) = (self.numerator as i128, self.denominator as i128);
        let (c, d) = (other.numerator as i128, other.denominator as i128);
        // Each product stays below 2^126, so the sum fits.
        Rational::reduced(a * d + c * b, b * d)
    }

    pub fn subtract(self, other: Rational) -> Result<Rational, DimError> {
        self.add(other.negate()?)
    }

    pub fn negate(self) -> Result<Rational, DimError> {
        let numerator = self.numerator.checked_neg().ok_or(DimError::Overflow)?;
        Ok(Rational { numerator, ..self })
    }

    pub fn multiply(self, other: Rational) -> Result<Rational, DimError> {
        if self.denominator == 1 && other.denominator == 1 {
            return self.numerator.checked_mul(other.numerator).map(Rational::whole).ok_or(DimError::Overflow);
        }
        Rational::reduced(self.numerator as i128 * other.numerator as i128, self.denominator as i128 * other.denominator as i128)
    }

    pub fn invert(self) -> Result<Rational, DimError> {
        Rational::reduced(self.denominator as i128, self.numerator as i128)
    }

    pub fn power(self, exponent: i32) -> Result<Rational, DimError> {
        let base = if exponent < 0 { self.invert()? } else { self };
        let mut result = Rational::ONE;
        for _ in 0..exponent.unsigned_abs() {
            result = result.multiply(base)?;
        }
        Ok(result)
    }
}

impl PartialOrd for Rational {
    fn partial_cmp(&self, other: &Rational) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Rational {
    fn cmp(&self, other: &Rational) -> Ordering {
        let left = self.numerator as i128 * other.denominator as i128;
        let right = other.numerator as i128 * self.denominator as i128;
        left.cmp(&right)
    }
}
