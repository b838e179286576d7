//! Shifts of hue, saturation and value in OpenCV's 8-bit colour space, as albumentations does them.

use serde::{Deserialize, Serialize};

use super::Transform;
use super::draws::Draws;
use super::error::{Result, parameter};
use super::picture::{Picture, Shape};

/// Bits behind the point in OpenCV's 8-bit conversion.
const SHIFT: u32 = 12;

/// OpenCV's `COLOR_RGB2HSV` of 8-bit pixels: hue in half degrees (0 to 179), saturation and value 0 to 255.
struct HsvTables {
    saturation: [i32; 256],
    hue: [i32; 256],
}

impl HsvTables {
    fn new() -> HsvTables {
        let reciprocal = |scale: f64| {
            std::array::from_fn(|divisor| match divisor {
                0 => 0,
                _ => (scale / divisor as f64).round_ties_even() as i32,
            })
        };
        HsvTables { saturation: reciprocal(f64::from(255 << SHIFT)), hue: reciprocal(f64::from(180 << SHIFT) / 6.0) }
    }

    fn hsv(&self, pixel: [u8; 3]) -> [u8; 3] {
        let [red, green, blue] = pixel.map(i32::from);
        let value = red.max(green).max(blue);
        let range = value - red.min(green).min(blue);
        let half = 1 << (SHIFT - 1);
        let saturation = (range * self.saturation[value as usize] + half) >> SHIFT;
        let sextant = if value == red {
            green - blue
        } else if value == green {
            blue - red + 2 * range
        } else {
            red - green + 4 * range
        };
        let hue = (sextant * self.hue[range as usize] + half) >> SHIFT;
        [if hue < 0 { hue + 180 } else { hue } as u8, saturation as u8, value as u8]
    }
}

/// OpenCV's `COLOR_HSV2RGB` of an 8-bit pixel.
fn rgb([hue, saturation, value]: [u8; 3]) -> [u8; 3] {
    let (saturation, value) = (f32::from(saturation) / 255.0, f32::from(value) / 255.0);
    let position = f32::from(hue) * (6.0 / 180.0);
    let sextant = position.floor();
    let fraction = position - sextant;
    let low = value * (1.0 - saturation);
    let falling = value * (1.0 - saturation * fraction);
    let rising = value * (1.0 - saturation * (1.0 - fraction));
    let colour = match sextant as u32 % 6 {
        0 => [value, rising, low],
        1 => [falling, value, low],
        2 => [low, value, rising],
        3 => [low, falling, value],
        4 => [rising, low, value],
        _ => [value, low, falling],
    };
    colour.map(|value| (value * 255.0).round_ties_even() as u8)
}

/// Shifts hue (half degrees, wrapping), saturation and value (levels, clipped); albumentations' `shift_hsv`.
///
/// Pixels without colour keep a saturation of 0. A grey picture takes the value shift alone.
pub fn shift_hsv(mut picture: Picture, hue: i32, saturation: i32, value: i32) -> Picture {
    let clip = |level: u8, shift: i32| (i32::from(level) + shift).clamp(0, 255) as u8;
    if picture.channels() == 1 {
        for level in picture.data_mut() {
            *level = clip(*level, value);
        }
        return picture;
    }
    let tables = HsvTables::new();
    for pixel in picture.data_mut().as_chunks_mut::<3>().0 {
        let [h, s, v] = tables.hsv(*pixel);
        let shifted_hue = (i32::from(h) + hue).rem_euclid(180) as u8;
        let shifted_saturation = if s == 0 { 0 } else { clip(s, saturation) };
        *pixel = rgb([shifted_hue, shifted_saturation, clip(v, value)]);
    }
    picture
}

/// Random shifts of hue, saturation and value by whole levels (albumentations' `HueSaturationValue`).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HueSaturationValue {
    /// The largest hue shift either way, in half degrees, up to 180.
    pub hue_shift_limit: f64,
    /// The largest saturation shift either way, in levels, up to 255.
    pub sat_shift_limit: f64,
    /// The largest value shift either way, in levels, up to 255.
    pub val_shift_limit: f64,
}

impl Default for HueSaturationValue {
    fn default() -> Self {
        HueSaturationValue { hue_shift_limit: 20.0, sat_shift_limit: 30.0, val_shift_limit: 20.0 }
    }
}

impl Transform for HueSaturationValue {
    fn name(&self) -> &'static str {
        "HueSaturationValue"
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        let limits = [
            ("hue_shift_limit", self.hue_shift_limit, 180.0),
            ("sat_shift_limit", self.sat_shift_limit, 255.0),
            ("val_shift_limit", self.val_shift_limit, 255.0),
        ];
        for (name, limit, most) in limits {
            if !(0.0..=most).contains(&limit) {
                return Err(parameter(self.name(), name, limit, format!("between 0 and {most}")));
            }
        }
        Ok(input)
    }

    fn apply(&self, picture: Picture, draws: &mut Draws) -> Result<Picture> {
        let mut shift = |limit: f64| draws.uniform(-limit, limit).round() as i32;
        let (hue, saturation, value) = (shift(self.hue_shift_limit), shift(self.sat_shift_limit), shift(self.val_shift_limit));
        Ok(shift_hsv(picture, hue, saturation, value))
    }
}
