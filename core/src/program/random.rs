//! The random numbers of a program: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).
//!
//! A number is a pure function of (seed, step, stream, row-major element index), so that engines may draw them in any order and a
//! backward pass may draw a mask again instead of keeping it.

use super::RunKey;

/// The rounds that Philox4x32-10 makes.
const ROUNDS: u32 = 10;
/// The multipliers of a round.
pub const PHILOX_MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
/// What the key grows by after each round.
pub const PHILOX_WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
/// Sets the programs' numbers apart from others that are drawn under the same seed.
pub const PROGRAM_TAG: u32 = 0x7377_6172;

/// One block of Philox4x32-10: a bijection of the 128-bit counter under a 64-bit key.
pub fn philox4x32(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let ([mut c0, mut c1, mut c2, mut c3], [mut k0, mut k1]) = (counter, key);
    for _ in 0..ROUNDS {
        let first = u64::from(c0) * u64::from(PHILOX_MULTIPLIERS[0]);
        let second = u64::from(c2) * u64::from(PHILOX_MULTIPLIERS[1]);
        (c0, c2) = ((second >> 32) as u32 ^ c1 ^ k0, (first >> 32) as u32 ^ c3 ^ k1);
        (c1, c3) = (second as u32, first as u32);
        k0 = k0.wrapping_add(PHILOX_WEYL[0]);
        k1 = k1.wrapping_add(PHILOX_WEYL[1]);
    }
    [c0, c1, c2, c3]
}

impl RunKey {
    /// The Philox key: the seed's halves, the upper one tagged.
    pub fn philox_key(self) -> [u32; 2] {
        [self.seed as u32, (self.seed >> 32) as u32 ^ PROGRAM_TAG]
    }

    /// The Philox counter of the four elements `4 * block ..= 4 * block + 3`:
    /// block low, block high xor step high, stream, step low.
    pub fn philox_counter(self, stream: u32, block: u64) -> [u32; 4] {
        [block as u32, (block >> 32) as u32 ^ (self.step >> 32) as u32, stream, self.step as u32]
    }

    /// The uniform number in [0, 1) of one element of a stream: the upper 24 bits of word `element % 4` of block `element / 4`, so that it is exact
    /// in f32.
    pub fn uniform(self, stream: u32, element: u64) -> f32 {
        let words = philox4x32(self.philox_counter(stream, element / 4), self.philox_key());
        uniform_from_bits(words[(element % 4) as usize])
    }
}

/// The number in [0, 1) that a Philox word stands for: its upper 24 bits over 2^24.
pub fn uniform_from_bits(word: u32) -> f32 {
    (word >> 8) as f32 / (1 << 24) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_those_of_the_authors_test_vectors() {
        // kat_vectors of the Random123 library.
        let ones = u32::MAX;
        assert_eq!(philox4x32([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox4x32([ones; 4], [ones; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        assert_eq!(
            philox4x32([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn uniform_numbers_fill_the_interval_and_differ_by_all_four_parts() {
        let key = RunKey { seed: 42, step: 3 };
        let mean = (0..40_000).map(|element| f64::from(key.uniform(1, element))).sum::<f64>() / 40_000.0;
        // The standard deviation of the mean is 0.0014.
        assert!((mean - 0.5).abs() < 0.006, "{mean}");
        assert!((0..40_000).all(|element| (0.0..1.0).contains(&key.uniform(1, element))));
        let first = key.uniform(1, 0);
        for other in [
            key.uniform(1, 1),
            key.uniform(2, 0),
            RunKey { step: 4, ..key }.uniform(1, 0),
            RunKey { seed: 43, ..key }.uniform(1, 0),
            RunKey { step: 3 + (1 << 32), ..key }.uniform(1, 0),
            RunKey { seed: 42 + (1 << 32), ..key }.uniform(1, 0),
        ] {
            assert_ne!(first, other);
        }
        assert_eq!(uniform_from_bits(u32::MAX), 1.0 - 1.0 / (1 << 24) as f32);
    }
}
