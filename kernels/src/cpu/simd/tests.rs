use half::bf16;

use super::*;
use crate::cpu::features::Features;

/// One function of sixteen lanes over a slice.
macro_rules! unary {
    ($name:ident) => {{
        struct Run<'a>(&'a [f32]);
        impl Kernel for Run<'_> {
            type Output = Vec<f32>;
            #[inline(always)]
            fn run<S: Simd>(self, s: S) -> Vec<f32> {
                let mut out = vec![0.0; self.0.len()];
                let mut i = 0;
                while i < self.0.len() {
                    let n = LANES.min(self.0.len() - i);
                    // SAFETY: `n` elements from `i` lie within both.
                    unsafe { s.store_part(out.as_mut_ptr().add(i), n, math::$name(s, s.load_part(self.0.as_ptr().add(i), n))) };
                    i += n;
                }
                out
            }
        }
        |level, x: &[f32]| dispatch(level, Run(x))
    }};
}

fn points() -> Vec<f32> {
    let mut points = vec![
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.5,
        0.92,
        0.9200001,
        0.625,
        88.0,
        88.7,
        88.73,
        89.5,
        -87.0,
        -88.0,
        -100.0,
        -103.9,
        -105.0,
        1e-45,
        1e-40,
        1e-38,
        1e30,
        -1e30,
        f32::MAX,
        f32::MIN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        f32::MIN_POSITIVE,
        8192.0,
        8193.0,
        1e8,
    ];
    for e in -40..40 {
        for m in 0..97 {
            let x = (1.0 + m as f32 / 97.0) * (e as f32).exp2();
            points.extend([x, -x]);
        }
    }
    for i in -30_000..30_000 {
        points.push(i as f32 * 3.4567e-3);
    }
    points
}

/// Distance in units in the last place of the expected value (of the least normal number below it).
fn ulps(got: f32, want: f64) -> f64 {
    let rounded = want as f32;
    if got.to_bits() == rounded.to_bits() || (got.is_nan() && want.is_nan()) || (got == rounded && got == 0.0) {
        return 0.0;
    }
    let ulp = f64::from(f32::from_bits(rounded.abs().max(f32::MIN_POSITIVE).to_bits() + 1))
        - f64::from(rounded.abs().max(f32::MIN_POSITIVE));
    ((f64::from(got) - want) / ulp).abs()
}

fn assert_close(name: &str, f: impl Fn(Level, &[f32]) -> Vec<f32>, reference: impl Fn(f64) -> f64, limit: f64) {
    let x = points();
    for features in Features::available() {
        let got = f(features.level(), &x);
        let mut worst = (0.0, 0.0, 0.0);
        for (x, got) in x.iter().zip(&got) {
            let want = reference(f64::from(*x));
            assert_eq!(got.is_nan(), want.is_nan(), "{name}({x}) is {got}, not {want}, at {:?}", features.level());
            if (want as f32).is_infinite() {
                // The largest finite number is one step from infinity.
                assert!(*got == want as f32 || got.abs() > 3.4e38, "{name}({x}) is {got}, not {want}, at {:?}", features.level());
                continue;
            }
            let error = ulps(*got, want);
            if error > worst.0 || error.is_nan() {
                worst = (error, *x, *got);
            }
        }
        assert!(worst.0 <= limit, "{name}({}) is {}, {} ulps off, at {:?}", worst.1, worst.2, worst.0, features.level());
    }
}

#[test]
fn exp_agrees_with_libm() {
    assert_close("exp", unary!(exp), libm::exp, 2.0);
}

