//! Elementary functions on sixteen lanes, to about two units in the last place of f32, over the whole range: infinities, NaN and subnormals
//! as the C library has them.
//!
//! Polynomials for `exp` and `ln` are those of Cephes; those for `erf` were fitted (weighted least squares on Chebyshev nodes) to this
//! form: `erf(x) = x + x P(x²)` for `|x| <= 0.92`, else `1 - exp(-t + t Q(t))` with `t = |x|`. The normal distribution's tail is
//! `exp(-t²/2) v P(v)` with `v = 1 / (1 + 0.3 t)`, fitted likewise.

use super::{LANES, Simd};

/// Horner's rule, highest power first.
#[inline(always)]
fn polynomial<S: Simd, const N: usize>(s: S, x: S::V, coefficients: [f32; N]) -> S::V {
    let mut y = s.splat(coefficients[0]);
    for c in &coefficients[1..] {
        y = s.fma(y, x, s.splat(*c));
    }
    y
}

/// `(n, r, P(r))` with `x = n ln 2 + r` and `exp(r) = 1 + r + r² P(r)`.
#[inline(always)]
fn exp_parts<S: Simd>(s: S, x: S::V) -> (S::V, S::V, S::V) {
    let n = s.round(s.mul(x, s.splat(std::f32::consts::LOG2_E)));
    let r = s.fma(n, s.splat(-0.693_359_4), x);
    let r = s.fma(n, s.splat(2.121_944_4e-4), r);
    let p = polynomial(s, r, [1.987_569_2e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 5e-1]);
    (n, r, p)
}

/// e to the `x`.
#[inline(always)]
pub fn exp<S: Simd>(s: S, x: S::V) -> S::V {
    // The second operand wins against NaN, so NaN passes both.
    exp_within(s, s.max(s.splat(-105.0), s.min(s.splat(89.0), x)))
}

/// e to the `x`, which lies in -125 ..= 89 or is NaN.
#[inline(always)]
fn exp_within<S: Simd>(s: S, x: S::V) -> S::V {
    let (n, r, p) = exp_parts(s, x);
    let one = s.splat(1.0);
    s.scale(s.fma(s.fma(p, r, one), r, one), n)
}

/// e to the `x`, which is not above 0.
#[inline(always)]
fn exp_falling<S: Simd>(s: S, x: S::V) -> S::V {
    exp_within(s, s.max(s.splat(-105.0), x))
}

/// e to the `x`, less one, exact near zero.
#[inline(always)]
pub fn expm1<S: Simd>(s: S, x: S::V) -> S::V {
    let clamped = s.max(s.splat(-30.0), s.min(s.splat(89.0), x));
    let (n, r, p) = exp_parts(s, clamped);
    let q = s.fma(s.mul(r, r), p, r);
    let one = s.scale(s.splat(1.0), n);
    let y = s.add(s.scale(q, n), s.sub(one, s.splat(1.0)));
    // 2^128 is infinite although the result may not be, just below overflow; half of everything is finite.
    let half = s.scale(s.splat(1.0), s.sub(n, s.splat(1.0)));
    let large = s.mul(s.fma(half, q, half), s.splat(2.0));
    let y = s.select(s.lt(s.splat(40.0), x), large, y);
    s.select(s.eq(x, s.zero()), x, y)
}

/// The natural logarithm.
#[inline(always)]
pub fn ln<S: Simd>(s: S, x: S::V) -> S::V {
    let tiny = s.lt(x, s.splat(f32::MIN_POSITIVE));
    let scaled = s.select(tiny, s.mul(x, s.splat(8_388_608.0)), x);
    let bits = s.bits(scaled);
    // The mantissa in [sqrt(1/2), sqrt(2)).
    let offset = s.sub_int(bits, s.splat_int(0x3f35_04f3));
    let exponent = s.shift_right::<23>(offset);
    let mantissa = s.from_bits(s.sub_int(bits, s.shift_left::<23>(exponent)));
    let e = s.from_int(exponent);
    let e = s.select(tiny, s.sub(e, s.splat(23.0)), e);
    let r = s.sub(mantissa, s.splat(1.0));
    let z = s.mul(r, r);
    let p = polynomial(
        s,
        r,
        [
            7.037_683_6e-2,
            -1.151_461e-1,
            1.167_699_9e-1,
            -1.242_014_1e-1,
            1.424_932_3e-1,
            -1.666_805_8e-1,
            2.000_071_5e-1,
            -2.499_999_4e-1,
            3.333_333e-1,
        ],
    );
    let y = s.mul(s.mul(p, r), z);
    let y = s.fma(e, s.splat(-2.121_944_4e-4), y);
    let y = s.fma(z, s.splat(-0.5), y);
    let y = s.fma(e, s.splat(0.693_359_4), s.add(r, y));
    // Zero, negative, infinite, NaN.
    let y = s.select(s.eq(x, s.splat(f32::INFINITY)), x, y);
    let y = s.select(s.lt(x, s.zero()), s.splat(f32::NAN), y);
    let y = s.select(s.eq(x, s.zero()), s.splat(f32::NEG_INFINITY), y);
    s.select(s.is_nan(x), x, y)
}

