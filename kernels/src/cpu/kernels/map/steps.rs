//! What the steps of a program do with a block.

use sward_core::program::RunKey;
use sward_core::scalar::{ScalarOp, special};

use super::compile::Code;
use super::evaluation::Straight;
use crate::cpu::simd::{LANES, Simd, math};

/// Uniform numbers for elements `first .. first + n` of a stream: sixteen Philox blocks at a time, one a lane.
#[inline(always)]
pub(super) unsafe fn uniform<S: Simd>(s: S, key: RunKey, stream: u32, first: u64, n: usize, to: *mut f32) {
    use sward_core::program::{PHILOX_MULTIPLIERS, PHILOX_WEYL};
    let scale = s.splat(1.0 / (1 << 24) as f32);
    let lanes = s.to_int(s.from_array(std::array::from_fn(|lane| lane as f32)));
    let mut done = 0;
    while done < n {
        let block = (first + done as u64) / 4;
        let counter = key.philox_counter(stream, block);
        let mut words = [s.splat_int(0); 4];
        for word in 0..4 {
            words[word] = s.splat_int(counter[word] as i32);
        }
        words[0] = s.add_int(words[0], lanes);
        if block as u32 > u32::MAX - LANES as u32 {
            // The lower word overflows in some lane.
            let mut counters = [[0.0f32; LANES]; 4];
            for lane in 0..LANES {
                let counter = key.philox_counter(stream, block + lane as u64);
                for word in 0..4 {
                    counters[word][lane] = f32::from_bits(counter[word]);
                }
            }
            for word in 0..4 {
                words[word] = s.bits(s.from_array(counters[word]));
            }
        }
        // Products take two lanes each, so even and odd lanes go separate ways; what then lies between them does not matter.
        let (mut even, mut odd) = (words, words);
        for word in 0..4 {
            odd[word] = s.odd_lanes(words[word]);
        }
        let [mut k0, mut k1] = key.philox_key();
        for _ in 0..10 {
            let (key0, key1) = (s.splat_int(k0 as i32), s.splat_int(k1 as i32));
            for half in [&mut even, &mut odd] {
                let a = s.mul_even(half[0], PHILOX_MULTIPLIERS[0]);
                let b = s.mul_even(half[2], PHILOX_MULTIPLIERS[1]);
                half[0] = s.xor_int(s.xor_int(s.odd_lanes(b), half[1]), key0);
                half[2] = s.xor_int(s.xor_int(s.odd_lanes(a), half[3]), key1);
                half[1] = b;
                half[3] = a;
            }
            k0 = k0.wrapping_add(PHILOX_WEYL[0]);
            k1 = k1.wrapping_add(PHILOX_WEYL[1]);
        }
        // The upper 24 bits of each word; a block's four numbers lie together.
        let mut numbers = [s.zero(); 4];
        for word in 0..4 {
            let bits = s.shift_right::<8>(s.join_lanes(even[word], odd[word]));
            numbers[word] = s.mul(s.from_int(s.and_int(bits, s.splat_int(0x00ff_ffff))), scale);
        }
        let numbers = s.interleave(numbers);
        let skip = ((first + done as u64) % 4) as usize;
        let count = (4 * LANES - skip).min(n - done);
        // SAFETY: the caller promises `n` elements.
        unsafe {
            if count == 4 * LANES {
                for i in 0..4 {
                    s.store(to.add(done + i * LANES), numbers[i]);
                }
            } else {
                let mut lanes = [0.0f32; 4 * LANES];
                for i in 0..4 {
                    s.store(lanes.as_mut_ptr().add(i * LANES), numbers[i]);
                }
                std::ptr::copy_nonoverlapping(lanes.as_ptr().add(skip), to.add(done), count);
            }
        }
        done += count;
    }
}

