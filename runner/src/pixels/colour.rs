//! Brightness, contrast, saturation and hue as torchvision defines them for 8-bit tensors, and its `ColorJitter`.

use serde::{Deserialize, Serialize};

use super::Transform;
use super::draws::Draws;
use super::error::{Result, parameter};
use super::picture::{Picture, Shape};

/// torchvision's grey of one pixel: floored to a whole level.
fn grey(pixel: &[u8]) -> f32 {
    (f32::from(pixel[0]) * 0.2989 + f32::from(pixel[1]) * 0.587 + f32::from(pixel[2]) * 0.114).floor()
}

/// Sends every value through a table.
fn map_values(picture: &mut Picture, level: impl Fn(f32) -> f32) {
    // `as` clips to 0..=255 and drops the fraction, as torchvision does.
    let table: [u8; 256] = std::array::from_fn(|value| level(value as f32) as u8);
    for value in picture.data_mut() {
        *value = table[usize::from(*value)];
    }
}

/// Multiplies by `factor` (torchvision's `adjust_brightness`).
pub fn adjust_brightness(mut picture: Picture, factor: f32) -> Picture {
    map_values(&mut picture, |value| value * factor);
    picture
}

/// Moves values away from the mean grey by `factor` (torchvision's `adjust_contrast`).
pub fn adjust_contrast(mut picture: Picture, factor: f32) -> Picture {
    let count = picture.height() * picture.width();
    let sum: f64 = if picture.channels() == 1 {
        picture.data().iter().map(|&value| u64::from(value)).sum::<u64>() as f64
    } else {
        picture.data().as_chunks::<3>().0.iter().map(|pixel| grey(pixel) as u64).sum::<u64>() as f64
    };
    let mean = (sum / count as f64) as f32;
    map_values(&mut picture, |value| value * factor + mean * (1.0 - factor));
    picture
}

/// Moves colours away from their grey by `factor` (torchvision's `adjust_saturation`); a grey picture stays.
pub fn adjust_saturation(mut picture: Picture, factor: f32) -> Picture {
    if picture.channels() == 3 {
        for pixel in picture.data_mut().as_chunks_mut::<3>().0 {
            let grey = grey(pixel) * (1.0 - factor);
            for value in pixel {
                *value = (f32::from(*value) * factor + grey) as u8;
            }
        }
    }
    picture
}

/// Turns the hue by `shift` of a full circle, -0.5 to 0.5 (torchvision's `adjust_hue`); a grey picture stays.
pub fn adjust_hue(mut picture: Picture, shift: f32) -> Picture {
    if picture.channels() == 3 {
        for pixel in picture.data_mut().as_chunks_mut::<3>().0 {
            let [red, green, blue] = pixel.map(|value| f32::from(value) / 255.0);
            let (hue, saturation, value) = rgb_to_hsv(red, green, blue);
            let hue = (hue + shift).rem_euclid(1.0);
            // torchvision's conversion to 8 bits: 255.999 levels, fraction dropped.
            *pixel = hsv_to_rgb(hue, saturation, value).map(|value| (value * 255.999) as u8);
        }
    }
    picture
}

/// Hue, saturation and value, each 0 to 1.
fn rgb_to_hsv(red: f32, green: f32, blue: f32) -> (f32, f32, f32) {
    let most = red.max(green).max(blue);
    let range = most - red.min(green).min(blue);
    if range == 0.0 {
        return (0.0, 0.0, most);
    }
    let [from_red, from_green, from_blue] = [red, green, blue].map(|value| (most - value) / range);
    let sextant = if most == red {
        from_blue - from_green
    } else if most == green {
        2.0 + from_red - from_blue
    } else {
        4.0 + from_green - from_red
    };
    ((sextant / 6.0 + 1.0) % 1.0, range / most, most)
}

