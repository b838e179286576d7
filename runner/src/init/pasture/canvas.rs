//! A picture in linear light, and how it becomes a photograph.

use super::noise::Noise;

/// A colour in linear light, 0 to 1 and above.
pub type Colour = [f32; 3];

/// The linear colour of an sRGB one.
pub fn linear(srgb: [u8; 3]) -> Colour {
    srgb.map(|value| {
        let value = f32::from(value) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { libm::powf((value + 0.055) / 1.055, 2.4) }
    })
}

/// A colour between two others.
pub fn mix(one: Colour, other: Colour, share: f32) -> Colour {
    std::array::from_fn(|channel| one[channel] + (other[channel] - one[channel]) * share)
}

/// A colour made brighter or darker.
pub fn scaled(colour: Colour, factor: f32) -> Colour {
    colour.map(|value| value * factor)
}

/// Where the light comes from.
#[derive(Debug, Clone, Copy)]
pub struct Light {
    /// The direction in the picture from which it comes, of length 1.
    pub from: [f32; 2],
    /// How deep shadows are, 0 to 1.
    pub shadow: f32,
    /// How strongly slopes towards and away from it differ.
    pub contrast: f32,
    /// The colour of the light.
    pub colour: Colour,
}

/// A picture in linear light, rows of pixels from the top.
pub struct Canvas {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// The pixels.
    pub pixels: Vec<Colour>,
}

impl Canvas {
    /// A black picture.
    pub fn new(width: usize, height: usize) -> Self {
        Self { width, height, pixels: vec![[0.0; 3]; width * height] }
    }

    /// Lays a colour over a pixel.
    pub fn blend(&mut self, at: usize, colour: Colour, cover: f32) {
        self.pixels[at] = mix(self.pixels[at], colour, cover);
    }

    /// Takes light away from a pixel.
    pub fn darken(&mut self, at: usize, share: f32) {
        self.pixels[at] = scaled(self.pixels[at], 1.0 - share);
    }

    /// The photograph: light that falls off, a lens that blurs slightly, a sensor that is a little noisy; sRGB bytes.
    pub fn expose(&self, light: &Light, falloff: [f32; 2], exposure: f32, grain: f32, seed: u32) -> Vec<u8> {
        let table = GammaTable::new();
        let fields: [Noise; 3] = std::array::from_fn(|channel| Noise::new(seed.wrapping_add(channel as u32)));
        let mut bytes = Vec::with_capacity(self.width * self.height * 3);
        for row in 0..self.height {
            for column in 0..self.width {
                let (x, y) = (column as f32 / self.width as f32 - 0.5, row as f32 / self.height as f32 - 0.5);
                let slope = 1.0 + falloff[0] * x + falloff[1] * y - 0.25 * (x * x + y * y);
                let blurred = self.blurred(column, row);
                for channel in 0..3 {
                    let value = blurred[channel] * light.colour[channel] * slope * exposure;
                    // The sum of three uniform numbers is near enough to a normal one.
                    let field = fields[channel];
                    let (x, y) = (column as i32, row as i32);
                    let random = field.lattice(x, y) + field.lattice(x + 4096, y) + field.lattice(x, y + 4096) - 1.5;
                    bytes.push(table.byte(value, random * 2.0 * grain));
                }
            }
        }
        bytes
    }

    /// A pixel with its neighbours, weighted by 1 2 1 along both axes and half as much again by itself.
    fn blurred(&self, column: usize, row: usize) -> Colour {
        let columns = [column.saturating_sub(1), column, (column + 1).min(self.width - 1)];
        let rows = [row.saturating_sub(1), row, (row + 1).min(self.height - 1)];
        let mut sum = scaled(self.pixels[row * self.width + column], 8.0);
        for (row, down) in rows.into_iter().zip([1.0, 2.0, 1.0]) {
            for (column, right) in columns.into_iter().zip([1.0, 2.0, 1.0]) {
                let pixel = self.pixels[row * self.width + column];
                for channel in 0..3 {
                    sum[channel] += pixel[channel] * down * right;
                }
            }
        }
        scaled(sum, 1.0 / 24.0)
    }
}

/// sRGB bytes of linear light, by a table with steps in the square root, where they are even to the eye.
struct GammaTable(Vec<f32>);

impl GammaTable {
    const STEPS: usize = 2048;

    fn new() -> Self {
        let encode = |step: usize| {
            let root = step as f32 / Self::STEPS as f32;
            let value = root * root;
            if value <= 0.003_130_8 { value * 12.92 } else { 1.055 * libm::powf(value, 1.0 / 2.4) - 0.055 }
        };
        Self((0..=Self::STEPS).map(encode).collect())
    }

    fn byte(&self, value: f32, noise: f32) -> u8 {
        let step = (value.clamp(0.0, 1.0).sqrt() * Self::STEPS as f32 + 0.5) as usize;
        ((self.0[step] + noise).clamp(0.0, 1.0) * 255.0 + 0.5) as u8
    }
}