#[test]
fn gelu_and_its_slope_agree_with_erfc() {
    let below = |x: f64| 0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2);
    // Without fused multiply-adds what the square lost in rounding stays lost: in the far tail only.
    assert_close(
        "gelu",
        |level, x| if level == Level::Portable { Vec::new() } else { unary!(gelu)(level, x) },
        |x| x * below(x),
        10.0,
    );
    assert_close("gelu", unary!(gelu), |x| x * below(x), 90.0);
    // The slope has a zero near -0.75, where its two terms cancel: judged by the larger of them there.
    let x = points();
    for features in Features::available() {
        let got = unary!(gelu_slope)(features.level(), &x);
        for (x, got) in x.iter().zip(&got) {
            let x = f64::from(*x);
            let (first, second) = (below(x), x * (-0.5 * x * x).exp() * 0.398_942_280_401_432_7);
            let want = first + second;
            assert_eq!(got.is_nan(), want.is_nan(), "gelu_slope({x}) is {got}, not {want}");
            let error = (f64::from(*got) - want).abs() / first.abs().max(second.abs()).max(f64::from(f32::MIN_POSITIVE));
            assert!(
                want.is_nan() || error < if features.level() == Level::Portable { 6e-6 } else { 8e-7 },
                "gelu_slope({x}) is {got}, not {want}: {error}"
            );
        }
    }
}

#[test]
fn expm1_agrees_with_libm() {
    assert_close("expm1", unary!(expm1), libm::expm1, 3.0);
}

#[test]
fn ln_agrees_with_libm() {
    assert_close("ln", unary!(ln), libm::log, 2.0);
}

#[test]
fn ln_1p_agrees_with_libm() {
    assert_close("ln_1p", unary!(ln_1p), libm::log1p, 2.5);
}

#[test]
fn tanh_agrees_with_libm() {
    assert_close("tanh", unary!(tanh), libm::tanh, 2.5);
}

#[test]
fn sigmoid_agrees_with_libm() {
    assert_close(
        "sigmoid",
        unary!(sigmoid),
        |x| if x < 0.0 { libm::exp(x) / (1.0 + libm::exp(x)) } else { 1.0 / (1.0 + libm::exp(-x)) },
        3.0,
    );
}

#[test]
fn softplus_agrees_with_libm() {
    assert_close(
        "softplus",
        unary!(softplus),
        |x| x.max(0.0) + if x.is_nan() { x } else { libm::log1p(libm::exp(-x.abs())) },
        3.0,
    );
}

#[test]
fn erf_agrees_with_libm() {
    assert_close("erf", unary!(erf), libm::erf, 2.5);
}

#[test]
fn sine_and_cosine_agree_with_libm_in_absolute_terms() {
    let x = points();
    for features in Features::available() {
        struct Run<'a>(&'a [f32]);
        impl Kernel for Run<'_> {
            type Output = Vec<(f32, f32)>;
            #[inline(always)]
            fn run<S: Simd>(self, s: S) -> Self::Output {
                let one = |x: &f32| {
                    let (sin, cos) = math::sin_cos(s, s.splat(*x));
                    (s.to_array(sin)[3], s.to_array(cos)[11])
                };
                self.0.iter().map(one).collect()
            }
        }
        for (x, (sin, cos)) in x.iter().zip(dispatch(features.level(), Run(&x))) {
            let (want_sin, want_cos) = libm::sincos(f64::from(*x));
            assert_eq!(sin.is_nan(), want_sin.is_nan());
            if !want_sin.is_nan() {
                assert!(
                    (f64::from(sin) - want_sin).abs() < 1.5e-7,
                    "sin({x}) is {sin}, not {want_sin}, at {:?}",
                    features.level()
                );
                assert!(
                    (f64::from(cos) - want_cos).abs() < 1.5e-7,
                    "cos({x}) is {cos}, not {want_cos}, at {:?}",
                    features.level()
                );
            }
        }
    }
}

/// Converts a slice to bf16.
struct Convert<'a>(&'a [f32]);

impl Kernel for Convert<'_> {
    type Output = Vec<bf16>;
    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Vec<bf16> {
        let mut out = vec![bf16::MAX; self.0.len() + 1];
        // SAFETY: both hold as many elements.
        unsafe { convert(s, self.0.as_ptr(), out.as_mut_ptr(), self.0.len()) };
        assert_eq!(out.pop(), Some(bf16::MAX), "what lies behind is left alone");
        out
    }
}