fn hsv_to_rgb(hue: f32, saturation: f32, value: f32) -> [f32; 3] {
    let sextant = (hue * 6.0).floor();
    let fraction = hue * 6.0 - sextant;
    let low = (value * (1.0 - saturation)).clamp(0.0, 1.0);
    let falling = (value * (1.0 - saturation * fraction)).clamp(0.0, 1.0);
    let rising = (value * (1.0 - saturation + saturation * fraction)).clamp(0.0, 1.0);
    match sextant as u32 % 6 {
        0 => [value, rising, low],
        1 => [falling, value, low],
        2 => [low, value, rising],
        3 => [low, falling, value],
        4 => [rising, low, value],
        _ => [value, low, falling],
    }
}

/// Refuses a range of factors that is not 0 <= low <= high.
fn check_factors(transform: &'static str, name: &'static str, (low, high): (f64, f64)) -> Result<()> {
    if 0.0 <= low && low <= high && high.is_finite() {
        return Ok(());
    }
    Err(parameter(transform, name, (low, high), "a range of factors, not negative"))
}

macro_rules! factor_transform {
    ($(#[$doc:meta])* $name:ident, $adjust:path) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            /// Range of the factor; 1 changes nothing.
            pub factor: (f64, f64),
        }

        impl Transform for $name {
            fn name(&self) -> &'static str {
                stringify!($name)
            }

            fn shape(&self, input: Shape) -> Result<Shape> {
                check_factors(self.name(), "factor", self.factor)?;
                Ok(input)
            }

            fn apply(&self, picture: Picture, draws: &mut Draws) -> Result<Picture> {
                Ok($adjust(picture, draws.within(self.factor) as f32))
            }
        }
    };
}

factor_transform!(
    /// Multiplies all values by a random factor (torchvision's `adjust_brightness`).
    Brightness,
    adjust_brightness
);
factor_transform!(
    /// Moves values away from the mean grey by a random factor (torchvision's `adjust_contrast`).
    Contrast,
    adjust_contrast
);
factor_transform!(
    /// Moves colours away from their grey by a random factor (torchvision's `adjust_saturation`).
    Saturation,
    adjust_saturation
);

/// Brightness, contrast, saturation and hue in random order (torchvision's `ColorJitter`).
///
/// Like torchvision's single numbers: a factor is drawn from max(0, 1 - x) to 1 + x, the hue shift from -x to x.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ColorJitter {
    /// Spread of the brightness factor about 1.
    pub brightness: f64,
    /// Spread of the contrast factor about 1.
    pub contrast: f64,
    /// Spread of the saturation factor about 1.
    pub saturation: f64,
    /// Spread of the hue shift, 0 to 0.5 of a full circle.
    pub hue: f64,
}

impl Transform for ColorJitter {
    fn name(&self) -> &'static str {
        "ColorJitter"
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        let spreads = [("brightness", self.brightness), ("contrast", self.contrast), ("saturation", self.saturation)];
        for (name, spread) in spreads {
            if !(spread >= 0.0 && spread.is_finite()) {
                return Err(parameter(self.name(), name, spread, "not negative"));
            }
        }
        if !(0.0..=0.5).contains(&self.hue) {
            return Err(parameter(self.name(), "hue", self.hue, "between 0 and 0.5"));
        }
        Ok(input)
    }

    fn apply(&self, mut picture: Picture, draws: &mut Draws) -> Result<Picture> {
        for adjustment in draws.permutation(4) {
            let mut factor = |spread: f64| draws.uniform((1.0 - spread).max(0.0), 1.0 + spread) as f32;
            picture = match adjustment {
                0 if self.brightness > 0.0 => adjust_brightness(picture, factor(self.brightness)),
                1 if self.contrast > 0.0 => adjust_contrast(picture, factor(self.contrast)),
                2 if self.saturation > 0.0 => adjust_saturation(picture, factor(self.saturation)),
                3 if self.hue > 0.0 => adjust_hue(picture, draws.uniform(-self.hue, self.hue) as f32),
                _ => picture,
            };
        }
        Ok(picture)
    }
}
