//! Coarse dropout and random erasing: rectangles that lose their content.

use serde::{Deserialize, Serialize};

use super::Transform;
use super::draws::{Draws, check_probability};
use super::error::{Result, parameter};
use super::picture::{Picture, Planes, Region, Shape};

/// Paints a rectangle, cut at the picture's edges, in one colour.
pub fn fill_region(picture: &mut Picture, region: Region, colour: (u8, u8, u8)) {
    let (height, width, channels) = (picture.height(), picture.width(), picture.channels());
    let colour = [colour.0, colour.1, colour.2];
    let bottom = region.top.saturating_add(region.height).min(height);
    let (left, right) = (region.left.min(width), region.left.saturating_add(region.width).min(width));
    for row in picture.data_mut().chunks_exact_mut(width * channels).take(bottom).skip(region.top) {
        for pixel in row[left * channels..right * channels].chunks_exact_mut(channels) {
            pixel.copy_from_slice(&colour[..channels]);
        }
    }
}

/// Erases several rectangles (albumentations' `CoarseDropout`).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CoarseDropout {
    /// Fewest and most rectangles.
    pub num_holes_range: (usize, usize),
    /// Range of a rectangle's height, as a share of the picture's.
    pub hole_height_range: (f64, f64),
    /// Range of a rectangle's width, as a share of the picture's.
    pub hole_width_range: (f64, f64),
    /// The colour painted.
    pub fill: (u8, u8, u8),
}

impl Default for CoarseDropout {
    fn default() -> Self {
        CoarseDropout { num_holes_range: (1, 2), hole_height_range: (0.1, 0.2), hole_width_range: (0.1, 0.2), fill: (0, 0, 0) }
    }
}

impl CoarseDropout {
    /// Draws the rectangles for a picture of the given size.
    pub fn regions(&self, height: usize, width: usize, draws: &mut Draws) -> Vec<Region> {
        let count = draws.integer(self.num_holes_range.0, self.num_holes_range.1);
        (0..count)
            .map(|_| {
                let mut side = |range, size: usize| ((draws.within(range) * size as f64) as usize).clamp(1, size);
                let (hole_height, hole_width) = (side(self.hole_height_range, height), side(self.hole_width_range, width));
                let top = draws.below(height - hole_height + 1);
                let left = draws.below(width - hole_width + 1);
                Region { top, left, height: hole_height, width: hole_width }
            })
            .collect()
    }
}

impl Transform for CoarseDropout {
    fn name(&self) -> &'static str {
        "CoarseDropout"
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        let (fewest, most) = self.num_holes_range;
        if fewest > most || most > 10_000 {
            return Err(parameter(self.name(), "num_holes_range", self.num_holes_range, "a range of at most 10000"));
        }
        for (name, range) in [("hole_height_range", self.hole_height_range), ("hole_width_range", self.hole_width_range)] {
            if !(range.0 > 0.0 && range.0 <= range.1 && range.1 <= 1.0) {
                return Err(parameter(self.name(), name, range, "a range of shares within 0 (excluded) to 1"));
            }
        }
        Ok(input)
    }

    fn apply(&self, mut picture: Picture, draws: &mut Draws) -> Result<Picture> {
        for region in self.regions(picture.height(), picture.width(), draws) {
            fill_region(&mut picture, region, self.fill);
        }
        Ok(picture)
    }
}

/// Erases one rectangle of random area and aspect (torchvision's `RandomErasing`).
///
/// torchvision erases after normalization, where 0 is the mean colour; [`erase_planes`](RandomErasing::erase_planes) does so. On pictures
/// the colour is given in levels.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RandomErasing {
    /// Probability.
    pub p: f64,
    /// Smallest and largest share of the area.
    pub scale: (f64, f64),
    /// Smallest and largest height over width.
    pub ratio: (f64, f64),
    /// The colour painted on a picture.
    pub value: (u8, u8, u8),
}

impl Default for RandomErasing {
    fn default() -> Self {
        RandomErasing { p: 0.5, scale: (0.02, 0.33), ratio: (0.3, 3.3), value: (0, 0, 0) }
    }
}

impl RandomErasing {
    /// Draws the rectangle, or `None` where chance or ten failed trials leave the picture whole.
    pub fn region(&self, height: usize, width: usize, draws: &mut Draws) -> Option<Region> {
        if !draws.happens(self.p) {
            return None;
        }
        let log_ratio = (libm::log(self.ratio.0), libm::log(self.ratio.1));
        for _ in 0..10 {
            let area = (height * width) as f64 * draws.within(self.scale);
            let aspect = libm::exp(draws.within(log_ratio));
            let erased_height = (area * aspect).sqrt().round() as usize;
            let erased_width = (area / aspect).sqrt().round() as usize;
            if erased_height < height && erased_width < width {
                let top = draws.below(height - erased_height + 1);
                let left = draws.below(width - erased_width + 1);
                return Some(Region { top, left, height: erased_height, width: erased_width });
            }
        }
        None
    }

    /// Erases normalized planes with zeros.
    pub fn erase_planes(&self, planes: &mut Planes, draws: &mut Draws) {
        let Some(region) = self.region(planes.height, planes.width, draws) else {
            return;
        };
        let width = planes.width;
        for plane in planes.data.chunks_exact_mut(planes.height * width) {
            for row in plane.chunks_exact_mut(width).skip(region.top).take(region.height) {
                row[region.left..region.left + region.width].fill(0.0);
            }
        }
    }
}

impl Transform for RandomErasing {
    fn name(&self) -> &'static str {
        "RandomErasing"
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        check_probability(self.name(), "p", self.p)?;
        let (low, high) = self.scale;
        if !(0.0 <= low && low <= high && high <= 1.0) {
            return Err(parameter(self.name(), "scale", self.scale, "a range between 0 and 1"));
        }
        let (low, high) = self.ratio;
        if !(low > 0.0 && low <= high && high.is_finite()) {
            return Err(parameter(self.name(), "ratio", self.ratio, "a range of positive numbers"));
        }
        Ok(input)
    }

    fn apply(&self, mut picture: Picture, draws: &mut Draws) -> Result<Picture> {
        if let Some(region) = self.region(picture.height(), picture.width(), draws) {
            fill_region(&mut picture, region, self.value);
        }
        Ok(picture)
    }
}