/// One step over `n` elements, a whole number of vectors.
#[inline(always)]
pub(super) unsafe fn step<S: Simd>(s: S, code: Code, operands: [(*const f32, usize); 3], to: Straight, n: usize) {
    let [(a, a_mask), (b, b_mask), (c, c_mask)] = operands;
    let Straight { to, streams } = to;
    macro_rules! each {
        (|$x:ident| $body:expr) => {
            for i in (0..n).step_by(LANES) {
                // SAFETY: the caller promises `n` elements behind each address.
                unsafe {
                    let $x = s.load(a.add(i & a_mask));
                    let y = $body;
                    if streams { s.stream(to.add(i), y) } else { s.store(to.add(i), y) }
                }
            }
        };
        (|$x:ident, $y:ident| $body:expr) => {
            for i in (0..n).step_by(LANES) {
                // SAFETY: as above.
                unsafe {
                    let $x = s.load(a.add(i & a_mask));
                    let $y = s.load(b.add(i & b_mask));
                    let y = $body;
                    if streams { s.stream(to.add(i), y) } else { s.store(to.add(i), y) }
                }
            }
        };
        (|$x:ident, $y:ident, $z:ident| $body:expr) => {
            for i in (0..n).step_by(LANES) {
                // SAFETY: as above.
                unsafe {
                    let $x = s.load(a.add(i & a_mask));
                    let $y = s.load(b.add(i & b_mask));
                    let $z = s.load(c.add(i & c_mask));
                    let y = $body;
                    if streams { s.stream(to.add(i), y) } else { s.store(to.add(i), y) }
                }
            }
        };
    }
    macro_rules! truth {
        ($mask:expr) => {
            s.select($mask, s.splat(1.0), s.zero())
        };
    }
    let op = match code {
        Code::MultiplyAdd => {
            each!(|x, y, z| s.fma(x, y, z));
            return;
        }
        Code::Gelu => {
            each!(|x| math::gelu(s, x));
            return;
        }
        Code::GeluSlope => {
            each!(|x| math::gelu_slope(s, x));
            return;
        }
        Code::Apply(op) => op,
        Code::Random(_) => unreachable!("drawn by the caller"),
    };
    match op {
        ScalarOp::Add => each!(|x, y| s.add(x, y)),
        ScalarOp::Subtract => each!(|x, y| s.sub(x, y)),
        ScalarOp::Multiply => each!(|x, y| s.mul(x, y)),
        ScalarOp::Divide => each!(|x, y| s.div(x, y)),
        ScalarOp::Power => each!(|x, y| math::lanewise2(s, x, y, f32::powf)),
        ScalarOp::Minimum => each!(|x, y| s.min_nan(x, y)),
        ScalarOp::Maximum => each!(|x, y| s.max_nan(x, y)),
        ScalarOp::Negate => each!(|x| s.neg(x)),
        ScalarOp::Absolute => each!(|x| s.abs(x)),
        ScalarOp::Sign => each!(|x| s.sub(truth!(s.lt(s.zero(), x)), truth!(s.lt(x, s.zero())))),
        ScalarOp::Floor => each!(|x| s.floor(x)),
        ScalarOp::Round => each!(|x| s.round(x)),
        ScalarOp::Exp => each!(|x| math::exp(s, x)),
        ScalarOp::Ln => each!(|x| math::ln(s, x)),
        ScalarOp::Log1p => each!(|x| math::ln_1p(s, x)),
        ScalarOp::Expm1 => each!(|x| math::expm1(s, x)),
        ScalarOp::Sqrt => each!(|x| s.sqrt(x)),
        ScalarOp::Rsqrt => each!(|x| s.div(s.splat(1.0), s.sqrt(x))),
        ScalarOp::Sigmoid => each!(|x| math::sigmoid(s, x)),
        ScalarOp::Tanh => each!(|x| math::tanh(s, x)),
        ScalarOp::Softplus => each!(|x| math::softplus(s, x)),
        ScalarOp::Erf => each!(|x| math::erf(s, x)),
        ScalarOp::Lgamma => each!(|x| math::lanewise(s, x, |x| special::lgamma(f64::from(x)) as f32)),
        ScalarOp::Digamma => each!(|x| math::lanewise(s, x, |x| special::digamma(f64::from(x)) as f32)),
        ScalarOp::Trigamma => each!(|x| math::lanewise(s, x, |x| special::trigamma(f64::from(x)) as f32)),
        ScalarOp::Sin => each!(|x| math::sin_cos(s, x).0),
        ScalarOp::Cos => each!(|x| math::sin_cos(s, x).1),
        ScalarOp::Equal => each!(|x, y| truth!(s.eq(x, y))),
        ScalarOp::NotEqual => each!(|x, y| truth!(s.not(s.eq(x, y)))),
        ScalarOp::Less => each!(|x, y| truth!(s.lt(x, y))),
        ScalarOp::LessEqual => each!(|x, y| truth!(s.le(x, y))),
        ScalarOp::And => each!(|x, y| truth!(s.not(s.or(s.eq(x, s.zero()), s.eq(y, s.zero()))))),
        ScalarOp::Or => each!(|x, y| truth!(s.not(s.and(s.eq(x, s.zero()), s.eq(y, s.zero()))))),
        ScalarOp::Not => each!(|x| truth!(s.eq(x, s.zero()))),
        ScalarOp::Where => each!(|x, y, z| s.select(s.eq(x, s.zero()), z, y)),
    }
}