#[test]
fn rows_of_any_length_become_bf16_at_every_level() {
    let points = points();
    for features in Features::available() {
        for n in 0..points.len() {
            for (x, got) in points[..n].iter().zip(dispatch(features.level(), Convert(&points[..n]))) {
                let want = bf16::from_f32(*x);
                let flushed = x.abs() < f32::MIN_POSITIVE && got.to_f32() == 0.0;
                assert!(got == want || flushed || (x.is_nan() && got.is_nan()), "{x} became {got} at {:?}", features.level());
            }
        }
    }
}

#[test]
fn bf16_rounds_like_half_at_every_level() {
    let mut x = points();
    x.extend((0..70_000u32).map(|i| f32::from_bits(i.wrapping_mul(61_417))));
    for features in Features::available() {
        struct Run<'a>(&'a [f32]);
        impl Kernel for Run<'_> {
            type Output = Vec<(u16, f32)>;
            #[inline(always)]
            fn run<S: Simd>(self, s: S) -> Self::Output {
                let mut out = Vec::new();
                for block in self.0.chunks(LANES) {
                    let mut stored = [bf16::ZERO; LANES];
                    // SAFETY: the block has that many elements, the arrays sixteen.
                    let back = unsafe {
                        bf16::store_part(s, stored.as_mut_ptr(), block.len(), s.load_part(block.as_ptr(), block.len()));
                        s.to_array(bf16::load_part(s, stored.as_ptr(), block.len()))
                    };
                    out.extend((0..block.len()).map(|i| (stored[i].to_bits(), back[i])));
                }
                out
            }
        }
        for (x, (bits, back)) in x.iter().zip(dispatch(features.level(), Run(&x))) {
            let want = bf16::from_f32(*x);
            assert!(bits == want.to_bits() || (x.is_nan() && bf16::from_bits(bits).is_nan()), "{x} at {:?}", features.level());
            assert!(back.to_bits() == want.to_f32().to_bits() || x.is_nan());
        }
    }
}

#[test]
fn lanes_agree_across_levels() {
    let x: Vec<f32> = points().into_iter().filter(|x| x.abs() < 1e6).collect();
    struct Run<'a>(&'a [f32]);
    impl Kernel for Run<'_> {
        type Output = Vec<[f32; LANES]>;
        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> Self::Output {
            let mut out = Vec::new();
            for pair in self.0.windows(2 * LANES).step_by(7) {
                // SAFETY: the window holds thirty-two elements.
                let (a, b) = unsafe { (s.load(pair.as_ptr()), s.load(pair.as_ptr().add(LANES))) };
                let parts = [
                    s.add(a, b),
                    s.sub(a, b),
                    s.mul(a, b),
                    s.div(a, s.add(s.abs(b), s.splat(1.0))),
                    s.min(a, b),
                    s.max(a, b),
                    s.max_nan(a, b),
                    s.min_nan(a, b),
                    s.sqrt(s.abs(a)),
                    s.round(a),
                    s.floor(a),
                    s.ceil(a),
                    s.trunc(a),
                    s.neg(a),
                    s.copysign(a, b),
                    s.select(s.lt(a, b), a, b),
                    s.select(s.le(a, b), b, a),
                    s.select(s.or(s.eq(a, b), s.not(s.lt(a, b))), a, b),
                    s.splat(s.sum(a)),
                    s.splat(s.max_lane(b)),
                    s.from_int(s.to_int(a)),
                ];
                out.extend(parts.map(|v| s.to_array(v)));
            }
            out
        }
    }
    let want = dispatch(Level::Portable, Run(&x));
    for features in Features::available() {
        assert_eq!(dispatch(features.level(), Run(&x)), want, "{:?}", features.level());
    }
}

#[test]
fn transpose_turns_rows_into_columns() {
    struct Run;
    impl Kernel for Run {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let mut rows = [s.zero(); LANES];
            for (i, row) in rows.iter_mut().enumerate() {
                *row = s.from_array(std::array::from_fn(|j| (100 * i + j) as f32));
            }
            for (j, column) in s.transpose(rows).into_iter().enumerate() {
                assert_eq!(s.to_array(column), std::array::from_fn(|i| (100 * i + j) as f32));
            }
        }
    }
    for features in Features::available() {
        dispatch(features.level(), Run);
    }
}