/// The natural logarithm of `1 + x`, exact near zero.
#[inline(always)]
pub fn ln_1p<S: Simd>(s: S, x: S::V) -> S::V {
    let one = s.splat(1.0);
    let u = s.add(one, x);
    let lost = s.div(s.sub(x, s.sub(u, one)), u);
    let finite = s.and(s.lt(s.zero(), u), s.lt(u, s.splat(f32::INFINITY)));
    let y = s.add(ln(s, u), s.select(finite, lost, s.zero()));
    // Below half a unit of one the sum is one, and x itself is the answer (its sign at zero included).
    s.select(s.eq(u, one), x, y)
}

/// The hyperbolic tangent.
#[inline(always)]
pub fn tanh<S: Simd>(s: S, x: S::V) -> S::V {
    let t = s.abs(x);
    let z = s.mul(x, x);
    let p = polynomial(s, z, [-5.704_988_7e-3, 2.063_909e-2, -5.373_971_5e-2, 1.333_144_2e-1, -3.333_328e-1]);
    let small = s.fma(s.mul(x, z), p, x);
    let e = exp(s, s.add(t, t));
    let large = s.sub(s.splat(1.0), s.div(s.splat(2.0), s.add(e, s.splat(1.0))));
    s.select(s.lt(t, s.splat(0.625)), small, s.copysign(large, x))
}

/// `1 / (1 + exp(-x))`, to full relative precision on both sides.
#[inline(always)]
pub fn sigmoid<S: Simd>(s: S, x: S::V) -> S::V {
    let e = exp_falling(s, s.neg(s.abs(x)));
    let one = s.splat(1.0);
    s.div(s.select(s.lt(x, s.zero()), e, one), s.add(one, e))
}

/// `ln(1 + exp(x))`, to full relative precision on both sides.
#[inline(always)]
pub fn softplus<S: Simd>(s: S, x: S::V) -> S::V {
    let e = exp_falling(s, s.neg(s.abs(x)));
    // The second operand wins against NaN.
    s.add(s.max(s.zero(), x), ln_1p(s, e))
}

/// The error function.
#[inline(always)]
pub fn erf<S: Simd>(s: S, x: S::V) -> S::V {
    let t = s.min(s.splat(4.05), s.abs(x));
    let z = s.mul(x, x);
    let p = polynomial(
        s,
        z,
        [8.327_487e-5, -8.133_215_6e-4, 5.200_261e-3, -2.685_912e-2, 1.128_369_1e-1, -3.761_263_5e-1, 1.283_791_7e-1],
    );
    let small = s.fma(x, p, x);
    let q = polynomial(
        s,
        t,
        [-1.123_146_1e-5, 3.228_053e-4, -3.642_464_8e-3, 2.376_207_5e-2, -1.062_368_9e-1, -6.351_513e-1, -1.286_484_9e-1],
    );
    let large = s.sub(s.splat(1.0), exp_within(s, s.fma(t, q, s.neg(t))));
    s.select(s.le(t, s.splat(0.92)), small, s.copysign(large, x))
}

