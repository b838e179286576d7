use super::*;
use crate::cpu::features::Features;

#[test]
fn interleaving_puts_the_lanes_of_four_rows_side_by_side() {
    struct Run;
    impl Kernel for Run {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let mut rows = [s.zero(); 4];
            for (i, row) in rows.iter_mut().enumerate() {
                *row = s.from_array(std::array::from_fn(|lane| (4 * lane + i) as f32));
            }
            for (i, part) in s.interleave(rows).into_iter().enumerate() {
                assert_eq!(s.to_array(part), std::array::from_fn(|lane| (i * LANES + lane) as f32));
            }
        }
    }
    for features in Features::available() {
        dispatch(features.level(), Run);
    }
}

#[test]
fn products_of_even_lanes_keep_all_bits_and_lanes_part_and_join() {
    struct Run;
    impl Kernel for Run {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let vector = |x: [u32; LANES]| s.bits(s.from_array(x.map(f32::from_bits)));
            let lanes = |x| s.to_array(s.from_bits(x)).map(f32::to_bits);
            let a = std::array::from_fn(|lane| (lane as u32 * 2 + 1).wrapping_mul(0x9e37_79b9) ^ ((lane as u32) << 31));
            for b in [0, 1, 0x8000_0001, 0xd251_1f53, u32::MAX] {
                let got = lanes(s.mul_even(vector(a), b));
                for lane in (0..LANES).step_by(2) {
                    let product = u64::from(a[lane]) * u64::from(b);
                    assert_eq!(got[lane..lane + 2], [product as u32, (product >> 32) as u32]);
                }
            }
            let odd = lanes(s.odd_lanes(vector(a)));
            assert_eq!(odd, std::array::from_fn(|lane| if lane % 2 == 0 { a[lane + 1] } else { 0 }));
            // What lies between the lanes does not matter.
            let joined = s.join_lanes(vector(a), vector(a.map(|x| x ^ 0x1234_5678)));
            assert_eq!(
                lanes(joined),
                std::array::from_fn(|lane| if lane % 2 == 0 { a[lane] } else { a[lane - 1] ^ 0x1234_5678 })
            );
        }
    }
    for features in Features::available() {
        dispatch(features.level(), Run);
    }
}

#[test]
fn sums_and_greatest_lanes_are_those_of_the_portable_level() {
    struct Run<'a>(&'a [[f32; LANES]]);
    impl Kernel for Run<'_> {
        type Output = Vec<[u32; 2]>;
        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> Self::Output {
            let mut out = Vec::new();
            for lanes in self.0 {
                let x = s.from_array(*lanes);
                let (sum, most) = (s.sum(x), s.max_lane(x));
                // Not a number is not a number, whatever its other bits.
                out.push([sum, most].map(|x| if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() }));
            }
            out
        }
    }
    let mut x = Vec::new();
    for salt in 0..LANES {
        let lanes: [f32; LANES] = std::array::from_fn(|lane| ((lane * 7 + salt * 5) % 16) as f32 * 0.37 - 3.1 - salt as f32);
        let mut with_nan = lanes;
        with_nan[salt] = f32::NAN;
        let mut with_infinity = lanes;
        with_infinity[salt] = f32::INFINITY;
        x.extend([lanes, with_nan, with_infinity, [f32::NEG_INFINITY; LANES]]);
    }
    let want = dispatch(Level::Portable, Run(&x));
    for (lanes, [_, most]) in x.iter().zip(&want) {
        let greatest = lanes.iter().fold(f32::NEG_INFINITY, |most, x| if most.is_nan() || most > *x { most } else { *x });
        assert!(f32::from_bits(*most) == greatest || greatest.is_nan() && f32::from_bits(*most).is_nan());
    }
    for features in Features::available() {
        assert_eq!(dispatch(features.level(), Run(&x)), want, "{:?}", features.level());
    }
}
