//! Rows of float tensors as f32, wherever they lie.

use super::matmul::{Data, DataMut};
use crate::cpu::simd::{Element, LANES, Simd, convert};

/// `n` elements from `at` on, in place if they are f32, else converted into `scratch`.
///
/// # Safety
/// The elements are readable; `scratch` holds `n`.
#[inline(always)]
pub(super) unsafe fn read<S: Simd>(s: S, data: Data, at: usize, n: usize, scratch: *mut f32) -> *const f32 {
    // SAFETY: the caller's promise.
    unsafe {
        match data {
            Data::F32(p) => p.add(at),
            Data::Bf16(p) => {
                convert(s, p.add(at), scratch, n);
                scratch
            }
        }
    }
}

/// Stores `n` f32 from `at` on.
///
/// # Safety
/// Both sides have `n` elements.
#[inline(always)]
pub(super) unsafe fn write<S: Simd>(s: S, data: DataMut, at: usize, n: usize, from: *const f32) {
    // SAFETY: the caller's promise.
    unsafe {
        match data {
            DataMut::F32(p) if p.add(at).cast_const() == from => {}
            DataMut::F32(p) => convert(s, from, p.add(at), n),
            DataMut::Bf16(p) => convert(s, from, p.add(at), n),
        }
    }
}

/// Where `n` results from `at` on may be computed: in place if they are f32, else in `scratch`, from which [`write`] takes them.
///
/// # Safety
/// The results are writable.
#[inline(always)]
pub(super) unsafe fn room(data: DataMut, at: usize, scratch: *mut f32) -> *mut f32 {
    match data {
        // SAFETY: the caller's promise.
        DataMut::F32(p) => unsafe { p.add(at) },
        DataMut::Bf16(_) => scratch,
    }
}

/// The sum of `f(i)` over vectors of `n` elements, in two running sums; lanes beyond `n` must give 0.
macro_rules! sum_lanes {
    ($s:expr, $n:expr, |$i:ident, $lanes:ident| $value:expr) => {{
        let (mut even, mut odd) = ($s.zero(), $s.zero());
        let mut $i = 0;
        while $i + 2 * LANES <= $n {
            {
                let $lanes = LANES;
                even = $s.add(even, $value);
            }
            $i += LANES;
            {
                let $lanes = LANES;
                odd = $s.add(odd, $value);
            }
            $i += LANES;
        }
        while $i < $n {
            let $lanes = LANES.min($n - $i);
            even = $s.add(even, $value);
            $i += $lanes;
        }
        $s.sum($s.add(even, odd))
    }};
}
pub(super) use sum_lanes;

/// Loads `lanes` lanes, the others zero.
///
/// # Safety
/// `lanes` elements are readable.
#[inline(always)]
pub(super) unsafe fn load<S: Simd>(s: S, p: *const f32, lanes: usize) -> S::V {
    // SAFETY: the caller's promise.
    unsafe { if lanes == LANES { s.load(p) } else { s.load_part(p, lanes) } }
}

/// Stores `lanes` lanes.
///
/// # Safety
/// `lanes` elements are writable.
#[inline(always)]
pub(super) unsafe fn save<S: Simd>(s: S, p: *mut f32, lanes: usize, x: S::V) {
    // SAFETY: the caller's promise.
    unsafe { if lanes == LANES { s.store(p, x) } else { s.store_part(p, lanes, x) } }
}

/// Loads `lanes` elements from `at` on, the other lanes zero.
///
/// # Safety
/// `lanes` elements are readable there.
#[inline(always)]
pub(super) unsafe fn load_from<S: Simd>(s: S, data: Data, at: usize, lanes: usize) -> S::V {
    // SAFETY: the caller's promise.
    unsafe {
        match data {
            Data::F32(p) => load(s, p.add(at), lanes),
            Data::Bf16(p) if lanes == LANES => s.load_bf16(p.add(at)),
            Data::Bf16(p) => Element::load_part(s, p.add(at), lanes),
        }
    }
}

/// Stores `lanes` lanes from `at` on.
///
/// # Safety
/// `lanes` elements are writable there.
#[inline(always)]
pub(super) unsafe fn save_to<S: Simd>(s: S, data: DataMut, at: usize, lanes: usize, x: S::V) {
    // SAFETY: the caller's promise.
    unsafe {
        match data {
            DataMut::F32(p) => save(s, p.add(at), lanes, x),
            DataMut::Bf16(p) if lanes == LANES => s.store_bf16(p.add(at), x),
            DataMut::Bf16(p) => Element::store_part(s, p.add(at), lanes, x),
        }
    }
}

/// The first `n` lanes, zeros beyond.
#[inline(always)]
pub(super) fn first_lanes<S: Simd>(s: S, x: S::V, n: usize) -> S::V {
    let lane = s.from_array(std::array::from_fn(|lane| lane as f32));
    s.select(s.lt(lane, s.splat(n as f32)), x, s.zero())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::cpu::features::{Features, Level};

    /// The machine's levels.
    pub fn levels() -> Vec<Level> {
        let mut levels: Vec<Level> = Features::available().iter().map(|features| features.level()).collect();
        levels.dedup();
        levels
    }

    #[test]
    fn lanes_beyond_the_first_are_zero() {
        struct Run;
        impl crate::cpu::simd::Kernel for Run {
            type Output = ();
            #[inline(always)]
            fn run<S: Simd>(self, s: S) {
                for n in 0..=LANES {
                    let lanes = s.to_array(first_lanes(s, s.splat(f32::NAN), n));
                    assert!((0..LANES).all(|lane| if lane < n { lanes[lane].is_nan() } else { lanes[lane] == 0.0 }));
                }
            }
        }
        levels().into_iter().for_each(|level| crate::cpu::simd::dispatch(level, Run));
    }
}