/// The normal distribution's cumulative probability, to ten units in the last place on both sides, and `exp(-x²/2)`.
#[inline(always)]
fn normal<S: Simd>(s: S, x: S::V) -> (S::V, S::V) {
    // Beyond fifteen the tail is zero; the second operand wins against NaN.
    let t = s.min(s.splat(15.0), s.abs(x));
    let half = s.mul(t, s.splat(-0.5));
    let square = s.mul(half, t);
    // What the square lost in rounding.
    let lost = s.fma(half, t, s.neg(square));
    let e = exp_within(s, square);
    let e = s.fma(e, lost, e);
    let one = s.splat(1.0);
    let v = s.div(one, s.fma(t, s.splat(0.3), one));
    let p = polynomial(
        s,
        v,
        [
            3.542_395_4e-2,
            -1.561_589_4e-1,
            2.045_575_7e-1,
            -5.203_468_4e-2,
            1.276_920_9e-1,
            1.001_758_6e-1,
            1.207_121_5e-1,
            1.196_320_1e-1,
        ],
    );
    let tail = s.mul(e, s.mul(v, p));
    (s.select(s.lt(x, s.zero()), tail, s.sub(one, tail)), e)
}

/// The Gaussian error linear unit: `x` times the normal distribution's probability below `x` (Hendrycks and Gimpel, 2016).
#[inline(always)]
pub fn gelu<S: Simd>(s: S, x: S::V) -> S::V {
    s.mul(x, normal(s, x).0)
}

/// The derivative of [`gelu`].
#[inline(always)]
pub fn gelu_slope<S: Simd>(s: S, x: S::V) -> S::V {
    let (below, e) = normal(s, x);
    // The density is e divided by the root of two pi.
    s.fma(s.mul(x, s.splat(0.398_942_3)), e, below)
}

/// Sine and cosine by one reduction.
#[inline(always)]
pub fn sin_cos<S: Simd>(s: S, x: S::V) -> (S::V, S::V) {
    // Beyond this, and at infinities, the three-part reduction runs out of bits.
    if s.any(s.not(s.le(s.abs(x), s.splat(8192.0)))) {
        let x = s.to_array(x);
        let (mut sin, mut cos) = ([0.0; LANES], [0.0; LANES]);
        for i in 0..LANES {
            (sin[i], cos[i]) = (libm::sinf(x[i]), libm::cosf(x[i]));
        }
        return (s.from_array(sin), s.from_array(cos));
    }
    let n = s.round(s.mul(x, s.splat(std::f32::consts::FRAC_2_PI)));
    let r = s.fma(n, s.splat(-1.570_312_5), x);
    let r = s.fma(n, s.splat(-4.837_513e-4), r);
    let r = s.fma(n, s.splat(-7.549_79e-8), r);
    let z = s.mul(r, r);
    let p = polynomial(s, z, [2.718_121_3e-6, -1.983_929_5e-4, 8.333_329e-3, -1.666_666_7e-1]);
    let sin = s.fma(s.mul(r, z), p, r);
    let p = polynomial(s, z, [2.443_315_7e-5, -1.388_731_6e-3, 4.166_664_6e-2]);
    let cos = s.fma(s.mul(z, z), p, s.fma(z, s.splat(-0.5), s.splat(1.0)));
    let quadrant = s.to_int(n);
    let odd = s.eq_int(s.and_int(quadrant, s.splat_int(1)), s.splat_int(1));
    let sin_sign = s.shift_left::<30>(s.and_int(quadrant, s.splat_int(2)));
    let cos_sign = s.shift_left::<30>(s.and_int(s.add_int(quadrant, s.splat_int(1)), s.splat_int(2)));
    let flip = |v, sign| s.from_bits(s.xor_int(s.bits(v), sign));
    let sine = flip(s.select(odd, cos, sin), sin_sign);
    (s.select(s.eq(x, s.zero()), x, sine), flip(s.select(odd, sin, cos), cos_sign))
}

/// `f` on each lane, for the rare functions that have no vector body.
#[inline(always)]
pub fn lanewise<S: Simd>(s: S, x: S::V, f: impl Fn(f32) -> f32) -> S::V {
    let mut x = s.to_array(x);
    for x in &mut x {
        *x = f(*x);
    }
    s.from_array(x)
}

/// `f` on each pair of lanes.
#[inline(always)]
pub fn lanewise2<S: Simd>(s: S, x: S::V, y: S::V, f: impl Fn(f32, f32) -> f32) -> S::V {
    let (mut x, y) = (s.to_array(x), s.to_array(y));
    for i in 0..LANES {
        x[i] = f(x[i], y[i]);
    }
    s.from_array(x)
}
