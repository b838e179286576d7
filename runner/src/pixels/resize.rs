//! Resizing with antialias, equal to Pillow to the bit.

use serde::{Deserialize, Serialize};

use super::Transform;
use super::draws::Draws;
use super::error::{Result, parameter};
use super::picture::{Picture, Region, Shape};
use super::resample;

/// How values between pixels are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Interpolation {
    /// The nearest pixel.
    Nearest,
    /// Linear between the neighbours.
    #[default]
    Bilinear,
    /// Cubic convolution, with Pillow's coefficients: a = -0.5 when resizing, a = -1 in warps.
    Bicubic,
    /// Windowed sinc over three lobes; for resizing only.
    Lanczos3,
}

/// Resizes a rectangle of a picture as if it had been cut out before (torchvision's `resized_crop`); the rest is not read.
///
/// When a side shrinks, the filter widens with the reduction (antialias), as in Pillow.
pub fn resize_region(
    picture: &Picture,
    region: Region,
    (height, width): (usize, usize),
    interpolation: Interpolation,
) -> Result<Picture> {
    region.check_inside("Resize", picture)?;
    check_size("Resize", height, width)?;
    Ok(resample::resample(picture, region, (height, width), interpolation))
}

/// Resizes a whole picture (Pillow's `resize`).
pub fn resize(picture: &Picture, size: (usize, usize), interpolation: Interpolation) -> Result<Picture> {
    let whole = Region { top: 0, left: 0, height: picture.height(), width: picture.width() };
    resize_region(picture, whole, size, interpolation)
}

/// The longest side that a transform may be asked for.
pub(crate) const MAX_SIDE: usize = 65_535;

pub(crate) fn check_size(transform: &'static str, height: usize, width: usize) -> Result<()> {
    for (name, side) in [("height", height), ("width", width)] {
        if side == 0 || side > MAX_SIDE {
            return Err(parameter(transform, name, side, format!("between 1 and {MAX_SIDE}")));
        }
    }
    Ok(())
}

/// Resizes to a fixed size, whatever the aspect (torchvision's `Resize((height, width))`; equal to Pillow).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resize {
    /// Rows of the result.
    pub height: usize,
    /// Columns of the result.
    pub width: usize,
    /// The filter; bilinear by default.
    #[serde(default)]
    pub interpolation: Interpolation,
}

impl Transform for Resize {
    fn name(&self) -> &'static str {
        "Resize"
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        check_size(self.name(), self.height, self.width)?;
        Ok(input.with_sides(self.height, self.width))
    }

    fn apply(&self, picture: Picture, _: &mut Draws) -> Result<Picture> {
        if (picture.height(), picture.width()) == (self.height, self.width) {
            return Ok(picture);
        }
        resize(&picture, (self.height, self.width), self.interpolation)
    }
}

/// Resizes so that the shorter side has `size` pixels and the aspect stays (torchvision's `Resize(size)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResizeShorter {
    /// The shorter side of the result.
    pub size: usize,
    /// The filter; bilinear by default.
    #[serde(default)]
    pub interpolation: Interpolation,
}

impl ResizeShorter {
    fn sides(&self, height: usize, width: usize) -> (usize, usize) {
        let longer = |long: usize, short: usize| (self.size as u64 * long as u64 / short as u64) as usize;
        if height <= width { (self.size, longer(width, height)) } else { (longer(height, width), self.size) }
    }
}

impl Transform for ResizeShorter {
    fn name(&self) -> &'static str {
        "ResizeShorter"
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        check_size(self.name(), self.size, self.size)?;
        let (Some(height), Some(width)) = (input.height, input.width) else {
            return Ok(Shape::any_size(input.channels));
        };
        let (height, width) = self.sides(height, width);
        check_size(self.name(), height, width)?;
        Ok(input.with_sides(height, width))
    }

    fn apply(&self, picture: Picture, _: &mut Draws) -> Result<Picture> {
        let sides = self.sides(picture.height(), picture.width());
        check_size(self.name(), sides.0, sides.1)?;
        resize(&picture, sides, self.interpolation)
    }
}
