//! Flips, transposition and quarter turns: pixels move, no value changes.

use serde::{Deserialize, Serialize};

use super::Transform;
use super::draws::{Draws, check_probability};
use super::error::{Result, parameter, shape};
use super::picture::{Picture, Shape};

/// Copies pixels with rows and columns exchanged, in square blocks so that reads and writes both stay in cache.
fn transpose_pixels<const CHANNELS: usize>(picture: &Picture) -> Picture {
    const BLOCK: usize = 32;
    let (height, width) = (picture.height(), picture.width());
    let (source, _) = picture.data().as_chunks::<CHANNELS>();
    let mut data = vec![0; picture.data().len()];
    let (target, _) = data.as_chunks_mut::<CHANNELS>();
    for top in (0..height).step_by(BLOCK) {
        for left in (0..width).step_by(BLOCK) {
            for row in top..(top + BLOCK).min(height) {
                for column in left..(left + BLOCK).min(width) {
                    target[column * height + row] = source[row * width + column];
                }
            }
        }
    }
    Picture::from_parts(width, height, CHANNELS, data)
}

/// Rows become columns (Pillow's `TRANSPOSE`).
pub fn transpose(picture: &Picture) -> Picture {
    match picture.channels() {
        1 => transpose_pixels::<1>(picture),
        _ => transpose_pixels::<3>(picture),
    }
}

/// Left and right exchanged (torchvision's `hflip`).
pub fn flip_horizontal(mut picture: Picture) -> Picture {
    let (width, channels) = (picture.width(), picture.channels());
    for row in picture.data_mut().chunks_exact_mut(width * channels) {
        match channels {
            1 => row.reverse(),
            _ => row.as_chunks_mut::<3>().0.reverse(),
        }
    }
    picture
}

/// Top and bottom exchanged (torchvision's `vflip`).
pub fn flip_vertical(mut picture: Picture) -> Picture {
    let stride = picture.width() * picture.channels();
    let height = picture.height();
    let (upper, lower) = picture.data_mut().split_at_mut(height / 2 * stride);
    for (first, last) in upper.chunks_exact_mut(stride).zip(lower.rchunks_exact_mut(stride)) {
        first.swap_with_slice(last);
    }
    picture
}

/// Turns counter-clockwise by `quarters` quarter turns (numpy's `rot90`).
pub fn rotate_quarters(picture: Picture, quarters: u32) -> Picture {
    match quarters % 4 {
        0 => picture,
        1 => flip_vertical(transpose(&picture)),
        2 => flip_horizontal(flip_vertical(picture)),
        _ => flip_horizontal(transpose(&picture)),
    }
}

/// Turns a picture upright, as its EXIF orientation (1 to 8) says.
pub fn orient(picture: Picture, orientation: u8) -> Picture {
    match orientation {
        2 => flip_horizontal(picture),
        3 => rotate_quarters(picture, 2),
        4 => flip_vertical(picture),
        5 => transpose(&picture),
        6 => rotate_quarters(picture, 3),
        7 => rotate_quarters(transpose(&picture), 2),
        8 => rotate_quarters(picture, 1),
        _ => picture,
    }
}

/// Exchanges left and right with probability `p` (torchvision's `RandomHorizontalFlip`).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HorizontalFlip {
    /// Probability.
    pub p: f64,
}

/// Exchanges top and bottom with probability `p` (torchvision's `RandomVerticalFlip`).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VerticalFlip {
    /// Probability.
    pub p: f64,
}

/// Exchanges rows and columns with probability `p` (albumentations' `Transpose`).
///
/// A picture that is not certain to be square is refused unless `p` is 0 or 1: its sides would depend on chance.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Transpose {
    /// Probability.
    pub p: f64,
}

/// Turns by a random number of quarter turns with probability `p` (albumentations' `RandomRotate90`); for square pictures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RandomRotate90 {
    /// Probability.
    pub p: f64,
}

/// Turns counter-clockwise by a fixed number of quarter turns (numpy's `rot90`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rotate90 {
    /// Quarter turns, counter-clockwise.
    pub turns: u32,
}

macro_rules! half_by_default {
    ($($name:ident),*) => {$(
        impl Default for $name {
            fn default() -> Self {
                $name { p: 0.5 }
            }
        }
    )*};
}
half_by_default!(HorizontalFlip, VerticalFlip, Transpose, RandomRotate90);

impl Transform for HorizontalFlip {
    fn name(&self) -> &'static str {
        "HorizontalFlip"
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        check_probability(self.name(), "p", self.p)?;
        Ok(input)
    }

    fn apply(&self, picture: Picture, draws: &mut Draws) -> Result<Picture> {
        Ok(if draws.happens(self.p) { flip_horizontal(picture) } else { picture })
    }
}

impl Transform for VerticalFlip {
    fn name(&self) -> &'static str {
        "VerticalFlip"
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        check_probability(self.name(), "p", self.p)?;
        Ok(input)
    }

    fn apply(&self, picture: Picture, draws: &mut Draws) -> Result<Picture> {
        Ok(if draws.happens(self.p) { flip_vertical(picture) } else { picture })
    }
}

impl Transform for Transpose {
    fn name(&self) -> &'static str {
        "Transpose"
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        check_probability(self.name(), "p", self.p)?;
        match self.p {
            0.0 => Ok(input),
            1.0 => Ok(input.transposed()),
            _ if input.is_square() => Ok(input),
            _ => Err(needs_square(self.name(), input)),
        }
    }

    fn apply(&self, picture: Picture, draws: &mut Draws) -> Result<Picture> {
        self.shape(picture.shape())?;
        Ok(if draws.happens(self.p) { transpose(&picture) } else { picture })
    }
}

impl Transform for RandomRotate90 {
    fn name(&self) -> &'static str {
        "RandomRotate90"
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        check_probability(self.name(), "p", self.p)?;
        if self.p == 0.0 || input.is_square() {
            return Ok(input);
        }
        Err(needs_square(self.name(), input))
    }

    fn apply(&self, picture: Picture, draws: &mut Draws) -> Result<Picture> {
        self.shape(picture.shape())?;
        if !draws.happens(self.p) {
            return Ok(picture);
        }
        let quarters = draws.below(4) as u32;
        Ok(rotate_quarters(picture, quarters))
    }
}

impl Transform for Rotate90 {
    fn name(&self) -> &'static str {
        "Rotate90"
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        if self.turns > 3 {
            return Err(parameter(self.name(), "turns", self.turns, "0, 1, 2 or 3"));
        }
        Ok(if self.turns % 2 == 1 { input.transposed() } else { input })
    }

    fn apply(&self, picture: Picture, _: &mut Draws) -> Result<Picture> {
        Ok(rotate_quarters(picture, self.turns))
    }
}

fn needs_square(transform: &'static str, input: Shape) -> super::PixelError {
    shape(
        transform,
        format!("the sides of {input} would depend on chance; resize or crop to a square before, or set p to 0 or 1"),
    )
}
