//! What field cameras leave on photographs: a burnt-in timestamp, and a spot of light.

use serde::{Deserialize, Serialize};

use super::Transform;
use super::draws::Draws;
use super::erase::fill_region;
use super::error::{Result, parameter};
use super::picture::{Picture, Region, Shape};

const GLYPH_HEIGHT: usize = 7;
const GLYPH_WIDTH: usize = 5;

/// A 5 x 7 glyph, one byte a row, the leftmost pixel in bit 4. Characters without a glyph are blank.
fn glyph(character: char) -> [u8; GLYPH_HEIGHT] {
    match character {
        '0' => [0x0E, 0x11, 0x13, 0x15, 0x19, 0x11, 0x0E],
        '1' => [0x04, 0x0C, 0x04, 0x04, 0x04, 0x04, 0x0E],
        '2' => [0x0E, 0x11, 0x01, 0x02, 0x04, 0x08, 0x1F],
        '3' => [0x1F, 0x02, 0x04, 0x02, 0x01, 0x11, 0x0E],
        '4' => [0x02, 0x06, 0x0A, 0x12, 0x1F, 0x02, 0x02],
        '5' => [0x1F, 0x10, 0x1E, 0x01, 0x01, 0x11, 0x0E],
        '6' => [0x06, 0x08, 0x10, 0x1E, 0x11, 0x11, 0x0E],
        '7' => [0x1F, 0x01, 0x02, 0x04, 0x08, 0x08, 0x08],
        '8' => [0x0E, 0x11, 0x11, 0x0E, 0x11, 0x11, 0x0E],
        '9' => [0x0E, 0x11, 0x11, 0x0F, 0x01, 0x02, 0x0C],
        '/' => [0x00, 0x01, 0x02, 0x04, 0x08, 0x10, 0x00],
        ':' => [0x00, 0x0C, 0x0C, 0x00, 0x0C, 0x0C, 0x00],
        '-' => [0x00, 0x00, 0x00, 0x1F, 0x00, 0x00, 0x00],
        _ => [0; GLYPH_HEIGHT],
    }
}

/// Paints digits, `/`, `:` and `-` in a 5 x 7 font, each font pixel `size` pixels a side; what lies outside is cut.
pub fn draw_text(picture: &mut Picture, text: &str, top: usize, left: usize, size: usize, colour: (u8, u8, u8)) {
    for (index, character) in text.chars().enumerate() {
        for (row, bits) in glyph(character).into_iter().enumerate() {
            for column in (0..GLYPH_WIDTH).filter(|column| bits >> (GLYPH_WIDTH - 1 - column) & 1 == 1) {
                let dot = Region {
                    top: top + row * size,
                    left: left + (index * (GLYPH_WIDTH + 1) + column) * size,
                    height: size,
                    width: size,
                };
                if dot.top < picture.height() && dot.left < picture.width() {
                    fill_region(picture, dot, colour);
                }
            }
        }
    }
}

/// The size in pixels (height, width) of a text whose font pixels have `size` pixels a side.
pub fn text_size(text: &str, size: usize) -> (usize, usize) {
    let characters = text.chars().count();
    (GLYPH_HEIGHT * size, (characters * (GLYPH_WIDTH + 1)).saturating_sub(1) * size)
}

/// Paints a random date and time into a random corner, as field cameras do.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timestamp {
    /// Range of the text's height, as a share of the picture's.
    pub height: (f64, f64),
    /// The text's colour; the orange of camera date backs by default.
    pub colour: (u8, u8, u8),
}

impl Default for Timestamp {
    fn default() -> Self {
        Timestamp { height: (0.02, 0.05), colour: (255, 140, 0) }
    }
}

