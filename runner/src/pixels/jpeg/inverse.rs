//! Inverse cosine transforms: the exact one of libjpeg, and ones that give the means of squares of pixels at once.

/// Bits behind the point of the constants.
const CONSTANT_BITS: u32 = 13;
/// Bits behind the point between the two passes.
const PASS_BITS: u32 = 2;

type Lanes = [i32; 8];

#[inline(always)]
fn map2(a: Lanes, b: Lanes, f: impl Fn(i32, i32) -> i32) -> Lanes {
    std::array::from_fn(|lane| f(a[lane], b[lane]))
}

#[inline(always)]
fn add(a: Lanes, b: Lanes) -> Lanes {
    map2(a, b, i32::wrapping_add)
}

#[inline(always)]
fn sub(a: Lanes, b: Lanes) -> Lanes {
    map2(a, b, i32::wrapping_sub)
}

#[inline(always)]
fn scale(a: Lanes, factor: i32) -> Lanes {
    std::array::from_fn(|lane| a[lane].wrapping_mul(factor))
}

/// One pass over eight columns at once: Loeffler, Ligtenberg and Moschytz with the constants and rounding of libjpeg's `jidctint.c`.
#[inline(always)]
fn pass(rows: [Lanes; 8], shift: u32) -> [Lanes; 8] {
    let z1 = scale(add(rows[2], rows[6]), 4433);
    let even2 = sub(z1, scale(rows[6], 15137));
    let even3 = add(z1, scale(rows[2], 6270));
    let even0 = scale(add(rows[0], rows[4]), 1 << CONSTANT_BITS);
    let even1 = scale(sub(rows[0], rows[4]), 1 << CONSTANT_BITS);
    let (sum0, sum3) = (add(even0, even3), sub(even0, even3));
    let (sum1, sum2) = (add(even1, even2), sub(even1, even2));
    let z1 = scale(add(rows[7], rows[1]), -7373);
    let z2 = scale(add(rows[5], rows[3]), -20995);
    let (z3, z4) = (add(rows[7], rows[3]), add(rows[5], rows[1]));
    let z5 = scale(add(z3, z4), 9633);
    let z3 = add(scale(z3, -16069), z5);
    let z4 = add(scale(z4, -3196), z5);
    let odd0 = add(scale(rows[7], 2446), add(z1, z3));
    let odd1 = add(scale(rows[5], 16819), add(z2, z4));
    let odd2 = add(scale(rows[3], 25172), add(z2, z3));
    let odd3 = add(scale(rows[1], 12299), add(z1, z4));
    let round = |lanes: Lanes| -> Lanes { std::array::from_fn(|lane| lanes[lane].wrapping_add(1 << (shift - 1)) >> shift) };
    [
        round(add(sum0, odd3)),
        round(add(sum1, odd2)),
        round(add(sum2, odd1)),
        round(add(sum3, odd0)),
        round(sub(sum3, odd0)),
        round(sub(sum2, odd1)),
        round(sub(sum1, odd2)),
        round(sub(sum0, odd3)),
    ]
}

#[inline(always)]
fn transposed(rows: [Lanes; 8]) -> [Lanes; 8] {
    std::array::from_fn(|row| std::array::from_fn(|column| rows[column][row]))
}

#[inline(always)]
fn level(value: i32) -> u8 {
    (value + 128).clamp(0, 255) as u8
}

/// Writes the 8 x 8 pixels of a block, equal to libjpeg's `islow` method.
#[inline(always)]
pub(super) fn full(block: &[i32; 64], target: &mut [u8], stride: usize) {
    let rows = std::array::from_fn(|row| std::array::from_fn(|column| block[row * 8 + column]));
    let columns = transposed(pass(rows, CONSTANT_BITS - PASS_BITS));
    let pixels = transposed(pass(columns, CONSTANT_BITS + PASS_BITS + 3));
    for (row, pixels) in pixels.iter().enumerate() {
        for (value, &pixel) in target[row * stride..row * stride + 8].iter_mut().zip(pixels) {
            *value = level(pixel);
        }
    }
}

/// One dimension of a reducing transform: row i gives the mean of the i-th run of 8 / count pixels.
#[derive(Clone, Copy)]
pub(super) struct Reduction {
    /// How many values remain of 8.
    pub(super) count: usize,
    factors: [Lanes; 8],
}

impl Reduction {
    /// Reduces 8 values to 8, 4, 2 or 1.
    pub(super) fn new(count: usize) -> Reduction {
        let run = 8 / count;
        let wave = |pixel: usize, frequency: usize| {
            let norm = if frequency == 0 { 0.125f64.sqrt() } else { 0.5 };
            norm * libm::cos((2 * pixel + 1) as f64 * frequency as f64 * std::f64::consts::PI / 16.0)
        };
        let mut factors = [[0; 8]; 8];
        for (index, factors) in factors.iter_mut().enumerate().take(count) {
            for (frequency, factor) in factors.iter_mut().enumerate() {
                let sum: f64 = (index * run..(index + 1) * run).map(|pixel| wave(pixel, frequency)).sum();
                *factor = (sum / run as f64 * f64::from(1 << CONSTANT_BITS)).round() as i32;
            }
        }
        Reduction { count, factors }
    }
}

/// Writes the means of a block's pixels, `down.count` rows of `across.count`; only the first `rows` rows of coefficients are not zero.
#[inline(always)]
pub(super) fn reduced(block: &[i32; 64], rows: usize, down: &Reduction, across: &Reduction, target: &mut [u8], stride: usize) {
    const FIRST: u32 = CONSTANT_BITS - PASS_BITS;
    const SECOND: u32 = CONSTANT_BITS + PASS_BITS;
    for row in 0..down.count {
        let mut sums: Lanes = [1 << (FIRST - 1); 8];
        for (frequency, coefficients) in block.as_chunks::<8>().0.iter().enumerate().take(rows) {
            sums = add(sums, scale(*coefficients, down.factors[row][frequency]));
        }
        let sums: Lanes = std::array::from_fn(|lane| sums[lane] >> FIRST);
        for (column, value) in target[row * stride..row * stride + across.count].iter_mut().enumerate() {
            let products = map2(sums, across.factors[column], i32::wrapping_mul);
            let sum = products.into_iter().fold(1 << (SECOND - 1), i32::wrapping_add);
            *value = level(sum >> SECOND);
        }
    }
}
