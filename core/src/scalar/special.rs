//! Special functions in 64-bit floats, accurate to about 1e-13 relative away from their zeros.

use std::f64::consts::PI;

/// `1 / (1 + exp(-x))` without overflow.
pub fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + (-x).exp())
    } else {
        let exponential = x.exp();
        exponential / (1.0 + exponential)
    }
}

/// `ln(1 + exp(x))` without overflow.
pub fn softplus(x: f64) -> f64 {
    if x.is_nan() { x } else { x.max(0.0) + (-x.abs()).exp().ln_1p() }
}

/// The error function.
pub fn erf(x: f64) -> f64 {
    libm::erf(x)
}

/// The logarithm of the absolute value of the gamma function; infinite at its poles.
pub fn lgamma(x: f64) -> f64 {
    libm::lgamma(x)
}

/// Where the asymptotic series reach full accuracy with the terms below.
const ASYMPTOTIC: f64 = 12.0;

/// The derivative of [`lgamma`]. As in PyTorch it is infinite at 0 and NaN at the negative integers.
///
/// Small arguments are moved up by `digamma(x) = digamma(x + 1) - 1 / x`, negative ones are reflected.
pub fn digamma(x: f64) -> f64 {
    if x == 0.0 {
        return f64::INFINITY.copysign(-x);
    }
    if x < 0.0 {
        if x == x.floor() {
            return f64::NAN;
        }
        // The tangent has the period 1 in x, which keeps its argument small.
        return digamma(1.0 - x) - PI / (PI * (x - x.round())).tan();
    }
    let (mut shifted, mut sum) = (x, 0.0);
    while shifted < ASYMPTOTIC {
        sum += 1.0 / shifted;
        shifted += 1.0;
    }
    let inverse = 1.0 / shifted;
    let square = inverse * inverse;
    // B(2k) / 2k for k from 1.
    const SERIES: [f64; 8] =
        [1.0 / 12.0, -1.0 / 120.0, 1.0 / 252.0, -1.0 / 240.0, 1.0 / 132.0, -691.0 / 32760.0, 1.0 / 12.0, -3617.0 / 8160.0];
    let tail = SERIES.iter().rev().fold(0.0, |tail, coefficient| (tail + coefficient) * square);
    shifted.ln() - 0.5 * inverse - tail - sum
}

/// The derivative of [`digamma`]; infinite at 0 and the negative integers.
pub fn trigamma(x: f64) -> f64 {
    if x <= 0.0 {
        if x == x.floor() {
            return f64::INFINITY;
        }
        let sine = (PI * (x - x.round())).sin();
        return (PI / sine) * (PI / sine) - trigamma(1.0 - x);
    }
    let (mut shifted, mut sum) = (x, 0.0);
    while shifted < ASYMPTOTIC {
        sum += 1.0 / (shifted * shifted);
        shifted += 1.0;
    }
    let inverse = 1.0 / shifted;
    let square = inverse * inverse;
    // B(2k) for k from 1.
    const SERIES: [f64; 8] =
        [1.0 / 6.0, -1.0 / 30.0, 1.0 / 42.0, -1.0 / 30.0, 5.0 / 66.0, -691.0 / 2730.0, 7.0 / 6.0, -3617.0 / 510.0];
    let tail = SERIES.iter().rev().fold(0.0, |tail, coefficient| (tail + coefficient) * square);
    sum + inverse * (1.0 + 0.5 * inverse + tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values with 25 digits by mpmath; `tests/fixtures/special/make.py` says how they are made.
    const VALUES: &str = include_str!("../../../tests/fixtures/special/values.csv");

    #[test]
    fn values_agree_with_mpmath() {
        let mut checked = 0;
        for line in VALUES.lines() {
            let fields: Vec<&str> = line.split(',').collect();
            let (x, expected): (f64, f64) = (fields[1].parse().unwrap(), fields[2].parse().unwrap());
            let value = match fields[0] {
                "lgamma" => lgamma(x),
                "digamma" => digamma(x),
                "trigamma" => trigamma(x),
                "erf" => erf(x),
                "sigmoid" => sigmoid(x),
                "softplus" => softplus(x),
                other => panic!("{other} is not a function here"),
            };
            let error = (value - expected).abs();
            assert!(error <= 1e-12 * expected.abs(), "{line}: got {value:e}, off by {error:e}");
            checked += 1;
        }
        assert!(checked > 150);
    }

    #[test]
    fn poles_are_those_of_pytorch() {
        assert_eq!(lgamma(0.0), f64::INFINITY);
        assert_eq!(lgamma(-1.0), f64::INFINITY);
        assert_eq!(digamma(0.0), f64::NEG_INFINITY);
        assert_eq!(digamma(-0.0), f64::INFINITY);
        assert!(digamma(-1.0).is_nan());
        assert_eq!(trigamma(0.0), f64::INFINITY);
        for function in [sigmoid, softplus, erf, lgamma, digamma, trigamma] {
            assert!(function(f64::NAN).is_nan());
        }
        assert_eq!((softplus(f64::INFINITY), softplus(f64::NEG_INFINITY)), (f64::INFINITY, 0.0));
        assert_eq!((sigmoid(f64::INFINITY), sigmoid(f64::NEG_INFINITY)), (1.0, 0.0));
    }
}