impl Transform for Timestamp {
    fn name(&self) -> &'static str {
        "Timestamp"
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        if !(self.height.0 > 0.0 && self.height.0 <= self.height.1 && self.height.1 <= 1.0) {
            return Err(parameter(self.name(), "height", self.height, "a range of shares within 0 (excluded) to 1"));
        }
        Ok(input)
    }

    fn apply(&self, mut picture: Picture, draws: &mut Draws) -> Result<Picture> {
        let (year, month, day) = (draws.integer(2000, 2030), draws.integer(1, 12), draws.integer(1, 28));
        let (hour, minute) = (draws.below(24), draws.below(60));
        let text = format!("{year}/{month:02}/{day:02} {hour:02}:{minute:02}");
        let wanted = draws.within(self.height) * picture.height() as f64 / GLYPH_HEIGHT as f64;
        // The text stays inside: at least half legible on a tiny picture, never wider than the picture where one pixel a dot fits.
        let widest = picture.width() / text_size(&text, 1).1;
        let size = (wanted.round() as usize).min(widest).max(1);
        let (height, width) = text_size(&text, size);
        let margin = 2 * size;
        let far = |side: usize, length: usize| side.saturating_sub(length + margin);
        let near = |side: usize, length: usize| margin.min(side.saturating_sub(length));
        let top = if draws.happens(0.5) { near(picture.height(), height) } else { far(picture.height(), height) };
        let left = if draws.happens(0.5) { near(picture.width(), width) } else { far(picture.width(), width) };
        draw_text(&mut picture, &text, top, left, size, self.colour);
        Ok(picture)
    }
}

/// Lightens a round spot at a random place: sun through leaves, or a flash.
///
/// A value v at distance d from the centre becomes v + (255 - v) * strength * exp(-d^2 / (2 radius^2)).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LightSpot {
    /// Range of the radius, as a share of the shorter side.
    pub radius: (f64, f64),
    /// Range of the strength: 1 makes the centre white.
    pub strength: (f64, f64),
}

impl Default for LightSpot {
    fn default() -> Self {
        LightSpot { radius: (0.1, 0.4), strength: (0.2, 0.6) }
    }
}

/// Lightens a round spot; `centre` is (x, y) and `radius` the standard deviation, in pixels.
pub fn light_spot(mut picture: Picture, centre: (f64, f64), radius: f64, strength: f64) -> Picture {
    let (width, channels) = (picture.width(), picture.channels());
    // A two-dimensional Gaussian is the product of one along each axis.
    let fade = |distance: f64| libm::exp(-0.5 * (distance / radius).powi(2));
    let across: Vec<f32> = (0..width).map(|column| fade(column as f64 + 0.5 - centre.0) as f32).collect();
    for (row, pixels) in picture.data_mut().chunks_exact_mut(width * channels).enumerate() {
        let down = (strength * fade(row as f64 + 0.5 - centre.1)) as f32;
        for (pixel, across) in pixels.chunks_exact_mut(channels).zip(&across) {
            for value in pixel {
                let level = f32::from(*value);
                *value = (level + (255.0 - level) * down * across).round() as u8;
            }
        }
    }
    picture
}

impl Transform for LightSpot {
    fn name(&self) -> &'static str {
        "LightSpot"
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        if !(self.radius.0 > 0.0 && self.radius.0 <= self.radius.1 && self.radius.1.is_finite()) {
            return Err(parameter(self.name(), "radius", self.radius, "a range of positive numbers"));
        }
        if !(0.0 <= self.strength.0 && self.strength.0 <= self.strength.1 && self.strength.1 <= 1.0) {
            return Err(parameter(self.name(), "strength", self.strength, "a range between 0 and 1"));
        }
        Ok(input)
    }

    fn apply(&self, picture: Picture, draws: &mut Draws) -> Result<Picture> {
        let (height, width) = (picture.height() as f64, picture.width() as f64);
        let centre = (draws.uniform(0.0, width), draws.uniform(0.0, height));
        let radius = draws.within(self.radius) * height.min(width);
        Ok(light_spot(picture, centre, radius, draws.within(self.strength)))
    }
}
