//! Crops at a given place, in the centre, and at random.

use serde::{Deserialize, Serialize};

use super::Transform;
use super::draws::Draws;
use super::error::{Result, parameter, shape};
use super::picture::{Picture, Region, Shape};
use super::resize::{Interpolation, check_size, resize_region};

/// Cuts out a rectangle (Pillow's `crop`, without reaching over the edge).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crop {
    /// First row.
    pub top: usize,
    /// First column.
    pub left: usize,
    /// Rows of the result.
    pub height: usize,
    /// Columns of the result.
    pub width: usize,
}

/// Cuts out the middle (torchvision's `CenterCrop`, without padding: a picture that is too small is an error).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CenterCrop {
    /// Rows of the result.
    pub height: usize,
    /// Columns of the result.
    pub width: usize,
}

/// Cuts out a rectangle of fixed size at a random place (torchvision's `RandomCrop`, without padding).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomCrop {
    /// Rows of the result.
    pub height: usize,
    /// Columns of the result.
    pub width: usize,
}

/// Cuts out a rectangle of random area and aspect and resizes it (torchvision's `RandomResizedCrop`).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomResizedCrop {
    /// Rows of the result.
    pub height: usize,
    /// Columns of the result.
    pub width: usize,
    /// Smallest and largest share of the area.
    #[serde(default = "default_scale")]
    pub scale: (f64, f64),
    /// Smallest and largest width over height.
    #[serde(default = "default_ratio")]
    pub ratio: (f64, f64),
    /// The filter; bilinear by default.
    #[serde(default)]
    pub interpolation: Interpolation,
}

fn default_scale() -> (f64, f64) {
    (0.08, 1.0)
}

fn default_ratio() -> (f64, f64) {
    (3.0 / 4.0, 4.0 / 3.0)
}

impl RandomResizedCrop {
    /// A crop with torchvision's defaults: 8 to 100 % of the area, aspect 3:4 to 4:3, bilinear.
    pub fn new(height: usize, width: usize) -> RandomResizedCrop {
        RandomResizedCrop {
            height,
            width,
            scale: default_scale(),
            ratio: default_ratio(),
            interpolation: Interpolation::Bilinear,
        }
    }

    /// Draws the rectangle: ten trials, then the largest centred one of an allowed aspect.
    pub fn region(&self, height: usize, width: usize, draws: &mut Draws) -> Region {
        let area = (height * width) as f64;
        let log_ratio = (libm::log(self.ratio.0), libm::log(self.ratio.1));
        for _ in 0..10 {
            let target = area * draws.within(self.scale);
            let aspect = libm::exp(draws.within(log_ratio));
            let crop_width = (target * aspect).sqrt().round() as usize;
            let crop_height = (target / aspect).sqrt().round() as usize;
            if (1..=width).contains(&crop_width) && (1..=height).contains(&crop_height) {
                let top = draws.below(height - crop_height + 1);
                let left = draws.below(width - crop_width + 1);
                return Region { top, left, height: crop_height, width: crop_width };
            }
        }
        let aspect = width as f64 / height as f64;
        let (crop_height, crop_width) = if aspect < self.ratio.0 {
            ((width as f64 / self.ratio.0).round() as usize, width)
        } else if aspect > self.ratio.1 {
            (height, (height as f64 * self.ratio.1).round() as usize)
        } else {
            (height, width)
        };
        let (crop_height, crop_width) = (crop_height.clamp(1, height), crop_width.clamp(1, width));
        Region { top: (height - crop_height) / 2, left: (width - crop_width) / 2, height: crop_height, width: crop_width }
    }
}

/// The middle rectangle of a size, placed as torchvision places it (halves rounded to even).
pub(crate) fn centre(outer: (usize, usize), inner: (usize, usize)) -> Region {
    let start = |outer: usize, inner: usize| ((outer - inner) as f64 / 2.0).round_ties_even() as usize;
    Region { top: start(outer.0, inner.0), left: start(outer.1, inner.1), height: inner.0, width: inner.1 }
}

/// Refuses a crop that is larger than the picture, as far as the picture's sides are known.
fn check_fits(transform: &'static str, input: Shape, bottom: usize, right: usize) -> Result<()> {
    let fits = |needed: usize, side: Option<usize>| side.is_none_or(|side| needed <= side);
    if fits(bottom, input.height) && fits(right, input.width) {
        return Ok(());
    }
    Err(shape(transform, format!("a crop that reaches row {bottom} and column {right} does not fit into {input}")))
}

impl Transform for Crop {
    fn name(&self) -> &'static str {
        "Crop"
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        check_size(self.name(), self.height, self.width)?;
        let (bottom, right) = (self.top.saturating_add(self.height), self.left.saturating_add(self.width));
        check_fits(self.name(), input, bottom, right)?;
        Ok(input.with_sides(self.height, self.width))
    }

    fn apply(&self, picture: Picture, _: &mut Draws) -> Result<Picture> {
        self.shape(picture.shape())?;
        picture.region(Region { top: self.top, left: self.left, height: self.height, width: self.width })
    }
}

impl Transform for CenterCrop {
    fn name(&self) -> &'static str {
        "CenterCrop"
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        check_size(self.name(), self.height, self.width)?;
        check_fits(self.name(), input, self.height, self.width)?;
        Ok(input.with_sides(self.height, self.width))
    }

    fn apply(&self, picture: Picture, _: &mut Draws) -> Result<Picture> {
        self.shape(picture.shape())?;
        picture.region(centre((picture.height(), picture.width()), (self.height, self.width)))
    }
}

impl Transform for RandomCrop {
    fn name(&self) -> &'static str {
        "RandomCrop"
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        check_size(self.name(), self.height, self.width)?;
        check_fits(self.name(), input, self.height, self.width)?;
        Ok(input.with_sides(self.height, self.width))
    }

    fn apply(&self, picture: Picture, draws: &mut Draws) -> Result<Picture> {
        self.shape(picture.shape())?;
        let top = draws.below(picture.height() - self.height + 1);
        let left = draws.below(picture.width() - self.width + 1);
        picture.region(Region { top, left, height: self.height, width: self.width })
    }
}

impl Transform for RandomResizedCrop {
    fn name(&self) -> &'static str {
        "RandomResizedCrop"
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        check_size(self.name(), self.height, self.width)?;
        let (low, high) = self.scale;
        if !(low > 0.0 && low <= high && high <= 1.0) {
            return Err(parameter(self.name(), "scale", self.scale, "a range within 0 (excluded) to 1"));
        }
        let (low, high) = self.ratio;
        if !(low > 0.0 && low <= high && high.is_finite()) {
            return Err(parameter(self.name(), "ratio", self.ratio, "a range of positive numbers"));
        }
        Ok(input.with_sides(self.height, self.width))
    }

    fn apply(&self, picture: Picture, draws: &mut Draws) -> Result<Picture> {
        let region = self.region(picture.height(), picture.width(), draws);
        resize_region(&picture, region, (self.height, self.width), self.interpolation)
    }
}
