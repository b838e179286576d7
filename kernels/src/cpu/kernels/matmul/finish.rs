//! What happens to sums before they are a result: the parts of a split sum are added, then old contents, the epilogue and the result's dtype.

use super::{DataMut, Place, Product};
use crate::cpu::simd::{Element, Kernel, LANES, Simd, convert};

/// Adds the parts of a split sum into the first, in order.
pub(super) struct AddParts {
    pub sum: *mut f32,
    pub splits: usize,
    pub elements: usize,
}

impl Kernel for AddParts {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for i in (0..self.elements).step_by(LANES) {
            let n = LANES.min(self.elements - i);
            // SAFETY: the parts lie one after the other, each `elements` long.
            unsafe {
                let mut sum = s.load_part(self.sum.add(i), n);
                for split in 1..self.splits {
                    sum = s.add(sum, s.load_part(self.sum.add(split * self.elements + i), n));
                }
                s.store_part(self.sum.add(i), n, sum);
            }
        }
    }
}

/// Adds the old contents where asked, applies the epilogue and stores a region in the result's dtype.
pub(super) struct Finish<'a, 'b> {
    pub product: &'a Product<'b>,
    pub place: Place,
    pub tile: *mut f32,
    pub stride: usize,
    /// The tile is the output itself, with the old contents added.
    pub in_place: bool,
}

impl Kernel for Finish<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Finish { product, place, tile, stride, in_place } = self;
        // Bands of few rows stay in the nearest cache between the steps.
        let band = (8192 / place.columns.max(1)).clamp(1, place.rows.max(1));
        for first in (0..place.rows).step_by(band) {
            let rows = band.min(place.rows - first);
            // SAFETY: rows lie within the region, the region within the output.
            unsafe {
                let tile = tile.add(first * stride);
                let at = |row: usize| {
                    place.batch * product.out_batch_stride + (place.row + first + row) * product.out_row_stride + place.column
                };
                if product.accumulate && !in_place {
                    for row in 0..rows {
                        match product.out {
                            DataMut::F32(out) => add(s, tile.add(row * stride), out.add(at(row)), place.columns),
                            DataMut::Bf16(out) => add(s, tile.add(row * stride), out.add(at(row)), place.columns),
                        }
                    }
                }
                if let Some(epilogue) = product.epilogue {
                    epilogue.apply(Place { row: place.row + first, rows, ..place }, tile, stride);
                }
                if !in_place {
                    for row in 0..rows {
                        match product.out {
                            DataMut::F32(out) => convert(s, tile.add(row * stride), out.add(at(row)), place.columns),
                            DataMut::Bf16(out) => convert(s, tile.add(row * stride), out.add(at(row)), place.columns),
                        }
                    }
                }
            }
        }
    }
}

/// `sum += old` for `n` elements.
#[inline(always)]
unsafe fn add<S: Simd, T: Element>(s: S, sum: *mut f32, old: *const T, n: usize) {
    for i in (0..n).step_by(LANES) {
        let part = LANES.min(n - i);
        // SAFETY: the caller promises `n` elements of each.
        unsafe { s.store_part(sum.add(i), part, s.add(s.load_part(sum.add(i), part), T::load_part(s, old.add(i), part))) };
    }
}
