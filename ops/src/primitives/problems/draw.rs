//! Seeded choices.

use half::bf16;
use sward_core::program::{Array, DType, element_count};

/// How large the sizes of a problem may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Extent {
    /// For finite differences: every tensor has some hundred elements at most.
    Small,
    /// For engines: sizes beyond a vector register and a tile.
    Large,
}

/// A stream of choices that depend on a seed alone.
#[derive(Clone, Debug)]
pub struct Draw {
    state: u64,
    float: DType,
    extent: Extent,
}

impl Draw {
    /// The choices of a seed, for float operands of dtype `float`.
    pub fn new(seed: u64, float: DType, extent: Extent) -> Draw {
        Draw { state: seed, float, extent }
    }

    /// The dtype of float operands.
    pub fn float(&self) -> DType {
        self.float
    }

    /// The next 64 random bits (SplitMix64).
    fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A whole number in `0..end`; 0 where that is empty.
    pub fn below(&mut self, end: usize) -> usize {
        (self.bits() % end.max(1) as u64) as usize
    }

    /// A whole number in `first..=last`.
    pub fn between(&mut self, first: usize, last: usize) -> usize {
        first + self.below(last - first + 1)
    }

    /// One of the choices.
    pub fn choose<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// True or false.
    pub fn flag(&mut self) -> bool {
        self.below(2) == 1
    }

    /// A number in `low..high`.
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// The size of an axis, 0 now and then.
    pub fn size(&mut self) -> usize {
        if self.below(16) == 0 { 0 } else { self.positive_size() }
    }

    /// The size of an axis, at least 1.
    pub fn positive_size(&mut self) -> usize {
        match self.extent {
            Extent::Small => self.choose(&[1, 2, 3, 4, 5, 7]),
            Extent::Large => self.choose(&[1, 2, 3, 7, 8, 13, 16, 17, 31, 33]),
        }
    }

    /// The size of the axis that is worked on (a row of a softmax, the inner axis of a product), 0 now and then.
    pub fn long_size(&mut self) -> usize {
        match (self.below(16), self.extent) {
            (0, _) => 0,
            (_, Extent::Small) => self.choose(&[1, 2, 3, 5, 8, 11]),
            (_, Extent::Large) => self.choose(&[1, 3, 15, 16, 17, 63, 64, 65, 97, 128, 131]),
        }
    }

    /// Sizes of a tensor of a rank; at most some thousand elements.
    pub fn shape(&mut self, rank: usize) -> Vec<usize> {
        let most = if self.extent == Extent::Small { 200 } else { 20_000 };
        loop {
            let shape: Vec<usize> = (0..rank).map(|_| self.size()).collect();
            if element_count(&shape) <= most {
                return shape;
            }
        }
    }

    /// `shape` with some of its sizes replaced by 1.
    pub fn narrowed(&mut self, shape: &[usize]) -> Vec<usize> {
        shape.iter().map(|size| if self.below(3) == 0 { 1 } else { *size }).collect()
    }

    fn rounded(&self, dtype: DType, value: f64) -> f64 {
        match dtype {
            DType::BF16 => bf16::from_f64(value).to_f64(),
            _ => f64::from(value as f32),
        }
    }

    /// The tensor with its elements rounded to its float dtype.
    pub fn round(&self, mut array: Array) -> Array {
        array.data.iter_mut().for_each(|value| *value = self.rounded(array.dtype, *value));
        array
    }

    /// A float tensor of the draw's dtype with elements in `low..high`.
    pub fn floats_in(&mut self, shape: &[usize], low: f64, high: f64) -> Array {
        self.floats_of(self.float, shape, low, high)
    }

    /// A float tensor of a dtype with elements in `low..high`.
    pub fn floats_of(&mut self, dtype: DType, shape: &[usize], low: f64, high: f64) -> Array {
        let data = (0..element_count(shape)).map(|_| {
            let value = self.uniform(low, high);
            self.rounded(dtype, value)
        });
        let data: Vec<f64> = data.collect();
        Array::new(dtype, shape, data)
    }

    /// A float tensor of the draw's dtype with elements in `-2..2`.
    pub fn floats(&mut self, shape: &[usize]) -> Array {
        self.floats_in(shape, -2.0, 2.0)
    }

    /// A float tensor whose elements all differ, by at least 0.03 before rounding to the dtype.
    pub fn distinct(&mut self, shape: &[usize]) -> Array {
        let count = element_count(shape);
        let mut data: Vec<f64> = (0..count).map(|rank| (rank as f64 - count as f64 / 2.0) * 0.03).collect();
        for end in (1..count).rev() {
            data.swap(end, self.below(end + 1));
        }
        let data = data.into_iter().map(|value| self.rounded(self.float, value)).collect();
        Array::new(self.float, shape, data)
    }

    /// An `i64` tensor with elements in `0..end`.
    pub fn indices(&mut self, shape: &[usize], end: usize) -> Array {
        let data = (0..element_count(shape)).map(|_| self.below(end) as f64).collect();
        Array::new(DType::I64, shape, data)
    }

    /// A `bool` tensor.
    pub fn flags(&mut self, shape: &[usize]) -> Array {
        let data = (0..element_count(shape)).map(|_| if self.flag() { 1.0 } else { 0.0 }).collect();
        Array::new(DType::Bool, shape, data)
    }

    /// A tensor of any dtype.
    pub fn any(&mut self, shape: &[usize]) -> Array {
        match self.below(4) {
            0 => self.indices(shape, 100),
            1 => self.flags(shape),
            _ => self.floats(shape),
        }
    }
}
