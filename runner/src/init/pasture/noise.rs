//! Smooth random fields: value noise on a lattice, the same on every machine.

/// A random field of the plane, a pure function of its seed.
#[derive(Debug, Clone, Copy)]
pub struct Noise {
    seed: u32,
}

impl Noise {
    /// The field of a seed.
    pub fn new(seed: u32) -> Self {
        Self { seed }
    }

    /// A random number in `[0, 1)` for a point of the lattice.
    pub fn lattice(self, x: i32, y: i32) -> f32 {
        // Rounds of multiplication and shifts, as in the finalizer of MurmurHash3.
        let mut bits = (x as u32).wrapping_mul(0x9E37_79B1) ^ (y as u32).wrapping_mul(0x85EB_CA77) ^ self.seed;
        bits = (bits ^ (bits >> 16)).wrapping_mul(0x85EB_CA6B);
        bits = (bits ^ (bits >> 13)).wrapping_mul(0xC2B2_AE35);
        bits ^= bits >> 16;
        (bits >> 8) as f32 * (1.0 / 16_777_216.0)
    }

    /// Noise with features of size 1, in `[0, 1)`.
    pub fn at(self, x: f32, y: f32) -> f32 {
        let (column, row) = (x.floor(), y.floor());
        let (u, v) = (smooth(x - column), smooth(y - row));
        let (column, row) = (column as i32, row as i32);
        let upper = self.lattice(column, row) * (1.0 - u) + self.lattice(column + 1, row) * u;
        let lower = self.lattice(column, row + 1) * (1.0 - u) + self.lattice(column + 1, row + 1) * u;
        upper * (1.0 - v) + lower * v
    }

    /// `octaves` of noise, each half as large and half as strong as the one before, in `[0, 1)`.
    pub fn fractal(self, x: f32, y: f32, octaves: u32) -> f32 {
        let (mut sum, mut weight, mut scale) = (0.0, 0.5, 1.0);
        let mut total = 0.0;
        for octave in 0..octaves {
            let field = Self::new(self.seed.wrapping_add(octave.wrapping_mul(0x68E3_1DA4)));
            sum += weight * field.at(x * scale, y * scale);
            total += weight;
            weight *= 0.5;
            scale *= 2.03;
        }
        sum / total
    }
}

fn smooth(t: f32) -> f32 {
    t * t * (3.0 - 2.0 * t)
}
